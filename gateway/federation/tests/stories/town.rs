//! Four guardians with the real rules of notes and contracts, play money to begin with, and any f of them lying.

mod answers;

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{
    hashes::Hash,
    secp256k1::{schnorr::Signature, Keypair, XOnlyPublicKey},
    BlockHash, Network,
};
use guildmint_client::{Membership, NotesString, RequestError};
use guildmint_core::{
    api::Problem,
    module::{Query, Registry, Reject},
    Amount, Conditions, FederationId, Item, Latest, ModuleConfig, ModuleId, OutPoint, PeerId,
    Quorum, Revision, SignedRevision, Transaction, TxId, Values, Wire,
};
use guildmint_engine::{RevisionVote, Statement, Vote, ENGINE};
use guildmint_kit::{
    genesis, identities,
    play::{self, Burn, Mint as Pay, Nothing, PlayConfig, PlayMoney, Seen},
    sequencer::Secrets,
    Sequencer,
};
use guildmint_ln::{
    client::LnClient, ContractAnswer, ContractId, EncryptedPreimage, IncomingContract, Ln,
    LnConfig, LnFees, LnInput, LnOutput, LnTerms, Offer, OfferRef, OutgoingContract, PaymentHash,
    SignedOffer,
};
use guildmint_mint::{
    client::{MasterSeed, MintClient, NoteRequest},
    Denomination, Mint, MintConditions, MintConfig, MintOutcome,
};
use guildmint_tbs::encryption::{encrypt, EphemeralSecret};
use guildmint_wallet::{server::Wallet, Block, WalletConditions, WalletConfig};
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use secp256k1::SECP256K1;
use serde_json::Value as Json;

const MINT: ModuleId = ModuleId(1);
const WALLET: ModuleId = ModuleId(2);
pub const LN: ModuleId = ModuleId(3);
/// What the Lightning module takes for a contract that is funded or spent.
pub const FEE: u64 = 10;

/// How a guardian behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Honest,
    Down,
    /// Has not come as far as the others.
    Lags,
    /// Gives wrong shares of preimages.
    WrongShares,
    /// Says that there is no such contract, that everything is refused for good, and that it is much later.
    Denies,
    /// Says that everything was accepted, and claimed by its payee.
    Boasts,
}

pub struct Town {
    pub sequencer: Sequencer,
    pub moods: Vec<Mood>,
    pub config: LnConfig,
    pub revisions: Vec<SignedRevision>,
    /// From now on nothing is agreed on.
    pub stalled: bool,
    /// From now on transactions are forgotten, as by guardians that were restarted.
    pub forgets: bool,
    tip: u32,
    mint: MintConfig,
    wallet: WalletConfig,
    fees: LnFees,
    accepted: BTreeMap<TxId, Transaction>,
    pool: BTreeMap<TxId, Transaction>,
    /// All that was ever submitted, whatever came of it.
    pub submitted: BTreeMap<TxId, Transaction>,
    names: u64,
    notes: u64,
}

pub fn msat(msat: u64) -> Amount {
    Amount::from_msat(msat).unwrap()
}

pub fn key(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(SECP256K1, &[byte; 32]).unwrap()
}

pub fn quorum() -> Quorum {
    Quorum::new(4).unwrap()
}

struct Dealt {
    mint: MintConfig,
    wallet: WalletConfig,
    ln: LnConfig,
    secrets: Vec<Secrets>,
}

/// Keys take a second to deal, and are the same for every story.
fn dealt() -> &'static Dealt {
    static DEALT: std::sync::OnceLock<Dealt> = std::sync::OnceLock::new();
    DEALT.get_or_init(|| {
        let rng = &mut ChaCha20Rng::seed_from_u64(5);
        let values = (0..=23).map(|exponent| Denomination::new(exponent).unwrap());
        let (mint, mints) = guildmint_mint::dealer::deal(quorum(), values, rng).unwrap();
        let start = Block {
            height: 1,
            hash: BlockHash::all_zeros(),
        };
        let (wallet, wallets) =
            guildmint_wallet::dealer::deal(Network::Regtest, start, quorum(), rng);
        let fee = msat(FEE);
        let fees = LnFees {
            contract: fee,
            spend: fee,
            ..LnTerms::default().fees
        };
        let (ln, lns) = guildmint_ln::dealer::deal(quorum(), LnTerms { fees }, rng).unwrap();
        let all = mints.iter().zip(&wallets).zip(&lns);
        let secrets = all.map(|((mint, wallet), ln)| {
            Secrets::from([
                (MINT, mint.encode()),
                (WALLET, wallet.encode()),
                (LN, ln.encode()),
                (play::MODULE, Nothing.encode()),
            ])
        });
        Dealt {
            secrets: secrets.collect(),
            mint,
            wallet,
            ln,
        }
    })
}

