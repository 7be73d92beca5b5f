//! The command line.

use std::path::PathBuf;

use guildmint_testbed::{amount::Msat, control::Order, postgres::Databases};
use structopt::{clap::AppSettings, StructOpt};

/// A test network on this machine: a real bitcoind and electrs on regtest, and guardians as processes.
///
/// Everything that it builds or downloads is kept in $GUILDMINT_CACHE, by default ~/.cache/guildmint.
///
/// Exit status: 0 done, 1 failed, 2 the command line is wrong, 130 interrupted.
#[derive(Debug, StructOpt)]
#[structopt(name = "cargo testbed", global_settings = &[AppSettings::VersionlessSubcommands])]
pub struct Cli {
    #[structopt(subcommand)]
    pub command: Command,
}

#[derive(Debug, StructOpt)]
pub enum Command {
    /// Starts a network; it ends with Ctrl-C, or with `down` if detached.
    Up {
        /// How many guardians; 0 starts bitcoind and electrs alone.
        #[structopt(long, default_value = "4", value_name = "N")]
        guardians: usize,
        /// Adds Lightning: gateways with money, channels and e-cash, and Electrum, with which they have channels, too.
        #[structopt(long)]
        lightning: bool,
        /// How many gateways [default: 2].
        #[structopt(long, value_name = "N", requires = "lightning")]
        gateways: Option<usize>,
        /// Leaves it running in the background.
        #[structopt(long)]
        detach: bool,
        #[structopt(flatten)]
        shown: Shown,
    },
    /// Stops the network. Its directory stays, and `up` goes on with it.
    Down {
        /// Deletes the directory, too.
        #[structopt(long)]
        delete: bool,
        #[structopt(flatten)]
        place: Place,
    },
    /// Tells what runs, where, and how to reach it.
    Status {
        #[structopt(flatten)]
        shown: Shown,
    },
    /// Mines blocks; the rewards go to the faucet.
    Mine {
        /// How many.
        blocks: u64,
        #[structopt(flatten)]
        place: Place,
    },
    /// Pays to an address, and mines the block that confirms it.
    Faucet {
        /// A regtest address.
        address: String,
        /// An amount with its unit: 1000sat, 0.5btc, 5000000msat.
        amount: Msat,
        /// Mines nothing: the payment waits for `mine`.
        #[structopt(long)]
        unconfirmed: bool,
        #[structopt(flatten)]
        place: Place,
    },
    /// Prints the end of a server's log.
    Logs {
        /// bitcoind, electrs, guardian-0, gateway-0, electrum, …
        name: String,
        /// How many lines.
        #[structopt(long, short = "n", default_value = "100")]
        lines: usize,
        #[structopt(flatten)]
        place: Place,
    },
    /// Stops, kills or starts one guardian.
    Guardian {
        /// stop (asks it to end), kill (ends it as a power failure would) or start.
        #[structopt(parse(try_from_str = order), possible_values = &ORDERS)]
        order: Order,
        /// Its number, from 0.
        index: usize,
        #[structopt(flatten)]
        place: Place,
    },
    /// Stops, kills or starts any server by its name.
    Server {
        /// stop (asks it to end), kill (ends it as a power failure would) or start.
        #[structopt(parse(try_from_str = order), possible_values = &ORDERS)]
        order: Order,
        /// bitcoind, electrs, guardian-0, gateway-0, electrum, …
        name: String,
        #[structopt(flatten)]
        place: Place,
    },
    /// Finds or builds bitcoind and electrs, and prints where they are.
    Servers {
        /// Prints one JSON document.
        #[structopt(long)]
        json: bool,
    },
    /// The main job on real bitcoin, every figure checked: bitcoin in, e-cash from hand to hand, bitcoin out.
    Demo {
        /// Payments over Lightning instead, also with gateways that are killed and that vanish.
        #[structopt(long)]
        lightning: bool,
    },
    /// Runs every check and every test of the project.
    Test,
    /// Kills guardians, or gateways, under load, again and again, and looks whether anything is lost.
    Soak(Soak),
    /// Runs federations in simulated time; arguments are handed to the simulator.
    #[structopt(setting = AppSettings::TrailingVarArg, setting = AppSettings::AllowLeadingHyphen)]
    Sim {
        /// What it is to do, such as --seeds 200.
        arguments: Vec<String>,
    },
    /// Runs the benchmarks; arguments are handed to them.
    #[structopt(setting = AppSettings::TrailingVarArg, setting = AppSettings::AllowLeadingHyphen)]
    Bench {
        /// Where guardians keep their rows: sqlite, postgres, mixed, or both for first one and then the other.
        #[structopt(long, default_value = "sqlite", value_name = "kind", possible_values = &["sqlite", "postgres", "mixed", "both"])]
        database: String,
        /// Measures payments over Lightning instead, by release builds.
        #[structopt(long)]
        lightning: bool,
        /// What the benchmarks are to do.
        arguments: Vec<String>,
    },
}

