//! Computations that may need rows from the store: they run, name what they lack, and run again once it is there.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{
    ledger::{Base, Key, Ledger, Obstacle, Scope, Space},
    module::{Later, Query},
    Epoch, EpochResult, ModuleId, PeerId, Transaction, TxId, Wire,
};
use serde_json::Value as Json;

use super::{
    event::{Action, Ticket},
    outcomes,
    talk::{Chunk, Talk, CHUNK_BYTES, MAX_EPOCHS_AT_ONCE},
    Node,
};
use crate::{
    contribution::EffectiveBatch,
    process::{Batch, Stop},
    rows::{Accepted, History, Record},
    Checked, Federation,
};

/// Rows that were loaded for a task; `None` where there is none.
pub(super) type Loaded = BTreeMap<Key, Option<Vec<u8>>>;

/// A computation that reads rows.
pub(super) enum Task {
    /// Process an epoch and commit it.
    Epoch(EpochTask),
    /// Try a transaction before it is pooled: one that a client submitted, or one that was in the pool before a restart.
    DryRun {
        ticket: Option<Ticket>,
        checked: Checked,
    },
    /// Tell a client what became of a transaction.
    Transaction {
        ticket: Ticket,
        txid: TxId,
        deadline_ms: u64,
    },
    /// Answer a client's question to a module.
    Query {
        ticket: Ticket,
        module: ModuleId,
        query: Query,
    },
    /// Send a peer a part of an epoch's history.
    Serve {
        to: PeerId,
        epoch: Epoch,
        offset: u64,
    },
}

/// An epoch to be processed.
pub(super) struct EpochTask {
    pub(super) batch: Batch,
    /// What honest guardians signed, if it was agreed without us.
    pub(super) expected: Option<EpochResult>,
}

impl Node {
    /// Runs a task.
    pub(super) fn run(&mut self, task: Task) {
        self.attempt(task, Loaded::new());
    }

    /// Runs a task after loading rows that it will surely read.
    pub(super) fn run_after_loading(&mut self, task: Task, keys: BTreeSet<Key>) {
        if keys.is_empty() {
            self.run(task);
        } else {
            self.load(task, keys);
        }
    }

    pub(super) fn on_loaded(&mut self, ticket: Ticket, rows: Vec<(Key, Option<Vec<u8>>)>) {
        if let Some(task) = self.tasks.remove(&ticket) {
            self.attempt(task, rows.into_iter().collect());
        }
    }

    fn load(&mut self, task: Task, keys: BTreeSet<Key>) {
        let ticket = self.disk.ticket();
        self.tasks.insert(ticket, task);
        self.out.push(Action::Load { ticket, keys });
    }

    /// Runs a task with the rows that are known; loads what it lacks.
    fn attempt(&mut self, task: Task, loaded: Loaded) {
        let attempt = match &task {
            Task::Epoch(epoch) => self.attempt_epoch(epoch, &loaded),
            Task::DryRun { ticket, checked } => self.attempt_dry_run(*ticket, checked, &loaded),
            Task::Transaction {
                ticket,
                txid,
                deadline_ms,
            } => self.attempt_transaction(*ticket, *txid, *deadline_ms, &loaded),
            Task::Query {
                ticket,
                module,
                query,
            } => self.attempt_query(*ticket, *module, query, &loaded),
            Task::Serve { to, epoch, offset } => self.attempt_serve(*to, *epoch, *offset, &loaded),
        };
        match attempt {
            Ok(()) => {}
            Err(Obstacle::Missing(mut keys)) => {
                // All of them anew: rows from an earlier load may be older than a save that has finished since.
                keys.extend(loaded.into_keys());
                self.load(task, keys);
            }
            Err(Obstacle::Corrupt(key)) => self.halt(format!(
                "the database is damaged at row {:02x?}; restore this guardian's backup and let it catch up",
                key.0
            )),
        }
    }

    fn attempt_epoch(&mut self, task: &EpochTask, loaded: &Loaded) -> Result<(), Obstacle> {
        if task.batch.epoch != self.round.epoch {
            return Ok(());
        }
        let known = self.disk.known(loaded);
        let processed = self
            .federation
            .process_epoch(&known, self.previous(), &task.batch);
        match processed {
            Ok(output) => self.commit(output, task.expected),
            Err(Stop::Missing(keys)) => return Err(Obstacle::Missing(keys)),
            Err(Stop::Corrupt(key)) => return Err(Obstacle::Corrupt(key)),
            Err(Stop::Insolvent {
                assets_msat,
                liabilities_msat,
            }) => self.halt(format!(
                "{} would leave {liabilities_msat} msat owed against {assets_msat} msat owned; nothing of it was committed",
                task.batch.epoch
            )),
        }
        Ok(())
    }

    fn attempt_dry_run(
        &mut self,
        ticket: Option<Ticket>,
        checked: &Checked,
        loaded: &Loaded,
    ) -> Result<(), Obstacle> {
        let epoch = self.round.epoch;
        let verdict = read(&self.disk.known(loaded), |ledger| {
            let at = self.federation.now(ledger, epoch);
            self.federation.dry_run(ledger, checked, at)
        })?;
        match ticket {
            Some(ticket) => self.tried(ticket, checked.clone(), verdict),
            None => self.tried_again(checked.clone(), verdict),
        }
        Ok(())
    }