impl Town {
    pub fn new() -> Self {
        let dealt = dealt();
        let play = PlayConfig {
            may_owe: true,
            ..PlayConfig::default()
        };
        let entry = |kind: &str, config: Vec<u8>| ModuleConfig {
            kind: kind.into(),
            config,
        };
        let modules = BTreeMap::from([
            (MINT, entry(guildmint_mint::KIND, dealt.mint.encode())),
            (WALLET, entry(guildmint_wallet::KIND, dealt.wallet.encode())),
            (LN, entry(guildmint_ln::KIND, dealt.ln.encode())),
            (play::MODULE, entry("play", play.encode())),
        ]);
        let registry = Registry::default()
            .with::<PlayMoney>()
            .with::<Mint>()
            .with::<Wallet>()
            .with::<Ln>();
        let genesis = genesis(quorum(), modules);
        let mut town = Self {
            sequencer: Sequencer::new(&genesis, &registry, &dealt.secrets).unwrap(),
            moods: vec![Mood::Honest; 4],
            config: dealt.ln.clone(),
            revisions: Vec::new(),
            stalled: false,
            forgets: false,
            tip: 200,
            mint: dealt.mint.clone(),
            wallet: dealt.wallet.clone(),
            fees: dealt.ln.fees,
            accepted: BTreeMap::new(),
            pool: BTreeMap::new(),
            submitted: BTreeMap::new(),
            names: 0,
            notes: 0,
        };
        town.epoch();
        town
    }

    pub fn id(&self) -> FederationId {
        self.sequencer.rules().id()
    }

    pub fn membership(&self) -> Membership {
        Membership {
            genesis: self.sequencer.rules().genesis().encode(),
            apis: BTreeMap::new(),
            announcements: Vec::new(),
        }
    }

    pub fn height(&self) -> u32 {
        self.sequencer.now().height
    }

    /// So many blocks, and an epoch in which guardians say so.
    pub fn mine(&mut self, blocks: u32) {
        self.tip += blocks;
        let before = std::mem::take(&mut self.stalled);
        let pool = std::mem::take(&mut self.pool);
        self.epoch();
        self.pool = pool;
        self.stalled = before;
    }

    /// One epoch, if there is a reason and they agree on anything.
    pub fn tick(&mut self) {
        if !self.stalled && !self.pool.is_empty() {
            self.epoch();
        }
    }

    fn epoch(&mut self) {
        let statements = self.statements();
        self.epoch_with(statements);
    }

    fn statements(&mut self) -> BTreeMap<PeerId, Statement> {
        for peer in quorum().peers() {
            let news = Seen(self.tip).encode();
            self.sequencer.news(peer, play::MODULE, &news).unwrap();
        }
        self.sequencer.statements().unwrap()
    }

    fn epoch_with(&mut self, statements: BTreeMap<PeerId, Statement>) {
        for (_, transaction) in std::mem::take(&mut self.pool) {
            self.sequencer.force(&transaction).unwrap();
        }
        let output = self.sequencer.epoch_with(statements).unwrap();
        for (txid, verdict) in output.verdicts {
            if verdict.is_ok() {
                let transaction = self.submitted[&txid].clone();
                self.accepted.insert(txid, transaction);
            }
        }
    }

    /// Guardians agree to take so much for each note and each contract.
    pub fn revise(&mut self, note_msat: u64, contract_msat: u64) {
        let genesis = self.sequencer.rules().genesis().clone();
        let note = msat(note_msat);
        let mint = MintConditions {
            input_fee: note,
            output_fee: note,
        };
        self.fees = LnFees {
            contract: msat(contract_msat),
            spend: msat(contract_msat),
            ..self.fees
        };
        let ln = LnTerms { fees: self.fees };
        let wallet = WalletConditions::from(&self.wallet);
        let last = self.revisions.last();
        let latest = last.map_or(Latest::founding(&genesis), |last| {
            Latest::of(&last.revision)
        });
        let revision = Revision {
            number: latest.number + 1,
            previous: latest.hash,
            values: Values {
                name: "revised".into(),
                guardians: genesis
                    .guardians
                    .iter()
                    .map(|one| one.name.clone())
                    .collect(),
                conditions: [
                    (MINT, Conditions(mint.encode())),
                    (WALLET, Conditions(wallet.encode())),
                    (LN, Conditions(ln.encode())),
                ]
                .into(),
            },
        };
        let mut statements = self.statements();
        for statement in statements.values_mut() {
            let vote = RevisionVote::Approves(Some(revision.clone()));
            statement.votes.insert(ENGINE, Vote(vote.encode()));
        }
        let pool = std::mem::take(&mut self.pool);
        self.epoch_with(statements);
        let keys = identities(quorum());
        let signatures: BTreeMap<PeerId, _> = quorum()
            .peers()
            .zip(&keys)
            .map(|(peer, key)| (peer, revision.sign(genesis.session, key)))
            .collect();
        let mut statements = self.statements();
        for (peer, signature) in &signatures {
            let vote = RevisionVote::Signs(*signature);
            let statement = statements.get_mut(peer).unwrap();
            statement.votes.insert(ENGINE, Vote(vote.encode()));
        }
        self.epoch_with(statements);
        self.pool = pool;
        self.revisions.push(SignedRevision {
            revision,
            signatures,
        });
    }

