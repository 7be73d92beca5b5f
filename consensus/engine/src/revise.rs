//! Revisions of the config: how guardians come to agree on one, and sign it (SPEC GEN-6).
//!
//! A guardian approves at most one revision at a time, which is an agreed row. What t approve counts from the next epoch on. Only
//! then is it signed, so that an honest guardian never signs two with one number, whatever it approved before.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{
    api::RevisionsAnswer,
    ledger::{Ledger, Scope, Space},
    limits::{MAX_REVISIONS_IN_ANSWER, MAX_REVISION_BYTES},
    module::{self, Fault},
    Epoch, IdentityKey, IdentitySignature, Latest, PeerId, Revision, RevisionHash, SignedRevision,
    Values, Wire,
};
use serde::{Deserialize, Serialize};

use crate::{
    contribution::{Statement, Vote},
    rows::{Approves, LatestRevision, Revised, Stance},
    upgrade::ENGINE,
    Federation,
};

mod report;

/// A revision that is agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreedRevision {
    /// The first epoch in which it counts.
    pub from: Epoch,
    /// What was agreed, and who has signed it: nobody at first, then as many as prove it.
    pub signed: SignedRevision,
}

/// What a guardian says about revisions: its vote for the engine, which is no module but has a place among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = MAX_REVISION_BYTES + 256)]
pub enum RevisionVote {
    /// It approves this one, or none any more. Takes the place of what it approved before.
    Approves(Option<Revision>),
    /// Its signature on the latest.
    Signs(IdentitySignature),
}

impl Federation {
    /// What counts in the epoch to come.
    pub(crate) fn present(&self, ledger: &mut Ledger<'_>) -> Values {
        match latest(ledger) {
            Some(agreed) => agreed.signed.revision.values,
            None => self.founding_values(),
        }
    }

    fn founding_values(&self) -> Values {
        let genesis = self.genesis();
        let names = genesis.guardians.iter();
        let conditions =
            |(id, module): (_, &dyn module::DynModule)| Some((id, module.conditions()?));
        Values {
            name: genesis.name.clone(),
            guardians: names.map(|keys| keys.name.clone()).collect(),
            conditions: self.modules().filter_map(conditions).collect(),
        }
    }

    /// How far the chain of revisions goes.
    pub(crate) fn latest_revision(&self, ledger: &mut Ledger<'_>) -> Latest {
        match latest(ledger) {
            Some(agreed) => Latest::of(&agreed.signed.revision),
            None => Latest::founding(self.genesis()),
        }
    }

    /// Whether guardians can agree on this as the next revision.
    ///
    /// # Errors
    /// Says why not.
    pub(crate) fn check_revision(
        &self,
        ledger: &mut Ledger<'_>,
        revision: &Revision,
    ) -> Result<(), String> {
        if latest(ledger).is_some_and(|agreed| !self.is_proven(&agreed)) {
            return Err("the latest revision is not signed by enough guardians yet".into());
        }
        let check = revision.check(self.genesis(), self.latest_revision(ledger));
        check.map_err(|error| error.to_string())?;
        for (id, module) in self.modules() {
            let kind = module.kind();
            match (module.conditions(), revision.values.conditions.get(&id)) {
                (None, None) => {}
                (Some(_), Some(conditions)) => module
                    .check_conditions(conditions)
                    .map_err(|problem| format!("{kind}: {problem}"))?,
                _ => return Err(format!("{kind}: it has no conditions, or they are absent")),
            }
        }
        Ok(())
    }

    fn is_proven(&self, agreed: &AgreedRevision) -> bool {
        agreed.signed.signatures.len() >= self.quorum().threshold()
    }

    /// Takes what guardians say about revisions into rows, and drops from the statements what changes nothing.
    pub(crate) fn count_revisions(
        &self,
        ledger: &mut Ledger<'_>,
        statements: &mut BTreeMap<PeerId, Statement>,
        faults: &mut Vec<Fault>,
    ) {
        for (peer, statement) in statements {
            let Some(vote) = statement.votes.remove(&ENGINE) else {
                continue;
            };
            let counted = match RevisionVote::decode(&vote.0) {
                Ok(RevisionVote::Approves(revision)) => self.approve(ledger, *peer, revision),
                Ok(RevisionVote::Signs(signature)) => self.sign(ledger, *peer, signature),
                Err(error) => Err(format!("it cannot be read: {error}")),
            };
            match counted {
                Ok(true) => drop(statement.votes.insert(ENGINE, vote)),
                Ok(false) => {}
                Err(problem) => faults.push(Fault {
                    peer: *peer,
                    kind: format!("vote on a revision: {problem}"),
                }),
            }
        }
    }

    /// Whether that is news.
    fn approve(
        &self,
        ledger: &mut Ledger<'_>,
        peer: PeerId,
        revision: Option<Revision>,
    ) -> Result<bool, String> {
        if let Some(revision) = &revision {
            self.check_revision(ledger, revision)?;
        }
        let mut view = ledger.view(Scope::engine(Space::Agreed));
        if view.get(&Approves(peer)) == revision {
            return Ok(false);
        }
        match revision {
            Some(revision) => view.put(&Approves(peer), &revision),
            None => view.remove(&Approves(peer)),
        }
        Ok(true)
    }

