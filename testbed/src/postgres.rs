//! One PostgreSQL server for guardians' databases, from Debian's package, on a socket in its own folder.

use std::{
    env, fs, io,
    os::unix::fs::{chown, MetadataExt as _},
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    command::{capture, CommandError},
    packages::{self, PackagesError},
    process::Spec,
    stop::Stop,
};

/// Who the server runs as if the testbed runs as root, which it refuses to be.
const SYSTEM_USER: &str = "postgres";
/// What is needed of the package.
const PROGRAMS: [&str; 4] = ["createdb", "initdb", "pg_isready", "postgres"];
const PROGRAM_LIMIT: Duration = Duration::from_secs(120);

/// Where guardians keep their rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Databases {
    /// Each in a file of its own.
    #[default]
    Sqlite,
    /// Each in a database of its own on one server.
    Postgres,
    /// Those with an even number in files, the others on a server.
    Mixed,
}

impl Databases {
    /// Whether a guardian's database is on the server.
    pub fn on_server(self, guardian: usize) -> bool {
        match self {
            Self::Sqlite => false,
            Self::Postgres => true,
            Self::Mixed => guardian % 2 == 1,
        }
    }
}

impl FromStr for Databases {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" => Ok(Self::Postgres),
            "mixed" => Ok(Self::Mixed),
            other => Err(format!("{other:?} is not one of sqlite, postgres, mixed")),
        }
    }
}

/// How to reach and start one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postgres {
    /// Its folder: data and socket.
    pub folder: PathBuf,
    /// Where its programs are.
    pub programs: PathBuf,
    /// How to start it.
    pub spec: Spec,
}

/// Why there is no server.
#[derive(Debug, Error)]
pub enum PostgresError {
    /// It is not installed.
    #[error("PostgreSQL's server is not installed. Run this, then try again:\n\n    sudo apt-get install --yes postgresql\n")]
    Absent,
    /// It could not be installed.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// Its folder cannot be made.
    #[error("{}: {error}; as root, the testbed needs a directory that the user {SYSTEM_USER} can reach", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// One of its programs does not run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// One of its programs refuses.
    #[error("{program} refuses: {answer}")]
    Refused {
        /// The program.
        program: &'static str,
        /// What it said.
        answer: String,
    },
}

impl Postgres {
    /// Makes a new server's data in `folder/postgres`.
    pub fn prepare(folder: &Path, stop: &Stop) -> Result<Self, PostgresError> {
        packages::ensure(packages::POSTGRES, folder, stop)?;
        let programs = programs().ok_or(PostgresError::Absent)?;
        let log = folder.join("postgres.log");
        let folder = folder.join("postgres");
        make(&folder).map_err(|error| PostgresError::Folder {
            path: folder.clone(),
            error,
        })?;
        let data = folder.join("data").display().to_string();
        let (program, mut args) = as_its_user(&programs.join("postgres"));
        let socket = folder.display().to_string();
        args.extend(["-D", &data, "-k", &socket, "-c", "listen_addresses="].map(str::to_owned));
        let server = Self {
            spec: Spec {
                name: "postgres".into(),
                program,
                args,
                env: Default::default(),
                log,
            },
            folder,
            programs,
        };
        let arguments = [
            "--pgdata",
            &data,
            "--auth=trust",
            "--username=guildmint",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--wal-segsize=1",
        ];
        server.run("initdb", &arguments, stop)?;
        Ok(server)
    }

    /// Makes a database, once the server is ready.
    pub fn create(&self, name: &str, stop: &Stop) -> Result<(), PostgresError> {
        let socket = self.folder.display().to_string();
        let arguments = ["--host", &socket, "--username", "guildmint", name];
        self.run("createdb", &arguments, stop)
    }

    /// What a guardian is told of a database on it.
    pub fn url(&self, database: &str) -> String {
        let socket = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://guildmint@{socket}/{database}?port=5432")
    }

    /// Whether it takes connections.
    pub fn is_ready(&self) -> bool {
        let socket = self.folder.display().to_string();
        let arguments = ["--host", &socket, "--quiet"];
        self.run("pg_isready", &arguments, &Stop::default()).is_ok()
    }

    fn run(
        &self,
        name: &'static str,
        arguments: &[&str],
        stop: &Stop,
    ) -> Result<(), PostgresError> {
        let (program, before) = as_its_user(&self.programs.join(name));
        let mut command = Command::new(program);
        command.args(before).args(arguments).current_dir("/");
        let said = capture(&mut command, PROGRAM_LIMIT, stop)?;
        match said.status.success() {
            true => Ok(()),
            false => Err(PostgresError::Refused {
                program: name,
                answer: format!("{}{}", said.stderr, said.stdout),
            }),
        }
    }
}

/// A program, and what comes before its arguments, so that it does not run as root.
fn as_its_user(program: &Path) -> (PathBuf, Vec<String>) {
    if !rustix::process::geteuid().is_root() {
        return (program.into(), Vec::new());
    }
    let program = program.display().to_string();
    let words = ["--reuid", SYSTEM_USER, "--regid", SYSTEM_USER];
    let mut arguments = words.map(str::to_owned).to_vec();
    arguments.extend(["--clear-groups".to_owned(), "--".to_owned(), program]);
    ("/usr/bin/setpriv".into(), arguments)
}

fn make(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    if rustix::process::geteuid().is_root() {
        // The package's own folder belongs to the user that its servers run as.
        let owner = fs::metadata("/var/lib/postgresql")?;
        chown(folder, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Debian keeps the server's programs out of the path, in a folder for each version.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = versions.flatten();
    let mut debian: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    debian.sort();
    folders.extend(debian.into_iter().rev());
    let has_all = |folder: &PathBuf| PROGRAMS.iter().all(|name| folder.join(name).exists());
    folders.into_iter().find(has_all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_mixed_federation_is_on_the_server() {
        let on_server = |databases: Databases| (0..4).map(move |it| databases.on_server(it));
        let mixed = "mixed".parse().unwrap();
        assert!(on_server(mixed).eq([false, true, false, true]));
        assert!(on_server("postgres".parse().unwrap()).all(|it| it));
        assert!(!on_server(Databases::default()).any(|it| it));
        assert!("oracle".parse::<Databases>().unwrap_err().contains("mixed"));
    }
}
