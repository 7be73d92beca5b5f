//! Processor time, as Linux counts it.

use std::{fs, ops::Sub};

use anyhow::{Context, Result};
use guildmint_testbed::state::State;

/// What a tick of `/proc` is, in milliseconds.
const TICK_MS: u64 = 10;
/// Where in `stat`, behind the program's name, is what a process has spent, and what its children have that have ended.
const OWN: usize = 11;
const CHILDREN: usize = 13;

/// Processor time since some moment, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub gateways_ms: u64,
    pub guardians_ms: u64,
    /// All commands that have ended: the users' wallets.
    pub wallets_ms: u64,
    /// The whole machine, all processors together.
    busy_ms: u64,
    /// And what it had to spend.
    total_ms: u64,
}

impl Spent {
    /// Since everything started.
    pub fn so_far(state: &State) -> Result<Self> {
        let all = |names: &mut dyn Iterator<Item = &String>| -> Result<u64> {
            let mut sum_ms = 0;
            for name in names {
                let process = state.running(name);
                let pid = process.with_context(|| format!("{name} does not run"))?.pid;
                sum_ms += of_process(&pid.to_string(), OWN)?;
            }
            Ok(sum_ms)
        };
        let (busy_ms, total_ms) = machine()?;
        Ok(Self {
            gateways_ms: all(&mut state.gateways.iter().map(|it| &it.spec.name))?,
            guardians_ms: all(&mut state.all_guardians().map(|it| &it.spec.name))?,
            wallets_ms: of_process("self", CHILDREN)?,
            busy_ms,
            total_ms,
        })
    }

    /// How much of the machine was in use, in percent.
    pub fn busy_percent(&self) -> u64 {
        self.busy_ms * 100 / self.total_ms.max(1)
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            gateways_ms: self.gateways_ms.saturating_sub(before.gateways_ms),
            guardians_ms: self.guardians_ms.saturating_sub(before.guardians_ms),
            wallets_ms: self.wallets_ms.saturating_sub(before.wallets_ms),
            busy_ms: self.busy_ms.saturating_sub(before.busy_ms),
            total_ms: self.total_ms.saturating_sub(before.total_ms),
        }
    }
}

/// Two fields in a row: in the process itself, and in the system for it.
fn of_process(pid: &str, first: usize) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').context("a process")?.1;
    Ok(ticks(fields).skip(first).take(2).sum::<u64>() * TICK_MS)
}

/// Busy, and in all.
fn machine() -> Result<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("the machine")?;
    // User, nice, system, idle, waiting for disks, two kinds of interrupts, stolen.
    let spent: Vec<u64> = ticks(line).skip(1).take(8).collect();
    let idle: u64 = spent.iter().skip(3).take(2).sum();
    let total: u64 = spent.iter().sum();
    Ok(((total - idle) * TICK_MS, total * TICK_MS))
}

/// What is no number counts as none.
fn ticks(line: &str) -> impl Iterator<Item = u64> + '_ {
    line.split_ascii_whitespace()
        .map(|field| field.parse().unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_and_the_machine_spend_grows() {
        let (own, machine_before) = (of_process("self", OWN).unwrap(), machine().unwrap());
        let mut sum = 0_u64;
        while of_process("self", OWN).unwrap() < own + 2 * TICK_MS {
            sum = (0..10_000).fold(sum, |sum, it| sum.wrapping_mul(31) + it);
        }
        let machine = machine().unwrap();
        assert!(machine.0 > machine_before.0, "{sum}");
        assert!(machine.1 - machine_before.1 >= machine.0 - machine_before.0);
    }
}
