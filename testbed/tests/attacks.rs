//! Guardians as processes that have lost their memory, or are two of one, and what comes at them from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, reason = "the other stories use the rest")]
#[path = "federation/town.rs"]
mod town;

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use guildmint_testbed::{
    cache::Cache,
    control::Order,
    federation::{Guardian, FINALITY_BLOCKS},
    ports::Ports,
    process::{Lifetime, Running},
};

use town::Town;

/// Blocks that bury a payment which waits to be mined.
const BURIAL: u64 = FINALITY_BLOCKS + 1;

/// The files of a guardian's database.
fn database(guardian: &Guardian) -> Vec<PathBuf> {
    let files = fs::read_dir(&guardian.data_dir).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let is_of_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("guardian.sqlite")
    };
    let files: Vec<_> = files.filter(is_of_it).collect();
    assert!(!files.is_empty(), "{} has no database", guardian.spec.name);
    files
}

fn copy_all(files: &[PathBuf], to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in files {
        fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// Faults that a guardian has counted of another, or of itself.
fn faults(at: &Guardian, of: usize) -> u64 {
    let metrics = at.metrics().unwrap_or_default();
    let name = format!("guildmint_faults_total{{guardian=\"{of}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |figure| figure.parse().unwrap())
}

/// The federation goes on with a guardian that has lost its memory, and which is needed because another is gone.
fn is_needed(town: &Town, other: &str) {
    town.wait("equal epochs", || town.same_epoch());
    // In the epoch that was open it may have spoken before, and keeps silent.
    town.hand_over(1_000);
    town.wait("equal epochs", || town.same_epoch());
    town.order(other, Order::Kill);
    town.hand_over(3_000);
    town.order(other, Order::Start);
    town.books_balance();
}

/// Scenarios 23 and 38.
#[test]
fn a_deleted_database_and_an_old_copy_of_one_are_made_good_by_the_others() {
    let town = Town::found();
    town.deposit(200_000);
    let guardians = town.guardians();
    let (old, deleted) = (&guardians[2], &guardians[1]);

    town.order("guardian-2", Order::Stop);
    let kept = town.directory().join("kept");
    copy_all(&database(old), &kept);
    town.order("guardian-2", Order::Start);
    for _ in 0..5 {
        town.hand_over(1_000);
    }
    // In the midst of whatever it does.
    town.order("guardian-2", Order::Kill);
    database(old)
        .iter()
        .for_each(|file| fs::remove_file(file).unwrap());
    let files: Vec<_> = fs::read_dir(&kept)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    copy_all(&files, &old.data_dir);
    town.order("guardian-2", Order::Start);
    is_needed(&town, "guardian-3");

    town.order("guardian-1", Order::Kill);
    database(deleted)
        .iter()
        .for_each(|file| fs::remove_file(file).unwrap());
    town.hand_over(1_000);
    town.order("guardian-1", Order::Start);
    is_needed(&town, "guardian-0");

    for (forgetful, others) in [(2, [0, 1, 3]), (1, [0, 2, 3])] {
        for other in others {
            let blamed = faults(&guardians[other], forgetful);
            assert_eq!(blamed, 0, "guardian {forgetful} contradicted itself");
        }
    }
}

/// Scenario 30, SPEC SET-6.
#[test]
fn a_guardian_whose_machine_is_lost_comes_back_from_its_backup() {
    let town = Town::found();
    town.deposit(200_000);
    let guardians = town.guardians();
    let lost = &guardians[2];
    let (file, password) = (
        town.directory().join("guardian-2.backup"),
        town.directory().join("password"),
    );
    let backup = |step: &str, option: &str| {
        let mut command = Command::new(&lost.spec.program);
        command.args(["backup", step, option]).arg(&file);
        command.arg("--data-dir").arg(&lost.data_dir);
        let output = command.arg("--password-file").arg(&password).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{step}: {output:?}");
    };
    backup("create", "--to");
    town.hand_over(1_000);

    town.order("guardian-2", Order::Kill);
    fs::remove_dir_all(&lost.data_dir).unwrap();
    town.hand_over(1_000);
    let begun = Instant::now();
    backup("restore", "--from");
    let restored = begun.elapsed();
    town.order("guardian-2", Order::Start);
    println!(
        "restored in {restored:?}, serves clients after {:?}",
        begun.elapsed()
    );
    is_needed(&town, "guardian-3");
    for other in [0, 1, 3] {
        let blamed = faults(&guardians[other], 2);
        assert_eq!(blamed, 0, "the guardian contradicted itself");
    }
}

/// Whether a guardian's operator is told who runs twice: in the log, by figures, and in what it says of itself.
fn is_told(guardian: &Guardian) -> bool {
    let log = fs::read_to_string(&guardian.spec.log).unwrap();
    let logged = [
        "it runs twice",
        "another process runs with this guardian's secrets",
    ];
    let metrics = guardian.metrics().unwrap_or_default();
    let status = guardian.get("/v1/status").unwrap_or_default();
    logged.iter().any(|it| log.contains(it))
        && faults(guardian, 3) > 0
        && metrics.contains("guildmint_runs_twice{guardian=\"3\"} 1")
        && status["runs_twice"] == serde_json::json!([3])
}

/// How soon all are told of a twin. Two that run are noticed when one of them dials, which both do every ten seconds at most.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_guardian_that_runs_twice_harms_nobody_and_is_told() {
    let town = Town::found();
    town.deposit(200_000);
    let guardians = town.guardians();
    town.order("guardian-3", Order::Stop);
    // A copy of all that it has, on ports of its own.
    let mut ports = Ports::new(&Cache::from_env().unwrap());
    let folder = town.directory().join("twin");
    let second = guardians[3].twin(&folder, &mut ports).unwrap();
    town.order("guardian-3", Order::Start);
    let mut running: Running = second.spec.start(Lifetime::Tethered).unwrap();
    town.wait("second process", || second.is_alive());
    let begun = Instant::now();
    // Nobody pays: no contributions of the two collide.
    town.wait("all to be told", || {
        guardians.iter().chain([&second]).all(is_told)
    });
    println!("all are told after {:?}", begun.elapsed());
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let why = second.get("/v1/status").unwrap()["not_ready"].to_string();
    assert!(why.contains("runs twice"), "{why}");
    for _ in 0..5 {
        town.hand_over(1_000);
    }
    running.kill().unwrap();
    // With its own memory alone, whatever the other has said meanwhile.
    is_needed(&town, "guardian-0");
    a_flood_of_connections_stops_no_epoch(&town);
}

/// Connections to a guardian's place for other guardians, as many as can be made: silent ones, and ones that say something.
fn flood(place: SocketAddr, is_over: &AtomicBool, made: &AtomicU64) {
    const KEPT: usize = 200;
    let mut kept = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect_timeout(&place, Duration::from_secs(1)) else {
            continue;
        };
        let made = made.fetch_add(1, Ordering::Relaxed);
        let words: &[u8] = match made % 4 {
            0 => &[],
            1 => b"GET / HTTP/1.1\r\n",
            2 => b"\x13/multistream/1.0.0\n\x07/noise\n",
            _ => &[0xff; 4_096],
        };
        // It may be cut off while it still writes.
        let _ = stream.write_all(words);
        kept.push(stream);
        if kept.len() > KEPT {
            kept.remove(0);
        }
    }
}

/// Ends a flood, also when a story fails.
struct Dam<'a>(&'a AtomicBool);

