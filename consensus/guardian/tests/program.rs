//! The program: exit codes, errors, and an orderly end.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use bitcoin::Network;
use guildmint_dealer::{
    deal, deal_mint,
    files::{write, Place},
    Parameters,
};
use guildmint_mint::Denomination;
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use serde_json::Value as Json;
use tempfile::TempDir;

/// A federation of one.
fn dealt() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let parameters = Parameters {
        name: "alone".into(),
        network: Network::Regtest,
        guardians: vec!["alone".into()],
        epoch_floor_ms: 10,
    };
    let quorum = parameters.quorum().unwrap();
    let mint = deal_mint(quorum, Denomination::all().take(1), &mut rng).unwrap();
    let (genesis, secrets) = deal(&parameters, vec![mint], &mut rng).unwrap();
    let place = Place {
        name: "alone".into(),
        api_url: "http://127.0.0.1:0".into(),
        api_listen: "127.0.0.1:0".into(),
        admin_listen: "127.0.0.1:0".into(),
        p2p_listen: "/ip4/127.0.0.1/tcp/0".into(),
    };
    write(folder.path(), &genesis, &secrets, &[place], &[], &mut rng).unwrap();
    folder
}

fn program(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guildmintd"));
    command.env_clear().stdin(Stdio::null());
    command.env("GUILDMINT_DATA_DIR", data_dir);
    command
}

fn error(output: &Output) -> (Option<i32>, String) {
    let document: Json = serde_json::from_slice(&output.stdout).unwrap();
    let message = document["error"]["message"].as_str().unwrap().to_owned();
    (output.status.code(), message)
}

