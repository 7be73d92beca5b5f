//! What scripts may rely on: exit codes, and errors as documents.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::{Command, Output},
    thread,
};

use serde_json::Value as Json;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guildmint-gateway-cli"));
    command.env_clear();
    command
}

fn error(output: &Output) -> (Option<i32>, Json) {
    let document: Json = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), document["error"].clone())
}

/// Answers one request with this; what was asked.
fn gateway(answer: &'static str) -> (String, thread::JoinHandle<String>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let served = thread::spawn(move || {
        let (mut stream, _) = socket.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            assert_eq!(stream.read(&mut byte).unwrap(), 1);
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.to_lowercase();
        let length = length.split("content-length: ").nth(1);
        let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        // What is closed while something is unread is reset, and the answer lost.
        stream.read_exact(&mut vec![0; length]).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        head
    });
    (url, served)
}

#[test]
fn without_a_token_nobody_is_asked() {
    let output = program().args(["--json", "info"]).output().unwrap();
    let (code, error) = error(&output);
    assert_eq!((code, &error["code"]), (Some(3), &"no_token".into()));
    let folder = tempfile::tempdir().unwrap();
    let output = program()
        .args(["--json", "info", "--data-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(
        line.contains("admin.cookie") && line.lines().count() == 1,
        "{line}"
    );
}

#[test]
fn a_gateway_that_is_not_there_can_be_asked_again() {
    let output = program()
        .args(["--json", "--url", "http://127.0.0.1:1", "balances"])
        .env("GUILDMINT_GATEWAY_TOKEN", "5a")
        .output()
        .unwrap();
    let (code, error) = error(&output);
    assert_eq!((code, &error["retryable"]), (Some(6), &true.into()));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("5a"));
}

#[test]
fn the_token_is_sent_and_what_the_gateway_says_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("admin.cookie"), "c00c1e\n").unwrap();
    let (url, served) =
        gateway("HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\n{\"address\":\"bcrt1\"}");
    let output = program()
        .args(["address", "--url", &url, "--data-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "address: bcrt1\n"
    );
    let asked = served.join().unwrap().to_lowercase();
    assert!(asked.starts_with("post /address "), "{asked}");
    assert!(
        asked.contains("authorization: bearer c00c1e\r\n"),
        "{asked}"
    );
}

#[test]
fn what_the_gateway_refuses_has_its_code_and_an_exit_status_of_its_kind() {
    for (status, exit) in [("401", 3), ("404", 4), ("409", 7), ("422", 7), ("503", 1)] {
        let answer = format!(
            "HTTP/1.1 {status} No\r\ncontent-length: 53\r\n\r\n{{\"code\":\"odd\",\"detail\":\"it is odd\",\"retryable\":true}} "
        );
        let (url, served) = gateway(Box::leak(answer.into_boxed_str()));
        let output = program()
            .args(["--json", "--url", &url, "balances"])
            .env("GUILDMINT_GATEWAY_TOKEN", "5a")
            .output()
            .unwrap();
        served.join().unwrap();
        let (code, error) = error(&output);
        assert_eq!((code, &error["code"]), (Some(exit), &"odd".into()));
        assert_eq!(error["message"], "it is odd");
    }
    let usage = program().args(["--json", "walk"]).output().unwrap();
    assert_eq!(error(&usage).0, Some(2));
    let help = program().arg("--help").output().unwrap();
    assert_eq!(help.status.code(), Some(0));
}

/// ⚠ A script that says it again because it may pays twice.
#[test]
fn what_may_have_been_done_is_not_called_retryable() {
    let withdraw = ["--json", "withdraw", "bcrt1q", "1000sat"];
    let ask = |url: &str, words: &[&str]| {
        let mut command = program();
        command.args(words).args(["--url", url]);
        error(
            &command
                .env("GUILDMINT_GATEWAY_TOKEN", "5a")
                .output()
                .unwrap(),
        )
        .1
    };
    // Nobody heard it.
    let nobody = ask("http://127.0.0.1:1", &withdraw);
    assert_eq!(
        (&nobody["code"], &nobody["retryable"]),
        (&"no_gateway".into(), &true.into())
    );
    let late = "HTTP/1.1 503 No\r\ncontent-length: 53\r\n\r\n{\"code\":\"timed_out\",\"detail\":\"late\",\"retryable\":true}";
    let stops = "HTTP/1.1 503 No\r\ncontent-length: 53\r\n\r\n{\"code\":\"stopping\",\"detail\":\"stop\",\"retryable\":false}";
    let nothing = "HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n";
    for answer in ["", late, stops, nothing] {
        let (url, served) = gateway(answer);
        let unknown = ask(&url, &withdraw);
        served.join().unwrap();
        let said = (&unknown["code"], &unknown["retryable"]);
        assert_eq!(
            said,
            (&"unknown_outcome".into(), &false.into()),
            "{unknown}"
        );
        assert!(unknown["message"].as_str().unwrap().contains("`balances`"));
    }
    // It says that it has not done it; and what may be done twice may be said twice.
    let busy = "HTTP/1.1 503 No\r\ncontent-length: 48\r\n\r\n{\"code\":\"busy\",\"detail\":\"busy\",\"retryable\":true}";
    for (answer, words) in [(busy, &withdraw[..]), (late, &["--json", "address"])] {
        let (url, served) = gateway(answer);
        assert_eq!(ask(&url, words)["retryable"], true);
        served.join().unwrap();
    }
}

#[test]
fn notes_given_by_mistake_as_an_argument_are_shown_nowhere() {
    let (federation, notes) = ("9f".repeat(32), "guildnote1qqsecret");
    for arguments in [
        &["ecash", "receive", &federation, notes][..],
        &["ecash", "receive", notes],
        &["ecash", notes],
        &["ecash", "receive", &federation, "--notes", notes],
    ] {
        let output = program().arg("--json").args(arguments).output().unwrap();
        let (code, error) = error(&output);
        assert_eq!((code, &error["code"]), (Some(2), &"usage".into()));
        for text in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(text);
            assert!(!text.contains("qqsecret"), "{text}");
        }
    }
    let output = program()
        .args(["ecash", "receive", &federation, notes])
        .output()
        .unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains("standard input"), "{line}");
}
