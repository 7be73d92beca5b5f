//! A test federation: guardians as processes, with keys from a dealer.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use crate::{
    command::{capture, CommandError},
    electrs::Electrs,
    ports::{Ports, PortsError},
    process::Spec,
    programs::Programs,
    rpc::Tip,
    stop::Stop,
};

/// How many blocks bury what happens on the test chain before guardians believe it.
pub const FINALITY_BLOCKS: u64 = 3;
/// How long a guardian may take to start and reach its peers.
pub const READY_LIMIT: Duration = Duration::from_secs(90);
const DEALER_LIMIT: Duration = Duration::from_secs(120);
const REQUEST_LIMIT_S: u64 = 5;

/// What a user needs to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Federation {
    /// The invite code.
    pub invite: String,
    /// The federation's identity, in hex.
    pub federation_id: String,
}

/// A federation besides the first one of a network. Its guardians' numbers follow those of the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its guardians.
    pub guardians: Vec<Guardian>,
    /// What a user needs to join.
    pub federation: Federation,
}

/// How to reach and start one guardian.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guardian {
    /// Where clients reach it.
    pub api_url: String,
    /// Where its operator reaches it.
    pub admin_url: String,
    /// Where its peers reach it, as a multiaddress.
    pub p2p_address: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// How to start it.
    pub spec: Spec,
}

/// Why there is no federation.
#[derive(Debug, Error)]
pub enum FederationError {
    /// There are too few free ports.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// The dealer, or a command of a guardian, does not run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The dealer, or a guardian that founds, refuses.
    #[error("no federation comes of it: {0}")]
    Refused(String),
    /// Its answer is not understood.
    #[error("the answer is not understood: {error}: {answer}")]
    Malformed {
        /// What is wrong.
        error: String,
        /// The answer.
        answer: String,
    },
}

impl Guardian {
    /// The guardian numbered `index` of the federation in `folder`, on free ports.
    pub fn plan(
        folder: &Path,
        program: &Path,
        index: usize,
        ports: &mut Ports,
    ) -> Result<Self, PortsError> {
        let name = format!("guardian-{index}");
        let data_dir = folder.join(&name);
        let arguments = [
            "run",
            "--data-dir",
            &text(&data_dir),
            "--password-file",
            &text(&folder.join("password")),
        ];
        let spec = Spec {
            program: program.into(),
            args: arguments.map(str::to_owned).to_vec(),
            env: Default::default(),
            log: folder.join(format!("{name}.log")),
            name,
        };
        Ok(Self {
            api_url: format!("http://127.0.0.1:{}", ports.free()?),
            admin_url: format!("http://127.0.0.1:{}", ports.free()?),
            p2p_address: format!("/ip4/127.0.0.1/tcp/{}", ports.free()?),
            data_dir,
            spec,
        })
    }

    /// The same under another number: in its network there are guardians of other federations. Its folder's name stays.
    #[must_use]
    pub fn numbered(mut self, number: usize) -> Self {
        self.spec.name = format!("guardian-{number}");
        self
    }

    /// The same guardian a second time, which no operator should start: its secrets and a copy of its database in `folder`, on ports
    /// of its own. It must be stopped while this is copied.
    pub fn twin(&self, folder: &Path, ports: &mut Ports) -> io::Result<Self> {
        let mut twin =
            Self::plan(folder, &self.spec.program, 0, ports).map_err(io::Error::other)?;
        fs::create_dir_all(&twin.data_dir)?;
        for file in fs::read_dir(&self.data_dir)? {
            let file = file?;
            fs::copy(file.path(), twin.data_dir.join(file.file_name()))?;
        }
        twin.spec.args.clone_from(&self.spec.args);
        let data_dir = text(&self.data_dir);
        for argument in twin.spec.args.iter_mut().filter(|it| **it == data_dir) {
            *argument = text(&twin.data_dir);
        }
        for (option, url) in [
            ("--api-listen", &twin.api_url),
            ("--admin-listen", &twin.admin_url),
            ("--p2p-listen", &twin.p2p_address),
        ] {
            let place = url.trim_start_matches("http://").to_owned();
            twin.spec.args.extend([option.to_owned(), place]);
        }
        Ok(twin)
    }

