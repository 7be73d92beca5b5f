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
    /// Its name.
    pub name: &'static str,
    /// Its version, as its programs say it. Another version gets another folder in the cache.
    pub version: &'static str,
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
    /// The build went through, but what it left cannot be used.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// Why a program cannot be used.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Unusable {
    /// There is none.
    #[error("{} is not there", .0.display())]
    Absent(PathBuf),
    /// It was built for another machine, or its libraries are gone, or it is no program.
    #[error("{} does not run: {reason}", .program.display())]
    Broken {
        /// The program.
        program: PathBuf,
        /// What the system or the program said.
        reason: String,
    },
    /// It is not the version that its folder is for.
    #[error("{} is not version {expected}: it says {said:?}", .program.display())]
    OtherVersion {
        /// The program.
        program: PathBuf,
        /// What it says about its version.
        said: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl Recipe {
    /// Where its programs are once built.
    pub fn folder(&self, cache: &Cache) -> PathBuf {
        cache.servers().join(self.title()).join("bin")
    }

    /// The programs in the cache, if all of them can be used.
    pub fn cached(&self, cache: &Cache) -> Result<Vec<PathBuf>, Unusable> {
        self.checked(&self.folder(cache))
    }

    /// The programs in the cache, built first if need be.
    ///
    /// The build happens in a working folder, which is moved into place only when it has succeeded. An interrupted build
    /// goes on where it was; a failed one begins anew, so that a damaged working folder cannot fail for ever.
    pub fn build(&self, cache: &Cache, stop: &Stop) -> Result<Vec<PathBuf>, BuildError> {
        cache.make(&cache.servers())?;
        let _lock = cache.lock(self.name, stop)?;
        packages::ensure(self.packages, &cache.servers(), stop)?;
        if let Ok(programs) = self.cached(cache) {
            return Ok(programs);
        }
        let work = cache.servers().join(format!("{}.building", self.title()));
        cache.make(&work)?;
        self.run(&work, &cache.servers(), stop)?;
        let (made, place) = (work.join("programs"), cache.servers().join(self.title()));
        self.checked(&made.join("bin"))?;
        remove(&place)?;
        fs::rename(&made, &place).map_err(|error| BuildError::File { path: place, error })?;
        remove(&work)?;
        Ok(self.programs_in(&self.folder(cache)))
    }

    fn title(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    fn programs_in(&self, folder: &Path) -> Vec<PathBuf> {
        self.programs.iter().map(|name| folder.join(name)).collect()
    }

    fn checked(&self, folder: &Path) -> Result<Vec<PathBuf>, Unusable> {
        let programs = self.programs_in(folder);
        for program in &programs {
            let said = version(program)?;
            if !says(&said, self.version) {
                return Err(Unusable::OtherVersion {
                    program: program.clone(),
                    said,
                    expected: self.version,
                });
            }
        }
        Ok(programs)
    }

    fn run(&self, work: &Path, logs: &Path, stop: &Stop) -> Result<(), BuildError> {
        let commands = (self.commands)(work).map_err(|error| BuildError::File {
            path: work.into(),
            error,
        })?;
        let title = format!("building {} {}", self.name, self.version);
        let log = logs.join(format!("{}.log", self.title()));
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

/// What a program says about its version, in one line, if it runs here.
pub fn version(program: &Path) -> Result<String, Unusable> {
    let broken = |reason: String| Unusable::Broken {
        program: program.into(),
        reason,
    };
    // The system says "not found" also when it is the program's interpreter or loader that is missing.
    if !program.exists() {
        return Err(Unusable::Absent(program.into()));
    }
    // bitcoind writes its settings even to say this: not over those of the user, and two at once not over each other's.
    let home = tempfile::tempdir().map_err(|error| broken(error.to_string()))?;
    let output = Command::new(program)
        .arg("--version")
        .env("HOME", home.path())
        .output()
        .map_err(|error| broken(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(broken(format!("{}: {}", output.status, said.trim())));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.lines().next().unwrap_or_default().to_owned())
}

/// Whether a line names this version, or a patch or a build of it.
fn says(line: &str, version: &str) -> bool {
    line.split_whitespace()
        .filter_map(|word| word.trim_start_matches('v').strip_prefix(version))
        .any(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
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
