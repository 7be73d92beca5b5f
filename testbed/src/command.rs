//! Commands that run to their end: builds, tests, package managers.

use std::{
    fs::File,
    io::{self, Read, Seek},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{kill_process_group, Pid, Signal};
use thiserror::Error;

use crate::{
    logs::tail,
    progress::Progress,
    stop::{Stop, WaitError},
};

/// How many lines of a failed command's log an error message quotes.
const QUOTED_LINES: usize = 25;
/// How long an interrupted command may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// Why a command did not succeed.
#[derive(Debug, Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("cannot run {program}: {error}")]
    Spawn {
        /// The program.
        program: String,
        /// What the system said.
        error: io::Error,
    },
    /// Its log file cannot be written.
    #[error("cannot write the log {}: {error}", .path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It failed, with its output in a log.
    #[error("{title} failed ({status}); the end of {}:\n{tail}", .log.display())]
    Logged {
        /// What was being done.
        title: String,
        /// How it ended.
        status: String,
        /// The log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// It failed, with its output on the screen.
    #[error("`{command}` failed ({status})")]
    Failed {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: String,
    },
    /// It did not end in time.
    #[error("{program} did not end within {} s", .limit.as_secs())]
    TimedOut {
        /// The program.
        program: String,
        /// The time it was given.
        limit: Duration,
    },
    /// Somebody asked the testbed to end.
    #[error("interrupted")]
    Interrupted,
}

/// Work that says nothing itself: its output goes to a log, its progress to the screen.
#[derive(Debug)]
pub struct Quiet<'a> {
    /// What is being done, as people read it.
    pub title: &'a str,
    /// How long it usually takes.
    pub usual: Option<Duration>,
    /// The log file, begun anew.
    pub log: &'a Path,
    /// How far the work is, from a line of its output.
    pub percent: fn(&str) -> Option<u8>,
}

impl Quiet<'_> {
    /// Runs commands one after the other until one fails.
    pub fn run(&self, commands: Vec<Command>, stop: &Stop) -> Result<(), CommandError> {
        let log_error = |error| CommandError::Log {
            path: self.log.into(),
            error,
        };
        let log = File::create(self.log).map_err(log_error)?;
        let mut progress = Progress::begin(self.title, self.usual);
        for mut command in commands {
            let (out, err) = (
                log.try_clone().map_err(log_error)?,
                log.try_clone().map_err(log_error)?,
            );
            command.stdout(out).stderr(err);
            let done = run_group(&mut command, Duration::MAX, stop, || {
                progress.tick(self.how_far())
            });
            let failure = match done {
                Ok(status) if status.success() => continue,
                Ok(status) => CommandError::Logged {
                    title: self.title.into(),
                    status: status.to_string(),
                    log: self.log.into(),
                    tail: tail(self.log, QUOTED_LINES),
                },
                Err(error) => error,
            };
            progress.end("failed");
            return Err(failure);
        }
        progress.end("done");
        Ok(())
    }

    fn how_far(&self) -> Option<u8> {
        tail(self.log, 5).lines().rev().find_map(self.percent)
    }
}

/// Runs a command whose output people want to see.
pub fn run_shown(command: &mut Command, stop: &Stop) -> Result<(), CommandError> {
    let status = run_group(command, Duration::MAX, stop, || ())?;
    match status.success() {
        true => Ok(()),
        false => Err(CommandError::Failed {
            command: describe(command),
            status: status.to_string(),
        }),
    }
}

