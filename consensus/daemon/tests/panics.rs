//! ⚠ A panic anywhere ends the process, at once: a part that is gone must not leave the rest holding what has deadlines.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Command, Stdio},
    thread,
};

use guildmint_daemon::logs::{self, LogFormat};

/// Tells this test, started again, what it is to do.
const PART: &str = "GUILDMINT_TEST_PANICS_IN";
const SIGABRT: i32 = 6;

#[test]
fn a_panic_in_any_thread_or_task_ends_the_process() {
    if let Ok(part) = std::env::var(PART) {
        return lose(&part);
    }
    for part in ["thread", "task", "blocking"] {
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_panic_in_any_thread_or_task_ends_the_process"])
            .arg("--nocapture")
            .env(PART, part)
            .stdout(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.signal(), Some(SIGABRT), "{part}: {said}");
        assert!(said.contains("a bug") && said.contains(part), "{said}");
    }
}

/// Loses a part of the program, and goes on without it if it may.
fn lose(part: &str) {
    let _ = logs::start("error", LogFormat::Text);
    let work = {
        let part = part.to_owned();
        move || panic!("in a {part}")
    };
    match part {
        "thread" => drop(thread::spawn(work).join()),
        "task" => drop(wait(|| async_std::task::spawn(async move { work() }))),
        _ => drop(wait(|| async_std::task::spawn_blocking(work))),
    }
}

/// Waits for a task on a thread of its own, which its panic may end instead of this one.
fn wait(
    task: impl FnOnce() -> async_std::task::JoinHandle<()> + Send + 'static,
) -> thread::Result<()> {
    thread::spawn(|| async_std::task::block_on(task())).join()
}
