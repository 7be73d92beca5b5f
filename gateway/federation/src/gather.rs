//! Gathering the guardians' shares of what an offer hides (SPEC LN-4).

use std::collections::BTreeMap;

use guildmint_client::Question;
use guildmint_core::PeerId;
use guildmint_gateway::Shares;
use guildmint_ln::{
    client::{OpenError, Opened},
    ContractId, ShareAnswer, SignedOffer,
};
use serde_json::Value as Json;

use crate::desk::{request, Desk, Wish};

/// Shares of one contract, as far as they have come.
pub(crate) struct Gather {
    contract: ContractId,
    shares: Shares,
}

/// What came of a round.
#[allow(clippy::large_enum_variant)] // few at a time
pub(crate) enum Round {
    Opened(Opened),
    /// Some were wrong: others are asked at once.
    Again,
    /// Who was asked gave too few.
    TooFew,
}

impl Gather {
    pub(crate) fn new(contract: ContractId, offer: &SignedOffer, desk: &Desk<'_>) -> Self {
        let town = desk.town;
        let config = town.config.clone();
        let shares = Shares::new(&town.keys, town.id, config, contract, offer.offer);
        Self { contract, shares }
    }

    fn missing(&self, desk: &Desk<'_>) -> Vec<PeerId> {
        let peers = desk.town.quorum.peers();
        peers
            .filter(|peer| !self.shares.has_answered(*peer))
            .collect()
    }

    /// Asks guardians for what is lacking, each with a request of its own. Says whether that makes sense now.
    pub(crate) fn ask(&self, desk: &mut Desk<'_>) -> bool {
        // ⚠ A request says until when it holds.
        let Some(height) = desk.height else {
            return false;
        };
        let missing = self.missing(desk);
        let answered = desk.town.quorum.guardians() - missing.len();
        let right = answered.saturating_sub(self.shares.culprits().len());
        let enough = desk.town.quorum.threshold().saturating_sub(right).max(1);
        let of = |peer: PeerId| (peer, request(&self.shares.path(peer, height)));
        let requests: BTreeMap<_, _> = missing.into_iter().map(of).collect();
        if requests.is_empty() {
            return false;
        }
        let question = Question::Each { requests, enough };
        desk.wishes.push(Wish::Ask(question));
        true
    }

    /// Takes answers by guardian.
    pub(crate) fn take(&mut self, answers: &Json, desk: &mut Desk<'_>) -> Result<Round, OpenError> {
        let before = self.shares.culprits().clone();
        let mut opened = None;
        for (peer, answer) in answers.as_object().into_iter().flatten() {
            let peer = peer.parse().map(PeerId).ok();
            // What is no share counts as nothing: its guardian is asked again.
            let share = serde_json::from_value::<ShareAnswer>(answer.clone()).ok();
            let Some((peer, share)) = peer.zip(share) else {
                continue;
            };
            if let Some(found) = self.shares.answered(peer, share)? {
                opened = Some(found);
                break;
            }
        }
        let new: Vec<PeerId> = self
            .shares
            .culprits()
            .difference(&before)
            .copied()
            .collect();
        for guardian in &new {
            desk.wishes.push(Wish::WrongShare(*guardian, self.contract));
        }
        Ok(match opened {
            Some(opened) => Round::Opened(opened),
            None if new.is_empty() => Round::TooFew,
            None => Round::Again,
        })
    }
}
