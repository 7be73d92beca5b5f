//! `cargo testbed soak`: a federation under load whose parts are killed again and again, and checks that nothing is lost.

mod books;
mod dice;
mod kills;
mod load;
mod watch;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, Context, Result};
use guildmint_testbed::{
    cache::Cache,
    network::{stop_all, Keys, Network, Options, Tools},
    postgres::Databases,
    process::Lifetime,
    programs::Build,
    progress::minutes,
    stop::{Stop, WaitError},
    table::Table,
};

use books::Books;
use dice::Dice;
use kills::Killer;
use load::{Load, Street};
use watch::Watch;

/// Guardians, of which one may be down without anybody noticing.
const GUARDIANS: usize = 4;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// Looks until something is found, fails for good, or takes too long.
fn wait<T>(stop: &Stop, limit: Duration, probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    stop.wait(limit, probe).map_err(|error| match error {
        WaitError::Failed(error) => error,
        WaitError::TimedOut(limit) => anyhow!("not within {} s", limit.as_secs()),
        WaitError::Interrupted => anyhow!("interrupted"),
    })
}

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// How many processes are killed in all, guardians and database servers.
    pub kills: u64,
    /// Where guardians keep their rows.
    pub databases: Databases,
    /// Decides who is killed and when, and what users do.
    pub seed: u64,
    /// How many pairs of users hand money to each other.
    pub pairs: usize,
}

/// Runs a network of its own, and prints what became of it.
pub fn run(plan: &Plan, cache: &Cache, stop: &Stop) -> Result<()> {
    let tools = Tools::find_or_build(cache, GUARDIANS, Build::Test, stop)?;
    let folder = tempfile::Builder::new()
        .prefix("guildmint-soak-")
        .tempdir()?;
    // The database server runs as another user than root.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
    let options = Options {
        directory: folder.path().join("net"),
        guardians: GUARDIANS,
        databases: plan.databases,
        keys: Keys::Dealt,
        lifetime: Lifetime::Tethered,
    };
    let network = Network::up(options, cache, &tools, stop)?;
    let directory = network.directory().to_owned();
    let outcome = soak(plan, &network, &tools, stop);
    // What was started again has outlived the network's own value.
    let ended = stop_all(&directory);
    match outcome {
        Ok(table) => println!("\n{table}\nNothing was lost."),
        Err(error) => return Err(crate::keep(&folder, error)),
    }
    ended?;
    Ok(())
}

fn soak(plan: &Plan, network: &Network, tools: &Tools, stop: &Stop) -> Result<Table> {
    let programs = tools.programs.as_ref().context("there are no programs")?;
    let folder: PathBuf = network.directory().join("users");
    let mut dice = Dice::new(plan.seed);
    let street = Street::build(network, &programs.wallet, &folder, plan.pairs, stop)?;
    let load = Load::new(&street, stop);
    let watch = Watch::new(network.state()?.guardians);
    let begun = Instant::now();
    let mut killer = Killer::new(network.directory(), dice.split(), stop);
    let killed = thread::scope(|scope| {
        let watching = scope.spawn(|| watch.run());
        let working: Vec<_> = (0..plan.pairs)
            .map(|pair| (pair, dice.split()))
            .map(|(pair, dice)| {
                scope.spawn({
                    let load = &load;
                    move || load.work(pair, dice)
                })
            })
            .collect();
        let mining = scope.spawn(|| load.mine());
        let killed = killer.run(plan.kills);
        load.end();
        let worked: Result<Vec<()>> = working
            .into_iter()
            .map(|work| {
                work.join()
                    .unwrap_or_else(|_| Err(anyhow!("a user's thread has ended")))
            })
            .collect();
        watch.end();
        let watched = watching.join();
        let mined = mining.join();
        killed?;
        worked?;
        mined.map_err(|_| anyhow!("nobody mines"))??;
        watched.map_err(|_| anyhow!("nobody watches"))?
    });
    killed.context("while guardians were killed")?;
    let took = begun.elapsed();
    let books = Books::settle(&street, &load, &watch)?;
    let mut table = Table::new(["", ""]);
    table.row(["seed".to_owned(), plan.seed.to_string()]);
    table.row([
        "databases".to_owned(),
        format!("{:?}", plan.databases).to_lowercase(),
    ]);
    table.row(["killed under load in".to_owned(), minutes(took)]);
    for (what, figure) in [
        killer.figures(),
        load.figures(),
        watch.figures(),
        books.figures(),
    ]
    .concat()
    {
        table.row([what.to_owned(), figure]);
    }
    Ok(table)
}