// A doc comment would take the place of that of the command.
#[allow(missing_docs)]
#[derive(Debug, StructOpt)]
pub struct Soak {
    /// How many processes are killed in all.
    #[structopt(long, default_value = "200", value_name = "N")]
    pub kills: u64,
    /// Where guardians keep their rows: sqlite, postgres, or mixed for half of them each.
    #[structopt(long, default_value = "mixed", value_name = "kind")]
    pub database: Databases,
    /// Decides who is killed and when; one is made up if none is named.
    #[structopt(long, value_name = "S")]
    pub seed: Option<u64>,
    /// How many pairs of users hand money to each other.
    #[structopt(long, default_value = "2", value_name = "N")]
    pub pairs: usize,
    /// Kills gateways, too, while users pay over Lightning.
    #[structopt(long)]
    pub lightning: bool,
}

// Which network. A doc comment would take the place of those of the commands.
#[allow(missing_docs)]
#[derive(Debug, StructOpt)]
pub struct Place {
    /// The network's directory [default: the cache's testbed].
    #[structopt(long, value_name = "D")]
    pub dir: Option<PathBuf>,
}

// Which network, and how it is shown. A doc comment would take the place of those of the commands.
#[allow(missing_docs)]
#[derive(Debug, StructOpt)]
pub struct Shown {
    #[structopt(flatten)]
    pub place: Place,
    /// Prints one JSON document.
    #[structopt(long)]
    pub json: bool,
}

const ORDERS: [&str; 3] = ["stop", "kill", "start"];

fn order(text: &str) -> Result<Order, String> {
    match text {
        "stop" => Ok(Order::Stop),
        "kill" => Ok(Order::Kill),
        "start" => Ok(Order::Start),
        other => Err(format!("{other:?} is not one of {}", ORDERS.join(", "))),
    }
}

impl Command {
    /// Whether standard output takes one JSON document and nothing else.
    pub fn json(&self) -> bool {
        match self {
            Self::Up { shown, .. } | Self::Status { shown } => shown.json,
            Self::Servers { json } => *json,
            _ => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        let words = std::iter::once("cargo testbed").chain(line.split(' '));
        Cli::from_iter_safe(words)
            .map(|cli| cli.command)
            .map_err(|error| error.message)
    }

    #[test]
    fn commands_are_understood() {
        assert!(matches!(
            parse("up").unwrap(),
            Command::Up {
                guardians: 4,
                detach: false,
                ..
            }
        ));
        assert!(matches!(
            parse("up --lightning").unwrap(),
            Command::Up {
                lightning: true,
                gateways: None,
                ..
            }
        ));
        assert!(parse("up --gateways 3 --lightning").is_ok());
        assert!(parse("up --gateways 3")
            .unwrap_err()
            .contains("--lightning"));
        let up = parse("up --guardians 7 --dir /tmp/x --detach --json").unwrap();
        assert!(
            up.json()
                && matches!(
                    up,
                    Command::Up {
                        guardians: 7,
                        detach: true,
                        ..
                    }
                )
        );
        assert!(matches!(
            parse("mine 3").unwrap(),
            Command::Mine { blocks: 3, .. }
        ));
        let kill = parse("guardian kill 2").unwrap();
        assert!(matches!(
            kill,
            Command::Guardian {
                order: Order::Kill,
                index: 2,
                ..
            }
        ));
        let bench = parse("bench idle --minutes 1").unwrap();
        assert!(
            matches!(bench, Command::Bench { arguments, .. } if arguments == ["idle", "--minutes", "1"])
        );
        let bench = parse("bench --database both -- --faults").unwrap();
        let Command::Bench {
            database,
            arguments,
            lightning: false,
        } = bench
        else {
            panic!("{bench:?}")
        };
        assert_eq!(
            (&database[..], &arguments[..]),
            ("both", &["--faults".to_owned()][..])
        );
    }

    #[test]
    fn every_command_is_described_in_its_own_words() {
        let help = parse("--help").unwrap_err();
        for words in [
            "Mines blocks",
            "Stops the network",
            "Pays to an address",
            "any server",
        ] {
            assert!(help.contains(words), "{words:?} is not in {help}");
        }
    }

    #[test]
    fn a_soak_has_figures_of_its_own() {
        let soak = parse("soak --kills 20 --database postgres --seed 7").unwrap();
        assert!(matches!(
            soak,
            Command::Soak(Soak {
                kills: 20,
                database: Databases::Postgres,
                seed: Some(7),
                pairs: 2,
                lightning: false,
            })
        ));
        assert!(parse("soak --database oracle")
            .unwrap_err()
            .contains("mixed"));
    }

    #[test]
    fn simulations_get_their_arguments() {
        let sim = parse("sim --seed 17").unwrap();
        assert!(matches!(sim, Command::Sim { arguments } if arguments == ["--seed", "17"]));
    }

    #[test]
    fn money_without_a_unit_is_refused() {
        assert!(parse("faucet bcrt1q 1000sat").is_ok());
        let error = parse("faucet bcrt1q 1000").unwrap_err();
        assert!(error.contains("1000sat"), "{error}");
        assert!(parse("guardian restart 1").is_err());
    }
}
