//! All that the operator sees.

use guildmint_core::FederationId;
use guildmint_daemon::health::Check;
use guildmint_gateway::{
    limits::MAX_SYNC_AGE_MS, node::NodeState, Entry, FederationView, Settings, Totals,
};
use serde::Serialize;

use crate::{federations::Look, ledger::Day, shell::now, warnings::Kept};

/// A federation, as its operator sees it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FederationFacts {
    pub(crate) id: FederationId,
    pub(crate) name: String,
    pub(crate) network: String,
    /// The gateway's key in it.
    pub(crate) key: String,
    /// Nothing new is begun in it, because the operator wants to leave.
    pub(crate) left: bool,
    /// Why nothing new is begun in it now, if so.
    pub(crate) trouble: Option<String>,
    /// Why wallets do not see the gateway in it, and what to do about it, if so.
    pub(crate) unseen: Option<String>,
    pub(crate) height: Option<u32>,
    /// Notes that can be spent.
    pub(crate) ecash_msat: u64,
    /// Notes that are on their way in.
    pub(crate) pending_msat: u64,
    /// What was spent in this period.
    pub(crate) spent_msat: u64,
    /// Invoices that can be paid.
    pub(crate) invoices: usize,
    pub(crate) settings: Settings,
}

impl FederationFacts {
    pub(crate) fn new(view: FederationView, look: Option<Look>) -> Self {
        let look = look.unwrap_or_default();
        let ecash = view.state.as_ref().map(|state| state.ecash);
        Self {
            id: view.federation,
            name: look.name,
            network: view.network.to_string(),
            key: view.key.to_string(),
            left: view.left,
            trouble: view.trouble,
            unseen: view.unseen,
            height: view.state.map(|state| state.height),
            ecash_msat: ecash.unwrap_or(look.available).msat(),
            pending_msat: look.pending.msat(),
            spent_msat: view.spent.msat(),
            invoices: view.invoices,
            settings: view.settings,
        }
    }
}

/// The gateway at one moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Overview {
    pub(crate) version: &'static str,
    pub(crate) network: String,
    pub(crate) uptime_s: u64,
    pub(crate) ready: bool,
    pub(crate) checks: Vec<Check>,
    pub(crate) api_url: Option<String>,
    /// What other nodes connect to: `key@host:port`.
    pub(crate) connect: Vec<String>,
    pub(crate) node: NodeState,
    pub(crate) federations: Vec<FederationFacts>,
    pub(crate) totals: Totals,
    pub(crate) earned_msat: i64,
    pub(crate) day: Day,
    pub(crate) latest: Vec<Entry>,
    pub(crate) open: usize,
    pub(crate) warnings: Vec<Kept>,
}

impl Overview {
    pub(crate) fn inbound_msat(&self) -> u64 {
        let channels = self.node.channels.iter();
        channels.map(|channel| channel.inbound_msat).sum()
    }

    pub(crate) fn outbound_msat(&self) -> u64 {
        let channels = self.node.channels.iter();
        channels.map(|channel| channel.outbound_msat).sum()
    }

    /// How long ago the node was at the chain's tip.
    pub(crate) fn sync_age_s(&self) -> Option<u64> {
        let synced = self.node.synced_at_ms?;
        Some(now().0.saturating_sub(synced) / 1000)
    }
}

/// Whether the node is well, which one that is not there always is.
pub(crate) fn node_check(node: &NodeState) -> Check {
    let detail = match (node.swap_only, &node.trouble, node.synced_at_ms) {
        (true, _, _) => Ok("there is none: this gateway only swaps".to_owned()),
        (_, Some(trouble), _) => Err(trouble.clone()),
        (_, _, None) => Err("it has not seen the chain's tip yet".to_owned()),
        (_, _, Some(at)) if now().0.saturating_sub(at) > MAX_SYNC_AGE_MS => {
            Err("it has not seen the chain's tip for too long".to_owned())
        }
        (_, _, Some(_)) => Ok(format!("it is at height {}", node.height)),
    };
    check("node", detail)
}

/// Whether some federation is served. A gateway that has joined none has nothing to complain of.
pub(crate) fn federations_check(views: &[FederationView]) -> Check {
    let wanted: Vec<&FederationView> = views.iter().filter(|view| !view.left).collect();
    let troubles: Vec<String> = wanted
        .iter()
        .filter_map(|view| Some(format!("{}: {}", view.federation, view.trouble.as_ref()?)))
        .collect();
    let served = wanted.len() - troubles.len();
    // One that wallets do not see is served all the same: those who know it pay through it.
    let unseen = wanted.iter().filter_map(|view| {
        let unseen = view.unseen.as_ref().filter(|_| view.trouble.is_none())?;
        let federation = view.federation;
        Some(format!(
            "wallets do not see the gateway in {federation}: {unseen}"
        ))
    });
    let mut detail = vec![format!("{served} of {} are served", wanted.len())];
    detail.extend(troubles);
    detail.extend(unseen);
    let detail = detail.join("; ");
    let is_fine = served > 0 || wanted.is_empty();
    check(
        "federations",
        if is_fine { Ok(detail) } else { Err(detail) },
    )
}

/// Whether the gateway begins anything at all.
pub(crate) fn halt_check(totals: &Totals) -> Check {
    check(
        "ledger",
        match totals.halted {
            false => Ok("it has not lost too much".to_owned()),
            true => {
                Err("it has lost money and waits for its operator to look and resume".to_owned())
            }
        },
    )
}

pub(crate) fn check(name: &str, detail: Result<String, String>) -> Check {
    let ok = detail.is_ok();
    let (Ok(detail) | Err(detail)) = detail;
    Check {
        name: name.to_owned(),
        ok,
        detail,
    }
}
