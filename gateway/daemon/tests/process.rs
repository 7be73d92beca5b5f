//! The program: it starts, serves, stops in order, and refuses what would lose money.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
};

use serde_json::Value as Json;
use tempfile::TempDir;

/// One that only swaps: a node needs a chain, and is tested with one elsewhere.
fn program(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guildmint-gatewayd"));
    command.env_clear().stdin(Stdio::null());
    command.env("GUILDMINT_GATEWAY_DATA_DIR", data_dir);
    command
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let settings = "lightning = \"none\"\napi_listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nlog_format = \"json\"\n";
    fs::write(folder.path().join("gatewayd.toml"), settings).unwrap();
    folder
}

/// A gateway that runs.
struct Running {
    child: Child,
    fields: Json,
    rest: thread::JoinHandle<String>,
}

impl Running {
    fn start(data_dir: &Path, options: &[&str]) -> Self {
        let mut child = program(data_dir)
            .arg("run")
            .args(options)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while lines.read_line(&mut line).unwrap() > 0 {
            let said: Json = serde_json::from_str(&line).unwrap();
            if said["fields"]["message"] == "running" {
                let rest = thread::spawn(move || {
                    let mut rest = String::new();
                    lines.read_to_string(&mut rest).unwrap();
                    rest
                });
                let fields = said["fields"].clone();
                return Self {
                    child,
                    fields,
                    rest,
                };
            }
            line.clear();
        }
        panic!("it did not start: {:?}", child.wait());
    }

    fn get(&self, listener: &str, path: &str) -> u16 {
        let address = self.fields[listener].as_str().unwrap();
        let answer = minreq::get(format!("http://{address}{path}")).send();
        answer.unwrap().status_code
    }

    /// What it says of itself.
    fn info(&self) -> Json {
        let address = self.fields["api"].as_str().unwrap();
        let answer = minreq::get(format!("http://{address}/v1/gateway")).send();
        serde_json::from_slice(answer.unwrap().as_bytes()).unwrap()
    }

    /// Ends it by a signal; how it ended, and what it said.
    fn stop(mut self) -> (ExitStatus, String) {
        let process = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &process]).status();
        assert!(killed.unwrap().success());
        (self.child.wait().unwrap(), self.rest.join().unwrap())
    }
}

fn refused(output: &Output) -> (Option<i32>, String) {
    let document: Json = serde_json::from_slice(&output.stdout).unwrap();
    let message = document["error"]["message"].as_str().unwrap().to_owned();
    (output.status.code(), message)
}

#[test]
fn it_serves_until_it_is_told_to_stop_and_one_at_a_time() {
    let folder = folder();
    let running = Running::start(folder.path(), &[]);
    assert_eq!(running.get("api", "/readyz"), 200);
    assert_eq!(running.get("api", "/v1/gateway"), 200);
    let swaps = running.info();
    assert_eq!(swaps["swap_only"], true);
    assert!(swaps["node_key"].is_string(), "{swaps}");
    assert_eq!(running.get("admin", "/readyz"), 200);
    assert_eq!(running.get("admin", "/balances"), 401);
    let cookie = fs::read_to_string(folder.path().join("admin.cookie")).unwrap();
    let admin = running.fields["admin"].as_str().unwrap().to_owned();
    let health = program(folder.path())
        .args(["healthcheck", "--admin-listen", &admin])
        .status();
    assert_eq!(health.unwrap().code(), Some(0));

    // ⚠ Two on one database lose their channels.
    let second = program(folder.path()).arg("run").output().unwrap();
    let (code, message) = refused(&second);
    assert_eq!(code, Some(3));
    assert!(message.contains("in use by another process"), "{message}");
    let kept = fs::read_to_string(folder.path().join("admin.cookie")).unwrap();
    assert_eq!(cookie, kept);

    let (status, said) = running.stop();
    assert_eq!(status.code(), Some(0), "{said}");
    let order = ["stopping", "stopped"].map(|word| said.find(&format!("\"message\":\"{word}\"")));
    assert!(order[0].is_some() && order[0] < order[1], "{said}");
    assert!(!folder.path().join("admin.cookie").exists());
    // What it left is whole.
    let again = Running::start(folder.path(), &[]);
    // ⚠ Whoever holds one of its invoices finds it again.
    assert_eq!(again.info()["node_key"], swaps["node_key"]);
    assert_eq!(again.stop().0.code(), Some(0));
}

