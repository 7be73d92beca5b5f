//! A federation for real: users' money through deposits, payments and withdrawals while parts of it fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "federation/restore.rs"]
mod restore;
#[path = "federation/town.rs"]
mod town;

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bitcoin::Amount;
use guildmint_testbed::{
    command::capture,
    control::Order,
    federation::FINALITY_BLOCKS,
    stop::Stop,
    wallet::{Wallet, WalletError},
};

use town::{fresh_address, Town, LIMIT};

/// Blocks that bury a payment which waits to be mined.
const BURIAL: u64 = FINALITY_BLOCKS + 1;

#[test]
fn bitcoin_comes_in_goes_from_hand_to_hand_and_out_and_every_figure_is_right() {
    let town = Town::found();
    a_deposit_waits_until_it_is_buried_and_is_claimed_by_itself(&town);
    town.hand_over(3_500);
    assert_eq!(town.balances(), (1_500_000, 3_500_000));

    let (address, fee_msat) = town.withdraw(&town.bob, 1_200);
    town.arrives(&address, 1_200);
    assert!(fee_msat > 0, "the chain is not free");
    assert_eq!(
        town.balances(),
        (1_500_000, 3_500_000 - 1_200_000 - fee_msat)
    );
    town.books_balance();

    a_deposit_in_a_transaction_as_large_as_can_be_is_claimed(&town);
    notes_that_nobody_takes_are_taken_back(&town);
    notes_that_were_taken_stay_taken(&town);
    town.books_balance();
    restore::a_wallet_comes_back_from_its_words_alone(&town);
}

fn a_deposit_waits_until_it_is_buried_and_is_claimed_by_itself(town: &Town) {
    let (operation, address) = town.deposit_address();
    let look = || town.deposit_state(&operation, false);
    assert_eq!(look(), "waiting");
    town.faucet.pay(&address, Amount::from_sat(5_000)).unwrap();
    town.mine(1);
    town.wait("the deposit to be seen", || look() == "seen");
    assert_eq!(town.balances(), (0, 0));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| town.deposit_state(&operation, true));
        town.mine(FINALITY_BLOCKS);
        assert_eq!(waiting.join().unwrap(), "claimed");
    });
    assert_eq!(town.balances(), (5_000_000, 0));
}

fn a_deposit_in_a_transaction_as_large_as_can_be_is_claimed(town: &Town) {
    let (before, _) = town.balances();
    let (operation, address) = town.deposit_address();
    let amount = Amount::from_sat(70_000);
    town.faucet.pay_large(&address, amount).unwrap();
    town.mine(BURIAL);
    assert_eq!(town.deposit_state(&operation, true), "claimed");
    assert_eq!(town.balances().0, before + 70_000_000);
}

fn notes_that_nobody_takes_are_taken_back(town: &Town) {
    let before = town.balances();
    let sent = town.alice.run(&["send", "1000sat"]).unwrap();
    assert_eq!(town.balances().0, before.0 - 1_000_000);
    let reclaimed = town
        .alice
        .run(&["reclaim", &sent.text("operation").unwrap()]);
    assert_eq!(
        reclaimed.unwrap().number("reclaimed_msat").unwrap(),
        1_000_000
    );
    assert_eq!(town.balances(), before);
    // What was taken back is worth nothing in other hands.
    let refused = town.bob.run(&["receive", &sent.text("notes").unwrap()]);
    assert_refused(refused.map(drop), "note_spent");
    assert_eq!(town.balances(), before);
}

fn notes_that_were_taken_stay_taken(town: &Town) {
    let before = town.balances();
    let sent = town.alice.run(&["send", "1000sat"]).unwrap();
    town.bob
        .run(&["receive", &sent.text("notes").unwrap()])
        .unwrap();
    let reclaim = town
        .alice
        .run(&["reclaim", &sent.text("operation").unwrap()]);
    assert_refused(reclaim.map(drop), "note_spent");
    assert_eq!(
        town.balances(),
        (before.0 - 1_000_000, before.1 + 1_000_000)
    );
}

