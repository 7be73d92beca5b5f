//! The Debian packages that builds need: installed by root, named to everybody else.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use thiserror::Error;

use crate::{
    command::{CommandError, Quiet},
    stop::Stop,
};

/// What compiling Bitcoin Core takes.
pub const BITCOIND: &[&str] = &["cmake", "g++", "libboost-dev", "make"];
/// What compiling electrs takes, and running it: it links Debian's RocksDB, which spares ten minutes.
pub const ELECTRS: &[&str] = &["clang", "g++", "librocksdb-dev"];
/// What compiling Guildmint itself takes.
pub const WORKSPACE: &[&str] = &["gcc", "libssl-dev", "pkg-config"];

/// What the tests of databases start servers of.
pub const POSTGRES: &[&str] = &["postgresql"];

/// A Lightning node that shares no code with ours.
pub const ELECTRUM: &[&str] = &["electrum"];

/// What the tests of pages look at them with.
pub const BROWSER: &[&str] = &["chromium"];

/// Why packages could not be had.
#[derive(Debug, Error)]
pub enum PackagesError {
    /// Only root may install.
    #[error("Debian packages are missing. Run this, then try again:\n\n    sudo apt-get install --yes {}\n", .0.join(" "))]
    NotRoot(Vec<String>),
    /// The package manager failed.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Sees to it that `wanted` are installed. Without Debian's tools it takes for granted that they are: a build then says
/// what it lacks.
pub fn ensure(wanted: &[&str], logs: &Path, stop: &Stop) -> Result<(), PackagesError> {
    let Some(missing) = missing(wanted).filter(|missing| !missing.is_empty()) else {
        return Ok(());
    };
    if !rustix::process::geteuid().is_root() {
        return Err(PackagesError::NotRoot(missing));
    }
    let title = format!("installing the Debian packages {}", missing.join(" "));
    let log = logs.join("apt-get.log");
    let work = Quiet {
        title: &title,
        usual: Some(Duration::from_secs(30)),
        log: &log,
        percent: |_| None,
    };
    // The lists may be absent or old: only then is the update worth its time.
    let first = work.run(vec![install(&missing)], stop);
    match first {
        Err(CommandError::Logged { .. }) => {
            Ok(work.run(vec![apt_get(&["update"]), install(&missing)], stop)?)
        }
        other => Ok(other?),
    }
}

fn install(packages: &[String]) -> Command {
    let mut command = apt_get(&["install", "--yes", "--no-install-recommends"]);
    command.args(packages);
    command
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
        .args(["--quiet", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments);
    command
}

/// Those of `wanted` that are not installed; nothing if this is no Debian.
fn missing(wanted: &[&str]) -> Option<Vec<String>> {
    let mut query = Command::new("dpkg-query");
    query
        .args([
            "--show",
            "--showformat",
            "${Package} ${db:Status-Status}\\n",
        ])
        .args(wanted);
    let output = query
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    Some(not_installed(
        wanted,
        &String::from_utf8_lossy(&output.stdout),
    ))
}

fn not_installed(wanted: &[&str], listing: &str) -> Vec<String> {
    let installed = |name: &str| {
        listing
            .lines()
            .any(|line| line.split_once(' ') == Some((name, "installed")))
    };
    wanted
        .iter()
        .filter(|name| !installed(name))
        .map(|name| (*name).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_and_unknown_packages_are_missing() {
        let listing = "cmake installed\ng++ config-files\nlibc6 installed\n";
        assert_eq!(
            not_installed(&["cmake", "g++", "make"], listing),
            ["g++", "make"]
        );
    }

    #[test]
    fn whoever_may_not_install_gets_the_line_to_run() {
        let error = PackagesError::NotRoot(vec!["cmake".into(), "make".into()]).to_string();
        assert!(
            error.contains("sudo apt-get install --yes cmake make\n"),
            "{error}"
        );
    }
}
