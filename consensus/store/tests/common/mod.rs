//! A PostgreSQL server of a test's own, from Debian's package: in a temporary directory, on a socket in it.

#![allow(dead_code, reason = "not every test uses all of it")]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::{chown, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use postgres::{Client, NoTls};
use tempfile::TempDir;

/// Who the server runs as if the tests run as root, which it refuses.
const USER: &str = "postgres";

/// A server that runs until it is dropped.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    databases: AtomicU32,
}

impl Server {
    pub fn start() -> Self {
        let programs = programs();
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            let (user, group) = ids();
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let server = Self {
            folder,
            programs,
            databases: AtomicU32::new(0),
        };
        // Small segments of the log, because each is written once before it is used.
        let arguments = "--auth=trust --username=guildmint --encoding=UTF8 --locale=C --no-sync --wal-segsize=1";
        server.run("initdb", arguments, &[]);
        server.up();
        server
    }

    /// Returns once it can be connected to.
    pub fn up(&self) {
        let folder = self.folder.path().display();
        let options = format!("-c listen_addresses= -k {folder}");
        let log = format!("{folder}/log");
        let more = ["--options", &options, "--log", &log];
        self.run("pg_ctl", "start --wait --silent", &more);
    }

    /// Starts again, now also on a port of this machine for those who ask with TLS; gives that port. The certificate, which the
    /// server has signed itself for the name `localhost`, is in [`Server::certificate`].
    pub fn up_with_tls(&self) -> u16 {
        self.make_certificate();
        let data = self.folder.path().join("data");
        let only_tls = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
        fs::write(data.join("pg_hba.conf"), only_tls).unwrap();
        self.down();
        let folder = self.folder.path().display();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let options = format!("-c listen_addresses=127.0.0.1 -k {folder} -c port={port} -c ssl=on");
        let log = format!("{folder}/log");
        let more = ["--options", &options, "--log", &log];
        self.run("pg_ctl", "start --wait --silent", &more);
        port
    }

    /// What clients must trust to believe that the server is the right one.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("data/server.crt")
    }

    fn make_certificate(&self) {
        let data = self.folder.path().join("data");
        // Debian's server comes with it.
        let status = Command::new("openssl")
            .args(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
                    .split(' '),
            )
            .args([
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost",
            ])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", "server.key", "-out", "server.crt"])
            .current_dir(&data)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        for name in ["server.key", "server.crt"] {
            if is_root() {
                let (user, group) = ids();
                chown(data.join(name), Some(user), Some(group)).unwrap();
            }
        }
        fs::set_permissions(data.join("server.key"), Permissions::from_mode(0o600)).unwrap();
    }

    /// Throws all clients out, and stops in order.
    pub fn down(&self) {
        self.run("pg_ctl", "stop --mode=fast --wait --silent", &[]);
    }

    /// Ends all at once, as a loss of power does.
    pub fn crash(&self) {
        self.run("pg_ctl", "stop --mode=immediate --wait --silent", &[]);
    }

    fn run(&self, program: &str, arguments: &str, more: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        let errors = fs::File::create(self.folder.path().join("errors")).unwrap();
        let status = command
            .args(arguments.split(' '))
            .arg("--pgdata")
            .arg(self.folder.path().join("data"))
            .args(more)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .status()
            .unwrap();
        let said = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        assert!(
            status.success(),
            "{arguments}: {}{}",
            said("errors"),
            said("log")
        );
    }

    /// A new database's name.
    pub fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("guardian_{number}");
        self.client(USER)
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .unwrap();
        name
    }

    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.path().display().to_string();
        format!(
            "postgres://guildmint@{}/{database}?port=5432",
            folder.replace('/', "%2F")
        )
    }

    /// Somebody who looks in, with another library than the store's.
    pub fn client(&self, database: &str) -> Client {
        let folder = self.folder.path().display();
        let parameters = format!("host={folder} port=5432 user=guildmint dbname={database}");
        Client::connect(&parameters, NoTls).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.folder.path().join("data/postmaster.pid").exists() {
            self.crash();
        }
    }
}

/// Where the server's programs are: Debian keeps them out of the path, in a folder for each version.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut debian: Vec<PathBuf> = versions
        .map(|version| version.unwrap().path().join("bin"))
        .collect();
    debian.sort();
    folders.extend(debian.into_iter().rev());
    let has_server = |folder: &&PathBuf| folder.join("initdb").exists();
    let found = folders.iter().find(has_server);
    found.cloned().unwrap_or_else(|| {
        panic!("this test needs PostgreSQL's server. Run this, then try again:\n\n    sudo apt-get install --yes postgresql\n")
    })
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn ids() -> (u32, u32) {
    let users = fs::read_to_string(Path::new("/etc/passwd")).unwrap();
    let fields = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_it = fields.first() == Some(&USER);
        is_it.then(|| (fields[2].parse().unwrap(), fields[3].parse().unwrap()))
    };
    users.lines().find_map(fields).unwrap()
}
