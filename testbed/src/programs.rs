//! Guildmint's own programs, built from this checkout.

use std::{
    env, fs, io,
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

/// A folder with programs built before, for callers that must not build.
pub const PROGRAMS_VARIABLE: &str = "GUILDMINT_PROGRAMS";
const PACKAGES: [&str; 3] = ["guildmintd", "guildmint-dealer", "guildmint"];
/// Apart from those, since its Lightning node takes as long to build as all of them.
const GATEWAY: &str = "guildmint-gatewayd";

/// How the programs are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// Quickly, with all that helps to find mistakes: for tests and play.
    Test,
    /// As they are used, which takes long: for measurements.
    Release,
}

impl Build {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Test => &[],
            Self::Release => &["--release"],
        }
    }

    /// The folder of cargo's in which the programs come out.
    fn output(self) -> &'static str {
        match self {
            Self::Test => "debug",
            Self::Release => "release",
        }
    }

    /// The folder of ours in which they are kept.
    fn folder(self) -> &'static str {
        match self {
            Self::Test => "testbed",
            Self::Release => "testbed-release",
        }
    }

    fn usual(self) -> Duration {
        match self {
            Self::Test => Duration::from_secs(6 * 60),
            Self::Release => Duration::from_secs(12 * 60),
        }
    }
}

/// The programs of a federation and its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// A guardian.
    pub guardian: PathBuf,
    /// The maker of test federations.
    pub dealer: PathBuf,
    /// The command-line wallet.
    pub wallet: PathBuf,
}

/// Why the programs could not be had.
#[derive(Debug, Error)]
pub enum ProgramsError {
    /// They are not in the folder that the variable names.
    #[error("{} is missing: {PROGRAMS_VARIABLE} must name the folder of the programs, or be unset", .0.display())]
    Missing(PathBuf),
    /// Packages are missing.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The build failed.
    #[error(transparent)]
    Build(#[from] CommandError),
    /// A program could not be copied.
    #[error("{}: {error}", .path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// The folder of this checkout.
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Cargo, working on this checkout and building into the cache.
pub fn cargo(cache: &Cache) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(workspace())
        .env("CARGO_TARGET_DIR", cache.target());
    command
}

impl Programs {
    /// The programs, built as far as the sources have changed.
    pub fn build(cache: &Cache, build: Build, stop: &Stop) -> Result<Self, ProgramsError> {
        let title = "building the guardian, the dealer and the wallet";
        Self::in_folder(&provide(cache, build, title, &PACKAGES, stop)?)
    }

    /// The gateway's program, likewise.
    pub fn build_gateway(
        cache: &Cache,
        build: Build,
        stop: &Stop,
    ) -> Result<PathBuf, ProgramsError> {
        let title = "building the gateway";
        find(&provide(cache, build, title, &[GATEWAY], stop)?, GATEWAY)
    }

    /// Where the built programs are kept. Other builds, with other features, do not reach there.
    pub fn folder(cache: &Cache, build: Build) -> PathBuf {
        cache.target().join(build.folder())
    }

    fn in_folder(folder: &Path) -> Result<Self, ProgramsError> {
        Ok(Self {
            guardian: find(folder, "guildmintd")?,
            dealer: find(folder, "guildmint-dealer")?,
            wallet: find(folder, "guildmint")?,
        })
    }
}

fn find(folder: &Path, name: &str) -> Result<PathBuf, ProgramsError> {
    match folder.join(name) {
        path if path.is_file() => Ok(path),
        path => Err(ProgramsError::Missing(path)),
    }
}

/// The folder with these programs, built unless a variable names one where they are.
fn provide(
    cache: &Cache,
    build: Build,
    title: &str,
    names: &[&str],
    stop: &Stop,
) -> Result<PathBuf, ProgramsError> {
    if let Some(folder) = env::var_os(PROGRAMS_VARIABLE).filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let target = cache.target();
    let folder = Programs::folder(cache, build);
    cache.make(&folder)?;
    packages::ensure(packages::WORKSPACE, &folder, stop)?;
    let _lock = cache.lock("programs", stop)?;
    // One at a time: in one go, a guardian would be built with the features that only the dealer asks for.
    let command = |name: &&str| {
        let mut command = cargo(cache);
        command.args(["build", "--package", name, "--bin", name]);
        command.args(build.flags());
        command
    };
    let (usual, log) = (Some(build.usual()), folder.join("build.log"));
    let quiet = Quiet {
        title,
        usual,
        log: &log,
        percent: |_| None,
    };
    quiet.run(names.iter().map(command).collect(), stop)?;
    for name in names {
        copy(&target.join(build.output()).join(name), &folder.join(name))?;
    }
    Ok(folder)
}

/// Copies a program unless it is there already. A running one is replaced, not overwritten.
fn copy(from: &Path, to: &Path) -> Result<(), ProgramsError> {
    let same = || -> io::Result<bool> {
        let (from, to) = (fs::metadata(from)?, fs::metadata(to)?);
        Ok(from.len() == to.len() && from.modified()? <= to.modified()?)
    };
    if same().unwrap_or(false) {
        return Ok(());
    }
    let new = to.with_extension("new");
    let copied = fs::copy(from, &new).and_then(|_| fs::rename(&new, to));
    copied.map_err(|error| ProgramsError::Copy {
        path: from.into(),
        error,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_program_is_copied_and_an_unchanged_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "one").unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "one");
        let first = fs::metadata(&to).unwrap().modified().unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), first);
        fs::write(&from, "another").unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "another");
    }

    #[test]
    fn a_missing_program_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Programs::in_folder(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("guildmintd") && error.contains(PROGRAMS_VARIABLE),
            "{error}"
        );
    }
}
