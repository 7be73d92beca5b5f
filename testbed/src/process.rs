//! Supervised server processes: each in its own process group, with a log file, and never forgotten.
//!
//! A process is known by its id *and* the time it started, so that an id which the system gave to somebody else in the
//! meantime is never signalled.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{kill_process, kill_process_group, Pid, Signal};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    logs::tail,
    stop::{Stop, WaitError},
};

/// How many lines of a log an error message quotes.
const QUOTED_LINES: usize = 20;
/// How long a process may take to vanish after SIGKILL, which it cannot refuse.
const KILL_LIMIT: Duration = Duration::from_secs(30);

/// What to start and how: enough to start the same again from another terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The name that people use for it, such as `guardian-0`.
    pub name: String,
    /// The program file.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables set besides the inherited ones.
    pub env: BTreeMap<String, String>,
    /// The file that standard output and standard error are appended to.
    pub log: PathBuf,
}

/// How long a process is to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// No longer than the testbed's own process: killed by the system, where it can, when the testbed is killed.
    Tethered,
    /// Until somebody stops it.
    Detached,
}

/// One process among all that this machine runs and ran since it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process id, which the system uses again.
    pub pid: u32,
    /// When it started, in the system's ticks since boot.
    pub started_ticks: u64,
}

/// Why a process could not be started, is not ready, or does not end.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// The program could not be started.
    #[error("cannot start {name} ({}): {error}", .program.display())]
    Spawn {
        /// Its name.
        name: String,
        /// The program file.
        program: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The log file cannot be written.
    #[error("cannot write the log {}: {error}", .path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It ended before it was ready.
    #[error("{name} ended before it was ready ({status}); the end of {}:\n{tail}", .log.display())]
    Exited {
        /// Its name.
        name: String,
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// It runs, but did not get ready in time.
    #[error("{name} is not ready after {} s; the end of {}:\n{tail}", .limit.as_secs(), .log.display())]
    NotReady {
        /// Its name.
        name: String,
        /// The time it was given.
        limit: Duration,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// Somebody asked the testbed to end.
    #[error("interrupted while waiting for {0}")]
    Interrupted(String),
    /// It could not be made to end.
    #[error("process {pid} does not end: {reason}")]
    Immortal {
        /// Its process id.
        pid: u32,
        /// What was tried last.
        reason: String,
    },
}

impl Identity {
    /// The process that has this id now.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, started_ticks) = parse_stat(&stat)?;
        // A zombie has ended; only its parent has not looked yet.
        (!matches!(state, 'Z' | 'X')).then_some(Self { pid, started_ticks })
    }

    /// Whether this very process still runs.
    pub fn is_running(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Asks the process and its children to end, and kills them if they have not after `grace`. Returns whether it ran.
    pub fn terminate(&self, grace: Duration) -> Result<bool, ProcessError> {
        if !self.signal(Signal::TERM)? {
            return Ok(false);
        }
        match self.wait_gone(grace) {
            Err(WaitError::TimedOut(_)) => self.kill().map(|_| true),
            _ => Ok(true),
        }
    }

    /// Kills the process and its children at once, as a power failure would. Returns whether it ran.
    pub fn kill(&self) -> Result<bool, ProcessError> {
        if !self.signal(Signal::KILL)? {
            return Ok(false);
        }
        let immortal = |error: WaitError<_>| self.immortal(&error);
        self.wait_gone(KILL_LIMIT).map_err(immortal).map(|()| true)
    }

    /// Asks this process alone, not its group, to end and waits until it has. Returns whether it ran.
    pub fn ask(&self, limit: Duration) -> Result<bool, ProcessError> {
        let asked = self.signal_with(Signal::TERM, kill_process)?;
        let immortal = |error: WaitError<_>| self.immortal(&error);
        if asked {
            self.wait_gone(limit).map_err(immortal)?;
        }
        Ok(asked)
    }

    fn signal(&self, signal: Signal) -> Result<bool, ProcessError> {
        self.signal_with(signal, kill_process_group)
    }

    fn immortal(&self, reason: &dyn std::fmt::Display) -> ProcessError {
        ProcessError::Immortal {
            pid: self.pid,
            reason: reason.to_string(),
        }
    }

    fn signal_with(
        &self,
        signal: Signal,
        send: fn(Pid, Signal) -> rustix::io::Result<()>,
    ) -> Result<bool, ProcessError> {
        let Some(pid) = i32::try_from(self.pid)
            .ok()
            .and_then(Pid::from_raw)
            .filter(|_| self.is_running())
        else {
            return Ok(false);
        };
        match send(pid, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(self.immortal(&error)),
        }
    }

    // What must not be left behind is waited for even when the testbed was asked to end: hence a flag that nobody sets.
    fn wait_gone(&self, limit: Duration) -> Result<(), WaitError<std::convert::Infallible>> {
        Stop::default().wait(limit, || Ok((!self.is_running()).then_some(())))
    }
}

/// State and start time from a line of `/proc/<pid>/stat`, whose second field may itself hold spaces and brackets.
fn parse_stat(line: &str) -> Option<(char, u64)> {
    let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// A process that this one started. It is killed when this value is dropped, unless it was [released](Self::release).
#[derive(Debug)]
pub struct Running {
    name: String,
    log: PathBuf,
    child: Child,
    identity: Identity,
    released: bool,
}

impl Spec {
    /// Starts the process.
    pub fn start(&self, lifetime: Lifetime) -> Result<Running, ProcessError> {
        let log_error = |error| ProcessError::Log {
            path: self.log.clone(),
            error,
        };
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(log_error)?;
        let also = log.try_clone().map_err(log_error)?;
        let mut command = self.command(lifetime);
        command
            .args(&self.args)
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also)
            .process_group(0);
        let spawn_error = |error| ProcessError::Spawn {
            name: self.name.clone(),
            program: self.program.clone(),
            error,
        };
        let child = command.spawn().map_err(spawn_error)?;
        let pid = child.id();
        // A process that has ended already is noticed by `wait_ready`.
        let identity = Identity::of(pid).unwrap_or(Identity {
            pid,
            started_ticks: 0,
        });
        Ok(Running {
            name: self.name.clone(),
            log: self.log.clone(),
            child,
            identity,
            released: false,
        })
    }

    /// Safe Rust cannot ask the system to kill a child with its parent; util-linux's `setpriv` can, and then becomes it.
    fn command(&self, lifetime: Lifetime) -> Command {
        let setpriv = Path::new("/usr/bin/setpriv");
        if lifetime == Lifetime::Detached || !setpriv.exists() || !self.program.exists() {
            return Command::new(&self.program);
        }
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "KILL"]).arg(&self.program);
        command
    }
}

