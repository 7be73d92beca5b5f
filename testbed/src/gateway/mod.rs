//! Lightning gateways as processes, and their operators' listeners.

mod operator;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use operator::{
    Balances, ChannelFacts, Deposit, FederationFacts, NodeFacts, OperatorError, Status,
};

use crate::{
    electrs::Electrs,
    ports::{Ports, PortsError},
    process::Spec,
};

const REQUEST_LIMIT_S: u64 = 5;

/// What a gateway pays and is paid with, besides e-cash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Lightning node on LDK.
    Ldk,
    /// Nothing: it swaps.
    SwapOnly,
}

impl Kind {
    fn setting(self) -> &'static str {
        match self {
            Self::Ldk => "ldk",
            Self::SwapOnly => "none",
        }
    }
}

/// How to reach and start one gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Where wallets reach it.
    pub api_url: String,
    /// Where its operator reaches it.
    pub admin_url: String,
    /// Where other Lightning nodes reach it.
    pub lightning_address: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// How to start it.
    pub spec: Spec,
}

/// Why a gateway could not be prepared.
#[derive(Debug, Error)]
pub enum GatewayError {
    /// There are too few free ports.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// Its folder or settings cannot be written.
    #[error("{}: {error}", .path.display())]
    File {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

#[derive(Serialize)]
struct Settings<'a> {
    network: &'static str,
    electrum: String,
    lightning: &'static str,
    api_url: &'a str,
    api_listen: &'a str,
    admin_listen: &'a str,
    lightning_listen: &'a str,
    lightning_announce: &'a str,
    alias: &'a str,
}

impl Gateway {
    /// The gateway numbered `index` of the network in `folder`, on free ports. Its settings are written.
    pub fn prepare(
        folder: &Path,
        program: &Path,
        (index, kind): (usize, Kind),
        electrs: &Electrs,
        ports: &mut Ports,
    ) -> Result<Self, GatewayError> {
        let name = format!("gateway-{index}");
        let data_dir = folder.join(&name);
        let mut address = || ports.free().map(|port| format!("127.0.0.1:{port}"));
        let (api, admin, lightning_address) = (address()?, address()?, address()?);
        let api_url = format!("http://{api}");
        let settings = Settings {
            network: "regtest",
            electrum: electrs.url(),
            lightning: kind.setting(),
            api_url: &api_url,
            api_listen: &api,
            admin_listen: &admin,
            lightning_listen: &lightning_address,
            lightning_announce: &lightning_address,
            alias: &name,
        };
        let written = fs::create_dir_all(&data_dir).and_then(|()| {
            let text = toml::to_string(&settings).map_err(io::Error::other)?;
            fs::write(data_dir.join("gatewayd.toml"), text)
        });
        written.map_err(|error| GatewayError::File {
            path: data_dir.clone(),
            error,
        })?;
        let spec = Spec {
            program: program.into(),
            args: vec![
                "--data-dir".into(),
                data_dir.display().to_string(),
                "run".into(),
            ],
            env: Default::default(),
            log: folder.join(format!("{name}.log")),
            name,
        };
        Ok(Self {
            admin_url: format!("http://{admin}"),
            api_url,
            lightning_address,
            data_dir,
            spec,
        })
    }

    /// Whether it says that it can serve wallets.
    pub fn is_ready(&self) -> bool {
        self.affirms("/readyz")
    }

    /// Whether it says that it runs.
    pub fn is_alive(&self) -> bool {
        self.affirms("/livez")
    }

    fn affirms(&self, path: &str) -> bool {
        minreq::get(format!("{}{path}", self.api_url))
            .with_timeout(REQUEST_LIMIT_S)
            .send()
            .is_ok_and(|response| response.status_code == 200)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{bitcoind::Bitcoind, cache::Cache};

    #[test]
    fn its_settings_say_where_to_listen_and_where_the_chain_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut ports = Ports::new(&Cache::at(folder.path()));
        let (root, program) = (folder.path(), Path::new("/bin/guildmint-gatewayd"));
        let bitcoind = Bitcoind::prepare(root, program, 1, 2).unwrap();
        let electrs = Electrs::prepare(root, program, &bitcoind, 3, 4).unwrap();
        let numbered = (1, Kind::SwapOnly);
        let gateway = Gateway::prepare(root, program, numbered, &electrs, &mut ports).unwrap();
        let text = fs::read_to_string(gateway.data_dir.join("gatewayd.toml")).unwrap();
        assert!(text.contains("electrum = \"tcp://127.0.0.1:3\""), "{text}");
        assert!(text.contains("lightning = \"none\""), "{text}");
        assert!(text.contains(&gateway.lightning_address), "{text}");
        assert_eq!(gateway.spec.name, "gateway-1");
        assert!(!gateway.is_alive());
    }
}
