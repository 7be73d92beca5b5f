//! `cargo testbed`: see the package's README.

#![forbid(unsafe_code)]

mod cli;
mod demo;
mod payments;
mod soak;
mod suite;

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{exit, Command as Program},
};

use anyhow::{anyhow, Context, Result};
use bitcoin::{Address, Network as Chain};
use guildmint_testbed::{
    cache::Cache,
    command::run_shown,
    control::{control, Order},
    lightning::Lightning as Nodes,
    logs::tail,
    network::{self, Keys, Network, NodePrograms, Options, Tools},
    postgres::Databases,
    process::Lifetime,
    programs::{cargo, workspace, Build},
    report::Report,
    servers::Servers,
    state::State,
    stop::Stop,
};
use serde::Serialize;
use structopt::StructOpt;

use cli::{Cli, Command, Place, Shown};

/// Gateways of a network with Lightning, if nothing else is said.
const GATEWAYS: usize = 2;

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const INTERRUPTED: i32 = 130;

fn main() {
    let cli = Cli::from_iter_safe(std::env::args_os()).unwrap_or_else(|error| {
        // Help goes to standard output and is no failure.
        if error.use_stderr() {
            eprintln!("{}", error.message);
            exit(USAGE);
        }
        println!("{}", error.message);
        exit(0);
    });
    let json = cli.command.json();
    let stop = Stop::on_signals().unwrap_or_else(|error| {
        eprintln!("error: cannot listen for signals: {error}");
        exit(FAILED);
    });
    let Err(error) = Testbed::new(stop.clone()).and_then(|testbed| testbed.run(cli.command)) else {
        return;
    };
    let interrupted = stop.requested();
    if json {
        let code = if interrupted { "INTERRUPTED" } else { "FAILED" };
        let message = format!("{error:#}");
        println!(
            "{}",
            serde_json::json!({"error": {"code": code, "message": message}})
        );
    }
    eprintln!("error: {error:#}");
    exit(if interrupted { INTERRUPTED } else { FAILED });
}

struct Testbed {
    cache: Cache,
    stop: Stop,
}

impl Testbed {
    fn new(stop: Stop) -> Result<Self> {
        Ok(Self {
            cache: Cache::from_env()?,
            stop,
        })
    }

    fn run(&self, command: Command) -> Result<()> {
        match command {
            Command::Up {
                guardians,
                lightning,
                gateways,
                detach,
                shown,
            } => {
                let gateways = lightning.then_some(gateways.unwrap_or(GATEWAYS));
                self.up(guardians, gateways, detach, &shown)
            }
            Command::Down { delete, place } => self.down(&self.directory(&place)?, delete),
            Command::Status { shown } => {
                let directory = self.directory(&shown.place)?;
                show(
                    &Report::of(&directory, &State::load(&directory)?),
                    shown.json,
                )
            }
            Command::Mine { blocks, place } => self.mine(&self.directory(&place)?, blocks),
            Command::Faucet {
                address,
                amount,
                unconfirmed,
                place,
            } => {
                let address: Address<_> = address
                    .parse()
                    .with_context(|| format!("{address:?} is no address"))?;
                let address = address
                    .require_network(Chain::Regtest)
                    .context("the test network is regtest")?;
                let faucet = self.faucet(&self.directory(&place)?)?;
                println!("{}", faucet.pay(&address, amount.to_chain()?)?);
                if !unconfirmed {
                    faucet.mine(1)?;
                }
                Ok(())
            }
            Command::Logs { name, lines, place } => {
                self.logs(&self.directory(&place)?, &name, lines)
            }
            Command::Guardian {
                order,
                index,
                place,
            } => self.control(
                &self.directory(&place)?,
                &format!("guardian-{index}"),
                order,
            ),
            Command::Server { order, name, place } => {
                self.control(&self.directory(&place)?, &name, order)
            }
            Command::Servers { json } => self.servers(json),
            Command::Demo { lightning } => self.demo(lightning),
            Command::Test => suite::run(&self.cache, &self.stop),
            Command::Soak(soak) => self.soak(&soak),
            Command::Sim { arguments } => self.sim(arguments),
            Command::Bench {
                lightning: true, ..
            } => self.bench_lightning(),
            Command::Bench {
                database,
                arguments,
                ..
            } => self.bench(&database, &arguments),
        }
    }

    /// Absolute, because other terminals and the servers themselves use it, too.
    fn directory(&self, place: &Place) -> Result<PathBuf> {
        let directory = place.dir.clone().unwrap_or_else(|| self.cache.testbed());
        std::path::absolute(&directory).with_context(|| directory.display().to_string())
    }

