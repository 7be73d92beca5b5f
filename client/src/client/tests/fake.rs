//! A federation without consensus: one ledger, and guardians that tell the truth about it or do not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use bitcoin::{hashes::Hash, BlockHash, Network};
use guildmint_core::{
    api::{AuditAnswer, Problem, StatusAnswer, TransactionAnswer, TransactionStatus},
    ledger::{Ledger, Scope, Space},
    module::{At, Federation as Told, Later, Query, Reject, ServerModule},
    slices::SliceAnswer,
    Amount, Epoch, GuardianKeys, IdentityKey, Item, ModuleConfig, OutPoint, Quorum, SessionId,
    SignedRevision, Transaction, Wire,
};
use guildmint_core::{GenesisConfig, ModuleId};
use guildmint_ln::{Ln, LnFees, LnInput, LnOutput, LnTerms};
use guildmint_mint::{dealer::deal, Denomination, Mint, MintInput, MintOutput};
use guildmint_wallet::{Block, PegInProof, PegOut, PegOutState, PegOutStatus};
use serde_json::json;

use super::{gateway::FakeGateway, *};
use crate::{federation::Membership, ApiRequest};

pub const MINT: ModuleId = ModuleId(1);
pub const WALLET: ModuleId = ModuleId(2);
pub const LN: ModuleId = ModuleId(3);
pub const MINT_ROWS: Scope = Scope::module(Space::Agreed, MINT);
pub const LN_ROWS: Scope = Scope::module(Space::Agreed, LN);
/// What a peg-out costs.
pub const FEE_SAT: u64 = 321;

/// How a guardian behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Honest,
    /// Never answers; the request fails at once.
    Down,
    /// Says that everything is refused for good.
    Refuses,
    /// Says that it never heard of anything.
    Forgets,
    /// Answers in time, with shares of something else.
    WrongShares,
    /// Answers with what is no share.
    Garbage,
    /// Claims that everything was accepted, without shares.
    Boasts,
    /// Takes five seconds to answer.
    Slow,
    /// Names prices that are 1000 times too high.
    Greedy,
    /// Names no price at all.
    Cheap,
    /// Leaves out and makes up what is in lists, and how contracts ended.
    Invents,
    /// Answers at once what it should hold.
    Hasty,
}

pub struct Fake {
    pub genesis: GenesisConfig,
    pub moods: Vec<Mood>,
    /// Blocks that no guardian knows, by hash.
    pub unknown_blocks: BTreeSet<String>,
    /// Whether deposits are agreed.
    pub buried: bool,
    /// Whether peg-outs are on the network.
    pub signs: bool,
    /// What pays them by now, and whether it is in a block.
    pub payer: (bitcoin::Txid, bool),
    /// Whether the price of a peg-out has just risen beyond all offers.
    pub dear: bool,
    /// What all guardians know of where they are.
    pub announcements: Vec<guildmint_core::Announcement>,
    /// What has changed since the founding.
    pub revisions: Vec<SignedRevision>,
    /// What the federation takes for a peg-out.
    pub peg_out_fee: Amount,
    mints: Arc<Vec<Mint>>,
    pub(super) lns: Arc<Vec<Ln>>,
    /// The agreed clock.
    pub height: u32,
    pub gateways: Vec<FakeGateway>,
    /// Guardians that are behind, and what they know of Lightning.
    pub behind: BTreeMap<PeerId, Memory>,
    /// What was deposited, and what the federation has taken for its services.
    pub deposited_msat: u64,
    pub fees_msat: u64,
    pub rows: Memory,
    pub(super) accepted: BTreeMap<TxId, Transaction>,
    /// Who has heard of which transaction: the first answer is always that it waits for an epoch.
    heard: BTreeSet<(PeerId, TxId)>,
    claimed: BTreeSet<bitcoin::OutPoint>,
    pub paid_out: Vec<PegOut>,
    pub refusals: Vec<Reject>,
}

fn permanent(code: &str) -> Reject {
    Reject::permanent(code, code)
}

type Dealt = (GenesisConfig, Arc<Vec<Mint>>, Arc<Vec<Ln>>);

/// Keys take a second to deal, and are the same for every story.
fn dealt(fee_msat: u64) -> Dealt {
    static DEALT: Mutex<BTreeMap<u64, Dealt>> = Mutex::new(BTreeMap::new());
    let mut dealt = DEALT.lock().unwrap();
    dealt
        .entry(fee_msat)
        .or_insert_with(|| deal_all(fee_msat))
        .clone()
}

