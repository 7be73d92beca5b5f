#![allow(clippy::unwrap_used)]

use super::*;

const LONG: Duration = Duration::from_secs(60);

struct Shell {
    folder: tempfile::TempDir,
}

impl Shell {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A script that can say it is ready by making the file `$READY`.
    fn spec(&self, script: &str) -> Spec {
        Spec {
            name: "server".into(),
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: [("READY".to_owned(), self.path("ready").display().to_string())].into(),
            log: self.path("log"),
        }
    }

    fn ready(&self) -> bool {
        self.path("ready").exists()
    }

    fn start(&self, script: &str) -> Running {
        let mut running = self.spec(script).start(Lifetime::Tethered).unwrap();
        running
            .wait_ready(&Stop::default(), LONG, || self.ready())
            .unwrap();
        running
    }
}

#[test]
fn the_start_time_is_found_behind_any_name() {
    let fields: String = (3..=52)
        .map(|i| {
            if i == 3 {
                "S ".to_owned()
            } else {
                format!("{i} ")
            }
        })
        .collect();
    assert_eq!(
        parse_stat(&format!("7 (a) b (c)) {fields}")),
        Some(('S', 22))
    );
    assert_eq!(parse_stat("7 (sh) S 1 2"), None);
    assert_eq!(parse_stat(""), None);
}

#[test]
fn a_ready_process_stops_when_asked() {
    let shell = Shell::new();
    let mut server =
        shell.start("trap 'echo asked; exit 0' TERM; touch $READY; while :; do sleep 0.02; done");
    assert!(server.identity().is_running());
    server.stop(LONG).unwrap();
    assert!(!server.identity().is_running());
    assert!(server.ended().unwrap().success());
    assert_eq!(tail(&shell.path("log"), 1), "asked");
}

#[test]
fn one_that_ignores_the_request_is_killed_with_its_children() {
    let shell = Shell::new();
    let child = shell.path("child");
    let script = format!(
        "trap '' TERM; sleep 600 & echo $! > {}; touch $READY; wait; wait",
        child.display()
    );
    let mut server = shell.start(&script);
    let pid: u32 = fs::read_to_string(child).unwrap().trim().parse().unwrap();
    let grandchild = Identity::of(pid).unwrap();
    server.stop(Duration::from_millis(50)).unwrap();
    assert!(!server.identity().is_running());
    grandchild.wait_gone(LONG).unwrap();
}

#[test]
fn an_early_end_is_noticed_with_the_last_words() {
    let shell = Shell::new();
    let mut server = shell
        .spec("echo no such database; exit 3")
        .start(Lifetime::Tethered)
        .unwrap();
    let error = server
        .wait_ready(&Stop::default(), LONG, || false)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("server ended") && error.contains("3") && error.contains("no such database"),
        "{error}"
    );
}

#[test]
fn waiting_has_an_end() {
    let shell = Shell::new();
    let mut server = shell.start("echo thinking; touch $READY; exec sleep 600");
    let late = server
        .wait_ready(&Stop::default(), Duration::ZERO, || false)
        .unwrap_err()
        .to_string();
    assert!(
        late.contains("not ready") && late.contains("thinking"),
        "{late}"
    );
    let stop = Stop::default();
    stop.request();
    assert!(matches!(
        server.wait_ready(&stop, LONG, || false),
        Err(ProcessError::Interrupted(_))
    ));
}

#[test]
fn a_dropped_tethered_process_ends_and_a_released_one_stays() {
    let shell = Shell::new();
    let dropped = shell.start("touch $READY; exec sleep 600");
    let identity = dropped.identity();
    drop(dropped);
    assert!(!identity.is_running());

    let released = shell.start("touch $READY; exec sleep 600");
    let identity = released.identity();
    released.release();
    assert!(identity.is_running());
    assert!(identity.terminate(LONG).unwrap());
    assert!(!identity.terminate(LONG).unwrap());
}

#[test]
fn a_recycled_process_id_is_left_alone() {
    let shell = Shell::new();
    let server = shell.start("touch $READY; exec sleep 600");
    let earlier = Identity {
        started_ticks: server.identity().started_ticks.wrapping_sub(1),
        ..server.identity()
    };
    assert!(!earlier.is_running());
    assert!(!earlier.kill().unwrap());
    assert!(server.identity().is_running());
}

#[test]
fn a_missing_program_and_an_unwritable_log_are_named() {
    let shell = Shell::new();
    let spec = Spec {
        program: "/nonexistent/bitcoind".into(),
        ..shell.spec("")
    };
    let error = spec.start(Lifetime::Tethered).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/bitcoind"), "{error}");
    let spec = Spec {
        log: "/nonexistent/log".into(),
        ..shell.spec("")
    };
    let error = spec.start(Lifetime::Tethered).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/log"), "{error}");
}
