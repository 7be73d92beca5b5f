//! The recovery file: what helps when the database is lost for good. It is written at each change of channels.
//!
//! With the words and this file a new node under the old key connects to each peer, who then closes the channel, and the money comes to the
//! wallet. ⚠ It holds no state of channels: nothing can be restored from it that would be old.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use guildmint_daemon::files::replace;
use guildmint_gateway::node::{LightningNode, NodeId, NodeState, Peer};
use serde::Serialize;

use crate::shell::now;

/// The name of the file.
pub const RECOVERY_FILE: &str = "recovery.json";

/// What is in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Contents {
    /// Whose.
    pub(crate) node: Option<NodeId>,
    /// With whom there are channels, or were, and where they are.
    pub(crate) peers: Vec<Peer>,
    /// The channels.
    pub(crate) channels: Vec<Channel>,
}

/// A channel, as much as is needed to find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) peer: NodeId,
    /// `txid:index` of the output that funds it.
    pub(crate) funding: Option<String>,
    pub(crate) capacity_sat: u64,
}

/// Writes the file when what is to be in it has changed.
#[derive(Debug)]
pub(crate) struct Recovery {
    path: PathBuf,
    written: Mutex<Option<Contents>>,
}

impl Recovery {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            written: Mutex::default(),
        }
    }

    pub(crate) fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// What is in it, or would be.
    pub(crate) fn contents(node: &dyn LightningNode, state: &NodeState) -> Contents {
        Contents {
            node: state.node_id,
            peers: node.peers().unwrap_or_default(),
            channels: channels(state),
        }
    }

    /// Writes it, if something in it is new. One that cannot be written is tried again at the next change.
    pub(crate) fn note(&self, node: &dyn LightningNode, state: &NodeState) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let channels = channels(state);
        let is_known = written
            .as_ref()
            .is_some_and(|written| written.channels == channels);
        if state.swap_only || is_known {
            return;
        }
        let contents = Self::contents(node, state);
        let document = serde_json::json!({ "written_at_ms": now().0, "recovery": contents });
        match replace(&self.path, format!("{document:#}\n").as_bytes(), 0o600) {
            Ok(()) => *written = Some(contents),
            Err(error) => tracing::error!(%error, "the recovery file is not up to date"),
        }
    }
}

fn channels(state: &NodeState) -> Vec<Channel> {
    let channels = state.channels.iter().map(|channel| Channel {
        id: channel.id.to_string(),
        peer: channel.peer,
        funding: channel.funding.clone(),
        capacity_sat: channel.capacity_sat,
    });
    channels.collect()
}
