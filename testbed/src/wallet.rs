//! Users of a test federation: the command-line wallet as a process per command.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use thiserror::Error;

use crate::{
    command::{capture, CommandError},
    stop::Stop,
};

/// How long a command may take, waiting for the federation included.
const LIMIT: Duration = Duration::from_secs(120);

/// One user's wallet.
#[derive(Clone, Debug)]
pub struct Wallet {
    name: String,
    program: PathBuf,
    data_dir: PathBuf,
    stop: Stop,
}

/// Why a wallet did not do as asked.
#[derive(Debug, Error)]
pub enum WalletError {
    /// Its folder could not be made.
    #[error("{}: {error}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The program does not run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// It refuses.
    #[error("{name}: `guildmint {command}` failed ({status}): {answer}")]
    Refused {
        /// Whose wallet.
        name: String,
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        answer: String,
    },
    /// Its answer lacks something.
    #[error("{name}: the answer to `guildmint {command}` has no {field}: {answer}")]
    Malformed {
        /// Whose wallet.
        name: String,
        /// The command.
        command: String,
        /// What is lacking.
        field: String,
        /// The answer.
        answer: String,
    },
}

/// The JSON document that a command printed.
#[derive(Clone, Debug)]
pub struct Answer {
    name: String,
    command: String,
    document: Value,
}

impl Wallet {
    /// A new user's wallet, which has joined nothing yet.
    pub fn new(
        program: &Path,
        folder: &Path,
        name: &str,
        stop: &Stop,
    ) -> Result<Self, WalletError> {
        let data_dir = folder.join(name);
        fs::create_dir_all(&data_dir).map_err(|error| WalletError::Folder {
            path: data_dir.clone(),
            error,
        })?;
        Ok(Self {
            name: name.into(),
            program: program.into(),
            data_dir,
            stop: stop.clone(),
        })
    }

    /// Where it is kept.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// One command, not yet run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args(arguments);
        command
    }

    /// Runs one command.
    pub fn run(&self, arguments: &[&str]) -> Result<Answer, WalletError> {
        let said = capture(&mut self.command(arguments), LIMIT, &self.stop)?;
        let (name, command) = (self.name.clone(), arguments.join(" "));
        if !said.status.success() {
            let answer = format!("{}{}", said.stderr, said.stdout);
            return Err(WalletError::Refused {
                name,
                command,
                status: said.status.to_string(),
                answer,
            });
        }
        match serde_json::from_str(&said.stdout) {
            Ok(document) => Ok(Answer {
                name,
                command,
                document,
            }),
            Err(error) => Err(WalletError::Malformed {
                name,
                command,
                field: format!("JSON ({error})"),
                answer: said.stdout,
            }),
        }
    }

    /// What its notes are worth, in millisatoshi.
    pub fn balance_msat(&self) -> Result<u64, WalletError> {
        self.run(&["balance"])?.number("balance_msat")
    }
}

impl Answer {
    /// All of it.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// A member that is text.
    pub fn text(&self, field: &str) -> Result<String, WalletError> {
        self.document[field]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| self.lacks(field))
    }

    /// A member that is a whole number, or one written as text because it may be large.
    pub fn number(&self, field: &str) -> Result<u64, WalletError> {
        let value = &self.document[field];
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        number.ok_or_else(|| self.lacks(field))
    }

    fn lacks(&self, field: &str) -> WalletError {
        WalletError::Malformed {
            name: self.name.clone(),
            command: self.command.clone(),
            field: field.into(),
            answer: self.document.to_string(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn wallet(folder: &Path, script: &str) -> Wallet {
        use std::os::unix::fs::PermissionsExt;
        let program = folder.join("guildmint");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Wallet::new(&program, folder, "alice", &Stop::default()).unwrap()
    }

    #[test]
    fn answers_are_read_and_gaps_named() {
        let folder = tempfile::tempdir().unwrap();
        let alice = wallet(
            folder.path(),
            r#"echo '{"balance_msat": "7000", "dir": "'$2'", "asked": "'$3'"}'"#,
        );
        assert_eq!(alice.balance_msat().unwrap(), 7000);
        let answer = alice.run(&["info"]).unwrap();
        assert_eq!(answer.text("asked").unwrap(), "info");
        assert!(answer.text("dir").unwrap().ends_with("/alice"));
        let error = answer.number("fee_msat").unwrap_err().to_string();
        assert!(
            error.contains("alice") && error.contains("fee_msat") && error.contains("info"),
            "{error}"
        );
    }

    #[test]
    fn a_refusal_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let alice = wallet(folder.path(), r#"echo '{"error": "too poor"}'; exit 7"#);
        let error = alice.run(&["send", "1sat"]).unwrap_err().to_string();
        assert!(
            error.contains("send 1sat") && error.contains("too poor") && error.contains('7'),
            "{error}"
        );
    }
}