    fn start(
        &self,
        directory: PathBuf,
        guardians: usize,
        gateways: Option<usize>,
        lifetime: Lifetime,
    ) -> Result<(Network, Tools)> {
        network::examine(&directory, guardians)?;
        let tools = Tools::find_or_build(&self.cache, guardians, Build::Test, &self.stop)?;
        let nodes = || NodePrograms::find_or_build(&self.cache, Build::Test, &self.stop);
        let nodes = gateways.map(|_| nodes()).transpose()?;
        let options = Options {
            directory: directory.clone(),
            guardians,
            databases: Databases::Sqlite,
            keys: Keys::Founded,
            lifetime,
        };
        let not_started = || format!("the network in {} did not start", directory.display());
        let network = Network::up(options, &self.cache, &tools, &self.stop);
        let mut network = network.with_context(not_started)?;
        if let (Some(gateways), Some(nodes)) = (gateways, nodes) {
            let added = network.add_lightning(gateways, &nodes, &self.cache);
            added.with_context(not_started)?;
        }
        Ok((network, tools))
    }

    fn up(
        &self,
        guardians: usize,
        gateways: Option<usize>,
        detach: bool,
        shown: &Shown,
    ) -> Result<()> {
        let directory = self.directory(&shown.place)?;
        let lifetime = if detach {
            Lifetime::Detached
        } else {
            Lifetime::Tethered
        };
        let (mut network, tools) = self.start(directory.clone(), guardians, gateways, lifetime)?;
        show(&Report::of(&directory, &network.state()?), shown.json)?;
        let option = match shown.place.dir {
            Some(_) => format!(" --dir {}", directory.display()),
            None => String::new(),
        };
        eprint!("\n{}", usage(&option, &tools, &network.state()?));
        if detach {
            network.leave();
            return Ok(());
        }
        eprintln!("\nCtrl-C stops everything.");
        network.watch();
        Ok(network.down()?)
    }

    fn down(&self, directory: &Path, delete: bool) -> Result<()> {
        let stopped = network::down(directory)?;
        match stopped.is_empty() {
            true => eprintln!("nothing was running in {}", directory.display()),
            false => eprintln!("stopped {}", stopped.join(", ")),
        }
        if delete {
            fs::remove_dir_all(directory).with_context(|| directory.display().to_string())?;
        }
        Ok(())
    }

    fn faucet(&self, directory: &Path) -> Result<guildmint_testbed::faucet::Faucet> {
        Ok(network::faucet(&State::load(directory)?, directory)?)
    }

    fn mine(&self, directory: &Path, blocks: u64) -> Result<()> {
        self.faucet(directory)?.mine(blocks)?;
        let state = State::load(directory)?;
        let tip = state
            .bitcoind
            .context("the network has no bitcoind")?
            .rpc
            .tip()?;
        println!("{} {}", tip.height, tip.hash);
        Ok(())
    }

    fn logs(&self, directory: &Path, name: &str, lines: usize) -> Result<()> {
        let state = State::load(directory)?;
        let known: Vec<&str> = state.specs().map(|spec| spec.name.as_str()).collect();
        let spec = state.specs().find(|spec| spec.name == name);
        let spec = spec.with_context(|| {
            format!(
                "there is no {name:?} in this network: it has {}",
                known.join(", ")
            )
        })?;
        println!("{}", tail(&spec.log, lines));
        Ok(())
    }

    fn control(&self, directory: &Path, name: &str, order: Order) -> Result<()> {
        Ok(control(directory, name, order, &self.stop)?)
    }

    fn servers(&self, json: bool) -> Result<()> {
        let servers = Servers::find_or_build(&self.cache, &self.stop)?;
        if json {
            return print_json(&servers);
        }
        let programs = [
            Some(&servers.bitcoind),
            servers.bitcoin_cli.as_ref(),
            Some(&servers.electrs),
        ];
        programs
            .iter()
            .flatten()
            .for_each(|program| println!("{}", program.path.display()));
        Ok(())
    }

    fn demo(&self, lightning: bool) -> Result<()> {
        let folder = tempfile::Builder::new()
            .prefix("guildmint-demo-")
            .tempdir()?;
        let (network, tools) = self
            .start(
                folder.path().into(),
                4,
                lightning.then_some(GATEWAYS),
                Lifetime::Tethered,
            )
            .map_err(|error| keep(&folder, error))?;
        let programs = tools.programs.context("the wallet was not built")?;
        let outcome = match lightning {
            false => demo::run(&network, &programs.wallet, &self.stop),
            true => Nodes::of(network.directory(), &self.stop)
                .map_err(Into::into)
                .and_then(|nodes| {
                    demo::lightning::run(&network, &nodes, &programs.wallet, &self.stop)
                }),
        };
        let down = network.down();
        match outcome {
            Ok(table) => println!("\n{table}"),
            Err(error) => return Err(keep(&folder, error)),
        }
        down?;
        println!("Every figure is right.");
        Ok(())
    }

    fn soak(&self, options: &cli::Soak) -> Result<()> {
        let mut random = [0; 4];
        getrandom::getrandom(&mut random).map_err(|error| anyhow!("no randomness: {error}"))?;
        let plan = soak::Plan {
            kills: options.kills,
            databases: options.database,
            seed: options
                .seed
                .unwrap_or_else(|| u32::from_le_bytes(random).into()),
            pairs: options.pairs,
            gateways: if options.lightning { GATEWAYS } else { 0 },
        };
        eprintln!("seed {}", plan.seed);
        let (seed, kills) = (plan.seed, plan.kills);
        let lightning = if options.lightning {
            " --lightning"
        } else {
            ""
        };
        let repeat =
            || format!("repeat it: cargo testbed soak{lightning} --seed {seed} --kills {kills}");
        soak::run(&plan, &self.cache, &self.stop).with_context(repeat)
    }