/// The key of a guardian, of four.
pub fn identity(peer: PeerId) -> IdentityKey {
    let mut keys: Vec<_> = (1..=4)
        .map(|seed| IdentityKey::from_seed(&[seed; 32]))
        .collect();
    keys.sort_by_key(IdentityKey::public);
    keys.swap_remove(peer.0.into())
}

fn deal_all(fee_msat: u64) -> Dealt {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let quorum = Quorum::new(4).unwrap();
    let values = (0..=23).map(|exponent| Denomination::new(exponent).unwrap());
    let (mut mint, secrets) = deal(quorum, values, &mut rng).unwrap();
    mint.input_fee = guildmint_core::Amount::from_msat(fee_msat).unwrap();
    mint.output_fee = mint.input_fee;
    let start = Block {
        height: 1,
        hash: BlockHash::all_zeros(),
    };
    let (wallet, _) = guildmint_wallet::dealer::deal(Network::Regtest, start, quorum, &mut rng);
    let fee = mint.input_fee;
    let fees = LnFees {
        offer: fee,
        contract: fee,
        spend: fee,
        announcement: fee,
    };
    let (ln, ln_secrets) = guildmint_ln::dealer::deal(quorum, LnTerms { fees }, &mut rng).unwrap();
    let module = |kind: &str, config| ModuleConfig {
        kind: kind.to_owned(),
        config,
    };
    let keys = |peer: PeerId| GuardianKeys {
        name: peer.to_string(),
        identity: identity(peer).public(),
    };
    let genesis = GenesisConfig {
        name: "test".into(),
        session: SessionId([3; 32]),
        network: Network::Regtest,
        guardians: quorum.peers().map(keys).collect(),
        coin: Vec::new(),
        epoch_floor_ms: 50,
        modules: [
            (MINT, module("mint", mint.encode())),
            (WALLET, module("wallet", wallet.encode())),
            (LN, module("ln", ln.encode())),
        ]
        .into(),
    };
    let id = genesis.id();
    let told = |me| Told {
        id,
        quorum,
        network: Network::Regtest,
        me,
    };
    let mints = quorum.peers().zip(secrets);
    let mints = mints.map(|(me, secret)| Mint::new(told(me), mint.clone(), secret).unwrap());
    let lns = quorum.peers().zip(ln_secrets);
    let lns = lns.map(|(me, secret)| Ln::new(told(me), ln.clone(), secret).unwrap());
    let (mints, lns) = (Arc::new(mints.collect()), Arc::new(lns.collect()));
    (genesis, mints, lns)
}

impl Fake {
    /// Four guardians, and what the mint takes for each note.
    pub fn new(fee_msat: u64) -> Self {
        let (genesis, mints, lns) = dealt(fee_msat);
        let mut fake = Self {
            moods: vec![Mood::Honest; mints.len()],
            genesis,
            mints,
            lns,
            height: 100,
            gateways: Vec::new(),
            behind: BTreeMap::new(),
            deposited_msat: 0,
            fees_msat: 0,
            unknown_blocks: BTreeSet::new(),
            buried: true,
            signs: true,
            payer: (bitcoin::Txid::all_zeros(), false),
            dear: false,
            announcements: Vec::new(),
            revisions: Vec::new(),
            peg_out_fee: Amount::ZERO,
            rows: Memory::default(),
            accepted: BTreeMap::new(),
            heard: BTreeSet::new(),
            claimed: BTreeSet::new(),
            paid_out: Vec::new(),
            refusals: Vec::new(),
        };
        fake.advance(fake.height);
        fake
    }

    pub fn membership(&self) -> Membership {
        Membership {
            genesis: self.genesis.encode(),
            apis: BTreeMap::new(),
            announcements: Vec::new(),
        }
    }

    /// What the federation owes to holders of notes, in millisatoshi.
    pub fn owed_msat(&self) -> u64 {
        let mut ledger = Ledger::new(&self.rows);
        let view = ledger.view(MINT_ROWS);
        self.mints[0].audit(&view).liabilities_msat
    }

    pub(super) fn at(&self) -> At {
        At {
            epoch: Epoch(1),
            height: self.height,
            version: 1,
        }
    }

