//! `cargo testbed soak`: a federation under load whose parts are killed again and again, and checks that nothing is lost.

mod books;
mod dice;
mod kills;
mod load;
mod market;
mod receipts;
mod watch;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, Context, Result};
use bitcoin::Amount;
use guildmint_testbed::{
    cache::Cache,
    lightning::Lightning,
    network::{stop_all, Keys, Network, NodePrograms, Options, Tools},
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
use market::Market;
use receipts::{wealth, Receipts};
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
    /// How many gateways there are; with some, users pay over Lightning.
    pub gateways: usize,
}

/// More than gateways come to have in a federation, or spend, while they are tried.
const GATEWAY_LIMIT: Amount = Amount::from_sat(100_000_000);

type Figures = Vec<(&'static str, String)>;

/// Runs a network of its own, and prints what became of it.
pub fn run(plan: &Plan, cache: &Cache, stop: &Stop) -> Result<()> {
    let tools = Tools::find_or_build(cache, GUARDIANS, Build::Test, stop)?;
    let programs = || NodePrograms::find_or_build(cache, Build::Test, stop);
    let programs = (plan.gateways > 0).then(programs).transpose()?;
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
    let mut network = Network::up(options, cache, &tools, stop)?;
    let directory = network.directory().to_owned();
    let nodes = programs.map(|programs| network.add_lightning(plan.gateways, &programs, cache));
    let outcome = nodes
        .transpose()
        .map_err(Into::into)
        .and_then(|nodes| soak(plan, &network, nodes.as_ref(), &tools, stop));
    // What was started again has outlived the network's own value.
    let ended = stop_all(&directory);
    match outcome {
        Ok(table) => println!("\n{table}\nNothing was lost."),
        Err(error) => return Err(crate::keep(&folder, error)),
    }
    ended?;
    Ok(())
}

fn soak(
    plan: &Plan,
    network: &Network,
    nodes: Option<&Lightning>,
    tools: &Tools,
    stop: &Stop,
) -> Result<Table> {
    let programs = tools.programs.as_ref().context("there are no programs")?;
    let folder: PathBuf = network.directory().join("users");
    let mut dice = Dice::new(plan.seed);
    let begin_sat = match nodes {
        None => load::BEGIN_SAT,
        Some(_) => market::BEGIN_SAT,
    };
    let people = (plan.pairs, begin_sat);
    let street = Street::build(network, &programs.wallet, &folder, people, stop)?;
    let watch = Watch::new(network.state()?.guardians);
    let killer = Killer::new(network.directory(), dice.split(), stop);
    let mut table = Table::new(["", ""]);
    table.row(["seed".to_owned(), plan.seed.to_string()]);
    table.row([
        "databases".to_owned(),
        format!("{:?}", plan.databases).to_lowercase(),
    ]);
    let trial = Trial {
        plan,
        street,
        watch,
        stop,
    };
    let figures = match nodes {
        None => trial.hand_over(killer, dice)?,
        Some(nodes) => trial.pay(network, nodes, killer, dice)?,
    };
    for (what, figure) in figures {
        table.row([what.to_owned(), figure]);
    }
    Ok(table)
}

/// Users and guardians, before anything has happened to them.
struct Trial<'a> {
    plan: &'a Plan,
    street: Street,
    watch: Watch,
    stop: &'a Stop,
}

impl Trial<'_> {
    /// Users hand e-cash to each other.
    fn hand_over(&self, mut killer: Killer<'_>, mut dice: Dice) -> Result<Figures> {
        let load = &Load::new(&self.street, self.stop);
        let begun = Instant::now();
        thread::scope(|scope| {
            let watching = scope.spawn(|| self.watch.run());
            let mining = scope.spawn(|| load.mine());
            let work = |pair, dice| scope.spawn(move || load.work(pair, dice));
            let working: Vec<_> = (0..self.plan.pairs)
                .map(|pair| work(pair, dice.split()))
                .collect();
            let killed = killer.run(self.plan.kills);
            load.end();
            let worked = working.into_iter().try_for_each(join);
            self.watch.end();
            together(killed, worked, [join(watching), join(mining)])
        })?;
        let took = ("killed under load in", minutes(begun.elapsed()));
        let books = Books::settle(&self.street, load, &self.watch)?;
        let figures = [killer.figures(), load.figures(), self.watch.figures()].concat();
        Ok([vec![took], figures, books.figures()].concat())
    }

    /// Users pay over Lightning.
    fn pay(
        &self,
        network: &Network,
        nodes: &Lightning,
        mut killer: Killer<'_>,
        mut dice: Dice,
    ) -> Result<Figures> {
        let federation = network.state()?.federation.context("a federation")?;
        let mut keys = Vec::new();
        for gateway in &nodes.gateways {
            gateway.limit(&federation.federation_id, GATEWAY_LIMIT)?;
            let served = gateway.status()?.federations.into_iter().next();
            keys.push(served.context("a gateway that serves nobody")?.key);
        }
        let had_msat = wealth(nodes)?;
        let market = &Market::new(&self.street, nodes, &keys, self.stop);
        let begun = Instant::now();
        thread::scope(|scope| {
            let watching = scope.spawn(|| self.watch.run());
            let mining = scope.spawn(|| market.mine());
            let work = |pair, dice| scope.spawn(move || market.work(scope, pair, dice));
            let working: Vec<_> = (0..self.plan.pairs)
                .map(|pair| work(pair, dice.split()))
                .collect();
            let killed = killer.run(self.plan.kills);
            market.end();
            let worked = working.into_iter().try_for_each(join);
            self.watch.end();
            together(killed, worked, [join(watching), join(mining)])
        })?;
        let took = ("killed under load in", minutes(begun.elapsed()));
        let receipts = Receipts::settle(&self.street, nodes, market, &self.watch, had_msat)?;
        let figures = [killer.figures(), market.figures(), self.watch.figures()].concat();
        Ok([vec![took], figures, receipts.figures()].concat())
    }
}

fn join(thread: thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread
        .join()
        .unwrap_or_else(|_| Err(anyhow!("a thread has ended")))
}

/// The first that went wrong.
fn together(killed: Result<()>, worked: Result<()>, beside: [Result<()>; 2]) -> Result<()> {
    killed.context("while servers were killed")?;
    worked.context("a user")?;
    let [watched, mined] = beside;
    watched.context("watching guardians")?;
    mined.context("mining")
}
