//! Who kills: one guardian, several, all, the database server, or gateways, at moments that chance chooses, also while they start.

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
/// The same where users pay over Lightning, which takes longer.
const LIGHTNING_PAUSE_MS: u64 = 6_000;
/// How long what was killed stays away at most, in milliseconds.
const OUTAGE_MS: u64 = 2_000;
/// How often all must be back before the next kill, in percent; otherwise some are killed while they start.
const PATIENT: u64 = 60;
/// How often gateways are killed and not guardians, in percent.
const GATEWAYS: u64 = 60;

pub struct Killer<'a> {
    directory: &'a Path,
    dice: Dice,
    stop: &'a Stop,
    guardians: u64,
    servers: u64,
    gateways: u64,
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
            gateways: 0,
            blackouts: 0,
            back: Duration::ZERO,
        }
    }

    pub fn figures(&self) -> Vec<(&'static str, String)> {
        vec![
            ("guardians killed", self.guardians.to_string()),
            ("of these, all at once", self.blackouts.to_string()),
            ("database servers killed", self.servers.to_string()),
            ("gateways killed", self.gateways.to_string()),
            (
                "longest until all were back",
                format!("{:.1} s", self.back.as_secs_f64()),
            ),
        ]
    }

    /// Kills until enough are killed, and waits until all are back.
    pub fn run(&mut self, kills: u64) -> Result<()> {
        while self.killed() < kills {
            let state = State::load(self.directory)?;
            let most_ms = match state.gateways.is_empty() {
                true => PAUSE_MS,
                false => LIGHTNING_PAUSE_MS,
            };
            let pause_ms = self.dice.below(most_ms);
            self.pause(pause_ms)?;
            let state = State::load(self.directory)?;
            if state.postgres.is_some() && self.dice.percent(15) {
                self.kill_server(&state)?;
            } else if !state.gateways.is_empty() && self.dice.percent(GATEWAYS) {
                self.kill_gateways(&state, kills)?;
            } else {
                self.kill_guardians(&state, kills)?;
            }
            if self.dice.percent(PATIENT) {
                self.wait_ready()?;
            }
        }
        self.wait_ready()
    }

    fn killed(&self) -> u64 {
        self.guardians + self.servers + self.gateways
    }

    /// One, or all at once.
    fn kill_gateways(&mut self, state: &State, kills: u64) -> Result<()> {
        let gateways = state.gateways.iter();
        let mut names: Vec<String> = gateways.map(|it| it.spec.name.clone()).collect();
        let all = self.dice.percent(25) && kills - self.killed() >= names.len() as u64;
        if !all {
            let chosen = self.dice.below(names.len() as u64) as usize;
            names = vec![names.swap_remove(chosen)];
        }
        self.gateways += names.len() as u64;
        self.kill_at_once(&names)
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
        let left = usize::try_from(kills - self.killed()).unwrap_or(usize::MAX);
        while names.len() > many.min(left) {
            let out = self.dice.below(names.len() as u64) as usize;
            names.swap_remove(out);
        }
        self.blackouts += u64::from(names.len() == state.guardians.len());
        self.guardians += names.len() as u64;
        self.kill_at_once(&names)
    }

    /// All of them at the same instant; then they come back one after the other.
    fn kill_at_once(&mut self, names: &[String]) -> Result<()> {
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
        for name in names {
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
        let mut specs = state.specs();
        let spec = specs.find(|spec| spec.name == name).context("a server")?;
        let child = spec.start(Lifetime::Detached)?;
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
            let guardians = state.guardians.iter().map(|it| &it.spec);
            let all = guardians.chain(state.gateways.iter().map(|it| &it.spec));
            let late = all.clone().find(|spec| !state.is_ready(&spec.name));
            last = late.map(|spec| spec.name.clone()).unwrap_or_default();
            // One that has ended by itself will never be ready.
            let dead = all.clone().find(|spec| state.running(&spec.name).is_none());
            match dead {
                Some(dead) => Err(anyhow!("{} has ended by itself", dead.name)),
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