    /// The answer of one guardian.
    pub fn answer(&mut self, peer: PeerId, request: &ApiRequest) -> Result<Json, RequestError> {
        let mood = self.moods[usize::from(peer.0)];
        if mood == Mood::Down {
            return Err(RequestError::Unreachable("connection refused".into()));
        }
        match request {
            ApiRequest::Submit(bytes) => {
                let id = self.genesis.id();
                let decoded = Transaction::decode(bytes).unwrap();
                let txid = decoded.id(id);
                // A liar keeps it to itself.
                let status = match mood {
                    Mood::Refuses | Mood::Forgets | Mood::Boasts => TransactionStatus::Unknown,
                    _ => self.take(peer, txid, decoded),
                };
                Ok(self.colour(mood, txid, status))
            }
            ApiRequest::Transaction { txid, .. } => {
                let status = self.status(peer, *txid);
                Ok(self.colour(mood, *txid, status))
            }
            ApiRequest::Module {
                kind: kind @ ("mint" | "ln"),
                path,
                parameters,
            } => {
                let query = Query {
                    path: path.clone(),
                    parameters: parameters.clone(),
                };
                match *kind {
                    "mint" => self.query(peer, &query, mood),
                    _ => self.ln_query(peer, &query, mood),
                }
            }
            ApiRequest::Module { path, .. } if path == "claimed-prefixes" => {
                Ok(lie(self.claimed_prefixes(), mood))
            }
            ApiRequest::Module {
                path, parameters, ..
            } if path == "block" => self.block(&parameters["hash"], mood),
            ApiRequest::Module { .. } => Ok(json!({
                "fee_sat": match mood {
                    Mood::Greedy => FEE_SAT * 1000,
                    Mood::Cheap => 0,
                    _ => FEE_SAT,
                },
                "fee_rate_sat_per_kvb": 1000,
                "module_fee": self.peg_out_fee.msat(),
            })),
            ApiRequest::Announcements => Ok(json!({ "announcements": self.announcements })),
            ApiRequest::Revisions { after } => Ok(revisions::answer(self, *after, mood)),
            ApiRequest::Status => Ok(status_of(peer, self.revisions.len() as u32)),
            ApiRequest::Audit => Ok(json!(AuditAnswer {
                epoch: None,
                assets_msat: 0,
                liabilities_msat: self.owed_msat(),
                net_msat: 0,
                modules: BTreeMap::new(),
                certificate: None,
            })),
            ApiRequest::Config => Err(RequestError::Problem(Problem::new(
                404, "absent", "", false,
            ))),
        }
    }

    fn block(&self, hash: &str, mood: Mood) -> Result<Json, RequestError> {
        let known = self.buried && !self.unknown_blocks.contains(hash);
        if known || mood == Mood::Boasts {
            return Ok(json!({"height": 100, "hash": hash}));
        }
        let problem = Problem::new(422, "not_buried", "not agreed", true);
        Err(RequestError::Problem(problem))
    }

    fn query(&self, peer: PeerId, query: &Query, mood: Mood) -> Result<Json, RequestError> {
        let (nothing, mut ledger) = (Memory::default(), Ledger::new(&self.rows));
        let mut local = Ledger::new(&nothing);
        let mint = &self.mints[usize::from(peer.0)];
        let agreed = ledger.view(MINT_ROWS);
        let answer = mint.query(&agreed, &local.view(MINT_ROWS), query);
        let answer = answer.or_else(|| Some(mint.slow_query(&agreed, query)?.map(Later::get)));
        let reject = |reject: Reject| {
            let problem = Problem::new(422, &reject.code, &reject.message, reject.retryable);
            RequestError::Problem(problem)
        };
        let mut answer = lie(answer.unwrap().map_err(reject)?, mood);
        if mood == Mood::Refuses && query.path == "spent" {
            for value in answer.as_object_mut().unwrap().values_mut() {
                *value = json!(true);
            }
        }
        Ok(answer)
    }

    fn claimed_prefixes(&self) -> Json {
        let prefixes = self.claimed.iter().map(guildmint_wallet::claimed_prefix);
        json!(SliceAnswer {
            count: self.claimed.len() as u64,
            from: 0,
            prefixes: prefixes.collect::<Vec<_>>().concat(),
        })
    }

