//! What it costs guardians to found a federation with no dealer: time, processor and traffic, as separate processes on one machine.

use std::fs;

use anyhow::{Context, Result};
use guildmint_bench::guardians::Guardians;
use guildmint_testbed::{
    cache::Cache,
    network::{Keys, Network, Options as NetworkOptions, Tools},
    postgres::Databases,
    process::Lifetime,
    programs::Build,
    stop::Stop,
};
use structopt::StructOpt;

#[derive(StructOpt)]
struct Options {
    /// How many guardians found a federation, one size after the other.
    #[structopt(default_value = "4")]
    guardians: Vec<usize>,
}

fn main() -> Result<()> {
    let cache = Cache::from_env()?;
    let stop = Stop::on_signals()?;
    for many in Options::from_args().guardians {
        let tools = Tools::find_or_build(&cache, many, Build::Release, &stop)?;
        let folder = tempfile::tempdir()?;
        let options = NetworkOptions {
            directory: folder.path().join("net"),
            guardians: many,
            databases: Databases::Sqlite,
            keys: Keys::Founded,
            lifetime: Lifetime::Tethered,
        };
        let before = loopback_bytes()?;
        let network = Network::up(options, &cache, &tools, &stop)?;
        let sent = (loopback_bytes()? - before) / many as u64;
        let guardians = Guardians::find(network.directory())?;
        let (spent, age) = (guardians.spent()?, guardians.age()?);
        println!(
            "{many} guardians: {:.1} s from their start to a federation that is ready; for each {:.2} s of CPU, {sent} bytes sent, what they tell the chain's index and their operators included, and {} written",
            age.as_secs_f64(),
            spent.cpu_ms as f64 / 1_000.0,
            spent.written_bytes,
        );
        network.down()?;
    }
    Ok(())
}

/// What was sent over the loopback interface since the machine was started: the ninth number of its line.
fn loopback_bytes() -> Result<u64> {
    let table = fs::read_to_string("/proc/net/dev")?;
    let line = table
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("lo:"));
    let sent = line.and_then(|line| line.split_whitespace().nth(8));
    Ok(sent.context("the loopback interface")?.parse()?)
}
