//! An address to pay into, watched until what arrives there is claimed (SPEC WAL-2, WAL-3).

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{BlockHash, Network, OutPoint};
use guildmint_core::{module::Reject, slices::Prefix, Amount, Item, TxId};
use guildmint_wallet::{claimed_prefix, client::ClaimError, Block, PegInError, KIND};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value as Json};

use super::{problem, Description, Desk, Happening, Phase};
use crate::{
    api::ApiRequest,
    ask::{Finding, Rule},
    error::ClientError,
    event::{Burial, ChainNews, Sighting},
    payment::{held, Draft, Input, InputKey},
    rows::NextAddress,
};

/// How often the chain is looked at.
const LOOK_MS: u64 = 30_000;
/// The same where blocks come when the user wants.
const LOOK_REGTEST_MS: u64 = 500;

/// The state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deposit {
    /// The key's index: all about the address follows from it.
    index: u64,
    address: String,
    /// What was paid to it, by output.
    claims: BTreeMap<OutPoint, Claim>,
    /// The block that guardians were last asked about, and whether they agree on it.
    block: Option<(BlockHash, bool)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Claim {
    amount_sat: u64,
    /// The block's height, once it is in one.
    height: Option<u32>,
    state: ClaimState,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum ClaimState {
    /// Not in a block that guardians agree on.
    Seen,
    /// This transaction claims it, for so much e-cash.
    Claiming(TxId, Amount),
    Claimed(Amount),
    Refused(Reject),
}

impl Deposit {
    pub(crate) fn start(desk: &mut Desk<'_>) -> Result<Self, ClientError> {
        let index = desk.rows.count_up(&NextAddress(()));
        let index = index.ok_or(ClientError::Exhausted("addresses"))?;
        let address = desk.federation.wallet.deposit_address(index);
        let address = address.map_err(|error| ClientError::Federation(error.to_string()))?;
        desk.wake_after_ms(look_ms(desk));
        Ok(Self {
            index,
            address: address.to_string(),
            claims: BTreeMap::new(),
            block: None,
        })
    }

    /// One that was forgotten, found again on the chain. What is in the list of claimed deposits stays as it is.
    pub(crate) fn found(
        index: u64,
        news: &ChainNews,
        claimed: &BTreeSet<Prefix>,
        desk: &Desk<'_>,
    ) -> Result<Self, ClientError> {
        let wallet = &desk.federation.wallet;
        let address = wallet.deposit_address(index);
        let address = address.map_err(|error| ClientError::Federation(error.to_string()))?;
        let claim = |sighting: &Sighting| {
            let amount = Amount::from_sat(sighting.amount_sat).unwrap_or(Amount::ZERO);
            let credited = amount.checked_sub(wallet.config().peg_in_fee);
            let state = if claimed.contains(&claimed_prefix(&sighting.outpoint)) {
                ClaimState::Claimed(credited.unwrap_or(Amount::ZERO))
            } else {
                ClaimState::Seen
            };
            let claim = Claim {
                amount_sat: sighting.amount_sat,
                height: sighting.burial.as_ref().map(|burial| burial.height),
                state,
            };
            (sighting.outpoint, claim)
        };
        Ok(Self {
            index,
            address: address.to_string(),
            claims: news.deposits.iter().map(claim).collect(),
            block: None,
        })
    }

    /// The key's index.
    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    fn is_settled(&self) -> bool {
        let settled =
            |claim: &Claim| matches!(claim.state, ClaimState::Claimed(_) | ClaimState::Refused(_));
        !self.claims.is_empty() && self.claims.values().all(settled)
    }

    pub(super) fn step(mut self, happening: Happening, desk: &mut Desk<'_>) -> Self {
        match happening {
            Happening::Time if self.is_settled() => {}
            Happening::Resume | Happening::Time => self.look(desk),
            Happening::Chain(Ok(news)) => {
                self.sighted(news, desk);
                self.look_later(desk);
            }
            Happening::Chain(Err(_)) => self.look_later(desk),
            Happening::Accepted(txid) => self.settle(txid, ClaimState::Claimed),
            Happening::Rejected(txid, reject) => {
                self.settle(txid, |_| ClaimState::Refused(reject.clone()));
            }
            Happening::Remade(remade) => {
                let (txid, credited) = (remade.txid, remade.credited);
                self.settle(remade.old, |_| ClaimState::Claiming(txid, credited));
            }
            Happening::Found(Finding::Fact(hash)) => self.agreed(&hash, desk),
            Happening::Found(_)
            | Happening::Reclaim
            | Happening::Cancel
            | Happening::Gateway(_)
            | Happening::Watched(..) => {}
        }
        self
    }

    fn look(&self, desk: &mut Desk<'_>) {
        if let Ok(script) = desk.federation.wallet.script_pubkey(self.index) {
            desk.find_deposits(script);
        }
    }

    fn look_later(&self, desk: &mut Desk<'_>) {
        if !self.is_settled() {
            desk.wake_after_ms(look_ms(desk));
        }
    }

    fn settle(&mut self, txid: TxId, end: impl Fn(Amount) -> ClaimState) {
        for claim in self.claims.values_mut() {
            if let ClaimState::Claiming(claiming, amount) = claim.state {
                if claiming == txid {
                    claim.state = end(amount);
                }
            }
        }
    }

    fn sighted(&mut self, news: ChainNews, desk: &mut Desk<'_>) {
        // What is no longer there was replaced or reorganised away.
        let there: Vec<OutPoint> = news.deposits.iter().map(|one| one.outpoint).collect();
        self.claims.retain(|outpoint, claim| {
            !matches!(claim.state, ClaimState::Seen) || there.contains(outpoint)
        });
        let mut unknown = BTreeSet::new();
        for sighting in news.deposits {
            let claim = self.claims.entry(sighting.outpoint).or_insert(Claim {
                amount_sat: sighting.amount_sat,
                height: None,
                state: ClaimState::Seen,
            });
            let Some(burial) = &sighting.burial else {
                continue;
            };
            claim.height = Some(burial.height);
            let finality = desk.federation.wallet.config().finality_blocks;
            let buried = news.tip_height >= burial.height.saturating_add(finality);
            if !buried || claim.state != ClaimState::Seen {
                continue;
            }
            let block = burial.header.block_hash();
            if self.block == Some((block, true)) {
                claim.state = begin_claim(self.index, &sighting, burial, desk);
            } else {
                unknown.insert(block);
            }
        }
        self.ask_about(unknown, desk);
    }

    /// Asks whether guardians agree on a block. ⚠ The source may lie, and what is claimed by a block that is none would wait
    /// for ever: so nothing is claimed before f + 1 guardians know the block. One question at a time, each block in its turn.
    fn ask_about(&mut self, blocks: BTreeSet<BlockHash>, desk: &mut Desk<'_>) {
        let last = self.block.map(|(block, _)| block);
        let after_last = blocks.iter().find(|block| Some(**block) > last);
        let Some(block) = after_last.or_else(|| blocks.first()) else {
            return;
        };
        self.block = Some((*block, false));
        let request = ApiRequest::Module {
            kind: KIND,
            path: "block".to_owned(),
            parameters: [("hash".to_owned(), block.to_string())].into(),
        };
        desk.ask(request, Rule::Same, block_hash);
    }

    /// Guardians agree on a block: what is in it can be claimed.
    fn agreed(&mut self, hash: &Json, desk: &mut Desk<'_>) {
        if let Some((block, agreed)) = &mut self.block {
            if hash.as_str() == Some(&block.to_string()) {
                *agreed = true;
                self.look(desk);
            }
        }
    }

    /// What was paid but is not in a transaction of ours.
    pub(super) fn expected(&self) -> Amount {
        let seen = self
            .claims
            .values()
            .filter(|claim| matches!(claim.state, ClaimState::Seen))
            .filter_map(|claim| Amount::from_sat(claim.amount_sat).ok());
        Amount::sum(seen).unwrap_or(Amount::MAX)
    }

    pub(super) fn describe(&self) -> Description {
        let states: Vec<_> = self.claims.values().map(|claim| &claim.state).collect();
        let any = |test: fn(&ClaimState) -> bool| states.iter().any(|state| test(state));
        let (state, phase) = if states.is_empty() {
            ("waiting", Phase::Pending)
        } else if any(|state| matches!(state, ClaimState::Claiming(..))) {
            ("claiming", Phase::Pending)
        } else if any(|state| matches!(state, ClaimState::Seen)) {
            ("seen", Phase::Pending)
        } else if any(|state| matches!(state, ClaimState::Claimed(_))) {
            ("claimed", Phase::Done)
        } else {
            ("refused", Phase::Failed)
        };
        let claimed = states.iter().filter_map(|state| match state {
            ClaimState::Claimed(amount) => Some(*amount),
            _ => None,
        });
        // A chain source may say anything.
        let paid = self.claims.values().map(|claim| claim.amount_sat);
        let paid_sat = paid.fold(0, u64::saturating_add);
        Description {
            kind: "deposit",
            state,
            phase,
            details: json!({
                "address": self.address,
                "paid_sat": paid_sat,
                "amount_msat": Amount::sum(claimed).unwrap_or(Amount::MAX).msat(),
                "deposits": self.claims.iter().map(describe_claim).collect::<Vec<_>>(),
            }),
        }
    }
}

fn look_ms(desk: &Desk<'_>) -> u64 {
    match desk.federation.network {
        Network::Regtest => LOOK_REGTEST_MS,
        _ => LOOK_MS,
    }
}

/// The block that a guardian agrees on.
fn block_hash(answer: &Json) -> Option<Json> {
    let block: Block = serde_json::from_value(answer.clone()).ok()?;
    Some(Json::from(block.hash.to_string()))
}

fn begin_claim(
    index: u64,
    sighting: &Sighting,
    burial: &Burial,
    desk: &mut Desk<'_>,
) -> ClaimState {
    match claim(index, sighting, burial, desk) {
        Ok((txid, amount)) => ClaimState::Claiming(txid, amount),
        Err(ClaimFailure::Unproven) => ClaimState::Seen,
        Err(ClaimFailure::Worthless(error)) => {
            ClaimState::Refused(Reject::permanent(&error.code(), error))
        }
    }
}

/// Why nothing can be claimed.
enum ClaimFailure {
    /// The chain source gave no good proof. It may give a better one later.
    Unproven,
    /// The federation does not take so little.
    Worthless(ClientError),
}

impl From<ClaimError> for ClaimFailure {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Proof(PegInError::TooSmall { amount_sat, .. }) => {
                let amount = Amount::from_sat(amount_sat).unwrap_or(Amount::MAX);
                Self::Worthless(ClientError::TooLittle(amount))
            }
            _ => Self::Unproven,
        }
    }
}

