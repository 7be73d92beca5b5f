//! How a meeting gets on: each step begins when all have taken the one before.

use std::collections::BTreeMap;

use guildmint_core::{ModuleId, PeerId, SessionId};
use guildmint_engine::coin::ceremony::{CoinCeremony, CoinEncryptionKey};

use super::{Fault, Meeting, MeetingFailure};
use crate::{
    statement::{
        Announcement, Answer, Answers, Conclusion, Opening, Packet, Said, Slot, Statement,
    },
    Agreed, Proposal,
};

impl Meeting {
    /// Takes every step that is due.
    pub(super) fn advance(&mut self) {
        if self.failure.is_some() || self.agreed.is_some() {
            return;
        }
        if let Err(failure) = self.try_advance() {
            self.failure = Some(failure);
        }
    }

    fn try_advance(&mut self) -> Result<(), MeetingFailure> {
        let Some((session, proposal)) = self.session() else {
            return Ok(());
        };
        self.open(session, &proposal)?;
        let Some(openings) = self.all(Slot::Opening) else {
            return Ok(());
        };
        self.answer(session, &proposal, &openings)?;
        let Some(answers) = self.all(Slot::Answers) else {
            return Ok(());
        };
        self.conclude(session, &openings, &answers)?;
        let Some(conclusions) = self.all(Slot::Conclusion) else {
            return Ok(());
        };
        self.compare(&conclusions)?;
        self.agreed = self.coin.clone().map(|coin| Agreed {
            session,
            announcements: announcements(&proposal, &openings),
            proposal,
            coin,
        });
        Ok(())
    }

    /// The session that all have confirmed, if they have.
    fn session(&self) -> Option<(SessionId, Proposal)> {
        let session = self.confirmed(self.roster.me())?;
        let confirmed = |peer| self.confirmed(peer) == Some(session);
        if !self.roster.quorum().peers().all(confirmed) {
            return None;
        }
        Some((session, self.proposal(session)?.clone()))
    }

    /// What all have said about something, in the guardians' order, if they have.
    fn all(&self, slot: Slot) -> Option<Vec<Said>> {
        let peers = self.roster.quorum().peers();
        peers
            .map(|peer| self.said.get(&(peer, slot)).cloned())
            .collect()
    }

    fn has_said(&self, slot: Slot) -> bool {
        self.said.contains_key(&(self.roster.me(), slot))
    }

    fn fault(&self, peer: PeerId, fault: impl Into<Fault>) -> MeetingFailure {
        MeetingFailure::Fault {
            peer,
            name: self.roster.name(peer),
            fault: fault.into(),
        }
    }

    fn open(&mut self, session: SessionId, proposal: &Proposal) -> Result<(), MeetingFailure> {
        if self.ceremony.is_some() {
            return Ok(());
        }
        let keys: Vec<CoinEncryptionKey> = self
            .roster
            .codes()
            .iter()
            .map(|code| code.guardian().coin_key.clone())
            .collect();
        let ceremony = CoinCeremony::new(
            self.roster.quorum(),
            self.roster.me(),
            &self.seed.coin_encryption(),
            &keys,
            &self.seed.coin_dealing(session),
        )?;
        if !self.has_said(Slot::Opening) {
            let mut announcements = BTreeMap::new();
            for (id, module) in &proposal.modules {
                let seed = self.seed.module(session, *id);
                let announced = self.founders.announce(module, &seed)?;
                announcements.insert(*id, Announcement(announced));
            }
            self.say(Statement::Opening(Opening {
                session,
                part: ceremony.part().to_vec(),
                announcements,
            }));
        }
        self.ceremony = Some(ceremony);
        Ok(())
    }

