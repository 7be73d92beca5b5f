//! Taking what is in a contract: in an outgoing one with the preimage, in an incoming one with the proof that it hides none.
//!
//! How it has ended is looked at before anything is said that is final: a contract is spent once, and by whom only it says.

use bitcoin::secp256k1::Keypair;
use guildmint_client::ErrandState;
use guildmint_core::Amount;
use guildmint_gateway::federation::News;
use guildmint_ln::{
    client::Opened, Closing, ContractAnswer, ContractId, LnInput, OfferId, Preimage, SignedOffer,
    Witness,
};
use serde_json::Value as Json;

use super::Happening;
use crate::{
    desk::Desk,
    gather::{Gather, Round},
    names::Purpose,
};

pub(crate) struct Spend {
    contract: ContractId,
    by: By,
    stage: Stage,
    failures: u32,
}

#[allow(clippy::large_enum_variant)] // few at a time
enum By {
    Claim(Preimage),
    Refund { offer: OfferId, gather: Gather },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// What is in it, or how it has ended?
    Looking,
    /// So much is in it. What does its offer hide?
    Gathering(Amount),
    /// The errand is under way.
    Spending,
}

impl Spend {
    pub(super) fn claim(contract: ContractId, preimage: Preimage) -> Self {
        Self::new(contract, By::Claim(preimage))
    }

    pub(super) fn refund(contract: ContractId, offer: &SignedOffer, desk: &Desk<'_>) -> Self {
        let gather = Gather::new(contract, offer, desk);
        let offer = offer.offer.id(desk.town.id);
        Self::new(contract, By::Refund { offer, gather })
    }

    fn new(contract: ContractId, by: By) -> Self {
        Self {
            contract,
            by,
            stage: Stage::Looking,
            failures: 0,
        }
    }

    fn purpose(&self) -> Purpose {
        match self.by {
            By::Claim(_) => Purpose::Claim(self.contract),
            By::Refund { .. } => Purpose::Refund(self.contract),
        }
    }

    pub(super) fn step(&mut self, happening: Happening, desk: &mut Desk<'_>) {
        match (happening, self.stage) {
            (Happening::Time, _) => self.resume(desk),
            (Happening::Errand(_, ErrandState::Pending), _) => {}
            (Happening::Errand(_, ErrandState::Accepted { fee, .. }), _) => self.done(fee, desk),
            (Happening::Answer(Ok(answer)), Stage::Looking) => self.looked(answer, desk),
            (Happening::Answer(Ok(answers)), Stage::Gathering(amount)) => {
                self.gathered(&answers, amount, desk);
            }
            // Perhaps it has ended, perhaps only a note was spent. It is looked at next.
            (Happening::Errand(_, ErrandState::Rejected(_)), _) => {
                let last = desk.last(self.purpose());
                desk.wait(last.map_or(0, |(attempt, _)| attempt));
            }
            (Happening::Answer(_) | Happening::NotBegun(_), _) => {
                desk.try_later(&mut self.failures);
            }
        }
    }

    fn resume(&mut self, desk: &mut Desk<'_>) {
        match desk.last(self.purpose()) {
            Some((attempt, ErrandState::Pending)) => {
                self.stage = Stage::Spending;
                desk.follow(self.purpose(), attempt);
            }
            Some((_, ErrandState::Accepted { fee, .. })) => self.done(fee, desk),
            Some((_, ErrandState::Rejected(_))) | None => self.look(desk),
        }
    }

    fn look(&mut self, desk: &mut Desk<'_>) {
        self.stage = Stage::Looking;
        desk.ask(format!("contracts/{}", self.contract));
    }

    fn looked(&mut self, answer: Json, desk: &mut Desk<'_>) {
        let answer = serde_json::from_value::<ContractAnswer>(answer).ok();
        // One that guardians do not know yet comes.
        let Some((account, closing)) =
            answer.and_then(|answer| Some((answer.account?, answer.closing)))
        else {
            return desk.try_later(&mut self.failures);
        };
        match closing {
            Some(closing) => self.ended(closing, desk),
            None => self.spend(account.amount, desk),
        }
    }

    /// Somebody has spent it.
    fn ended(&self, closing: Closing, desk: &mut Desk<'_>) {
        let contract = self.contract;
        match (&self.by, closing) {
            // Nobody but us can have done so.
            (By::Claim(_), Closing::Claimed { .. })
            | (By::Refund { .. }, Closing::Undecryptable) => self.done(Amount::ZERO, desk),
            (By::Claim(_), closing) => desk.tell(News::NotClaimed { contract, closing }),
            (By::Refund { .. }, Closing::Claimed { preimage }) => {
                desk.tell(News::NotRefunded { contract, preimage });
            }
            // Incoming contracts do not end so.
            (By::Refund { .. }, Closing::TimedOut | Closing::Forfeited) => {}
        }
    }

    fn spend(&mut self, amount: Amount, desk: &mut Desk<'_>) {
        match &self.by {
            By::Claim(preimage) => {
                let (witness, key) = (
                    Witness::Preimage(*preimage),
                    desk.town.keys.gateway(desk.town.id),
                );
                self.begin(witness, amount, &key, desk);
            }
            By::Refund { gather, .. } => {
                self.stage = Stage::Gathering(amount);
                if !gather.ask(desk) {
                    desk.try_later(&mut self.failures);
                }
            }
        }
    }

    fn gathered(&mut self, answers: &Json, amount: Amount, desk: &mut Desk<'_>) {
        let By::Refund { offer, gather } = &mut self.by else {
            return;
        };
        let (offer, contract) = (*offer, self.contract);
        match gather.take(answers, desk) {
            Ok(Round::Opened(Opened::Undecryptable(witness))) => {
                let key = desk.town.keys.refund(desk.town.id, offer);
                self.begin(witness, amount, &key, desk);
            }
            // There is one after all, and with it the payment can be claimed.
            Ok(Round::Opened(Opened::Preimage(preimage))) => {
                desk.tell(News::NotRefunded { contract, preimage });
            }
            Ok(Round::Again) => self.spend(amount, desk),
            Ok(Round::TooFew) | Err(_) => desk.try_later(&mut self.failures),
        }
    }

    fn begin(&mut self, witness: Witness, amount: Amount, key: &Keypair, desk: &mut Desk<'_>) {
        let purpose = self.purpose();
        let attempt = desk
            .last(purpose)
            .map_or(0, |(last, _)| last.saturating_add(1));
        self.stage = Stage::Spending;
        let input = LnInput {
            contract: self.contract,
            key: key.x_only_public_key().0,
            witness,
        };
        desk.begin_input((purpose, attempt), &input, amount, key);
    }

    fn done(&self, fee: Amount, desk: &mut Desk<'_>) {
        let contract = self.contract;
        desk.tell(match self.by {
            By::Claim(_) => News::Claimed { contract, fee },
            By::Refund { .. } => News::Refunded { contract, fee },
        });
    }
}