#[test]
fn guardians_that_lose_power_come_back_and_nothing_is_lost() {
    let town = Town::found();
    town.order("guardian-3", Order::Kill);
    town.deposit(70_000);
    town.hand_over(10_000);
    let (address, fee_msat) = town.withdraw(&town.bob, 1_200);
    town.arrives(&address, 1_200);
    let bob = 10_000_000 - 1_200_000 - fee_msat;
    assert_eq!(town.balances(), (60_000_000, bob));

    town.order("guardian-3", Order::Start);
    town.wait("guardian 3 to catch up", || town.same_epoch());
    // Without guardian 0, the others need the one that had missed so much.
    town.order("guardian-0", Order::Kill);
    town.hand_over(5_000);
    town.order("guardian-0", Order::Start);
    town.books_balance();

    all_guardians_lose_power_while_notes_are_received(&town);
    town.hand_over(1_000);
    town.books_balance();
}

fn all_guardians_lose_power_while_notes_are_received(town: &Town) {
    let moments = moments(4, || town.hand_over(7_000));
    let mut balances = town.balances();
    for moment in moments {
        let notes = town.send(7_000);
        thread::scope(|scope| {
            let receiving = scope.spawn(|| town.bob.run(&["receive", &notes]));
            let begun = Instant::now();
            while begun.elapsed() < moment {
                thread::yield_now();
            }
            town.kill_all_guardians();
            town.start_all_guardians();
            // Received before, or when the guardians were back, or else by going on.
            let _ = receiving.join().unwrap();
        });
        town.bob.run(&["operations", "resume"]).unwrap();
        if town.balances().1 == balances.1 {
            town.bob.run(&["receive", &notes]).unwrap();
        }
        balances = (balances.0 - 7_000_000, balances.1 + 7_000_000);
        assert_eq!(town.balances(), balances, "killed after {moment:?}");
        town.books_balance();
    }
}

/// Scenario 33.
#[test]
fn a_guardian_that_moves_is_followed_by_guardians_and_wallets() {
    let town = Town::found();
    town.deposit(70_000);
    town.move_guardian(2);
    // Without guardian 0, both the others and the wallets need the one that has moved.
    town.order("guardian-0", Order::Kill);
    town.wait("quorum with the one that has moved", || {
        town.guardians()[1..].iter().all(|one| one.is_ready())
    });
    town.hand_over(10_000);
    let carol = town.newcomer("carol");
    let notes = town.send(5_000);
    let received = carol.run(&["receive", &notes]).unwrap();
    assert_eq!(received.number("amount_msat").unwrap(), 5_000_000);
    town.order("guardian-0", Order::Start);
    town.wait("all to be where the others are", || town.same_epoch());
    // Bob takes what carol has, so that the books of alice and bob are all.
    let sent = carol.run(&["send", "5000sat"]).unwrap();
    let notes = sent.text("notes").unwrap();
    town.bob.run(&["receive", &notes]).unwrap();
    town.books_balance();
}

#[test]
fn a_chain_and_an_index_that_lose_power_delay_money_and_lose_none() {
    let town = Town::found();
    let (operation, address) = town.deposit_address();
    town.faucet.pay(&address, Amount::from_sat(40_000)).unwrap();
    town.mine(1);
    town.order("electrs", Order::Kill);
    town.mine(FINALITY_BLOCKS);
    town.order("electrs", Order::Start);
    assert_eq!(town.deposit_state(&operation, true), "claimed");

    let (operation, address) = town.deposit_address();
    town.faucet.pay(&address, Amount::from_sat(20_000)).unwrap();
    town.mine(1);
    town.while_the_chain_is_down(|| assert_eq!(town.balances().0, 40_000_000));
    town.mine(FINALITY_BLOCKS);
    assert_eq!(town.deposit_state(&operation, true), "claimed");
    assert_eq!(town.balances(), (60_000_000, 0));

    let address = fresh_address();
    let arguments = [
        "withdraw",
        &address.to_string(),
        "5000sat",
        "--yes",
        "--no-wait",
    ];
    let withdrawal = town.alice.run(&arguments).unwrap();
    // E-cash needs no chain.
    town.while_the_chain_is_down(|| town.hand_over(10_000));
    town.alice.run(&["operations", "resume"]).unwrap();
    town.arrives(&address, 5_000);
    let paid = 5_000_000 + withdrawal.number("fee_msat").unwrap();
    assert_eq!(
        town.balances(),
        (60_000_000 - 10_000_000 - paid, 10_000_000)
    );
    town.books_balance();
}

