//! What people and scripts are told about a test network.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{process::Spec, state::State, table::Table};

/// One test network, as `status --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its directory.
    pub directory: PathBuf,
    /// Whether every server runs and does its work.
    pub ready: bool,
    /// The invite code, if there is a federation.
    pub invite: Option<String>,
    /// The federation's identity, in hex.
    pub federation_id: Option<String>,
    /// The chain.
    pub bitcoind: Option<BitcoindReport>,
    /// The chain's index.
    pub electrs: Option<ElectrsReport>,
    /// The guardians of all federations, by number.
    pub guardians: Vec<GuardianReport>,
    /// The Lightning node that is nobody's gateway.
    pub electrum: Option<ElectrumReport>,
    /// The gateways, by number.
    pub gateways: Vec<GatewayReport>,
}

/// What is the same for every server.
#[derive(Clone, Debug, Serialize)]
pub struct ServerReport {
    /// The name that commands take.
    pub name: String,
    /// Its process id, if it runs.
    pub pid: Option<u32>,
    /// Whether it does its work.
    pub ready: bool,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Its log file.
    pub log: PathBuf,
}

/// One bitcoind.
#[derive(Clone, Debug, Serialize)]
pub struct BitcoindReport {
    /// Where it takes calls.
    pub rpc_url: String,
    /// The user name for calls.
    pub rpc_user: String,
    /// The password for calls.
    pub rpc_password: String,
    /// Where other nodes reach it.
    pub p2p_address: String,
    /// The height of its chain, if it answers.
    pub height: Option<u64>,
    /// The rest.
    #[serde(flatten)]
    pub server: ServerReport,
}

/// One electrs.
#[derive(Clone, Debug, Serialize)]
pub struct ElectrsReport {
    /// Where it speaks the Electrum protocol.
    pub electrum_url: String,
    /// The rest.
    #[serde(flatten)]
    pub server: ServerReport,
}

/// One guardian.
#[derive(Clone, Debug, Serialize)]
pub struct GuardianReport {
    /// Where clients reach it.
    pub api_url: String,
    /// Where its operator reaches it.
    pub admin_url: String,
    /// Where its peers reach it.
    pub p2p_address: String,
    /// The rest.
    #[serde(flatten)]
    pub server: ServerReport,
}

/// One Electrum.
#[derive(Clone, Debug, Serialize)]
pub struct ElectrumReport {
    /// Where other Lightning nodes reach it.
    pub lightning_address: String,
    /// The rest.
    #[serde(flatten)]
    pub server: ServerReport,
}

/// One gateway.
#[derive(Clone, Debug, Serialize)]
pub struct GatewayReport {
    /// Where wallets reach it.
    pub api_url: String,
    /// Where its operator reaches it.
    pub admin_url: String,
    /// Where other Lightning nodes reach it.
    pub lightning_address: String,
    /// The rest.
    #[serde(flatten)]
    pub server: ServerReport,
}

impl Report {
    /// Looks at the network in `directory`.
    pub fn of(directory: &Path, state: &State) -> Self {
        let server = |spec: &Spec, data_dir: &Path| {
            let running = state.running(&spec.name);
            ServerReport {
                name: spec.name.clone(),
                pid: running.map(|process| process.pid),
                ready: running.is_some() && state.is_ready(&spec.name),
                data_dir: data_dir.into(),
                log: spec.log.clone(),
            }
        };
        let bitcoind = state.bitcoind.as_ref().map(|bitcoind| BitcoindReport {
            rpc_url: bitcoind.rpc.url.clone(),
            rpc_user: bitcoind.rpc.user.clone(),
            rpc_password: bitcoind.rpc.password.clone(),
            p2p_address: bitcoind.p2p_address.clone(),
            height: bitcoind.rpc.tip().ok().map(|tip| tip.height),
            server: server(&bitcoind.spec, &bitcoind.data_dir),
        });
        let electrs = state.electrs.as_ref().map(|electrs| ElectrsReport {
            electrum_url: electrs.url(),
            server: server(&electrs.spec, &electrs.data_dir),
        });
        let guardians = state.all_guardians().map(|guardian| GuardianReport {
            api_url: guardian.api_url.clone(),
            admin_url: guardian.admin_url.clone(),
            p2p_address: guardian.p2p_address.clone(),
            server: server(&guardian.spec, &guardian.data_dir),
        });
        let electrum = state.electrum.as_ref().map(|electrum| ElectrumReport {
            lightning_address: electrum.lightning_address.clone(),
            server: server(&electrum.spec, &electrum.data_dir),
        });
        let gateways = state.gateways.iter().map(|gateway| GatewayReport {
            api_url: gateway.api_url.clone(),
            admin_url: gateway.admin_url.clone(),
            lightning_address: gateway.lightning_address.clone(),
            server: server(&gateway.spec, &gateway.data_dir),
        });
        let mut report = Self {
            directory: directory.into(),
            ready: false,
            invite: state
                .federation
                .as_ref()
                .map(|federation| federation.invite.clone()),
            federation_id: state
                .federation
                .as_ref()
                .map(|federation| federation.federation_id.clone()),
            bitcoind,
            electrs,
            guardians: guardians.collect(),
            electrum,
            gateways: gateways.collect(),
        };
        report.ready = state.complete && report.servers().all(|(server, _)| server.ready);
        report
    }

    /// Every server with the address that matters most.
    fn servers(&self) -> impl Iterator<Item = (&ServerReport, &str)> {
        let chain = self
            .bitcoind
            .iter()
            .map(|report| (&report.server, report.rpc_url.as_str()));
        let index = self
            .electrs
            .iter()
            .map(|report| (&report.server, report.electrum_url.as_str()));
        let guardians = self
            .guardians
            .iter()
            .map(|report| (&report.server, report.api_url.as_str()));
        let electrum = self
            .electrum
            .iter()
            .map(|report| (&report.server, report.lightning_address.as_str()));
        let gateways = self
            .gateways
            .iter()
            .map(|report| (&report.server, report.api_url.as_str()));
        let nodes = electrum.chain(gateways);
        chain.chain(index).chain(guardians).chain(nodes)
    }

    /// The same for people.
    pub fn text(&self) -> String {
        let mut table = Table::new(["name", "state", "pid", "address", "log"]);
        for (server, address) in self.servers() {
            let state = match (server.pid, server.ready) {
                (None, _) => "stopped",
                (Some(_), false) => "not ready",
                (Some(_), true) => "ready",
            };
            let pid = server.pid.map(|pid| pid.to_string()).unwrap_or_default();
            table.row([
                &server.name,
                state,
                &pid,
                address,
                &server.log.display().to_string(),
            ]);
        }
        let invite = self
            .invite
            .as_ref()
            .map(|invite| format!("\nInvite code: {invite}\n"))
            .unwrap_or_default();
        format!(
            "Test network in {}\n\n{table}{invite}",
            self.directory.display()
        )
    }
}
