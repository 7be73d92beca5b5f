//! The program: exit codes, errors, and an orderly end.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    fs,
    io::{BufRead, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
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
    let (child, fields) = run_with(folder, &[]);
    (child, fields["admin"].as_str().unwrap().to_owned())
}

/// One with more options, and what it says about itself.
fn run_with(folder: &Path, options: &[&str]) -> (Child, Json) {
    let mut child = program(&folder.join("guardian-0"))
        .args(["run", "--log-format", "json", "--password-file"])
        .arg(folder.join("password"))
        .args(options)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for line in lines {
        let line: Json = serde_json::from_str(&line.unwrap()).unwrap();
        if line["fields"]["message"] == "running" {
            return (child, line["fields"].clone());
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

/// Asks on a connection of its own, as a proxy would for this client; how long each answer took, and its status.
fn ask_for(api: &str, client: &str, path: &str, requests: usize) -> Vec<(Duration, String)> {
    let mut stream = TcpStream::connect(api).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: guardian\r\nX-Forwarded-For: {client}\r\n\r\n");
    let mut answers = Vec::new();
    for _ in 0..requests {
        let begun = Instant::now();
        if stream.write_all(request.as_bytes()).is_err() {
            break;
        }
        let Some((status, length)) = head(&mut reader) else {
            break;
        };
        reader.read_exact(&mut vec![0; length]).unwrap();
        answers.push((begun.elapsed(), status));
    }
    answers
}

/// The status of an answer, and the length of its body.
fn head(reader: &mut impl BufRead) -> Option<(String, usize)> {
    let mut lines = reader
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty());
    let status = lines.next()?.split(' ').nth(1)?.to_owned();
    let lengths = lines.filter_map(|line| {
        line.to_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    Some((status, lengths.last()?))
}

/// Median and longest.
fn summary(answers: &[(Duration, String)]) -> (Duration, Duration) {
    let mut times: Vec<_> = answers.iter().map(|(took, _)| *took).collect();
    times.sort();
    (times[times.len() / 2], times[times.len() - 1])
}

/// ⚠ SPEC API-2, scenario 34: with a real process. The figures are printed; what they may be at most is checked in simulated time.
#[test]
fn a_flood_keeps_no_client_out() {
    let folder = dealt();
    let (mut child, fields) = run_with(folder.path(), &["--trusted-proxies", "127.0.0.1"]);
    let api = fields["api"].as_str().unwrap().to_owned();
    let calm = ask_for(&api, "198.51.100.1", "/v1/status", 100);
    let stop = AtomicBool::new(false);
    let (busy, flood) = thread::scope(|scope| {
        let floods: Vec<_> = (0..32)
            .map(|number| {
                let (api, stop) = (&api, &stop);
                scope.spawn(move || {
                    let mut answers = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        answers.extend(ask_for(
                            api,
                            &format!("203.0.113.{}", number % 4),
                            "/v1/audit",
                            1_000,
                        ));
                    }
                    answers
                })
            })
            .collect();
        let busy = ask_for(&api, "198.51.100.2", "/v1/status", 100);
        stop.store(true, Ordering::Relaxed);
        let flood: Vec<_> = floods
            .into_iter()
            .flat_map(|flood| flood.join().unwrap())
            .collect();
        (busy, flood)
    });
    let served = flood.iter().filter(|(_, status)| status == "200").count();
    let refused = flood.len() - served;
    println!(
        "calm {:?}, in the flood {:?} (median, longest); flood: {served} served, {refused} refused",
        summary(&calm),
        summary(&busy)
    );
    assert_eq!((calm.len(), busy.len()), (100, 100));
    assert!(
        calm.iter().chain(&busy).all(|(_, status)| status == "200"),
        "{busy:?}"
    );
    assert!(served > 0 && refused > 0, "{served} {refused}");
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

#[test]
fn a_guardian_that_does_not_run_is_told_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["status"][..], &["setup", "status"], &["revise", "show"]] {
        let output = program(folder.path()).args(command).output().unwrap();
        let (code, message) = error(&output);
        assert_eq!(code, Some(1), "{message}");
        assert!(message.contains("guildmintd run"), "{message}");
        assert_eq!(message.matches("No such file").count(), 1, "{message}");
    }
}

#[test]
fn a_password_given_by_mistake_as_an_argument_is_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path());
    let output = command.args(["admin", "set-password", "hunter2"]).output();
    let output = output.unwrap();
    let (code, message) = error(&output);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(code, Some(2), "{message}");
    assert!(
        !message.contains("hunter2") && !stderr.contains("hunter2"),
        "{message}"
    );
    // A misspelt option is.
    let output = program(folder.path()).args(["run", "--elektrum"]).output();
    assert!(error(&output.unwrap()).1.contains("--elektrum"));
}
