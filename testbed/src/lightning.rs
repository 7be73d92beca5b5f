//! Money and channels: what makes gateways ones that users can pay through.
//!
//! Every two nodes, Electrum among them, get one channel with money on both sides of it, and each gateway gets e-cash.

use std::{path::Path, time::Duration};

use bitcoin::{Amount, TxOut};
use thiserror::Error;

use crate::{
    electrum::{CallError, Electrum},
    faucet::{Faucet, FaucetError},
    federation::{Federation, Guardian, FINALITY_BLOCKS},
    gateway::{Gateway, OperatorError},
    progress::Progress,
    rpc::{Rpc, RpcError},
    state::{State, StateError},
    stop::{Stop, WaitError},
};

/// What each node begins with on the chain.
pub const FUNDS: Amount = Amount::from_sat(100_000_000);
/// What each channel holds, half of it on either side.
pub const CHANNEL: Amount = Amount::from_sat(10_000_000);
/// E-cash that each gateway begins with. With what it may earn it stays below its usual limit in one federation.
pub const ECASH: Amount = Amount::from_sat(500_000);
/// Blocks after which a channel is used by all, and announced.
const CHANNEL_DEPTH: u64 = 6;
/// Looks at the chain within which a node has saved what it knew at the first.
const LOOKS_UNTIL_SAVED: u32 = 5;
/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Why there is no Lightning on a network.
#[derive(Debug, Error)]
pub enum LightningError {
    /// The network's file cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The faucet does not do its part.
    #[error(transparent)]
    Faucet(#[from] FaucetError),
    /// The chain does not do its part.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// A gateway does not do as its operator wants.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// Electrum does not do its part.
    #[error(transparent)]
    Electrum(#[from] CallError),
    /// Something that is needed is not in the network.
    #[error("the network has no {0}")]
    Lacking(&'static str),
    /// It takes too long.
    #[error("no {what} within {} s", .limit.as_secs())]
    Late {
        /// What was waited for.
        what: String,
        /// The time it was given.
        limit: Duration,
    },
    /// Somebody asked the testbed to end.
    #[error("interrupted")]
    Interrupted,
}

/// The nodes of a network, and who can pay for them.
#[derive(Debug)]
pub struct Lightning {
    /// The node that is nobody's gateway.
    pub electrum: Electrum,
    /// The gateways, by number.
    pub gateways: Vec<Gateway>,
    guardians: Vec<Guardian>,
    federation: Federation,
    faucet: Faucet,
    rpc: Rpc,
    stop: Stop,
}

impl Lightning {
    /// The nodes of the network in `directory`.
    pub fn of(directory: &Path, stop: &Stop) -> Result<Self, LightningError> {
        let state = State::load(directory)?;
        let rpc = state
            .bitcoind
            .ok_or(LightningError::Lacking("bitcoind"))?
            .rpc;
        Ok(Self {
            electrum: state.electrum.ok_or(LightningError::Lacking("Electrum"))?,
            gateways: state.gateways,
            guardians: state.guardians,
            federation: state
                .federation
                .ok_or(LightningError::Lacking("federation"))?,
            faucet: Faucet::new(rpc.clone())?,
            rpc,
            stop: stop.clone(),
        })
    }

    /// Gives all nodes money and channels, and all gateways a federation and e-cash.
    pub fn establish(&self) -> Result<(), LightningError> {
        self.step("money for Lightning nodes", Self::fund)?;
        self.step("channels", Self::connect)?;
        self.step("gateways join the federation", Self::join)?;
        self.step("e-cash for gateways", Self::deposit)?;
        self.step("gateways are announced", Self::wait_announced)
    }

    fn step(
        &self,
        what: &str,
        act: impl FnOnce(&Self) -> Result<(), LightningError>,
    ) -> Result<(), LightningError> {
        let progress = Progress::begin(what, None);
        let done = act(self);
        progress.end(if done.is_ok() { "done" } else { "failed" });
        done
    }

    /// Waits for something that no call to a server that is just busy may spoil.
    pub fn wait(
        &self,
        what: &str,
        mut probe: impl FnMut() -> Result<bool, LightningError>,
    ) -> Result<(), LightningError> {
        let waited = self
            .stop
            .wait(LIMIT, || probe().map(|found| found.then_some(())));
        waited.map_err(|error| match error {
            WaitError::Failed(error) => error,
            WaitError::Interrupted => LightningError::Interrupted,
            WaitError::TimedOut(limit) => LightningError::Late {
                what: what.into(),
                limit,
            },
        })
    }

    /// Mines, and waits until all nodes have seen it, with all that is in it.
    pub fn mine(&self, blocks: u64) -> Result<(), LightningError> {
        self.faucet.mine(blocks)?;
        let height = self.rpc.tip()?.height;
        self.wait("Electrum that sees the last block", || {
            Ok(self.electrum.has_seen(height)?)
        })?;
        self.gateways_see(height)
    }

    /// Mines, and waits until all gateways have seen it. Electrum may be gone.
    pub fn mine_for_gateways(&self, blocks: u64) -> Result<(), LightningError> {
        self.faucet.mine(blocks)?;
        self.gateways_see(self.rpc.tip()?.height)
    }

    fn gateways_see(&self, height: u64) -> Result<(), LightningError> {
        for gateway in &self.gateways {
            let mut at_tip_ms = None;
            self.wait("gateway that sees the last block", || {
                let node = gateway.status()?.node;
                // The height comes first. ⚠ Whoever mines on it never lets the node come to what is in the blocks.
                if node.height >= height && at_tip_ms.is_none() {
                    at_tip_ms = Some(node.synced_at_ms);
                }
                Ok(at_tip_ms.is_some_and(|before| node.synced_at_ms > before))
            })?;
        }
        Ok(())
    }

    /// Waits until a gateway's node has had the time to save all of what it is in the middle of: it looks at the chain several times a second, and
    /// saves far more often. ⚠ One that is killed before closes a channel, since part of its state is newer than the rest.
    pub fn rest(&self, gateway: &Gateway) -> Result<(), LightningError> {
        let (mut looks, mut last) = (0, gateway.status()?.node.synced_at_ms);
        self.wait("gateway that follows the chain", || {
            let at_tip_ms = gateway.status()?.node.synced_at_ms;
            looks += u32::from(at_tip_ms > last);
            last = at_tip_ms;
            Ok(looks >= LOOKS_UNTIL_SAVED)
        })
    }

    fn fund(&self) -> Result<(), LightningError> {
        let mut addresses = vec![self.electrum.address()?];
        for gateway in &self.gateways {
            addresses.push(gateway.address()?);
        }
        let outputs = addresses.iter().map(|address| TxOut {
            value: FUNDS,
            script_pubkey: address.script_pubkey(),
        });
        self.faucet.pay_all(outputs.collect())?;
        self.mine(1)?;
        self.wait("money in the nodes' wallets", || {
            let mut all = self.electrum.balance()?.confirmed >= FUNDS;
            for gateway in &self.gateways {
                let balances = gateway.status()?.node.balances;
                let has_msat = balances.wallet_msat + balances.reserved_msat;
                all &= has_msat >= FUNDS.to_sat() * 1000;
            }
            Ok(all)
        })
    }

    /// One channel between every two. Those with Electrum are opened by either side in turn.
    fn connect(&self) -> Result<(), LightningError> {
        let electrum = self.electrum.uri()?;
        for (index, gateway) in self.gateways.iter().enumerate() {
            let half = CHANNEL / 2;
            if index % 2 == 0 {
                gateway.open_channel(&electrum, CHANNEL, half, false)?;
            } else {
                self.electrum.open_channel(&gateway.uri()?, CHANNEL, half)?;
            }
            // The next one is paid with what comes back of this.
            self.mine_fundings()?;
            for other in &self.gateways[..index] {
                gateway.open_channel(&other.uri()?, CHANNEL, half, true)?;
                self.mine_fundings()?;
            }
        }
        self.mine(CHANNEL_DEPTH)?;
        self.wait("channel between every two nodes", || {
            self.all_channels_usable()
        })
    }

    fn mine_fundings(&self) -> Result<(), LightningError> {
        self.wait("funding of a channel", || {
            Ok(!self.rpc.mempool()?.is_empty())
        })?;
        self.mine(1)
    }

    /// Whether every two nodes have a channel between them that both can use.
    pub fn all_channels_usable(&self) -> Result<bool, LightningError> {
        let others = self.gateways.len();
        let electrums = self.electrum.channels()?;
        let mut all = electrums.iter().filter(|it| it.is_usable()).count() >= others;
        for gateway in &self.gateways {
            let channels = gateway.status()?.node.channels;
            all &= channels.iter().filter(|it| it.usable).count() >= others;
        }
        Ok(all)
    }

    fn join(&self) -> Result<(), LightningError> {
        for gateway in &self.gateways {
            gateway.join(&self.federation.invite)?;
        }
        Ok(())
    }

    /// Guardians take a fee for announcing one, so it has e-cash first.
    fn wait_announced(&self) -> Result<(), LightningError> {
        let guardian = self
            .guardians
            .first()
            .ok_or(LightningError::Lacking("guardian"))?;
        self.wait("gateway that the guardians announce", || {
            let answer = guardian.get("/v1/ln/gateways").ok();
            let listed = answer.and_then(|answer| answer["gateways"].as_array().map(Vec::len));
            let ready = self.gateways.iter().all(Gateway::is_ready);
            Ok(ready && listed == Some(self.gateways.len()))
        })
    }

    fn deposit(&self) -> Result<(), LightningError> {
        let federation = &self.federation.federation_id;
        for gateway in &self.gateways {
            let address = gateway.deposit(federation)?.address()?;
            self.faucet.pay(&address, ECASH)?;
        }
        self.mine(FINALITY_BLOCKS + 1)?;
        self.wait("e-cash in the gateways", || {
            let mut all = true;
            for gateway in &self.gateways {
                let status = gateway.status()?;
                all &= status
                    .federations
                    .iter()
                    .any(|it| it.ecash_msat > ECASH.to_sat() * 900);
            }
            Ok(all)
        })
    }
}
