//! How long a reissue takes, how many a federation of four does, and what that costs. Run by `cargo testbed bench`, which
//! starts the federation and stops it.
//!
//! A reissue is done when it is accepted and all new notes are combined, verified and stored. Guardians and clients share the
//! machine.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{bail, Context, Result};
use async_std::task;
use cpu_time::ProcessTime;
use guildmint_bench::{
    guardians::{Guardians, Spent},
    wallet::Wallet,
};
use guildmint_testbed::control::Order;
use structopt::StructOpt;

/// How many wallets are at work at once.
const CLIENTS: [usize; 4] = [1, 4, 8, 16];
/// The guardian that fails.
const FAILING: &str = "guardian-3";

#[derive(StructOpt)]
struct Options {
    /// Reissues one after the other, for the latency.
    #[structopt(long, default_value = "60")]
    single: usize,
    /// Seconds of load for each number of clients.
    #[structopt(long, default_value = "15")]
    seconds: u64,
    /// Seconds of idleness.
    #[structopt(long, default_value = "60")]
    idle: u64,
    /// Also with one guardian down, and with one that runs twice with the same secrets and so contradicts itself.
    #[structopt(long)]
    faults: bool,
}

fn main() -> Result<()> {
    let options = Options::from_args();
    let directory = std::env::var("GUILDMINT_TESTBED")
        .context("run this with `cargo testbed bench`, which starts a federation for it")?;
    task::block_on(run(&options, Path::new(&directory)))
}

async fn run(options: &Options, directory: &Path) -> Result<()> {
    let mut guardians = Guardians::find(directory)?;
    let folder = tempfile::tempdir()?;
    let mut wallets = Vec::new();
    for number in 1..=16 {
        let path = folder.path().join(number.to_string());
        wallets.push(Wallet::join(&path, &guardians.invite).await?);
    }
    guardians.fund(&mut wallets, 100_000, folder.path()).await?;
    latency(options, &guardians, &mut wallets[0]).await?;
    for many in CLIENTS {
        wallets = load(options, &guardians, wallets, many).await?;
    }
    if options.faults {
        wallets = faults(options, &mut guardians, wallets).await?;
    }
    drop(wallets);
    idle(options, &guardians).await
}

/// The same load while one guardian fails in one way or another. Figures of processor time are of those that are up, or of the one
/// of two that was there before.
async fn faults(
    options: &Options,
    guardians: &mut Guardians,
    mut wallets: Vec<Wallet>,
) -> Result<Vec<Wallet>> {
    guardians.order(FAILING, Order::Kill)?;
    let before = guardians.epochs()?;
    println!("with one guardian down:");
    for many in CLIENTS {
        wallets = load(options, guardians, wallets, many).await?;
    }
    let missed = guardians.epochs()? - before;
    let begun = Instant::now();
    guardians.order(FAILING, Order::Start)?;
    let took = begun.elapsed().as_secs_f64();
    println!(
        "it is started again, and ready after {took:.2} s: {missed} epochs caught up, {:.0} a second",
        missed as f64 / took
    );
    guardians.order(FAILING, Order::Kill)?;
    let mut twin = guardians.start_twice(FAILING)?;
    println!("with one guardian that runs twice:");
    for many in CLIENTS {
        wallets = load(options, guardians, wallets, many).await?;
    }
    twin.kill()?;
    Ok(wallets)
}

async fn latency(options: &Options, guardians: &Guardians, wallet: &mut Wallet) -> Result<()> {
    wallet.reissue().await?;
    let (before, cpu) = (guardians.spent()?, ProcessTime::now());
    let mut took = Vec::new();
    let mut notes = 0;
    for _ in 0..options.single {
        let begun = Instant::now();
        notes += wallet.reissue().await?;
        took.push(begun.elapsed());
    }
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_millis();
    println!(
        "latency of a reissue, unloaded: p50 {} ms, p99 {} ms ({} notes in on average)",
        at(50),
        at(99),
        notes / took.len()
    );
    report(guardians, &before, cpu.elapsed(), took.len())
}

/// Many of the wallets at once, each as a task of its own.
async fn load(
    options: &Options,
    guardians: &Guardians,
    mut wallets: Vec<Wallet>,
    many: usize,
) -> Result<Vec<Wallet>> {
    let resting = wallets.split_off(many);
    let (before, cpu) = (guardians.spent()?, ProcessTime::now());
    let begun = Instant::now();
    let end = begun + Duration::from_secs(options.seconds);
    let run = |mut wallet: Wallet| {
        task::spawn(async move {
            let mut done = 0;
            while Instant::now() < end {
                wallet.reissue().await?;
                done += 1;
            }
            anyhow::Ok((wallet, done))
        })
    };
    let ended = futures::future::try_join_all(wallets.into_iter().map(run)).await?;
    let took = begun.elapsed();
    let done: usize = ended.iter().map(|(_, done)| done).sum();
    let rate = done as f64 / took.as_secs_f64();
    println!("{many} clients: {rate:.1} reissues/s");
    report(guardians, &before, cpu.elapsed(), done)?;
    Ok(ended
        .into_iter()
        .map(|(wallet, _)| wallet)
        .chain(resting)
        .collect())
}

async fn idle(options: &Options, guardians: &Guardians) -> Result<()> {
    // What the last reissue left to do is done by then.
    task::sleep(Duration::from_secs(5)).await;
    let before = guardians.spent()?;
    task::sleep(Duration::from_secs(options.idle)).await;
    let spent = guardians.spent()?.since(&before);
    let cpu = spent.cpu_ms as f64 / (options.idle * 10) as f64;
    println!(
        "idle: {cpu:.2} % of a core, {} bytes written and {} bytes sent per guardian in {} s",
        spent.written_bytes, spent.sent_bytes, options.idle
    );
    Ok(())
}

fn report(guardians: &Guardians, before: &Spent, client: Duration, reissues: usize) -> Result<()> {
    if reissues == 0 {
        bail!("no reissue was done");
    }
    let spent = guardians.spent()?.since(before);
    println!(
        "  per reissue: {:.1} ms of CPU, {} bytes written and {} bytes sent per guardian, {:.1} ms of CPU of the client",
        spent.cpu_ms as f64 / reissues as f64,
        spent.written_bytes / reissues as u64,
        spent.sent_bytes / reissues as u64,
        client.as_secs_f64() * 1_000.0 / reissues as f64,
    );
    Ok(())
}
