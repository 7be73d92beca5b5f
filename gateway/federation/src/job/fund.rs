//! Funding the contract of an offer. ⚠ Once, whatever happens (SPEC GW-7).
//!
//! Its errand happens once: by the transaction that is known, or never. Only after a transaction that can never be accepted any more another
//! one is made.

use guildmint_client::{ErrandState, FEES_REVISED};
use guildmint_core::{module::Reject, Amount, FederationId, OutPoint};
use guildmint_gateway::federation::{Funding, News};
use guildmint_ln::{
    ContractId, FundingAnswer, IncomingContract, LnOutput, OfferId, OfferRef, Terms,
};
use serde_json::Value as Json;

use super::Happening;
use crate::{desk::Desk, limits, names::Purpose};

pub(crate) struct Fund {
    funding: Funding,
    offer: OfferId,
    /// It has ended for this reason, if guardians know of no contract of ours.
    refused: Option<String>,
    /// The number of the errand.
    attempt: u32,
    failures: u32,
}

impl Fund {
    pub(super) fn new(funding: Funding, federation: FederationId) -> Self {
        Self {
            offer: funding.offer.offer.id(federation),
            funding,
            refused: None,
            attempt: 0,
            failures: 0,
        }
    }

    fn purpose(&self) -> Purpose {
        Purpose::Fund(self.offer)
    }

    pub(super) fn step(&mut self, happening: Happening, desk: &mut Desk<'_>) {
        match happening {
            Happening::Time if self.refused.is_some() => self.look(desk),
            Happening::Time => self.resume(desk),
            Happening::Errand(_, state) => self.errand(state, desk),
            Happening::Answer(Ok(answer)) => self.looked(answer, desk),
            Happening::Answer(Err(_)) | Happening::NotBegun(_) => {
                desk.try_later(&mut self.failures);
            }
        }
    }

    fn resume(&mut self, desk: &mut Desk<'_>) {
        match desk.last(self.purpose()) {
            None => self.begin(0, desk),
            Some((attempt, ErrandState::Pending)) => {
                self.attempt = attempt;
                desk.follow(self.purpose(), attempt);
            }
            Some((attempt, state)) => {
                self.attempt = attempt;
                self.errand(state, desk);
            }
        }
    }

    fn begin(&mut self, attempt: u32, desk: &mut Desk<'_>) {
        self.attempt = attempt;
        let last = self.funding.valid_until;
        // The agreed clock never goes back, so nothing comes of it later.
        if let Some(height) = desk.height.filter(|height| *height > last) {
            let reason = format!("it was to be funded until height {last}, and it is {height}");
            return self.refuse(reason, desk);
        }
        let contract = IncomingContract {
            offer: OfferRef::Carried(self.funding.offer),
            amount: self.funding.amount,
            refund_key: self.funding.refund_key,
            valid_until: last,
        };
        let output = LnOutput::Incoming(contract);
        desk.begin_output((self.purpose(), attempt), &output, true);
    }

    fn errand(&mut self, state: ErrandState, desk: &mut Desk<'_>) {
        match state {
            ErrandState::Pending => {}
            ErrandState::Accepted { txid, fee } => {
                let funded = OutPoint { txid, index: 0 };
                self.funded(ContractId::new(funded), fee, desk);
            }
            ErrandState::Rejected(reject) => self.rejected(&reject, desk),
        }
    }

    fn funded(&self, contract: ContractId, fee: Amount, desk: &mut Desk<'_>) {
        let offer = self.offer;
        desk.tell(News::Funded {
            offer,
            contract,
            fee,
        });
    }

    fn rejected(&mut self, reject: &Reject, desk: &mut Desk<'_>) {
        // Of these others may be accepted: they have other notes, or other fees.
        let again = [FEES_REVISED, "note_spent"].contains(&reject.code.as_str());
        let next = self.attempt.saturating_add(1);
        match again && next < limits::MAX_FUNDINGS {
            true => self.begin(next, desk),
            false => self.refuse(reject.message.clone(), desk),
        }
    }

    /// ⚠ It looks before it says so: an older copy of the wallet may have forgotten what it has funded.
    fn refuse(&mut self, reason: String, desk: &mut Desk<'_>) {
        self.refused = Some(reason);
        self.look(desk);
    }

    /// ⚠ That its time is over counts of guardians alone for whom it is: others may not have come as far as its contract.
    fn look(&mut self, desk: &mut Desk<'_>) {
        let Some(height) = desk.height else {
            return desk.try_later(&mut self.failures);
        };
        let last = self.funding.valid_until;
        let past = match height > last {
            true => format!("?past={last}"),
            false => String::new(),
        };
        desk.ask(format!("fundings/{}{past}", self.offer));
    }

    fn looked(&mut self, answer: Json, desk: &mut Desk<'_>) {
        let (Some(reason), Ok(answer)) = (
            self.refused.clone(),
            serde_json::from_value::<FundingAnswer>(answer),
        ) else {
            return desk.try_later(&mut self.failures);
        };
        let terms = answer.account.map(|account| account.terms);
        let ours = matches!(terms, Some(Terms::Incoming { refund_key, .. }) if refund_key == self.funding.refund_key);
        match answer.contract.filter(|_| ours) {
            Some(contract) => self.funded(contract, Amount::ZERO, desk),
            None => {
                let offer = self.offer;
                desk.tell(News::NotFunded { offer, reason });
            }
        }
    }
}
