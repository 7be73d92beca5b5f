//! One guardian of a federation without a network.

use std::collections::BTreeSet;

use guildmint_core::{
    ledger::{Base, Key, Ledger, Memory, Scope, Space, View},
    module::{DynModule, Later, Query, Reject},
    Digest, Epoch, EpochResult, ModuleId, OutPoint, PeerId, Transaction, Wire,
};
use guildmint_engine::{
    rows::Accepted, Batch, Checked, EffectiveBatch, EpochOutput, Federation, Statement, Stop, Vote,
};
use serde_json::Value as Json;

use super::{SequencerError, MAX_PASSES};

pub(super) struct Guardian {
    pub(super) me: PeerId,
    pub(super) rules: Federation,
    pub(super) rows: Memory,
}

impl Guardian {
    pub(super) fn check(&self, transaction: &Transaction, epoch: Epoch) -> Result<Checked, Reject> {
        let versions = self.rules.versions(&mut Ledger::new(&self.rows), epoch);
        let mut checked = self.rules.check_each(vec![transaction.clone()], &versions);
        checked.swap_remove(0)
    }

    pub(super) fn dry_run(&self, checked: &Checked, epoch: Epoch) -> Result<(), Reject> {
        let mut ledger = Ledger::new(&self.rows);
        let at = self.rules.now(&mut ledger, epoch);
        self.rules.dry_run(&mut ledger, checked, at).map(|_| ())
    }

    pub(super) fn news(&mut self, module: ModuleId, news: &[u8]) -> Result<(), Reject> {
        let rules = self.rules.module(module)?;
        let resident = Partial::resident(&self.rows);
        let mut ledger = Ledger::new(&resident);
        rules.sighted(&mut ledger.view(Scope::module(Space::Local, module)), news)?;
        let changes = ledger.finish().map_err(|obstacle| {
            let message = format!("the {} module cannot take news: {obstacle:?}", rules.kind());
            Reject::permanent("not_resident", message)
        })?;
        self.rows.apply(changes);
        Ok(())
    }

    pub(super) fn statement(&self) -> Result<Statement, SequencerError> {
        let mut statement = Statement::default();
        for (id, _) in self.rules.modules() {
            let (vote, tip) = self.look(id, |module, agreed, local| {
                (module.vote(agreed, local), module.tip_height(local))
            })?;
            statement.votes.extend(vote.map(|vote| (id, Vote(vote))));
            statement.tip_height = statement.tip_height.max(tip);
        }
        let mut ledger = Ledger::new(&self.rows);
        let nothing = Default::default();
        statement.versions = self.rules.versions_to_tell(&mut ledger, self.me, &nothing);
        Ok(statement)
    }

    /// Lets a module look at resident rows, which is all that a guardian has at hand between epochs.
    pub(super) fn look<T>(
        &self,
        id: ModuleId,
        look: impl FnOnce(&dyn DynModule, &View<'_, '_>, &View<'_, '_>) -> T,
    ) -> Result<T, SequencerError> {
        let module = self.rules.module(id)?;
        let resident = Partial::resident(&self.rows);
        let (mut agreed, mut local) = (Ledger::new(&resident), Ledger::new(&resident));
        let value = look(
            module,
            &agreed.view(Scope::module(Space::Agreed, id)),
            &local.view(Scope::module(Space::Local, id)),
        );
        for ledger in [agreed, local] {
            ledger.finish().map_err(|obstacle| SequencerError::AtHand {
                peer: self.me,
                kind: module.kind(),
                obstacle,
            })?;
        }
        Ok(value)
    }

    pub(super) fn query(&self, id: ModuleId, query: &Query) -> Option<Result<Json, Reject>> {
        let (mut agreed, mut local) = (Ledger::new(&self.rows), Ledger::new(&self.rows));
        let module = self.rules.module(id).ok()?;
        let agreed = agreed.view(Scope::module(Space::Agreed, id));
        let local = local.view(Scope::module(Space::Local, id));
        let answer = module.query(&agreed, &local, query);
        answer.or_else(|| Some(module.slow_query(&agreed, query)?.map(Later::get)))
    }

    pub(super) fn outcome(&self, out_point: OutPoint) -> Option<Json> {
        let mut ledger = Ledger::new(&self.rows);
        let accepted = ledger
            .view(Scope::engine(Space::Agreed))
            .get(&Accepted(out_point.txid))?;
        let outputs = &accepted.transaction.outputs;
        let output = outputs.get(usize::from(out_point.index))?;
        let view = ledger.view(Scope::module(Space::Agreed, output.module));
        let module = self.rules.module(output.module).ok()?;
        let outcome = module.outcome(&view, &output.bytes, out_point, None)?;
        Some(outcome.get())
    }