    /// What a guardian of this mood makes of the truth.
    fn colour(&self, mood: Mood, txid: TxId, status: TransactionStatus) -> Json {
        let status = match (mood, status) {
            (Mood::Refuses, _) => TransactionStatus::Rejected(permanent("note_spent")),
            (Mood::Forgets, _) => TransactionStatus::Unknown,
            (Mood::Boasts, _) => TransactionStatus::Accepted {
                epoch: Epoch(1),
                outcomes: Vec::new(),
            },
            (Mood::Garbage, TransactionStatus::Accepted { epoch, outcomes }) => {
                TransactionStatus::Accepted {
                    epoch,
                    outcomes: outcomes.iter().map(|_| json!({"share": "00"})).collect(),
                }
            }
            (
                Mood::WrongShares,
                TransactionStatus::Accepted {
                    epoch,
                    mut outcomes,
                },
            ) => {
                outcomes.reverse();
                if let [first, .., last] = outcomes.as_mut_slice() {
                    *first = last.clone();
                }
                TransactionStatus::Accepted { epoch, outcomes }
            }
            (_, status) => status,
        };
        json!(TransactionAnswer { txid, status })
    }

    fn status(&self, peer: PeerId, txid: TxId) -> TransactionStatus {
        let Some(transaction) = self.accepted.get(&txid) else {
            return TransactionStatus::Unknown;
        };
        let mut ledger = Ledger::new(&self.rows);
        let view = ledger.view(MINT_ROWS);
        let outcome = |(index, item): (usize, &Item)| {
            if item.module == WALLET {
                let (payer, confirmed) = self.payer;
                return json!(PegOutStatus {
                    state: match (self.signs, confirmed) {
                        (false, _) => PegOutState::Queued,
                        (true, false) => PegOutState::Signed,
                        (true, true) => PegOutState::Confirmed,
                    },
                    txid: self.signs.then_some(payer),
                });
            }
            if item.module == LN {
                return json!({});
            }
            let output = MintOutput::decode(&item.bytes).unwrap();
            let index = index as u16;
            let mint = &self.mints[usize::from(peer.0)];
            let outcome = mint.outcome(&view, &output, OutPoint { txid, index }, None);
            json!(outcome.map(Later::get))
        };
        TransactionStatus::Accepted {
            epoch: Epoch(1),
            outcomes: transaction
                .outputs
                .iter()
                .enumerate()
                .map(outcome)
                .collect(),
        }
    }

    fn take(&mut self, peer: PeerId, txid: TxId, transaction: Transaction) -> TransactionStatus {
        if !self.accepted.contains_key(&txid) {
            if let Err(reject) = self.process(txid, &transaction) {
                self.refusals.push(reject.clone());
                return TransactionStatus::Rejected(reject);
            }
            self.accepted.insert(txid, transaction);
        }
        if self.heard.insert((peer, txid)) {
            return TransactionStatus::Pending;
        }
        self.status(peer, txid)
    }