/// What a command said before it ended.
#[derive(Debug)]
pub struct Captured {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a command to its end and keeps what it says.
pub fn capture(
    command: &mut Command,
    limit: Duration,
    stop: &Stop,
) -> Result<Captured, CommandError> {
    let spawn_error = |error| CommandError::Spawn {
        program: describe(command),
        error,
    };
    // Files, not pipes: a pipe that nobody empties in time would block the command.
    let (mut out, mut err) = (
        tempfile::tempfile().map_err(spawn_error)?,
        tempfile::tempfile().map_err(spawn_error)?,
    );
    let (out_end, err_end) = (
        out.try_clone().map_err(spawn_error)?,
        err.try_clone().map_err(spawn_error)?,
    );
    let status = run_group(command.stdout(out_end).stderr(err_end), limit, stop, || ())?;
    let read = |file: &mut File| -> io::Result<String> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let spawn_error = |error| CommandError::Spawn {
        program: describe(command),
        error,
    };
    let (stdout, stderr) = (
        read(&mut out).map_err(spawn_error)?,
        read(&mut err).map_err(spawn_error)?,
    );
    Ok(Captured {
        status,
        stdout,
        stderr,
    })
}

/// The program and its arguments as one line.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a command in a process group of its own, so that nothing of it is left when the testbed is asked to end.
fn run_group(
    command: &mut Command,
    limit: Duration,
    stop: &Stop,
    mut tick: impl FnMut(),
) -> Result<ExitStatus, CommandError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdin(Stdio::null()).process_group(0).spawn();
    let mut group = Group(spawned.map_err(|error| CommandError::Spawn {
        program: program.clone(),
        error,
    })?);
    let waited = stop.wait(limit, || {
        tick();
        group.0.try_wait()
    });
    waited.map_err(|error| match error {
        WaitError::Failed(error) => CommandError::Spawn { program, error },
        WaitError::TimedOut(limit) => CommandError::TimedOut { program, limit },
        WaitError::Interrupted => CommandError::Interrupted,
    })
}

/// A child that leads its own process group, which ends with this value.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let ended = |child: &mut Child| child.try_wait().ok().flatten();
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        // Until its end has been asked for, a child keeps its process id, so the group cannot be somebody else's.
        let (None, Some(group)) = (ended(&mut self.0), group) else {
            return;
        };
        let _ = kill_process_group(group, Signal::TERM);
        let gone = Stop::default().wait(GRACE, || Ok::<_, ()>(ended(&mut self.0)));
        if gone.is_err() {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    fn quiet(log: &Path) -> Quiet<'_> {
        Quiet {
            title: "building x",
            usual: None,
            log,
            percent: |_| None,
        }
    }

    #[test]
    fn a_failing_build_names_its_log_and_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x.log");
        let commands = vec![
            shell("echo first"),
            shell("echo no such header; exit 2"),
            shell("echo never"),
        ];
        let error = quiet(&log)
            .run(commands, &Stop::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("building x")
                && error.contains("no such header")
                && error.contains("x.log"),
            "{error}"
        );
        assert!(
            error.contains("first") && !error.contains("never"),
            "{error}"
        );
        quiet(&log)
            .run(vec![shell("true")], &Stop::default())
            .unwrap();
    }

    #[test]
    fn an_interrupted_command_ends() {
        let folder = tempfile::tempdir().unwrap();
        let stop = Stop::default();
        stop.request();
        let error = quiet(&folder.path().join("log"))
            .run(vec![shell("exec sleep 600")], &stop)
            .unwrap_err();
        assert!(matches!(error, CommandError::Interrupted));
    }

    #[test]
    fn captured_output_may_be_long() {
        let script =
            "i=0; while [ $i -lt 9000 ]; do echo 0123456789; i=$((i+1)); done; echo no >&2; exit 3";
        let captured = capture(
            &mut shell(script),
            Duration::from_secs(60),
            &Stop::default(),
        )
        .unwrap();
        assert_eq!(
            (captured.stdout.len(), captured.stderr.as_str()),
            (99_000, "no\n")
        );
        assert_eq!(captured.status.code(), Some(3));
        let late = capture(
            &mut shell("exec sleep 600"),
            Duration::ZERO,
            &Stop::default(),
        );
        assert!(matches!(late, Err(CommandError::TimedOut { .. })));
    }

    #[test]
    fn a_shown_command_that_fails_is_quoted() {
        let error = run_shown(&mut shell("exit 7"), &Stop::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/bin/sh -c exit 7") && error.contains('7'),
            "{error}"
        );
    }
}
