//! Who looks at all guardians all the time: equal results of equal epochs, and never a step back.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicBool, Ordering},
        Mutex, PoisonError,
    },
    time::Duration,
};

use anyhow::{ensure, Context, Result};
use guildmint_testbed::{federation::Guardian, stop::Stop};
use serde_json::Value;

use super::wait;

/// As long as it takes.
const ALWAYS: Duration = Duration::MAX;

pub struct Watch {
    pub guardians: Vec<Guardian>,
    over: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// What guardians signed, by epoch.
    results: BTreeMap<u64, Value>,
    /// The last epoch that each has committed.
    committed: BTreeMap<usize, u64>,
    looks: u64,
}

impl Watch {
    pub fn new(guardians: Vec<Guardian>) -> Self {
        Self {
            guardians,
            over: AtomicBool::new(false),
            seen: Mutex::default(),
        }
    }

    pub fn figures(&self) -> Vec<(&'static str, String)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let epochs = seen.committed.values().max().map_or(0, |last| last + 1);
        vec![
            ("epochs", epochs.to_string()),
            ("looks at a guardian", seen.looks.to_string()),
            (
                "different certificates seen",
                seen.results.len().to_string(),
            ),
        ]
    }

    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// Looks until the end.
    pub fn run(&self) -> Result<()> {
        wait(&Stop::default(), ALWAYS, || {
            for index in 0..self.guardians.len() {
                self.look(index)?;
            }
            Ok(self.over.load(Ordering::SeqCst).then_some(()))
        })
    }

    /// Looks at one guardian, which may be down.
    pub fn look(&self, index: usize) -> Result<()> {
        let guardian = &self.guardians[index];
        let (Ok(status), Ok(audit)) = (guardian.get("/v1/status"), guardian.get("/v1/audit"))
        else {
            return Ok(());
        };
        let name = &guardian.spec.name;
        ensure!(
            status["halted"].is_null(),
            "{name} has stopped for good: {status}"
        );
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.looks += 1;
        if let Some(committed) = status["committed"].as_u64() {
            let before = seen.committed.entry(index).or_insert(committed);
            ensure!(
                *before <= committed,
                "{name} has forgotten: {before}, then {committed}"
            );
            *before = committed;
        }
        let figure = |field| super::books::figure(&audit, field);
        ensure!(
            figure("assets_msat")? >= figure("liabilities_msat")?,
            "{name} owes more than it has: {audit}"
        );
        let certificate = &audit["certificate"];
        if let Some(epoch) = certificate["result"]["epoch"].as_u64() {
            let signatures = certificate["signatures"]
                .as_object()
                .map_or(0, |it| it.len());
            let threshold = self.guardians.len() - (self.guardians.len() - 1) / 3;
            ensure!(
                signatures >= threshold,
                "{name}: {signatures} signatures: {audit}"
            );
            let result = &certificate["result"];
            let before = seen.results.entry(epoch).or_insert_with(|| result.clone());
            ensure!(
                before == result,
                "two results of epoch {epoch}: {before}, {result}"
            );
        }
        Ok(())
    }

    /// Faults that guardians have counted of each other since they were started last.
    pub fn faults(&self) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        for guardian in &self.guardians {
            let metrics = guardian.metrics().context("metrics")?;
            let lines = metrics
                .lines()
                .filter(|line| line.starts_with("guildmint_faults_total") && !line.ends_with(" 0"));
            faults.extend(lines.map(|line| format!("{}: {line}", guardian.spec.name)));
        }
        Ok(faults)
    }
}