impl Drop for Dam<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The socket of a multiaddress like `/ip4/127.0.0.1/tcp/1`.
fn socket(address: &str) -> SocketAddr {
    let parts: Vec<_> = address.split('/').collect();
    format!("{}:{}", parts[2], parts[4]).parse().unwrap()
}

fn refused(guardian: &Guardian) -> u64 {
    let metrics = guardian.metrics().unwrap();
    let name = "guildmint_network_refused_total ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().parse().unwrap()
}

/// Scenario 34, as far as it goes without keys; strangers with keys are refused in the tests of the network.
fn a_flood_of_connections_stops_no_epoch(town: &Town) {
    let guardians = town.guardians();
    let before: Vec<u64> = guardians.iter().map(refused).collect();
    let (is_over, made) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let _dam = Dam(&is_over);
        for guardian in &guardians {
            let place = socket(&guardian.p2p_address);
            scope.spawn({
                let (is_over, made) = (&is_over, &made);
                move || flood(place, is_over, made)
            });
        }
        town.wait("flood", || made.load(Ordering::Relaxed) > 2_000);
        for _ in 0..5 {
            town.hand_over(1_000);
        }
        // One that comes back has to get through, too; it dials.
        town.order("guardian-2", Order::Kill);
        town.order("guardian-2", Order::Start);
        town.hand_over(1_000);
        town.wait("equal epochs", || town.same_epoch());
    });
    for (guardian, before) in guardians.iter().zip(before) {
        if guardian.spec.name != "guardian-2" {
            assert!(refused(guardian) > before + 100, "{}", guardian.spec.name);
        }
    }
    town.books_balance();
}