    /// Somebody with play money has this done.
    fn pay_for(&mut self, amount: Amount, outputs: Vec<Item>) -> TxId {
        self.names += 1;
        let pay = Pay {
            name: self.names,
            amount,
            key: None,
            honest: true,
        };
        let transaction = Transaction {
            inputs: vec![Item::new(play::MODULE, &pay)],
            outputs,
            signatures: vec![None],
        };
        self.do_now(transaction)
    }

    fn do_now(&mut self, transaction: Transaction) -> TxId {
        let txid = transaction.id(self.id());
        let verdict = self.sequencer.verdicts(&transaction).swap_remove(0);
        verdict.unwrap();
        self.submitted.insert(txid, transaction.clone());
        let others = std::mem::take(&mut self.pool);
        self.pool.insert(txid, transaction);
        self.epoch();
        self.pool = others;
        assert!(self.accepted.contains_key(&txid));
        txid
    }

    /// Notes worth this, to be received.
    pub fn notes(&mut self, amount_msat: u64) -> NotesString {
        let seed = MasterSeed::new([77; 64]);
        let client = MintClient::new(self.id(), MINT, quorum(), self.mint.clone(), &seed).unwrap();
        let bits = (0..=23_u8).filter(|bit| amount_msat >> bit & 1 == 1);
        let request = |exponent| {
            self.notes += 1;
            NoteRequest::new(Denomination::new(exponent).unwrap(), self.notes)
        };
        let requests: Vec<NoteRequest> = bits.map(request).collect();
        let txid = self.pay_for(msat(amount_msat), client.outputs(&requests));
        let share = |index: usize, peer| {
            let index = u16::try_from(index).unwrap();
            let outcome = self.sequencer.outcome(peer, OutPoint { txid, index });
            let outcome: MintOutcome = serde_json::from_value(outcome.unwrap()).unwrap();
            (peer, outcome.share)
        };
        let asked = requests.iter().enumerate().map(|(index, request)| {
            let peers = quorum().peers();
            (*request, peers.map(|peer| share(index, peer)).collect())
        });
        let asked: Vec<_> = asked.collect();
        let notes = client.finalize_all(&asked).unwrap();
        let notes = notes.into_iter().map(|one| one.note).collect();
        NotesString::new(self.id(), None, notes).unwrap()
    }

    pub fn user(&self) -> LnClient {
        LnClient::new(self.id(), LN, quorum(), self.config.clone(), &[5; 64]).unwrap()
    }

    /// A user's offer, which hides what it should.
    pub fn offer(&self, index: u64, amount_msat: u64) -> SignedOffer {
        let expires_at = self.height() + 144;
        self.user()
            .offer(index, msat(amount_msat), expires_at)
            .unwrap()
    }

    /// An offer on this hash of the owner of key 9, that hides something else.
    pub fn garbage(&self, hash: PaymentHash, amount_msat: u64) -> SignedOffer {
        let (amount, expires_at) = (msat(amount_msat), self.height() + 144);
        let claim_key = key(9).x_only_public_key().0;
        let data = Offer::associate(self.id(), hash, amount, &claim_key, expires_at);
        let secret = EphemeralSecret::from_uniform_bytes(&[6; 64]).unwrap();
        let ciphertext = encrypt(self.config.key.aggregate(), &[2; 32], &data, &secret);
        let offer = Offer {
            hash,
            amount,
            preimage: EncryptedPreimage::from(&ciphertext),
            claim_key,
            expires_at,
        };
        offer.sign(self.id(), &key(9))
    }

