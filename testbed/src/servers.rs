//! Finds the real servers, or has them built.

use std::{
    env,
    path::{Path, PathBuf},
};

use serde::Serialize;
use thiserror::Error;

use crate::{
    build::{bitcoind, electrs, version, BuildError, Recipe, Unusable},
    cache::Cache,
    stop::Stop,
};

/// Where a program was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A variable names it.
    Variable,
    /// It is installed.
    Path,
    /// The testbed built it.
    Cache,
}

/// A program and how it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    /// The program file.
    pub path: PathBuf,
    /// How it was found.
    pub source: Source,
}

/// The real servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Servers {
    /// Bitcoin Core's server.
    pub bitcoind: Program,
    /// Its command-line client, for people; the testbed itself does without.
    pub bitcoin_cli: Option<Program>,
    /// The Electrum server.
    pub electrs: Program,
}

/// Why there are no servers.
#[derive(Debug, Error)]
pub enum ServersError {
    /// A variable names something that is not there.
    #[error("{variable} names {}, which is no file", .path.display())]
    NotThere {
        /// The variable.
        variable: &'static str,
        /// What it names.
        path: PathBuf,
    },
    /// An installed program cannot be used.
    #[error("{reason}; {variable} can name another one")]
    Installed {
        /// What is wrong with it.
        reason: Unusable,
        /// The variable that goes before what is installed.
        variable: &'static str,
    },
    /// None is installed, and what the cache has cannot be used; this caller does not build.
    #[error("no {name}: {reason}; `cargo testbed servers` builds it")]
    NotBuilt {
        /// The server.
        name: &'static str,
        /// What is wrong with the one in the cache, if only that there is none.
        reason: Unusable,
    },
    /// Building failed.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl Servers {
    /// The servers, if they are on this machine and run. Builds nothing.
    pub fn find(cache: &Cache) -> Result<Self, ServersError> {
        Self::collect(cache, |recipe| {
            let name = recipe.name;
            let not_built = |reason| ServersError::NotBuilt { name, reason };
            recipe.cached(cache).map_err(not_built)
        })
    }

    /// The servers, built into the cache if they are nowhere on this machine.
    pub fn find_or_build(cache: &Cache, stop: &Stop) -> Result<Self, ServersError> {
        Self::collect(cache, |recipe| Ok(recipe.build(cache, stop)?))
    }

    fn collect(
        cache: &Cache,
        provide: impl Fn(&Recipe) -> Result<Vec<PathBuf>, ServersError>,
    ) -> Result<Self, ServersError> {
        let cached = |mut programs: Vec<PathBuf>| Program {
            path: programs.swap_remove(0),
            source: Source::Cache,
        };
        let bitcoind = match installed("BITCOIND_EXE", "bitcoind")? {
            Some(program) => program,
            None => cached(provide(&bitcoind::RECIPE)?),
        };
        let electrs = match installed("ELECTRS_EXE", "electrs")? {
            Some(program) => program,
            None => cached(provide(&electrs::RECIPE)?),
        };
        let beside = bitcoind::RECIPE.folder(cache).join("bitcoin-cli");
        let built = || {
            beside.exists().then_some(Program {
                path: beside,
                source: Source::Cache,
            })
        };
        let bitcoin_cli = installed("BITCOIN_CLI_EXE", "bitcoin-cli")?.or_else(built);
        Ok(Self {
            bitcoind,
            bitcoin_cli,
            electrs,
        })
    }
}

fn installed(variable: &'static str, name: &str) -> Result<Option<Program>, ServersError> {
    let named = env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    let found = look_up(
        variable,
        named,
        env::var_os("PATH").iter().flat_map(env::split_paths),
        name,
    )?;
    if let Some(program) = &found {
        version(&program.path).map_err(|reason| ServersError::Installed { reason, variable })?;
    }
    Ok(found)
}

fn look_up(
    variable: &'static str,
    named: Option<PathBuf>,
    path: impl Iterator<Item = PathBuf>,
    name: &str,
) -> Result<Option<Program>, ServersError> {
    match named {
        Some(path) if path.is_file() => Ok(Some(Program {
            path,
            source: Source::Variable,
        })),
        Some(path) => Err(ServersError::NotThere { variable, path }),
        None => {
            let found = path
                .map(|folder| folder.join(name))
                .find(|path| Path::is_file(path));
            Ok(found.map(|path| Program {
                path,
                source: Source::Path,
            }))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_comes_before_the_path_and_must_be_right() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("electrs");
        let path = || [PathBuf::from("/nonexistent"), folder.path().into()].into_iter();
        assert_eq!(look_up("E", None, path(), "electrs").unwrap(), None);
        std::fs::write(&program, "").unwrap();
        let found = look_up("E", None, path(), "electrs").unwrap().unwrap();
        assert_eq!(
            found,
            Program {
                path: program.clone(),
                source: Source::Path
            }
        );
        let named = look_up("E", Some(program), path(), "electrs")
            .unwrap()
            .unwrap();
        assert_eq!(named.source, Source::Variable);
        let error = look_up("E", Some("/nonexistent/e".into()), path(), "electrs")
            .unwrap_err()
            .to_string();
        assert!(error.contains("E names /nonexistent/e"), "{error}");
    }
}