#[test]
fn disks_that_fail_and_programs_that_are_killed_leave_everything_in_order() {
    let town = Town::found();
    town.deposit(200_000);
    a_second_process_on_a_guardians_directory_is_refused(&town);
    directories_that_cannot_be_written_are_named(&town);
    a_wallet_on_a_full_disk_says_so_and_works_again_with_room(&town);
    a_guardian_on_a_full_disk_ends_with_the_reason(&town);
    a_wallet_killed_while_it_sends_loses_nothing(&town);
    a_wallet_killed_while_it_receives_loses_nothing(&town);
    a_wallet_killed_while_it_withdraws_loses_nothing(&town);
}

fn a_second_process_on_a_guardians_directory_is_refused(town: &Town) {
    let spec = town.guardians()[1].spec.clone();
    let mut second = Command::new(&spec.program);
    let said = capture(second.args(&spec.args), LIMIT, &Stop::default()).unwrap();
    assert_eq!(said.status.code(), Some(1), "{}", said.stderr);
    assert!(
        said.stderr
            .contains("guardian.lock is locked by another process"),
        "{}",
        said.stderr
    );
    assert!(town.guardians()[1].is_ready());
}

fn directories_that_cannot_be_written_are_named(town: &Town) {
    let file = town.directory().join("file");
    fs::write(&file, "").unwrap();
    let mut wallet = Command::new(&town.programs.wallet);
    wallet
        .arg("--data-dir")
        .arg(file.join("wallet"))
        .arg("init");
    let mut guardian = Command::new(&town.programs.guardian);
    guardian
        .args(["run", "--password-file", "/dev/null", "--data-dir"])
        .arg(file.join("guardian"));
    for (command, status) in [(&mut wallet, 1), (&mut guardian, 2)] {
        let said = capture(command, LIMIT, &Stop::default()).unwrap();
        assert_eq!(said.status.code(), Some(status), "{}", said.stderr);
        let named = said.stderr.contains(&file.display().to_string());
        assert!(
            named && said.stderr.contains("Not a directory"),
            "{}",
            said.stderr
        );
    }
}

/// Runs a command whose files may not grow above `bytes`: what fails on a full disk fails there.
fn on_a_full_disk(bytes: u64, command: &Command) -> Command {
    let mut limited = Command::new("sh");
    // Writes above the limit are to fail, not to end the program by the signal XFSZ.
    limited.args([
        "-c",
        "trap '' 25; exec prlimit --fsize=\"$@\"",
        "sh",
        &bytes.to_string(),
    ]);
    limited.arg(command.get_program()).args(command.get_args());
    limited
}

fn a_wallet_on_a_full_disk_says_so_and_works_again_with_room(town: &Town) {
    let before = town.balances();
    let mut send = on_a_full_disk(4_096, &town.alice.command(&["send", "1000sat"]));
    let said = capture(&mut send, LIMIT, &Stop::default()).unwrap();
    assert_eq!(
        said.status.code(),
        Some(1),
        "{}{}",
        said.stdout,
        said.stderr
    );
    assert!(
        said.stdout.contains("\"storage_failed\""),
        "{}",
        said.stdout
    );
    assert_eq!(town.balances(), before);
    town.hand_over(1_000);
    assert_eq!(
        town.balances(),
        (before.0 - 1_000_000, before.1 + 1_000_000)
    );
}

fn a_guardian_on_a_full_disk_ends_with_the_reason(town: &Town) {
    let spec = town.guardians()[2].spec.clone();
    town.order("guardian-2", Order::Stop);
    let mut command = Command::new(&spec.program);
    command.args(&spec.args);
    let mut limited = on_a_full_disk(16_384, &command);
    thread::scope(|scope| {
        let ended = scope.spawn(|| capture(&mut limited, LIMIT, &Stop::default()).unwrap());
        town.hand_over(1_000);
        let said = ended.join().unwrap();
        assert_eq!(said.status.code(), Some(1), "{}", said.stderr);
        assert!(said.stderr.contains("disk I/O error"), "{}", said.stderr);
    });
    town.order("guardian-2", Order::Start);
    town.wait("guardian 2 to catch up", || town.same_epoch());
    town.books_balance();
}

