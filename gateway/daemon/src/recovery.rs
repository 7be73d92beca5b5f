//! The recovery file: what helps when the database is lost for good. It is written at each change of channels.
//!
//! With the words and this file a new node under the old key connects to each peer, who then closes the channel, and the money comes to the
//! wallet. ⚠ It holds no state of channels: nothing can be restored from it that would be old.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use guildmint_daemon::files::replace;
use guildmint_gateway::node::{LightningNode, NodeId, NodeState, Peer};
use serde::Serialize;
use serde_json::Value as Json;

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
        if written.is_none() {
            if let Err(error) = keep_other(&self.path, &channels) {
                return tracing::error!(%error, "the recovery file is not up to date: what it holds cannot be put aside");
            }
        }
        let document = serde_json::json!({ "written_at_ms": now().0, "recovery": contents });
        match replace(&self.path, format!("{document:#}\n").as_bytes(), 0o600) {
            Ok(()) => *written = Some(contents),
            Err(error) => tracing::error!(%error, "the recovery file is not up to date"),
        }
    }
}

/// Puts a file aside that knows channels of which the node knows none. ⚠ It is what a gateway that has lost its database is started again for: its
/// first look at no channels must not be written over it.
fn keep_other(path: &Path, channels: &[Channel]) -> io::Result<()> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        text => text?,
    };
    let found: Option<Json> = serde_json::from_slice(&text).ok();
    let named = found
        .as_ref()
        .and_then(|found| found["recovery"]["channels"].as_array());
    let is_known = |one: &Json| channels.iter().any(|channel| one["id"] == channel.id);
    // What cannot be read may be worth something too.
    let is_other = named.is_none_or(|named| !named.is_empty() && !named.iter().any(is_known));
    if !is_other {
        return Ok(());
    }
    let aside = path.with_extension(format!("{}.json", now().0));
    tracing::warn!(aside = %aside.display(), "the recovery file is of channels that this node does not know; it is kept aside");
    fs::rename(path, aside)
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

#[cfg(test)]
mod tests {
    use guildmint_gateway::node::{fake::FakeLightning, LightningNode as _};

    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// SPEC GW-8: it is read when all else is lost, which is when a node without channels starts beside it.
    #[test]
    fn a_node_that_starts_anew_does_not_write_over_what_it_is_to_be_restored_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(RECOVERY_FILE);
        let node = FakeLightning::new(1, 1_700_000_000).add_node(1_000);
        let state = node.state();
        Recovery::new(path.clone()).note(&node, &state);
        // Started again as it was: nothing is put aside, nor while it runs.
        let recovery = Recovery::new(path.clone());
        recovery.note(&node, &state);
        let old = fs::read(&path).unwrap();
        assert_eq!(files(folder.path()), [RECOVERY_FILE]);
        let without = NodeState {
            channels: Vec::new(),
            ..state
        };
        Recovery::new(path.clone()).note(&node, &without);
        let names = files(folder.path());
        assert_eq!(names.len(), 2, "{names:?}");
        let aside = names.iter().find(|name| *name != RECOVERY_FILE).unwrap();
        assert_eq!(fs::read(folder.path().join(aside)).unwrap(), old);
        // Of no channels there is nothing to keep.
        Recovery::new(path.clone()).note(&node, &without);
        assert_eq!(files(folder.path()).len(), 2);
        recovery.note(&node, &without);
        assert_eq!(files(folder.path()).len(), 2);
        fs::write(&path, "torn").unwrap();
        Recovery::new(path).note(&node, &without);
        assert_eq!(files(folder.path()).len(), 3);
    }
}
