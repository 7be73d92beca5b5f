//! Founds a test federation as its operators would: with no dealer, by `guildmintd setup`.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::{json, Value};

use crate::{
    command::capture,
    electrs::Electrs,
    federation::{Federation, FederationError, Guardian, FINALITY_BLOCKS},
    programs::Programs,
    stop::Stop,
};

const STEP_LIMIT: Duration = Duration::from_secs(120);
/// How long guardians may take to make keys on a busy machine.
const KEYS_LIMIT: Duration = Duration::from_secs(900);
const PAUSE: Duration = Duration::from_millis(100);

/// Writes what guardians need before they are started for the first time: a passphrase, and where they listen.
pub fn prepare(folder: &Path, guardians: &[Guardian], electrs: &Electrs) -> std::io::Result<()> {
    fs::write(folder.join("password"), "the passphrase of a test\n")?;
    for guardian in guardians {
        fs::create_dir_all(&guardian.data_dir)?;
        let listen = |url: &str| url.trim_start_matches("http://").to_owned();
        let local = format!(
            "api_listen = {:?}\nadmin_listen = {:?}\np2p_listen = {:?}\nelectrum = [{:?}]\n",
            listen(&guardian.api_url),
            listen(&guardian.admin_url),
            guardian.p2p_address,
            electrs.url(),
        );
        fs::write(guardian.data_dir.join("local.toml"), local)?;
    }
    Ok(())
}

/// What operators of guardians that have just been started do until they have a federation.
pub fn found(
    folder: &Path,
    programs: &Programs,
    guardians: &[Guardian],
    electrs: &Electrs,
    stop: &Stop,
) -> Result<Federation, FederationError> {
    let operators: Vec<_> = guardians
        .iter()
        .map(|guardian| Operator {
            programs,
            guardian,
            stop,
        })
        .collect();
    let [first, ..] = &operators[..] else {
        return Err(FederationError::Refused("there are no guardians".into()));
    };
    let mut codes = Vec::new();
    for operator in &operators {
        codes.push(operator.code()?);
    }
    for operator in &operators {
        let codes: Vec<_> = codes.iter().map(String::as_str).collect();
        operator.setup("join", &codes)?;
    }
    let preview = ["--preview", "--name", "Testbed", "--network", "regtest"];
    let mut proposal = first.setup("propose", &preview)?;
    for module in proposal["modules"].as_array_mut().into_iter().flatten() {
        if module["kind"] == "wallet" {
            module["terms"]["finality_blocks"] = json!(FINALITY_BLOCKS);
            module["terms"]["electrum"] = json!([electrs.url()]);
        }
    }
    let file = folder.join("proposal.json");
    fs::write(&file, proposal.to_string())
        .map_err(|error| FederationError::Refused(format!("{}: {error}", file.display())))?;
    let path = file.display().to_string();
    let proposed = first.setup("propose", &["--file", &path])?;
    let phrase = proposed["check_phrase"].as_str().unwrap_or_default();
    let words: Vec<_> = phrase.split_whitespace().collect();
    for operator in &operators {
        operator.wait(|status| status["proposals"].get(0).is_some())?;
        operator.setup("confirm", &words)?;
    }
    first.federation()
}

struct Operator<'a> {
    programs: &'a Programs,
    guardian: &'a Guardian,
    stop: &'a Stop,
}

impl Operator<'_> {
    fn run(&self, words: &[&str]) -> Result<Value, FederationError> {
        let mut command = Command::new(&self.programs.guardian);
        command.args(words);
        command.arg("--data-dir").arg(&self.guardian.data_dir);
        let answer = capture(&mut command, STEP_LIMIT, self.stop)?;
        match answer.status.code() {
            // A guardian that is not ready says how it is all the same.
            Some(0 | 1) if answer.stdout.starts_with('{') || answer.stdout.starts_with('[') => {
                serde_json::from_str(&answer.stdout).map_err(|error| FederationError::Malformed {
                    error: error.to_string(),
                    answer: answer.stdout,
                })
            }
            _ => Err(FederationError::Refused(answer.stderr + &answer.stdout)),
        }
    }

    fn setup(&self, step: &str, words: &[&str]) -> Result<Value, FederationError> {
        let answer = self.run(&[&["setup", step], words].concat())?;
        match answer.get("error") {
            Some(error) => Err(FederationError::Refused(error.to_string())),
            None => Ok(answer),
        }
    }

    fn code(&self) -> Result<String, FederationError> {
        let began = Instant::now();
        let guardian = self.guardian;
        let words = [
            "--name",
            &guardian.spec.name,
            "--p2p-address",
            &guardian.p2p_address,
            "--api-url",
            &guardian.api_url,
        ];
        loop {
            match self.setup("code", &words) {
                Ok(answer) => return Ok(answer["code"].as_str().unwrap_or_default().to_owned()),
                // It may only just have been started.
                Err(error) if began.elapsed() > STEP_LIMIT || self.stop.requested() => {
                    return Err(error);
                }
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    fn wait(&self, holds: impl Fn(&Value) -> bool) -> Result<(), FederationError> {
        let began = Instant::now();
        loop {
            let status = self.setup("status", &[])?;
            if holds(&status) {
                return Ok(());
            }
            if began.elapsed() > STEP_LIMIT || self.stop.requested() {
                return Err(FederationError::Refused(status.to_string()));
            }
            thread::sleep(PAUSE);
        }
    }

    /// The federation, once this guardian runs in it.
    fn federation(&self) -> Result<Federation, FederationError> {
        let began = Instant::now();
        loop {
            let status = self.run(&["status"]).unwrap_or_default();
            let text = |name: &str| status["federation"][name].as_str().map(str::to_owned);
            if let (Some(invite), Some(federation_id)) = (text("invite"), text("id")) {
                return Ok(Federation {
                    invite,
                    federation_id,
                });
            }
            let founding = self.setup("status", &[]).unwrap_or_default();
            let has_failed = founding["failure"].is_string();
            if has_failed || began.elapsed() > KEYS_LIMIT || self.stop.requested() {
                return Err(FederationError::Refused(founding.to_string()));
            }
            thread::sleep(PAUSE);
        }
    }
}
