//! What the guardians know, and what waits for them.

use std::collections::BTreeMap;

use guildmint_core::{Amount, FederationId, OutPoint, TxId};
use guildmint_ln::{
    Closing, ContractAccount, ContractAnswer, ContractId, Forfeit, OfferId, OutgoingContract,
    PaymentHash, Preimage, SignedAnnouncement, Terms,
};

use super::{Faults, Refused};
use crate::federation::{Costs, Funding, News, Order};

struct Contract {
    account: ContractAccount,
    closing: Option<Closing>,
}

pub(super) struct Books {
    pub(super) faults: Faults,
    pub(super) height: u32,
    pub(super) ecash: Amount,
    pub(super) fee: Amount,
    /// What it says that it takes.
    pub(super) costs: Costs,
    pub(super) stalled: bool,
    pub(super) withheld: bool,
    pub(super) trouble: Option<String>,
    /// What each offer hides.
    pub(super) hidden: BTreeMap<OfferId, Option<Preimage>>,
    pub(super) announcements: Vec<SignedAnnouncement>,
    contracts: BTreeMap<ContractId, Contract>,
    funded: BTreeMap<OfferId, ContractId>,
    refused: BTreeMap<OfferId, String>,
    orders: Vec<Order>,
    news: Vec<News>,
    outputs: u32,
    dice: u64,
}

impl Books {
    pub(super) fn new(seed: u64, ecash: Amount) -> Self {
        Self {
            faults: Faults::default(),
            height: 200,
            ecash,
            fee: Amount::from_msat(10).unwrap_or_default(),
            costs: Costs::default(),
            stalled: false,
            withheld: false,
            trouble: None,
            hidden: BTreeMap::new(),
            announcements: Vec::new(),
            contracts: BTreeMap::new(),
            funded: BTreeMap::new(),
            refused: BTreeMap::new(),
            orders: Vec::new(),
            news: Vec::new(),
            outputs: 0,
            dice: seed,
        }
    }