    fn process(&mut self, txid: TxId, transaction: &Transaction) -> Result<(), Reject> {
        transaction
            .check_structure()
            .map_err(|_| permanent("structure"))?;
        let (mint, ln, at) = (&self.mints[0], &self.lns[0], self.at());
        let mut ledger = Ledger::new(&self.rows);
        let (mut in_msat, mut out_msat) = (0, 0);
        let (mut deposited, mut fees) = (0, 0);
        let (mut keys, mut notes) = (Vec::new(), Vec::new());
        let (mut claimed, mut paid) = (Vec::new(), Vec::new());
        for input in &transaction.inputs {
            if input.module == WALLET {
                let proof = PegInProof::decode(&input.bytes).map_err(|_| permanent("proof"))?;
                let deposit = proof.claim().map_err(|_| permanent("proof"))?;
                if !self.buried {
                    return Err(Reject::retryable("not_buried", "wait"));
                }
                if self.claimed.contains(&deposit.outpoint) {
                    return Err(permanent("deposit_claimed"));
                }
                in_msat += deposit.amount_sat * 1000;
                deposited += deposit.amount_sat * 1000;
                keys.push(Some(proof.tweak_key));
                claimed.push(deposit.outpoint);
                continue;
            }
            if input.module == LN {
                let input = LnInput::decode(&input.bytes).map_err(|_| permanent("contract"))?;
                ln.check_input(&input)?;
                let spent = ln.spend(&mut ledger.view(LN_ROWS), &input, at)?;
                in_msat += spent.amount.msat();
                out_msat += spent.fee.msat();
                fees += spent.fee.msat();
                keys.push(spent.key);
                continue;
            }
            let note = MintInput::decode(&input.bytes).map_err(|_| permanent("note"))?;
            mint.check_input(&note)?;
            let spent = mint.spend(&mut ledger.view(MINT_ROWS), &note, at)?;
            in_msat += spent.amount.msat();
            out_msat += spent.fee.msat();
            fees += spent.fee.msat();
            keys.push(spent.key);
            notes.push(note);
        }
        for (index, output) in transaction.outputs.iter().enumerate() {
            if output.module == WALLET {
                let peg_out = PegOut::decode(&output.bytes).map_err(|_| permanent("peg_out"))?;
                if peg_out.fee_sat < FEE_SAT {
                    return Err(permanent("fee_too_low"));
                }
                if self.dear {
                    return Err(Reject::retryable("fee_too_low", "the price has risen"));
                }
                out_msat += peg_out.total().unwrap().msat() + self.peg_out_fee.msat();
                paid.push(peg_out);
                continue;
            }
            let out_point = OutPoint {
                txid,
                index: index as u16,
            };
            if output.module == LN {
                let output = LnOutput::decode(&output.bytes).map_err(|_| permanent("output"))?;
                ln.check_output(&output)?;
                let charge = ln.accept(&mut ledger.view(LN_ROWS), &output, out_point, at)?;
                out_msat += charge.amount.msat() + charge.fee.msat();
                fees += charge.fee.msat();
                continue;
            }
            let note = MintOutput::decode(&output.bytes).map_err(|_| permanent("output"))?;
            mint.check_output(&note)?;
            let charge = mint.accept(&mut ledger.view(MINT_ROWS), &note, out_point, at)?;
            out_msat += charge.amount.msat() + charge.fee.msat();
            fees += charge.fee.msat();
        }
        let signed = transaction.check_signatures(txid, &keys).is_ok();
        if !signed || !mint.proofs_hold(&notes) {
            return Err(permanent("invalid"));
        }
        if in_msat != out_msat {
            return Err(Reject::retryable(
                "unbalanced",
                "fees may have been revised",
            ));
        }
        let changes = ledger.finish().map_err(|_| permanent("ledger"))?;
        self.rows.apply(changes);
        self.deposited_msat += deposited;
        self.fees_msat += fees;
        self.claimed.extend(claimed);
        self.paid_out.extend(paid);
        Ok(())
    }
}

/// What a guardian of this mood makes of lists and pages of shares.
fn lie(mut answer: Json, mood: Mood) -> Json {
    if let Ok(slice) = serde_json::from_value::<SliceAnswer>(answer.clone()) {
        let SliceAnswer {
            count,
            from,
            prefixes,
        } = slice;
        answer = match mood {
            Mood::Invents => json!(SliceAnswer {
                count: count * 2 + 1,
                from,
                prefixes: prefixes.iter().map(|byte| !byte).collect(),
            }),
            Mood::Forgets => json!(SliceAnswer {
                count: 0,
                from,
                prefixes: vec![0; prefixes.len()],
            }),
            Mood::Garbage => json!({"count": "x"}),
            Mood::Refuses => json!(SliceAnswer {
                count,
                from,
                prefixes: Vec::new(),
            }),
            _ => answer,
        };
    }
    if let Some(shares) = answer.get_mut("shares").and_then(Json::as_array_mut) {
        match mood {
            Mood::WrongShares if shares.len() > 1 => {
                let first = shares[0]["share"].clone();
                for share in shares {
                    share["share"] = first.clone();
                }
            }
            Mood::Invents => shares.rotate_left(1),
            Mood::Forgets => shares.clear(),
            Mood::Garbage => *shares = vec![json!({"share": "00"})],
            _ => {}
        }
    }
    answer
}

fn status_of(peer: PeerId, revision: u32) -> Json {
    json!(StatusAnswer {
        peer,
        version: "test".into(),
        committed: None,
        height: 100,
        pool: 0,
        not_ready: None,
        catching_up: None,
        runs_twice: Vec::new(),
        versions: BTreeMap::new(),
        revision,
        halted: None,
    })
}