#[test]
fn an_old_copy_is_refused_unless_its_operator_insists() {
    let folder = folder();
    Running::start(folder.path(), &[]).stop();
    let database: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .contains(".sqlite")
        })
        .collect();
    assert!(!database.is_empty());
    let copies: Vec<_> = database
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    Running::start(folder.path(), &[]).stop();
    Running::start(folder.path(), &[]).stop();
    for (path, copy) in database.iter().zip(copies) {
        fs::write(path, copy).unwrap();
    }
    let old = program(folder.path()).arg("run").output().unwrap();
    let (code, message) = refused(&old);
    assert_eq!(code, Some(3));
    assert!(
        message.contains("older copy") && message.contains("--accept-old-copy"),
        "{message}"
    );
    let insists = Running::start(folder.path(), &["--accept-old-copy"]);
    assert_eq!(insists.get("api", "/readyz"), 200);
    assert_eq!(insists.stop().0.code(), Some(0));
}

#[test]
fn the_words_belong_to_the_database() {
    let folder = folder();
    let none = program(folder.path()).args(["seed", "show"]).output();
    assert_eq!(none.unwrap().status.code(), Some(1));
    let words = folder.path().join("words");
    let zeros = "abandon ".repeat(11) + "about";
    fs::write(&words, &zeros).unwrap();
    let running = Running::start(folder.path(), &["--words-file", words.to_str().unwrap()]);
    let (_, said) = running.stop();
    assert!(!said.contains("abandon"), "{said}");
    let shown = program(folder.path()).args(["seed", "show"]).output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    assert_eq!(shown.trim(), zeros);

    let refuses = |options: &[&str], part: &str| {
        let output = program(folder.path()).arg("run").args(options).output();
        let (code, message) = refused(&output.unwrap());
        assert_eq!(code, Some(1));
        assert!(message.contains(part), "{message}");
    };
    let again = ["--words-file", words.to_str().unwrap()];
    refuses(&again, "first start alone");
    refuses(&["--network", "signet"], "on regtest");
    // ⚠ Without its words nothing of its money can be moved, and new ones would hide that.
    let seed = folder.path().join("seed");
    fs::remove_file(&seed).unwrap();
    refuses(&[], "is missing");
    assert!(!seed.exists());
    fs::write(&words, "zoo ".repeat(11) + "wrong").unwrap();
    refuses(&again, "are not those");
    assert!(!seed.exists());
    fs::write(&words, &zeros).unwrap();
    let back = Running::start(folder.path(), &again);
    assert_eq!(back.stop().0.code(), Some(0));
}

#[test]
fn wrong_settings_are_named_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path()).arg("run").output().unwrap();
    let (code, message) = refused(&output);
    assert_eq!(code, Some(2));
    assert!(message.contains("GUILDMINT_GATEWAY_ELECTRUM"), "{message}");
    fs::write(folder.path().join("gatewayd.toml"), "lightnin = \"none\"").unwrap();
    let (code, message) = refused(&program(folder.path()).arg("run").output().unwrap());
    assert_eq!(code, Some(2));
    assert!(message.contains("lightnin"), "{message}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let usage = program(folder.path()).arg("walk").output().unwrap();
    assert_eq!(refused(&usage).0, Some(2));
    let shown = program(folder.path())
        .args(["config", "show", "--lightning", "none"])
        .output();
    assert_eq!(shown.unwrap().status.code(), Some(2));
}

#[test]
fn a_password_given_by_mistake_as_an_argument_is_shown_nowhere() {
    let folder = folder();
    let output = program(folder.path())
        .args(["admin", "set-password", "hunter2"])
        .output()
        .unwrap();
    let shown = [&output.stdout[..], &output.stderr].concat();
    let shown = String::from_utf8(shown).unwrap();
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert!(
        shown.contains("--help") && !shown.contains("hunter2"),
        "{shown}"
    );
}
