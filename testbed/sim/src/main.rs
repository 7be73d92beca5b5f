//! `cargo sim`: many worlds, or one of them again.

use std::{
    any::Any,
    panic::{catch_unwind, set_hook, AssertUnwindSafe},
};

use guildmint_core::PeerId;
use guildmint_sim::runs;
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
    /// Instead of random worlds, a short story again and again, with power lost before each single thing that one guardian does
    /// in it, and before each that any does.
    #[structopt(long)]
    power: bool,
}

fn main() {
    let options = Options::from_args();
    if let Some(seed) = options.seed {
        runs::storm(seed);
        println!("seed {seed}: all is well");
        return;
    }
    if options.power {
        let one = runs::power_fails_everywhere(Some(PeerId(0)), 1);
        println!("one guardian lost power at {one} places, and all is well");
        let all = runs::power_fails_everywhere(None, 1);
        println!("all guardians lost power at {all} places, and all is well");
        return;
    }
    let mut failed = 0;
    // One line for each seed that fails is enough; the rest shows when it is repeated.
    set_hook(Box::new(|_| {}));
    for seed in options.first..options.first + options.seeds {
        let run = AssertUnwindSafe(|| runs::storm(seed));
        if let Err(panic) = catch_unwind(run) {
            failed += 1;
            let why = reason(panic.as_ref());
            println!("seed {seed} failed; repeat it: cargo sim --seed {seed} ({why})");
        }
    }
    println!("{} passed, {failed} failed", options.seeds - failed);
    if failed > 0 {
        std::process::exit(1);
    }
}

/// The first line of what a check had to say.
fn reason(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next())
        .unwrap_or("no reason given")
}
