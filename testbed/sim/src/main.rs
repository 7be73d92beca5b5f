//! `cargo sim`: many worlds, or one of them again.

use std::panic::{catch_unwind, AssertUnwindSafe};

use structopt::StructOpt;

/// Runs simulated federations; a seed decides everything about one.
#[derive(StructOpt)]
#[structopt(name = "sim")]
struct Options {
    /// How many seeds to run, from `--first` on.
    #[structopt(long, default_value = "200")]
    seeds: u64,
    /// The first seed.
    #[structopt(long, default_value = "0")]
    first: u64,
    /// Run this seed alone, and let a failure show in full.
    #[structopt(long)]
    seed: Option<u64>,
}

fn main() {
    let options = Options::from_args();
    if let Some(seed) = options.seed {
        guildmint_sim::runs::storm(seed);
        println!("seed {seed}: all is well");
        return;
    }
    let mut failed = 0;
    for seed in options.first..options.first + options.seeds {
        let run = AssertUnwindSafe(|| guildmint_sim::runs::storm(seed));
        if catch_unwind(run).is_err() {
            failed += 1;
            println!("seed {seed} failed; repeat it: cargo sim --seed {seed}");
        }
    }
    println!("{} passed, {failed} failed", options.seeds - failed);
    if failed > 0 {
        std::process::exit(1);
    }
}