    /// Whether something with so many chances in 100 happens: a linear congruence, which is enough for faults.
    fn percent(&mut self, percent: u8) -> bool {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005);
        self.dice = self.dice.wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % 100 < u64::from(percent)
    }

    pub(super) fn take(&mut self, order: Order) {
        // What is under way already is not begun again.
        if !self.orders.contains(&order) {
            self.orders.push(order);
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.orders.is_empty() && self.news.is_empty()
    }

    pub(super) fn turn(&mut self, id: FederationId) -> Vec<News> {
        for order in std::mem::take(&mut self.orders) {
            if self.percent(self.faults.delayed_percent) {
                self.orders.push(order);
                continue;
            }
            match self.carry_out(id, &order) {
                Some(news) => self.news.push(news),
                None => self.orders.push(order),
            }
        }
        let mut told = Vec::new();
        for news in std::mem::take(&mut self.news) {
            if self.percent(self.faults.delayed_percent) {
                self.news.push(news);
                continue;
            }
            if self.percent(self.faults.repeated_percent) {
                self.news.push(news.clone());
            }
            told.push(news);
        }
        if self.faults.shuffled && self.percent(50) {
            told.reverse();
        }
        told
    }

    /// What comes of an order; `None` while it cannot be said.
    fn carry_out(&mut self, id: FederationId, order: &Order) -> Option<News> {
        match order {
            Order::Look { contract } => Some(News::Looked {
                contract: *contract,
                answer: self.look(*contract),
            }),
            Order::Fund(funding) => self.fund_incoming(id, funding),
            Order::Open { contract, offer } => self.open(*contract, offer.offer.id(id)),
            Order::Claim { contract, preimage } => self.claim_outgoing(*contract, *preimage),
            Order::Refund { contract, offer } => {
                self.refund_incoming(*contract, offer.offer.id(id))
            }
            Order::Announce(signed) => {
                let number = signed.announcement.number;
                let reason = match signed.verify(id) {
                    Err(error) => Some(error.to_string()),
                    Ok(()) if signed.announcement.valid_until < self.height => {
                        Some("it is over".to_owned())
                    }
                    Ok(()) => None,
                };
                if let Some(reason) = reason {
                    return Some(News::NotAnnounced { number, reason });
                }
                if self.announcements.last() != Some(&**signed) {
                    self.announcements.push((**signed).clone());
                }
                Some(News::Announced { number })
            }
        }
    }

    fn look(&self, contract: ContractId) -> ContractAnswer {
        let contract = self.contracts.get(&contract);
        ContractAnswer {
            account: contract.map(|contract| contract.account),
            closing: contract.and_then(|contract| contract.closing),
        }
    }

    fn open_contract(&mut self, amount: Amount, terms: Terms) -> ContractId {
        self.outputs += 1;
        let mut txid = [0; 32];
        txid[..4].copy_from_slice(&self.outputs.to_le_bytes());
        let id = ContractId::new(OutPoint {
            txid: TxId(txid),
            index: 0,
        });
        let account = ContractAccount {
            amount,
            funded_at: self.height,
            terms,
        };
        let contract = Contract {
            account,
            closing: None,
        };
        self.contracts.insert(id, contract);
        id
    }

    fn fund_incoming(&mut self, id: FederationId, funding: &Funding) -> Option<News> {
        let (offer, fee) = (funding.offer.offer.id(id), self.fee);
        if let Some(contract) = self.funded.get(&offer).copied() {
            return Some(News::Funded {
                offer,
                contract,
                fee,
            });
        }
        if let Some(reason) = self.refused.get(&offer).cloned() {
            return Some(News::NotFunded { offer, reason });
        }
        let last = funding.valid_until.min(funding.offer.offer.expires_at);
        let needs = funding.amount.checked_add(fee);
        let rest = needs.and_then(|needs| self.ecash.checked_sub(needs));
        let reason = if self.height > last {
            "it comes too late"
        } else if funding.offer.verify(id).is_err() || funding.amount < funding.offer.offer.amount {
            "it is not what was offered"
        } else if self.stalled {
            return None;
        } else if let Some(rest) = rest {
            self.ecash = rest;
            let terms = Terms::Incoming {
                offer: funding.offer.offer,
                refund_key: funding.refund_key,
            };
            let contract = self.open_contract(funding.amount, terms);
            self.funded.insert(offer, contract);
            return Some(News::Funded {
                offer,
                contract,
                fee,
            });
        } else {
            "there is too little e-cash"
        };
        self.refuse(offer, reason);
        let reason = reason.to_owned();
        Some(News::NotFunded { offer, reason })
    }

    pub(super) fn refuse(&mut self, offer: OfferId, reason: &str) {
        self.refused.insert(offer, reason.to_owned());
    }

    fn open(&mut self, contract: ContractId, offer: OfferId) -> Option<News> {
        let closing = self.closing(contract);
        let preimage = match closing {
            Some(Closing::Claimed { preimage }) => Some(preimage),
            _ if self.withheld || self.stalled => return None,
            _ => self.hidden.get(&offer).copied().flatten(),
        };
        Some(News::Opened { contract, preimage })
    }

    fn claim_outgoing(&mut self, contract: ContractId, preimage: Preimage) -> Option<News> {
        let fee = self.fee;
        let entry = self.contracts.get_mut(&contract)?;
        match entry.closing {
            Some(Closing::Claimed { .. }) => Some(News::Claimed { contract, fee }),
            Some(closing) => Some(News::NotClaimed { contract, closing }),
            None if self.stalled || preimage.hash() != entry.account.terms.hash() => None,
            None => {
                entry.closing = Some(Closing::Claimed { preimage });
                let amount = entry.account.amount;
                self.pay_in(amount);
                Some(News::Claimed { contract, fee })
            }
        }
    }

    fn refund_incoming(&mut self, contract: ContractId, offer: OfferId) -> Option<News> {
        let fee = self.fee;
        let hides = self.hidden.get(&offer).copied().flatten();
        let entry = self.contracts.get_mut(&contract)?;
        match entry.closing {
            Some(Closing::Claimed { preimage }) => Some(News::NotRefunded { contract, preimage }),
            Some(_) => Some(News::Refunded { contract, fee }),
            None if self.stalled || hides.is_some() => None,
            None => {
                entry.closing = Some(Closing::Undecryptable);
                let amount = entry.account.amount;
                self.pay_in(amount);
                Some(News::Refunded { contract, fee })
            }
        }
    }

    fn pay_in(&mut self, amount: Amount) {
        let kept = amount.checked_sub(self.fee).unwrap_or(Amount::ZERO);
        self.ecash = self.ecash.checked_add(kept).unwrap_or(Amount::MAX);
    }

    pub(super) fn fund_outgoing(&mut self, contract: OutgoingContract) -> ContractId {
        self.open_contract(contract.amount, Terms::Outgoing(contract))
    }

    pub(super) fn refund_outgoing(
        &mut self,
        id: ContractId,
        forfeit: Option<Forfeit>,
    ) -> Result<(), Refused> {
        let height = self.height;
        let entry = self.contracts.get_mut(&id).ok_or(Refused::Unknown)?;
        let Terms::Outgoing(contract) = entry.account.terms else {
            return Err(Refused::Unknown);
        };
        if entry.closing.is_some() {
            return Err(Refused::Closed);
        }
        entry.closing = Some(match forfeit {
            Some(forfeit) if forfeit.gateway_key == contract.gateway_key => Closing::Forfeited,
            Some(_) => return Err(Refused::Forfeit),
            None if height >= contract.timelock => Closing::TimedOut,
            None => return Err(Refused::Early),
        });
        Ok(())
    }

    pub(super) fn claim_incoming(
        &mut self,
        id: ContractId,
        preimage: Preimage,
    ) -> Result<Amount, Refused> {
        let entry = self.contracts.get_mut(&id).ok_or(Refused::Unknown)?;
        if !matches!(entry.account.terms, Terms::Incoming { .. }) {
            return Err(Refused::Unknown);
        }
        if entry.closing.is_some() {
            return Err(Refused::Closed);
        }
        if preimage.hash() != entry.account.terms.hash() {
            return Err(Refused::Preimage);
        }
        entry.closing = Some(Closing::Claimed { preimage });
        Ok(entry.account.amount)
    }

    pub(super) fn incoming(&self, hash: PaymentHash) -> Option<ContractId> {
        let is_it = |contract: &Contract| {
            let terms = contract.account.terms;
            matches!(terms, Terms::Incoming { .. }) && terms.hash() == hash
        };
        let found = self.contracts.iter().find(|(_, contract)| is_it(contract));
        found.map(|(id, _)| *id)
    }

    pub(super) fn closing(&self, contract: ContractId) -> Option<Closing> {
        self.contracts.get(&contract)?.closing
    }

    pub(super) fn locked(&self) -> Amount {
        let open = self.contracts.values().filter(|contract| {
            contract.closing.is_none() && matches!(contract.account.terms, Terms::Incoming { .. })
        });
        Amount::sum(open.map(|contract| contract.account.amount)).unwrap_or(Amount::MAX)
    }
}