    /// A user locks money for the gateway.
    pub fn lock(&mut self, contract: OutgoingContract) -> ContractId {
        let amount = contract.amount.checked_add(self.fees.contract).unwrap();
        let output = Item::new(LN, &LnOutput::Outgoing(contract));
        let txid = self.pay_for(amount, vec![output]);
        ContractId::new(OutPoint { txid, index: 0 })
    }

    /// Somebody who has kept a transaction submits it; whether it is accepted.
    pub fn submit_now(&mut self, transaction: Transaction) -> bool {
        let txid = transaction.id(self.id());
        let others = std::mem::take(&mut self.pool);
        self.pool.insert(txid, transaction);
        self.epoch();
        self.pool = others;
        self.accepted.contains_key(&txid)
    }

    /// Guardians forget what waits.
    pub fn drop_pool(&mut self) {
        self.pool.clear();
    }

    /// Somebody else funds an offer.
    pub fn fund_as(&mut self, offer: SignedOffer, refund_key: XOnlyPublicKey) -> ContractId {
        let contract = IncomingContract {
            offer: OfferRef::Carried(offer),
            amount: offer.offer.amount,
            refund_key,
            valid_until: self.height() + 12,
        };
        let amount = contract.amount.checked_add(self.fees.contract).unwrap();
        let output = Item::new(LN, &LnOutput::Incoming(contract));
        let txid = self.pay_for(amount, vec![output]);
        ContractId::new(OutPoint { txid, index: 0 })
    }

    /// Somebody spends a contract, if that may be.
    pub fn spend(&mut self, input: LnInput, key: &Keypair) -> Result<TxId, Reject> {
        let answer = self.contract(input.contract);
        let amount = answer.account.unwrap().amount;
        let amount = amount.checked_sub(self.fees.spend).unwrap();
        let padding = Vec::new();
        let burn = Item::new(play::MODULE, &Burn { amount, padding });
        let mut transaction = Transaction {
            inputs: vec![Item::new(LN, &input)],
            outputs: vec![burn],
            signatures: Vec::new(),
        };
        let message = bitcoin::secp256k1::Message::from_digest(transaction.id(self.id()).0);
        let signature: Signature = SECP256K1.sign_schnorr_no_aux_rand(&message, key);
        transaction.signatures = vec![Some(signature)];
        self.sequencer.verdicts(&transaction).swap_remove(0)?;
        Ok(self.do_now(transaction))
    }

    /// A user claims the contract that funds the offer with this index.
    pub fn claim(&mut self, index: u64, contract: ContractId) -> Result<(), Reject> {
        let user = self.user();
        let input = user.claim(index, contract).unwrap();
        let answer = self.contract(contract);
        let amount = answer.account.unwrap().amount;
        let amount = amount.checked_sub(self.fees.spend).unwrap();
        let padding = Vec::new();
        let mut transaction = Transaction {
            inputs: vec![Item::new(LN, &input)],
            outputs: vec![Item::new(play::MODULE, &Burn { amount, padding })],
            signatures: Vec::new(),
        };
        let txid = transaction.id(self.id());
        transaction.signatures = vec![Some(user.sign_claim(index, txid).unwrap())];
        self.sequencer.verdicts(&transaction).swap_remove(0)?;
        self.do_now(transaction);
        Ok(())
    }

    fn query(&self, peer: PeerId, kind: &str, query: &Query) -> Result<Json, RequestError> {
        let module = match kind {
            "mint" => MINT,
            "wallet" => WALLET,
            _ => LN,
        };
        let answer = self.sequencer.query(peer, module, query).unwrap();
        answer.map_err(|reject| {
            let problem = Problem::new(422, &reject.code, &reject.message, reject.retryable);
            RequestError::Problem(problem)
        })
    }

    /// The truth about a contract.
    pub fn contract(&self, id: ContractId) -> ContractAnswer {
        let query = Query {
            path: format!("contracts/{id}"),
            parameters: BTreeMap::new(),
        };
        serde_json::from_value(self.query(PeerId(0), "ln", &query).unwrap()).unwrap()
    }

    /// Contracts for users that were ever funded.
    pub fn incoming(&self) -> BTreeSet<ContractId> {
        let mut found = BTreeSet::new();
        for (txid, transaction) in &self.accepted {
            for (index, output) in (0..).zip(&transaction.outputs) {
                let of_ln = output.module == LN;
                let output = of_ln.then(|| LnOutput::decode(&output.bytes).unwrap());
                if let Some(LnOutput::Incoming(_)) = output {
                    found.insert(ContractId::new(OutPoint { txid: *txid, index }));
                }
            }
        }
        found
    }
}
