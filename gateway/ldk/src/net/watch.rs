//! Who is connected, and waiting for it.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bitcoin::secp256k1::PublicKey;
use lightning::{
    ln::{
        msgs::{DecodeError, Init, LightningError},
        peer_handler::CustomMessageHandler,
        wire::CustomMessageReader,
    },
    types::features::{InitFeatures, NodeFeatures},
    util::ser::LengthLimitedRead,
};

/// LDK tells it of each peer after the handshake, as it tells all handlers of messages. It has no messages.
#[derive(Default)]
pub(crate) struct PeerWatch {
    connected: Mutex<BTreeSet<PublicKey>>,
    changed: Condvar,
}

impl PeerWatch {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<PublicKey>> {
        self.connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_connected(&self, peer: &PublicKey) -> bool {
        self.lock().contains(peer)
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Whether a peer is connected within a time.
    pub(crate) fn wait_for(&self, peer: &PublicKey, limit: Duration) -> bool {
        let connected = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(connected, limit, |connected| !connected.contains(peer));
        let (connected, _) = waited.unwrap_or_else(PoisonError::into_inner);
        connected.contains(peer)
    }

    /// Waits for any change, or for a time.
    pub(crate) fn wait(&self, limit: Duration) {
        let connected = self.lock();
        drop(self.changed.wait_timeout(connected, limit));
    }

    /// Ends all waiting.
    pub(crate) fn wake(&self) {
        self.changed.notify_all();
    }
}

impl CustomMessageReader for PeerWatch {
    type CustomMessage = Infallible;

    fn read<R: LengthLimitedRead>(
        &self,
        _: u16,
        _: &mut R,
    ) -> Result<Option<Infallible>, DecodeError> {
        Ok(None)
    }
}

impl CustomMessageHandler for PeerWatch {
    fn handle_custom_message(
        &self,
        message: Infallible,
        _: PublicKey,
    ) -> Result<(), LightningError> {
        match message {}
    }

    fn get_and_clear_pending_msg(&self) -> Vec<(PublicKey, Infallible)> {
        Vec::new()
    }

    fn peer_disconnected(&self, peer: PublicKey) {
        self.lock().remove(&peer);
        self.changed.notify_all();
    }

    fn peer_connected(&self, peer: PublicKey, _: &Init, _: bool) -> Result<(), ()> {
        self.lock().insert(peer);
        self.changed.notify_all();
        Ok(())
    }

    fn provided_node_features(&self) -> NodeFeatures {
        NodeFeatures::empty()
    }

    fn provided_init_features(&self, _: PublicKey) -> InitFeatures {
        InitFeatures::empty()
    }
}