    fn sign(
        &self,
        ledger: &mut Ledger<'_>,
        peer: PeerId,
        signature: IdentitySignature,
    ) -> Result<bool, String> {
        let Some(mut agreed) = latest(ledger) else {
            return Err("signs where nothing is agreed".into());
        };
        let revision = &agreed.signed.revision;
        let check = revision.check_signature(self.genesis(), peer, &signature);
        check.map_err(|error| error.to_string())?;
        // ⚠ Another signature of the same guardian changes no row either: what is not counted must have no effect.
        if self.is_proven(&agreed) || agreed.signed.signatures.contains_key(&peer) {
            return Ok(false);
        }
        let row = Revised(revision.number);
        agreed.signed.signatures.insert(peer, signature);
        ledger.view(Scope::engine(Space::Agreed)).put(&row, &agreed);
        Ok(true)
    }

    /// Makes the revision that t guardians approve the latest one. It counts from the next epoch on. ⚠ There is at most one such:
    /// no guardian approves two at a time, and t are more than half.
    pub(crate) fn agree_on_revision(&self, ledger: &mut Ledger<'_>, epoch: Epoch) {
        let mut view = ledger.view(Scope::engine(Space::Agreed));
        let approvals = view.scan::<Approves>();
        let mut approved: BTreeMap<RevisionHash, usize> = BTreeMap::new();
        let most = approvals.iter().find(|(_, revision)| {
            let count = approved.entry(revision.hash()).or_default();
            *count += 1;
            *count >= self.quorum().threshold()
        });
        let Some((_, revision)) = most else {
            return;
        };
        let agreed = AgreedRevision {
            from: epoch.next(),
            signed: SignedRevision {
                revision: revision.clone(),
                signatures: BTreeMap::new(),
            },
        };
        view.put(&Revised(revision.number), &agreed);
        view.put(&LatestRevision, &revision.number);
        approvals.iter().for_each(|(row, _)| view.remove(row));
        for (id, conditions) in &revision.values.conditions {
            self.view(ledger, *id).put(&module::Revised, conditions);
        }
    }

    /// What this guardian has to say about revisions: its signature on the latest, if that lacks some, else what its operator said, if
    /// the agreed rows do not say so.
    pub(crate) fn revision_vote(
        &self,
        ledger: &mut Ledger<'_>,
        me: PeerId,
        key: &IdentityKey,
    ) -> Option<Vote> {
        let vote = match latest(ledger).filter(|agreed| !self.is_proven(agreed)) {
            Some(agreed) if agreed.signed.signatures.contains_key(&me) => return None,
            Some(agreed) => {
                let revision = agreed.signed.revision;
                RevisionVote::Signs(revision.sign(self.genesis().session, key))
            }
            None => {
                let local = ledger.view(Scope::engine(Space::Local));
                // Whoever has never said anything has nothing to take back.
                local.get(&Stance)?;
                let stance = self.stance(ledger);
                let view = ledger.view(Scope::engine(Space::Agreed));
                if view.get(&Approves(me)) == stance {
                    return None;
                }
                RevisionVote::Approves(stance)
            }
        };
        Some(Vote(vote.encode()))
    }

    /// What its operator said last, unless that was about an earlier number, which is over.
    pub(crate) fn stance(&self, ledger: &mut Ledger<'_>) -> Option<Revision> {
        let local = ledger.view(Scope::engine(Space::Local));
        let stance = local.get(&Stance).flatten();
        stance.filter(|revision| self.check_revision(ledger, revision).is_ok())
    }

    /// The next revisions after a number that prove themselves.
    pub(crate) fn revisions_after(&self, ledger: &mut Ledger<'_>, after: u32) -> RevisionsAnswer {
        let number = latest(ledger).map_or(0, |agreed| agreed.signed.revision.number);
        let view = ledger.view(Scope::engine(Space::Agreed));
        let next = (after.saturating_add(1)..=number).take(MAX_REVISIONS_IN_ANSWER);
        let agreed = next.map_while(|number| view.get(&Revised(number)));
        let proven = agreed.take_while(|agreed| self.is_proven(agreed));
        RevisionsAnswer {
            latest: number,
            revisions: proven.map(|agreed| agreed.signed).collect(),
        }
    }

    /// Everything that any guardian approves, and who does.
    pub(crate) fn approvals(&self, ledger: &mut Ledger<'_>) -> Vec<(Revision, BTreeSet<PeerId>)> {
        let view = ledger.view(Scope::engine(Space::Agreed));
        let mut all: BTreeMap<RevisionHash, (Revision, BTreeSet<PeerId>)> = BTreeMap::new();
        for (Approves(peer), revision) in view.scan::<Approves>() {
            let (_, by) = all
                .entry(revision.hash())
                .or_insert_with(|| (revision, BTreeSet::new()));
            by.insert(peer);
        }
        all.into_values().collect()
    }
}

/// The latest revision, if there is one.
fn latest(ledger: &mut Ledger<'_>) -> Option<AgreedRevision> {
    let view = ledger.view(Scope::engine(Space::Agreed));
    view.get(&Revised(view.get(&LatestRevision)?))
}