impl From<ClientError> for ClaimFailure {
    fn from(error: ClientError) -> Self {
        Self::Worthless(error)
    }
}

fn claim(
    index: u64,
    sighting: &Sighting,
    burial: &Burial,
    desk: &mut Desk<'_>,
) -> Result<(TxId, Amount), ClaimFailure> {
    let wallet = &desk.federation.wallet;
    let Burial {
        header,
        merkle,
        transaction,
        ..
    } = burial.clone();
    let proof = wallet.peg_in(index, &transaction, sighting.outpoint.vout, header, merkle)?;
    // What was proven counts, not what the source said.
    let paid = proof.claim().map_err(ClaimError::Proof)?.amount_sat;
    let amount = Amount::from_sat(paid).map_err(|_| ClaimFailure::Unproven)?;
    let net = amount.checked_sub(wallet.config().peg_in_fee);
    let net = net.filter(|net| *net > Amount::ZERO);
    let net = net.ok_or(ClientError::TooLittle(amount))?;
    let tariff = desk.federation.mint.tariff();
    let issue = tariff
        .change(net, &held(desk.rows))
        .map_err(ClientError::from)?;
    let credited = Amount::sum(issue.iter().map(|value| value.amount())).unwrap_or(net);
    let input = Input {
        item: Item::new(desk.federation.wallet_module, &proof),
        key: InputKey::Deposit(index),
    };
    let txid = desk.pay(Draft {
        inputs: vec![input],
        issue,
        ..Draft::default()
    })?;
    Ok((txid, credited))
}

fn describe_claim((outpoint, claim): (&OutPoint, &Claim)) -> Json {
    let mut view = json!({
        "outpoint": outpoint.to_string(),
        "amount_sat": claim.amount_sat,
        "height": claim.height,
    });
    view["state"] = Json::from(match &claim.state {
        ClaimState::Seen => "seen",
        ClaimState::Claiming(..) => "claiming",
        ClaimState::Claimed(amount) => {
            view["credited_msat"] = Json::from(amount.msat());
            "claimed"
        }
        ClaimState::Refused(reject) => {
            view["problem"] = problem(reject);
            "refused"
        }
    });
    view
}