/// Runs a command and kills it after a while. One that has ended before is well, too.
fn run_and_kill(wallet: &Wallet, arguments: &[&str], after: Duration) {
    let mut command = wallet.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (mut child, begun) = (command.spawn().unwrap(), Instant::now());
    while begun.elapsed() < after && child.try_wait().unwrap().is_none() {
        thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// From before anything is stored until after everything is done, by how long all of it takes on this machine.
fn moments(parts: u32, all_of_it: impl FnOnce()) -> impl Iterator<Item = Duration> {
    let begun = Instant::now();
    all_of_it();
    let whole = begun.elapsed();
    (1..=parts).map(move |part| whole * part / parts)
}

fn a_wallet_killed_while_it_sends_loses_nothing(town: &Town) {
    let handed_out = || -> u64 {
        let sent = town.operations(&town.alice, "send", "sent");
        sent.iter().map(|view| number(view, "amount_msat")).sum()
    };
    let (before, earlier) = (town.balances(), handed_out());
    for (moment, i) in moments(10, || drop(town.send(777))).zip(2..) {
        run_and_kill(&town.alice, &["send", &format!("{}sat", 777 * i)], moment);
        town.alice.run(&["operations", "resume"]).unwrap();
        let sent = handed_out() - earlier;
        assert_eq!(
            town.balances().0,
            before.0 - sent,
            "killed after {moment:?}"
        );
    }
    town.alice.run(&["reclaim"]).unwrap();
    assert_eq!(town.balances(), before);
    town.books_balance();
}

fn a_wallet_killed_while_it_receives_loses_nothing(town: &Town) {
    let moments = moments(10, || town.hand_over(1_100));
    let mut balances = town.balances();
    for moment in moments {
        let notes = town.send(1_100);
        run_and_kill(&town.bob, &["receive", &notes], moment);
        town.bob.run(&["operations", "resume"]).unwrap();
        if town.balances().1 == balances.1 {
            town.bob.run(&["receive", &notes]).unwrap();
        }
        balances = (balances.0 - 1_100_000, balances.1 + 1_100_000);
        assert_eq!(town.balances(), balances, "killed after {moment:?}");
    }
    town.books_balance();
}

fn a_wallet_killed_while_it_withdraws_loses_nothing(town: &Town) {
    let (before, _) = town.balances();
    let withdraw = || {
        town.withdraw(&town.alice, 2_000);
    };
    for moment in moments(10, withdraw) {
        let address = fresh_address().to_string();
        run_and_kill(
            &town.alice,
            &["withdraw", &address, "2000sat", "--yes"],
            moment,
        );
        town.alice.run(&["operations", "resume"]).unwrap();
        town.mine(1);
    }
    // Those that are in an agreed block by now are confirmed.
    let ended =
        ["signed", "confirmed"].map(|state| town.operations(&town.alice, "withdraw", state));
    let withdrawals = ended.concat();
    assert!(!withdrawals.is_empty(), "all were killed before they began");
    let price =
        |view: &serde_json::Value| number(view, "amount_sat") * 1000 + number(view, "fee_msat");
    let paid: u64 = withdrawals.iter().map(price).sum();
    assert_eq!(town.balances().0, before - paid);
    for view in &withdrawals {
        town.arrives(
            &town::parse_address(view["address"].as_str().unwrap()),
            2_000,
        );
    }
    town.books_balance();
}

fn number(view: &serde_json::Value, field: &str) -> u64 {
    view[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no {field}: {view}"))
}

fn assert_refused(result: Result<(), WalletError>, code: &str) {
    let answer = match result {
        Err(WalletError::Refused { answer, .. }) => answer,
        other => panic!("not refused: {other:?}"),
    };
    assert!(answer.contains(&format!("{code:?}")), "{answer}");
}