    fn sim(&self, arguments: Vec<String>) -> Result<()> {
        let mut command: Program = cargo(&self.cache);
        command.args(["run", "--package", "guildmint-sim", "--"]);
        Ok(run_shown(command.args(arguments), &self.stop)?)
    }

    /// The benchmarks are a workspace of their own, for the sake of the peers that they compare with.
    fn bench(&self, database: &str, arguments: &[String]) -> Result<()> {
        let kinds = match database {
            "both" => vec![Databases::Sqlite, Databases::Postgres],
            one => vec![one.parse().map_err(|error: String| anyhow!(error))?],
        };
        for databases in kinds {
            eprintln!("guardians with {databases:?}");
            self.bench_with(databases, arguments)?;
        }
        Ok(())
    }

    fn bench_lightning(&self) -> Result<()> {
        let folder = tempfile::Builder::new()
            .prefix("guildmint-bench-")
            .tempdir()?;
        let tools = Tools::find_or_build(&self.cache, 4, Build::Release, &self.stop)?;
        let nodes = NodePrograms::find_or_build(&self.cache, Build::Release, &self.stop)?;
        let programs = tools
            .programs
            .as_ref()
            .context("the wallet was not built")?;
        let options = Options {
            directory: folder.path().join("net"),
            guardians: 4,
            databases: Databases::Sqlite,
            keys: Keys::Dealt,
            lifetime: Lifetime::Tethered,
        };
        let mut network = Network::up(options, &self.cache, &tools, &self.stop)?;
        let directory = network.directory().to_owned();
        let nodes = network.add_lightning(GATEWAYS, &nodes, &self.cache)?;
        let measured = payments::run(&network, &nodes, programs, &self.stop);
        drop(network);
        // What was started again has outlived the network's own value.
        network::stop_all(&directory)?;
        println!("{}", measured?);
        Ok(())
    }

    fn bench_with(&self, databases: Databases, arguments: &[String]) -> Result<()> {
        let manifest = workspace().join("testbed/bench/Cargo.toml");
        if !manifest.exists() {
            return Err(anyhow!(
                "{} is missing: there are no benchmarks in this checkout",
                manifest.display()
            ));
        }
        let folder = tempfile::Builder::new()
            .prefix("guildmint-bench-")
            .tempdir()?;
        // The database server runs as another user than root.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
        let tools = Tools::find_or_build(&self.cache, 4, Build::Release, &self.stop)?;
        let options = Options {
            directory: folder.path().join("net"),
            guardians: 4,
            databases,
            keys: Keys::Dealt,
            lifetime: Lifetime::Tethered,
        };
        let network = Network::up(options, &self.cache, &tools, &self.stop)?;
        let mut command: Program = cargo(&self.cache);
        command
            .args(["run", "--release", "--manifest-path"])
            .arg(manifest)
            .arg("--")
            .args(arguments);
        command.env("GUILDMINT_TESTBED", network.directory());
        let outcome = run_shown(&mut command, &self.stop);
        let directory = network.directory().to_owned();
        drop(network);
        // What the benchmarks started again has outlived the network's own value.
        network::stop_all(&directory)?;
        Ok(outcome?)
    }
}

fn usage(option: &str, tools: &Tools, state: &State) -> String {
    let testbed = format!(
        "cargo testbed faucet <address> 0.1btc{option}   pays out of the faucet
cargo testbed mine 6{option}                     mines blocks
cargo testbed status{option}                     shows this again
cargo testbed down{option}                       stops it
"
    );
    match (&tools.programs, &state.federation) {
        (Some(programs), Some(federation)) => {
            let wallet = format!(
                "{} --data-dir <a folder of yours>",
                programs.wallet.display()
            );
            format!(
                "{wallet} init\n{wallet} join {}\n{wallet} deposit address\n{testbed}",
                federation.invite
            )
        }
        _ => testbed,
    }
}

/// Keeps a temporary network's directory, because its logs tell what went wrong.
fn keep(folder: &tempfile::TempDir, error: anyhow::Error) -> anyhow::Error {
    let kept = std::env::temp_dir().join(format!("guildmint-failed-{}", std::process::id()));
    match fs::rename(folder.path(), &kept) {
        Ok(()) => error.context(format!("failed; its logs are in {}", kept.display())),
        Err(_) => error,
    }
}

fn show(report: &Report, json: bool) -> Result<()> {
    match json {
        true => print_json(report),
        false => Ok(write!(std::io::stdout(), "{}", report.text())?),
    }
}

fn print_json(document: &impl Serialize) -> Result<()> {
    Ok(writeln!(
        std::io::stdout(),
        "{}",
        serde_json::to_string_pretty(document)?
    )?)
}