    /// Processes an epoch as a guardian does that has to load what is not resident.
    pub(super) fn process(
        &self,
        previous: Digest,
        batch: &Batch,
    ) -> Result<EpochOutput, SequencerError> {
        let (peer, epoch) = (self.me, batch.epoch);
        let mut known = Partial::resident(&self.rows);
        for _ in 0..MAX_PASSES {
            match self.rules.process_epoch(&known, previous, batch) {
                Ok(output) => return Ok(output),
                Err(Stop::Missing(keys)) => known.loaded.extend(keys),
                Err(stop) => return Err(SequencerError::Stopped { peer, epoch, stop }),
            }
        }
        Err(SequencerError::Passes { peer, epoch })
    }

    pub(super) fn compare(
        &self,
        expected: &EpochOutput,
        found: &EpochOutput,
    ) -> Result<(), SequencerError> {
        let differs = if found.effective != expected.effective {
            "the effective batch"
        } else if found.agreed != expected.agreed {
            "the agreed rows"
        } else if found.audit != expected.audit {
            "the balance sheet"
        } else if found.result != expected.result {
            "the digest"
        } else {
            return Ok(());
        };
        Err(self.diverged(expected.result.epoch, differs))
    }

    pub(super) fn replay(
        &self,
        history: &[(EffectiveBatch, EpochResult)],
    ) -> Result<(), SequencerError> {
        let peer = self.me;
        let mut rows = Memory::default();
        let mut previous = Digest::default();
        for (stored, expected) in history {
            let epoch = stored.epoch;
            let stored = EffectiveBatch::decode(&stored.encode())?;
            let versions = self.rules.versions(&mut Ledger::new(&rows), epoch);
            let batch = Batch {
                epoch,
                statements: stored.statements,
                transactions: self.rules.check_all(stored.transactions, &versions)?,
            };
            let output = self
                .rules
                .process_epoch(&rows, previous, &batch)
                .map_err(|stop| SequencerError::Stopped { peer, epoch, stop })?;
            if output.result != *expected {
                return Err(self.diverged(epoch, "its replayed history"));
            }
            rows.apply(output.agreed);
            previous = output.result.digest;
        }
        let agreed = |(key, _): &(&Key, &Vec<u8>)| key.is_agreed();
        if rows.0.iter().ne(self.rows.0.iter().filter(agreed)) {
            let end = Epoch(history.len().saturating_sub(1) as u64);
            return Err(self.diverged(end, "its replayed rows"));
        }
        Ok(())
    }

    fn diverged(&self, epoch: Epoch, what: &'static str) -> SequencerError {
        let peer = self.me;
        SequencerError::Diverged { peer, epoch, what }
    }
}

/// A database of which only the resident rows are in memory, and those that were loaded.
struct Partial<'a> {
    rows: &'a Memory,
    loaded: BTreeSet<Key>,
}

impl<'a> Partial<'a> {
    fn resident(rows: &'a Memory) -> Self {
        Self {
            rows,
            loaded: BTreeSet::new(),
        }
    }
}

impl Base for Partial<'_> {
    fn get(&self, key: &Key) -> Option<Option<&[u8]>> {
        let known = key.is_resident() || self.loaded.contains(key);
        known.then(|| self.rows.get(key))?
    }

    fn scan<'b>(&'b self, prefix: &[u8]) -> Box<dyn Iterator<Item = (&'b Key, &'b [u8])> + 'b> {
        Box::new(self.rows.scan(prefix).filter(|(key, _)| key.is_resident()))
    }
}

#[cfg(test)]
mod tests {
    use guildmint_core::Row;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize, Row)]
    #[row(table = 1, value = u8)]
    struct Stored(u8);

    #[derive(Serialize, Deserialize, Row)]
    #[row(table = 2, value = u8, resident)]
    struct Resident(u8);

    #[test]
    fn stored_rows_are_unknown_until_they_are_loaded() {
        let scope = Scope::engine(Space::Agreed);
        let stored = Stored(1).key(scope);
        let rows = Memory([(stored.clone(), vec![7])].into());
        let mut partial = Partial::resident(&rows);
        assert_eq!(partial.get(&stored), None);
        assert_eq!(partial.get(&Resident(1).key(scope)), Some(None));
        assert_eq!(partial.scan(&Key::table::<Stored>(scope)).count(), 0);
        partial.loaded.insert(stored.clone());
        assert_eq!(partial.get(&stored), Some(Some(&[7][..])));
    }
}
