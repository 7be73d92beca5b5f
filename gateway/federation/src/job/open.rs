//! Reading the preimage of an incoming contract: from the guardians' shares, or because the payee has claimed with it.

use guildmint_gateway::federation::News;
use guildmint_ln::{client::Opened, Closing, ContractAnswer, ContractId, Preimage, SignedOffer};
use serde_json::Value as Json;

use super::Happening;
use crate::{
    desk::Desk,
    gather::{Gather, Round},
};

pub(crate) struct Open {
    contract: ContractId,
    gather: Gather,
    /// The question that is open is how the contract has ended.
    looking: bool,
    /// It hides no preimage. The payee may know one all the same, and have claimed with it.
    hides_nothing: bool,
    failures: u32,
}

impl Open {
    pub(super) fn new(contract: ContractId, offer: &SignedOffer, desk: &Desk<'_>) -> Self {
        Self {
            contract,
            gather: Gather::new(contract, offer, desk),
            looking: false,
            hides_nothing: false,
            failures: 0,
        }
    }

    pub(super) fn step(&mut self, happening: Happening, desk: &mut Desk<'_>) {
        match happening {
            Happening::Time if self.hides_nothing => self.look(desk),
            Happening::Time => self.gather(desk),
            Happening::Answer(answer) if self.looking => self.looked(answer.ok(), desk),
            Happening::Answer(Ok(answers)) => match self.gather.take(&answers, desk) {
                Ok(Round::Opened(Opened::Preimage(preimage))) => self.end(Some(preimage), desk),
                Ok(Round::Opened(Opened::Undecryptable(_))) => {
                    self.hides_nothing = true;
                    self.look(desk);
                }
                Ok(Round::Again) => self.gather(desk),
                Ok(Round::TooFew) | Err(_) => self.look(desk),
            },
            Happening::Answer(Err(_)) => self.look(desk),
            Happening::NotBegun(_) | Happening::Errand(..) => {}
        }
    }

    fn gather(&mut self, desk: &mut Desk<'_>) {
        self.looking = false;
        if !self.gather.ask(desk) {
            self.look(desk);
        }
    }

    fn look(&mut self, desk: &mut Desk<'_>) {
        self.looking = true;
        desk.ask(format!("contracts/{}", self.contract));
    }

    fn looked(&mut self, answer: Option<Json>, desk: &mut Desk<'_>) {
        let answer = answer.and_then(|json| serde_json::from_value::<ContractAnswer>(json).ok());
        let closing = answer.map(|answer| answer.closing);
        match closing {
            Some(Some(Closing::Claimed { preimage })) => self.end(Some(preimage), desk),
            // We have taken it back before.
            Some(Some(Closing::Undecryptable)) => self.end(None, desk),
            Some(None) if self.hides_nothing => self.end(None, desk),
            _ => desk.try_later(&mut self.failures),
        }
    }

    fn end(&self, preimage: Option<Preimage>, desk: &mut Desk<'_>) {
        let contract = self.contract;
        desk.tell(News::Opened { contract, preimage });
    }
}