    /// Whether it says that it can serve clients.
    pub fn is_ready(&self) -> bool {
        self.affirms("/readyz")
    }

    /// Whether it says that it runs, be there a federation to serve clients with or not.
    pub fn is_alive(&self) -> bool {
        self.affirms("/livez")
    }

    fn affirms(&self, path: &str) -> bool {
        minreq::get(format!("{}{path}", self.api_url))
            .with_timeout(REQUEST_LIMIT_S)
            .send()
            .is_ok_and(|response| response.status_code == 200)
    }

    /// The JSON document at a path of its public interface.
    pub fn get(&self, path: &str) -> io::Result<serde_json::Value> {
        let response = minreq::get(format!("{}{path}", self.api_url))
            .with_timeout(REQUEST_LIMIT_S)
            .send();
        let response = response
            .map_err(|error| io::Error::other(format!("{}{path}: {error}", self.api_url)))?;
        match response.status_code {
            200 => Ok(serde_json::from_slice(response.as_bytes())?),
            code => Err(io::Error::other(format!(
                "{}{path}: status {code}",
                self.api_url
            ))),
        }
    }

    /// What it tells its operator in figures.
    pub fn metrics(&self) -> io::Result<String> {
        let url = format!("{}/metrics", self.admin_url);
        let cookie = fs::read_to_string(self.data_dir.join("admin.cookie"))?;
        let response = minreq::get(&url)
            .with_header("authorization", format!("Bearer {}", cookie.trim()))
            .with_timeout(REQUEST_LIMIT_S)
            .send();
        let response = response.map_err(|error| io::Error::other(format!("{url}: {error}")))?;
        let text = response.as_str().map_err(io::Error::other)?;
        Ok(text.to_owned())
    }

    fn for_dealer(&self) -> serde_json::Value {
        let listen = |url: &str| url.trim_start_matches("http://").to_owned();
        json!({
            "name": self.spec.name,
            "api_url": self.api_url,
            "api_listen": listen(&self.api_url),
            "admin_listen": listen(&self.admin_url),
            "p2p_listen": self.p2p_address,
        })
    }
}

/// Has the dealer make keys and configurations for `guardians`, beginning at the block `start` of the chain.
pub fn deal(
    folder: &Path,
    programs: &Programs,
    guardians: &[Guardian],
    electrs: &Electrs,
    start: Tip,
    stop: &Stop,
) -> Result<Federation, FederationError> {
    let described: Vec<_> = guardians.iter().map(Guardian::for_dealer).collect();
    let mut command = Command::new(&programs.dealer);
    command
        .arg("--out")
        .arg(folder)
        .args(["--network", "regtest"]);
    command.args([
        "--finality",
        &FINALITY_BLOCKS.to_string(),
        "--electrum",
        &electrs.url(),
    ]);
    command.args(["--chain-start", &format!("{}:{}", start.height, start.hash)]);
    command.args(["--guardians", &json!(described).to_string()]);
    let answer = capture(&mut command, DEALER_LIMIT, stop)?;
    if !answer.status.success() {
        return Err(FederationError::Refused(format!(
            "{}{}",
            answer.stderr, answer.stdout
        )));
    }
    serde_json::from_str(&answer.stdout).map_err(|error| FederationError::Malformed {
        error: error.to_string(),
        answer: answer.stdout,
    })
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cache::Cache;

    #[test]
    fn a_plan_tells_the_dealer_where_to_listen() {
        let folder = tempfile::tempdir().unwrap();
        let mut ports = Ports::new(&Cache::at(folder.path()));
        let guardian =
            Guardian::plan(folder.path(), Path::new("/bin/guildmintd"), 2, &mut ports).unwrap();
        let described = guardian.for_dealer();
        assert_eq!(described["name"], "guardian-2");
        assert_eq!(
            format!("http://{}", described["api_listen"].as_str().unwrap()),
            guardian.api_url
        );
        assert!(guardian
            .spec
            .args
            .contains(&guardian.data_dir.display().to_string()));
    }
}