    fn attempt_transaction(
        &mut self,
        ticket: Ticket,
        txid: TxId,
        deadline_ms: u64,
        loaded: &Loaded,
    ) -> Result<(), Obstacle> {
        let accepted = read(&self.disk.known(loaded), |ledger| {
            accepted(&self.federation, ledger, txid)
        })?;
        match accepted {
            Some(accepted) => self.tell_outcomes(ticket, txid, accepted),
            None => self.answer_or_wait(ticket, txid, deadline_ms),
        }
        Ok(())
    }

    fn attempt_query(
        &mut self,
        ticket: Ticket,
        module: ModuleId,
        query: &Query,
        loaded: &Loaded,
    ) -> Result<(), Obstacle> {
        let known = self.disk.known(loaded);
        let mut local = Ledger::new(&known);
        let answer = read(&known, |agreed| {
            let agreed = agreed.view(Scope::module(Space::Agreed, module));
            let local = local.view(Scope::module(Space::Local, module));
            let module = self.federation.module(module).ok()?;
            match module.query(&agreed, &local, query) {
                Some(answer) => Some(answer.map(Later::now)),
                None => module.slow_query(&agreed, query),
            }
        })?;
        local.finish()?;
        self.tell_answer(ticket, answer);
        Ok(())
    }

    fn attempt_serve(
        &mut self,
        to: PeerId,
        epoch: Epoch,
        offset: u64,
        loaded: &Loaded,
    ) -> Result<(), Obstacle> {
        let mut chunks = read(&self.disk.known(loaded), |ledger| {
            chunks(ledger, epoch, offset)
        })?;
        for chunk in &mut chunks {
            // Some may have come since.
            let vouchers = self.history.vouchers(&chunk.result);
            chunk.vouchers.extend(vouchers);
        }
        self.serving.remove(&to);
        if !chunks.is_empty() {
            self.send(to, &Talk::History(chunks));
        }
        Ok(())
    }
}

/// Reads rows without changing any.
fn read<T>(base: &dyn Base, what: impl FnOnce(&mut Ledger<'_>) -> T) -> Result<T, Obstacle> {
    let mut ledger = Ledger::new(base);
    let value = what(&mut ledger);
    ledger.finish().map(|_| value)
}

/// What the owner of an accepted transaction is told.
fn accepted(
    federation: &Federation,
    ledger: &mut Ledger<'_>,
    txid: TxId,
) -> Option<outcomes::Accepted> {
    let row = ledger
        .view(Scope::engine(Space::Agreed))
        .get(&Accepted(txid))?;
    let outcomes = (0_u16..)
        .zip(&row.transaction.outputs)
        .map(|(index, output)| {
            let module = federation.module(output.module).ok()?;
            let view = ledger.view(Scope::module(Space::Agreed, output.module));
            let out_point = guildmint_core::OutPoint { txid, index };
            module.outcome(&view, &output.bytes, out_point, None)
        })
        .map(|outcome| outcome.unwrap_or_else(|| Later::now(Json::Null)))
        .collect();
    Some(outcomes::Accepted {
        epoch: row.epoch,
        outcomes,
    })
}

/// Transactions in one answer of several epochs: they are all loaded before it is known how large they are.
const MAX_TRANSACTIONS_AT_ONCE: usize = 512;

/// A part of an epoch's history, and after the end of it as many whole ones as fit.
fn chunks(ledger: &mut Ledger<'_>, epoch: Epoch, offset: u64) -> Vec<Chunk> {
    let epochs = (0..MAX_EPOCHS_AT_ONCE).map(|further| Epoch(epoch.0.saturating_add(further)));
    // All are looked up even if one is not loaded, so that one more load suffices.
    let records = epochs.map(|epoch| {
        let local = ledger.view(Scope::engine(Space::Local));
        local.get(&History(epoch))
    });
    let records: Vec<Option<Record>> = records.collect();
    let (mut transactions, mut room, mut chunks) = (0, CHUNK_BYTES, Vec::new());
    for record in records.into_iter().map_while(|record| record) {
        let is_first = chunks.is_empty() && transactions == 0;
        transactions += record.transactions.len().max(1);
        if !is_first && transactions > MAX_TRANSACTIONS_AT_ONCE {
            break;
        }
        let offset = if is_first { offset } else { 0 };
        let Some(chunk) = chunk(ledger, record, offset) else {
            continue;
        };
        let is_whole = chunk.offset + chunk.bytes.len() as u64 == chunk.total;
        if !is_first && (!is_whole || chunk.bytes.len() > room) {
            break;
        }
        room = room.saturating_sub(chunk.bytes.len());
        chunks.push(chunk);
        if !is_whole {
            break;
        }
    }
    chunks
}

/// A part of an epoch's effective batch, put together from its record and its transactions.
fn chunk(ledger: &mut Ledger<'_>, record: Record, offset: u64) -> Option<Chunk> {
    let agreed = ledger.view(Scope::engine(Space::Agreed));
    // All are looked up even if one is not loaded, so that one more load suffices.
    let transactions: Vec<Option<Transaction>> = record
        .transactions
        .iter()
        .map(|txid| Some(agreed.get(&Accepted(*txid))?.transaction))
        .collect();
    let batch = EffectiveBatch {
        epoch: record.result.epoch,
        statements: record.statements,
        transactions: transactions.into_iter().collect::<Option<_>>()?,
    };
    let bytes = batch.encode();
    let start = usize::try_from(offset)
        .ok()
        .filter(|at| *at < bytes.len())?;
    let end = bytes.len().min(start.saturating_add(CHUNK_BYTES));
    Some(Chunk {
        result: record.result,
        signature: record.signature,
        vouchers: record.vouchers,
        total: bytes.len() as u64,
        offset,
        bytes: bytes[start..end].to_vec(),
    })
}