impl Running {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which process it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until `ready` says so; notices at once if the process ends instead.
    pub fn wait_ready(
        &mut self,
        stop: &Stop,
        limit: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), ProcessError> {
        let waited = stop.wait(limit, || match self.ended() {
            Some(status) => Err(status),
            None => Ok(ready().then_some(())),
        });
        let (name, log) = (self.name.clone(), self.log.clone());
        let tail = || tail(&self.log, QUOTED_LINES);
        waited.map_err(|error| match error {
            WaitError::Failed(status) => ProcessError::Exited {
                name,
                status: status.to_string(),
                tail: tail(),
                log,
            },
            WaitError::TimedOut(limit) => ProcessError::NotReady {
                name,
                limit,
                tail: tail(),
                log,
            },
            WaitError::Interrupted => ProcessError::Interrupted(name),
        })
    }

    /// Asks it to end, kills it if it has not after `grace`.
    pub fn stop(&mut self, grace: Duration) -> Result<(), ProcessError> {
        let ended = self.identity.terminate(grace);
        self.ended();
        ended.map(|_| ())
    }

    /// Kills it at once, as a power failure would.
    pub fn kill(&mut self) -> Result<(), ProcessError> {
        let ended = self.identity.kill();
        self.ended();
        ended.map(|_| ())
    }

    /// Lets it outlive this value, though not, if it was started tethered, this process.
    pub fn release(mut self) {
        self.released = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.released {
            // There is nobody left to tell of a failure.
            let _ = self.kill();
        }
    }
}

#[cfg(test)]
mod tests;
