//! Builds the real servers from crates.io, once, into the cache.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use thiserror::Error;

use crate::{
    cache::{Cache, CacheError},
    command::{CommandError, Quiet},
    packages::{self, PackagesError},
    stop::Stop,
};

pub mod bitcoind;
pub mod electrs;

/// How to build one server.
#[derive(Debug)]
pub struct Recipe {
    /// Its name and version, which is also its folder in the cache: another version gets another folder.
    pub name: &'static str,
    /// What it is, as people read it.
    pub title: &'static str,
    /// The programs that it gives, the server first.
    pub programs: &'static [&'static str],
    /// The Debian packages that it takes.
    pub packages: &'static [&'static str],
    /// How long it usually takes on two cores.
    pub usual: Duration,
    /// How far the build is, from a line of its output.
    pub percent: fn(&str) -> Option<u8>,
    /// The commands that fetch and build in a working folder and leave the programs in `programs/bin` there.
    pub commands: fn(&Path) -> io::Result<Vec<Command>>,
}

/// Why a server could not be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// Packages are missing.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A command failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A file could not be made or moved.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The build went through, but what it left does not run.
    #[error("{} does not run: {reason}", .program.display())]
    Unusable {
        /// The program.
        program: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Recipe {
    /// Where its programs are once built.
    pub fn folder(&self, cache: &Cache) -> PathBuf {
        cache.servers().join(self.name).join("bin")
    }

    /// The programs in the cache, if they are there and run.
    pub fn cached(&self, cache: &Cache) -> Option<Vec<PathBuf>> {
        let programs: Vec<PathBuf> = self
            .programs
            .iter()
            .map(|name| self.folder(cache).join(name))
            .collect();
        programs
            .iter()
            .all(|program| check(program).is_ok())
            .then_some(programs)
    }

    /// The programs in the cache, built first if need be.
    ///
    /// The build happens in a working folder, which is moved into place only when it has succeeded. An interrupted build
    /// goes on where it was; a failed one begins anew, so that a damaged working folder cannot fail for ever.
    pub fn build(&self, cache: &Cache, stop: &Stop) -> Result<Vec<PathBuf>, BuildError> {
        cache.make(&cache.servers())?;
        let _lock = cache.lock(self.name, stop)?;
        packages::ensure(self.packages, &cache.servers(), stop)?;
        if let Some(programs) = self.cached(cache) {
            return Ok(programs);
        }
        let work = cache.servers().join(format!("{}.building", self.name));
        cache.make(&work)?;
        self.run(&work, &cache.servers(), stop)?;
        let (made, place) = (work.join("programs"), cache.servers().join(self.name));
        for name in self.programs {
            let program = made.join("bin").join(name);
            check(&program).map_err(|reason| BuildError::Unusable { program, reason })?;
        }
        remove(&place)?;
        fs::rename(&made, &place).map_err(|error| BuildError::File { path: place, error })?;
        remove(&work)?;
        Ok(self
            .programs
            .iter()
            .map(|name| self.folder(cache).join(name))
            .collect())
    }

    fn run(&self, work: &Path, logs: &Path, stop: &Stop) -> Result<(), BuildError> {
        let commands = (self.commands)(work).map_err(|error| BuildError::File {
            path: work.into(),
            error,
        })?;
        let title = format!("building {}", self.title);
        let log = logs.join(format!("{}.log", self.name));
        let quiet = Quiet {
            title: &title,
            usual: Some(self.usual),
            log: &log,
            percent: self.percent,
        };
        let built = quiet.run(commands, stop);
        if matches!(built, Err(CommandError::Logged { .. })) {
            remove(work)?;
        }
        Ok(built?)
    }
}

fn remove(folder: &Path) -> Result<(), BuildError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BuildError::File {
            path: folder.into(),
            error,
        }),
        _ => Ok(()),
    }
}

/// Whether a program runs here: it may have been built for another machine, or its libraries may be gone.
fn check(program: &Path) -> Result<(), String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Makes `folder` a package that depends on one crate, so that cargo fetches that crate and checks its hash.
fn carrier(folder: &Path, dependency: &str) -> io::Result<()> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    let head =
        "[package]\nname = \"carrier\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n";
    fs::write(
        folder.join("Cargo.toml"),
        format!("{head}\n[dependencies]\n{dependency}\n"),
    )
}

#[cfg(test)]
mod tests;