    fn answer(
        &mut self,
        session: SessionId,
        proposal: &Proposal,
        openings: &[Said],
    ) -> Result<(), MeetingFailure> {
        if self.answers.is_some() {
            return Ok(());
        }
        let Some(mut ceremony) = self.ceremony.take() else {
            return Ok(());
        };
        let mut answers = Vec::new();
        for said in openings {
            let Statement::Opening(opening) = &said.statement else {
                continue;
            };
            let peer = said.author;
            if opening.session != session {
                return Err(self.fault(peer, Fault::OtherSession(Slot::Opening)));
            }
            self.check_announcements(proposal, opening)
                .map_err(|problem| self.fault(peer, Fault::Announcement(problem)))?;
            let answer = ceremony.take_part(peer, &opening.part);
            answers.push(answer.map_err(|fault| self.fault(peer, fault))?);
        }
        self.ceremony = Some(ceremony);
        if !self.has_said(Slot::Answers) {
            let answers = answers.iter().cloned().map(Answer).collect();
            self.say(Statement::Answers(Answers { session, answers }));
        }
        self.answers = Some(answers);
        Ok(())
    }

    fn check_announcements(&self, proposal: &Proposal, opening: &Opening) -> Result<(), String> {
        if !opening.announcements.keys().eq(proposal.modules.keys()) {
            return Err("it did not announce something for each module".into());
        }
        for (module, announced) in proposal
            .modules
            .values()
            .zip(opening.announcements.values())
        {
            let checked = self.founders.check_announcement(module, &announced.0);
            checked.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn conclude(
        &mut self,
        session: SessionId,
        openings: &[Said],
        answers: &[Said],
    ) -> Result<(), MeetingFailure> {
        if self.coin.is_some() {
            return Ok(());
        }
        let Some(mut ceremony) = self.ceremony.take() else {
            return Ok(());
        };
        for said in answers {
            let Statement::Answers(given) = &said.statement else {
                continue;
            };
            let peer = said.author;
            if given.session != session {
                return Err(self.fault(peer, Fault::OtherSession(Slot::Answers)));
            }
            let given: Vec<_> = given
                .answers
                .iter()
                .map(|answer| answer.0.clone())
                .collect();
            let taken = ceremony.take_answers(peer, &given);
            taken.map_err(|fault| self.fault(peer, fault))?;
        }
        self.coin = Some(ceremony.finish()?);
        if !self.has_said(Slot::Conclusion) {
            let heard = openings.iter().zip(answers);
            let heard = heard.map(|(opening, answers)| [opening.hash(), answers.hash()]);
            let heard = heard.collect();
            self.say(Statement::Conclusion(Conclusion { session, heard }));
        }
        Ok(())
    }

    /// Whether all have heard the same. If not, whoever heard something else is shown what we heard: if it has something else
    /// with the author's signature, all will know who lies.
    fn compare(&mut self, conclusions: &[Said]) -> Result<(), MeetingFailure> {
        let me = usize::from(self.roster.me().0);
        let Some(Statement::Conclusion(mine)) = conclusions.get(me).map(|said| &said.statement)
        else {
            return Ok(());
        };
        let mine = mine.clone();
        for said in conclusions {
            let Statement::Conclusion(theirs) = &said.statement else {
                continue;
            };
            if theirs.session != mine.session || theirs.heard.len() != mine.heard.len() {
                return Err(self.fault(said.author, Fault::OtherSession(Slot::Conclusion)));
            }
            let pairs = self
                .roster
                .quorum()
                .peers()
                .zip(&mine.heard)
                .zip(&theirs.heard);
            let differs = pairs.filter(|((_, mine), theirs)| mine != theirs);
            let Some(((author, mine), theirs)) = differs.into_iter().next() else {
                continue;
            };
            let what = match mine[0] == theirs[0] {
                true => Slot::Answers,
                false => Slot::Opening,
            };
            let other = said.author;
            if let Some(heard) = self.said.get(&(author, what)).cloned() {
                self.send_to_all(&Packet::Evidence(Box::new(heard)));
            }
            return Err(MeetingFailure::Disagreement {
                author,
                what,
                other,
            });
        }
        Ok(())
    }
}

/// What guardians announced for each module.
fn announcements(proposal: &Proposal, openings: &[Said]) -> BTreeMap<ModuleId, Vec<Vec<u8>>> {
    let of = |id: &ModuleId| {
        let announced = openings.iter().filter_map(|said| match &said.statement {
            Statement::Opening(opening) => opening.announcements.get(id),
            _ => None,
        });
        announced.map(|announced| announced.0.clone()).collect()
    };
    proposal.modules.keys().map(|id| (*id, of(id))).collect()
}