/// A guardian that is running, and where its operator reaches it. Nobody reads its logs any more.
fn run(folder: &Path) -> (Child, String) {
    let mut child = program(&folder.join("guardian-0"))
        .args(["run", "--log-format", "json", "--password-file"])
        .arg(folder.join("password"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for line in lines {
        let line: Json = serde_json::from_str(&line.unwrap()).unwrap();
        if line["fields"]["message"] == "running" {
            return (child, line["fields"]["admin"].as_str().unwrap().to_owned());
        }
    }
    panic!("it did not start: {:?}", child.wait());
}

#[test]
fn runs_until_it_is_told_to_stop() {
    let folder = dealt();
    let (mut child, admin) = run(folder.path());
    let directory = folder.path().join("guardian-0");

    let health = program(&directory)
        .args(["healthcheck", "--admin-listen", &admin])
        .status();
    assert_eq!(health.unwrap().code(), Some(0));
    let status = program(&directory)
        .args(["status", "--admin-listen", &admin])
        .output();
    let status: Json = serde_json::from_slice(&status.unwrap().stdout).unwrap();
    assert_eq!(status["ready"], true, "{status}");
    assert_eq!(status["federation"]["name"], "alone");
    let cookie = fs::read_to_string(directory.join("admin.cookie")).unwrap();

    let second = program(&directory)
        .args(["run", "--password-file"])
        .arg(folder.path().join("password"))
        .output()
        .unwrap();
    let (code, message) = error(&second);
    assert_eq!(code, Some(1));
    assert!(message.contains("locked by another process"), "{message}");
    let kept = fs::read_to_string(directory.join("admin.cookie")).unwrap();
    assert_eq!(cookie, kept, "the cookie of the guardian that runs");

    let process = child.id().to_string();
    assert!(Command::new("kill")
        .args(["-TERM", &process])
        .status()
        .unwrap()
        .success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!directory.join("admin.cookie").exists());
    let health = program(&directory)
        .args(["healthcheck", "--admin-listen", &admin])
        .output();
    assert_eq!(error(&health.unwrap()).0, Some(1));
}

/// The status and what the guardian sends the browser on with, if it does.
fn log_in(admin: &str, password: &str) -> (u16, Option<String>) {
    let origin = format!("http://{admin}");
    let answer = minreq::post(format!("{origin}/login"))
        .with_header("origin", origin)
        .with_header("content-type", "application/x-www-form-urlencoded")
        .with_body(format!("password={password}"))
        .with_follow_redirects(false)
        .send()
        .unwrap();
    (
        answer.status_code,
        answer.header("set-cookie").map(str::to_owned),
    )
}

#[test]
fn the_operator_sets_a_password_and_takes_it_away() {
    let folder = dealt();
    let (mut child, admin) = run(folder.path());
    let directory = folder.path().join("guardian-0");
    let password = folder.path().join("browser");
    fs::write(&password, "correct-horse\nand a second line\n").unwrap();
    let from = ["--from", password.to_str().unwrap()];
    assert_eq!(log_in(&admin, "correct-horse").0, 403);
    for (arguments, status) in [
        (&[&["set-password"], &from[..]].concat(), 303),
        (&vec!["remove-password"], 403),
    ] {
        let done = program(&directory)
            .arg("admin")
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        let (found, cookie) = log_in(&admin, "correct-horse");
        assert_eq!((found, cookie.is_some()), (status, status == 303));
    }
    fs::write(&password, "short\n").unwrap();
    let short = program(&directory)
        .args(["admin", "set-password"])
        .args(from)
        .output()
        .unwrap();
    let (code, message) = error(&short);
    assert!(
        code == Some(1) && message.contains("8 at least") && !message.contains("short"),
        "{message}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_is_wrong_is_named_with_the_remedy() {
    let folder = dealt();
    let directory = folder.path().join("guardian-0");
    let password = folder.path().join("password");
    let password = password.to_str().unwrap();
    let wrong = folder.path().join("wrong");
    fs::write(&wrong, "wrong\n").unwrap();
    let wrong = wrong.to_str().unwrap();
    // Below a regular file there is no directory.
    let below = folder.path().join("password/data");
    let cases: [(&Path, &[&str], i32, &str); 6] = [
        (
            &directory,
            &["run", "--password-file", wrong],
            3,
            "the passphrase is wrong",
        ),
        (&directory, &["run"], 3, "GUILDMINT_PASSWORD_FILE"),
        (
            &directory,
            &["run", "--api-listen", "here"],
            2,
            "--api-listen",
        ),
        (&directory, &["run", "--no-such-flag"], 2, "--no-such-flag"),
        (
            &below,
            &["run", "--password-file", password],
            2,
            "password/data",
        ),
        (Path::new(""), &["run"], 2, "GUILDMINT_DATA_DIR"),
    ];
    for (directory, arguments, code, part) in cases {
        let output = program(directory).args(arguments).output().unwrap();
        let (found, message) = error(&output);
        assert_eq!(found, Some(code), "{arguments:?}: {message}");
        assert!(message.contains(part), "{part} is not in: {message}");
    }
}

#[test]
fn a_full_disk_is_named() {
    let folder = dealt();
    let directory = folder.path().join("guardian-0");
    let limited = Command::new("sh")
        .args([
            "-c",
            "ulimit -f 8; exec \"$0\" \"$@\"",
            env!("CARGO_BIN_EXE_guildmintd"),
            "run",
        ])
        .arg("--data-dir")
        .arg(&directory)
        .arg("--password-file")
        .arg(folder.path().join("password"))
        .output()
        .unwrap();
    let (code, message) = error(&limited);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("guardian.sqlite") && message.contains("limits"),
        "{message}"
    );
}

#[test]
fn shows_where_settings_come_from() {
    let folder = dealt();
    let output = program(&folder.path().join("guardian-0"))
        .args(["config", "show", "--effective", "--log", "debug"])
        .env("GUILDMINT_ADMIN_LISTEN", "127.0.0.1:5")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let shown: Json = serde_json::from_slice(&output.stdout).unwrap();
    let sources = [
        ("log", "flag"),
        ("admin_listen", "environment"),
        ("api_listen", "file"),
        ("database", "default"),
    ];
    for (name, source) in sources {
        assert_eq!(shown[name]["source"], source, "{shown}");
    }
}

#[test]
fn shows_no_password_of_a_database() {
    let folder = dealt();
    let data_dir = folder.path().join("guardian-0");
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(data_dir.join("local.toml"))
        .unwrap();
    let line = "database = \"postgres://mint:hunter2@localhost:1/guild\"\n";
    file.write_all(line.as_bytes()).unwrap();
    let show = |arguments: &[&str]| {
        let mut command = program(&data_dir);
        command.args(["config", "show"]).args(arguments);
        let output = command.output().unwrap();
        let shown = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(shown).unwrap())
    };
    let wrong = ["--database", "postgres://mint:hunter2@localhost:port/guild"];
    for (arguments, status, shown) in [
        (&[][..], 0, "postgres://mint@localhost:1/guild"),
        (&["--effective"], 0, "postgres://mint@localhost:1/guild"),
        (&wrong, 2, "it must be sqlite, or the URL of a database"),
    ] {
        let (code, text) = show(arguments);
        assert_eq!(code, Some(status), "{text}");
        assert!(text.contains(shown) && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn help_is_no_failure() {
    let output = program(Path::new("")).arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(
        help.contains("healthcheck") && help.contains("Exit status"),
        "{help}"
    );
}
