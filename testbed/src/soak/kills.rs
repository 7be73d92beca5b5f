//! Who kills: one guardian, several, all, or the database server, at moments that chance chooses, also while they start.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, Context, Result};
use guildmint_testbed::{
    control::{control, Order},
    process::Lifetime,
    state::State,
    stop::Stop,
};
use rustix::process::{waitpid, Pid, WaitOptions};

use super::{wait, Dice, LIMIT};

/// Between one kill and the next, in milliseconds.
const PAUSE_MS: u64 = 1_500;
/// How long what was killed stays away at most, in milliseconds.
const OUTAGE_MS: u64 = 2_000;
/// How often all must be back before the next kill, in percent; otherwise some are killed while they start.
const PATIENT: u64 = 60;

pub struct Killer<'a> {
    directory: &'a Path,
    dice: Dice,
    stop: &'a Stop,
    guardians: u64,
    servers: u64,
    blackouts: u64,
    back: Duration,
}

impl<'a> Killer<'a> {
    pub fn new(directory: &'a Path, dice: Dice, stop: &'a Stop) -> Self {
        Self {
            directory,
            dice,
            stop,
            guardians: 0,
            servers: 0,
            blackouts: 0,
            back: Duration::ZERO,
        }
    }

    pub fn figures(&self) -> Vec<(&'static str, String)> {
        vec![
            ("guardians killed", self.guardians.to_string()),
            ("of these, all at once", self.blackouts.to_string()),
            ("database servers killed", self.servers.to_string()),
            (
                "longest until all were back",
                format!("{:.1} s", self.back.as_secs_f64()),
            ),
        ]
    }

    /// Kills until enough are killed, and waits until all are back.
    pub fn run(&mut self, kills: u64) -> Result<()> {
        while self.guardians + self.servers < kills {
            let pause_ms = self.dice.below(PAUSE_MS);
            self.pause(pause_ms)?;
            let state = State::load(self.directory)?;
            if state.postgres.is_some() && self.dice.percent(15) {
                self.kill_server(&state)?;
            } else {
                self.kill_guardians(&state, kills)?;
            }
            if self.dice.percent(PATIENT) {
                self.wait_ready()?;
            }
        }
        self.wait_ready()
    }

    fn kill_guardians(&mut self, state: &State, kills: u64) -> Result<()> {
        let mut names: Vec<String> = state
            .guardians
            .iter()
            .map(|guardian| guardian.spec.name.clone())
            .collect();
        let many = match self.dice.below(100) {
            0..=49 => 1,
            50..=74 => 2,
            _ => names.len(),
        };
        let left = usize::try_from(kills - self.guardians - self.servers).unwrap_or(usize::MAX);
        while names.len() > many.min(left) {
            let out = self.dice.below(names.len() as u64) as usize;
            names.swap_remove(out);
        }
        self.blackouts += u64::from(names.len() == state.guardians.len());
        self.guardians += names.len() as u64;
        // All of them at the same instant.
        let killed = thread::scope(|scope| {
            let kill = |name: &String| control(self.directory, name, Order::Kill, self.stop);
            let killing: Vec<_> = names
                .iter()
                .map(|name| scope.spawn(move || kill(name)))
                .collect();
            killing.into_iter().map(|it| it.join()).collect::<Vec<_>>()
        });
        for one in killed {
            one.map_err(|_| anyhow!("a kill failed"))??;
        }
        for name in &names {
            let outage_ms = self.dice.below(OUTAGE_MS) / names.len() as u64;
            self.pause(outage_ms)?;
            self.start(name)?;
        }
        Ok(())
    }

    /// Guardians wait for their database as long as it takes; only those that start need it at once.
    fn kill_server(&mut self, state: &State) -> Result<()> {
        let spec = &state.postgres.as_ref().context("no server")?.spec;
        self.wait_ready()?;
        self.servers += 1;
        let process = State::load(self.directory)?.running(&spec.name);
        control(self.directory, &spec.name, Order::Kill, self.stop)?;
        if let Some(process) = process {
            bury(process.pid);
        }
        let outage_ms = self.dice.below(OUTAGE_MS);
        self.pause(outage_ms)?;
        // Its workers notice a moment later that it is gone; until then it does not start again.
        let begun = Instant::now();
        loop {
            match control(self.directory, &spec.name, Order::Start, self.stop) {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > LIMIT => return Err(error.into()),
                Err(_) => self.pause(200)?,
            }
        }
    }

    /// Starts one without waiting for it.
    fn start(&self, name: &str) -> Result<()> {
        let state = State::load(self.directory)?;
        let guardian = state.guardian(name).context("a guardian")?;
        let child = guardian.spec.start(Lifetime::Detached)?;
        let identity = child.identity();
        child.release();
        State::update(self.directory, |state| {
            state.processes.insert(name.into(), identity);
        })?;
        Ok(())
    }

    fn wait_ready(&mut self) -> Result<()> {
        let state = State::load(self.directory)?;
        let begun = Instant::now();
        let mut last = String::new();
        let ready = wait(self.stop, LIMIT, || {
            let all = state.guardians.iter();
            let late = all.clone().find(|guardian| !guardian.is_ready());
            last = late.map(|it| it.spec.name.clone()).unwrap_or_default();
            // One that has ended by itself will never be ready.
            let dead = all
                .clone()
                .find(|guardian| state.running(&guardian.spec.name).is_none());
            match dead {
                Some(dead) => Err(anyhow!("{} has ended by itself", dead.spec.name)),
                None => Ok(late.is_none().then_some(())),
            }
        });
        self.back = self.back.max(begun.elapsed());
        ready.with_context(|| format!("{last} does not come back"))
    }

    fn pause(&self, ms: u64) -> Result<()> {
        let begun = Instant::now();
        let over = || Ok((begun.elapsed() >= Duration::from_millis(ms)).then_some(()));
        wait(self.stop, LIMIT, over)
    }
}

/// Looks at the end of a child of this process. Otherwise its number stays in use, and a server that starts again believes that the
/// one before still runs.
fn bury(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // One that is no child of ours somebody else has buried.
    let _ = pid.map(|pid| waitpid(Some(pid), WaitOptions::empty()));
}
