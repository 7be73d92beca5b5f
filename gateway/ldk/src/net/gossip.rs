//! Gossip, as much of it as there is room for.

use std::sync::Arc;

use bitcoin::secp256k1::PublicKey;
use lightning::{
    ln::msgs::{
        BaseMessageHandler, ChannelAnnouncement, ChannelUpdate, ErrorAction, Init, LightningError,
        MessageSendEvent, NodeAnnouncement, QueryChannelRange, QueryShortChannelIds,
        ReplyChannelRange, ReplyShortChannelIdsEnd, RoutingMessageHandler,
    },
    routing::gossip::NodeId,
    types::features::{InitFeatures, NodeFeatures},
    util::logger::Level,
};

use crate::types::{Gossip, Graph};

/// Channels of others that are known, twice as many as there are. ⚠ Announcements are not checked against the chain, and cost their
/// maker nothing: beyond this no new one is taken in, lest strangers fill the memory. Those that are known are kept up to date.
const MAX_CHANNELS: usize = 120_000;

/// LDK's gossip behind that bound.
pub(crate) struct BoundedGossip {
    gossip: Arc<Gossip>,
    graph: Arc<Graph>,
    most: usize,
}

impl BoundedGossip {
    pub(crate) fn new(gossip: Arc<Gossip>, graph: Arc<Graph>) -> Self {
        let most = MAX_CHANNELS;
        Self {
            gossip,
            graph,
            most,
        }
    }

    fn has_place(&self, short_channel_id: u64) -> bool {
        let graph = self.graph.read_only();
        graph.channels().len() < self.most || graph.channel(short_channel_id).is_some()
    }
}

impl RoutingMessageHandler for BoundedGossip {
    fn handle_node_announcement(
        &self,
        from: Option<PublicKey>,
        message: &NodeAnnouncement,
    ) -> Result<bool, LightningError> {
        self.gossip.handle_node_announcement(from, message)
    }

    fn handle_channel_announcement(
        &self,
        from: Option<PublicKey>,
        message: &ChannelAnnouncement,
    ) -> Result<bool, LightningError> {
        // Our own come from nobody.
        match from.is_none() || self.has_place(message.contents.short_channel_id) {
            true => self.gossip.handle_channel_announcement(from, message),
            false => Err(LightningError {
                err: "no room for more channels of others".to_owned(),
                action: ErrorAction::IgnoreAndLog(Level::Debug),
            }),
        }
    }

    fn handle_channel_update(
        &self,
        from: Option<PublicKey>,
        message: &ChannelUpdate,
    ) -> Result<bool, LightningError> {
        self.gossip.handle_channel_update(from, message)
    }

    fn get_next_channel_announcement(
        &self,
        start: u64,
    ) -> Option<(
        ChannelAnnouncement,
        Option<ChannelUpdate>,
        Option<ChannelUpdate>,
    )> {
        self.gossip.get_next_channel_announcement(start)
    }

    fn get_next_node_announcement(&self, start: Option<&NodeId>) -> Option<NodeAnnouncement> {
        self.gossip.get_next_node_announcement(start)
    }

    fn handle_reply_channel_range(
        &self,
        from: PublicKey,
        message: ReplyChannelRange,
    ) -> Result<(), LightningError> {
        self.gossip.handle_reply_channel_range(from, message)
    }

    fn handle_reply_short_channel_ids_end(
        &self,
        from: PublicKey,
        message: ReplyShortChannelIdsEnd,
    ) -> Result<(), LightningError> {
        self.gossip
            .handle_reply_short_channel_ids_end(from, message)
    }

    fn handle_query_channel_range(
        &self,
        from: PublicKey,
        message: QueryChannelRange,
    ) -> Result<(), LightningError> {
        self.gossip.handle_query_channel_range(from, message)
    }

    fn handle_query_short_channel_ids(
        &self,
        from: PublicKey,
        message: QueryShortChannelIds,
    ) -> Result<(), LightningError> {
        self.gossip.handle_query_short_channel_ids(from, message)
    }

    fn processing_queue_high(&self) -> bool {
        self.gossip.processing_queue_high()
    }
}

impl BaseMessageHandler for BoundedGossip {
    fn get_and_clear_pending_msg_events(&self) -> Vec<MessageSendEvent> {
        self.gossip.get_and_clear_pending_msg_events()
    }

    fn peer_disconnected(&self, peer: PublicKey) {
        self.gossip.peer_disconnected(peer);
    }

    fn provided_node_features(&self) -> NodeFeatures {
        self.gossip.provided_node_features()
    }

    fn provided_init_features(&self, peer: PublicKey) -> InitFeatures {
        self.gossip.provided_init_features(peer)
    }

    fn peer_connected(&self, peer: PublicKey, init: &Init, inbound: bool) -> Result<(), ()> {
        self.gossip.peer_connected(peer, init, inbound)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bitcoin::{
        constants::ChainHash,
        hashes::{sha256d, Hash as _},
        secp256k1::{Message, Secp256k1, SecretKey},
        Network,
    };
    use lightning::{
        ln::msgs::UnsignedChannelAnnouncement, types::features::ChannelFeatures,
        util::ser::Writeable as _,
    };

    use super::*;
    use crate::log::Log;

    /// A channel that nobody has opened, signed by all to whom it would belong.
    fn invented(short_channel_id: u64) -> ChannelAnnouncement {
        let secp = Secp256k1::new();
        let keys = [1, 2, 3, 4].map(|byte| SecretKey::from_slice(&[byte; 32]).unwrap());
        let [node_id_1, node_id_2, bitcoin_key_1, bitcoin_key_2] =
            keys.map(|key| NodeId::from_pubkey(&key.public_key(&secp)));
        let contents = UnsignedChannelAnnouncement {
            features: ChannelFeatures::empty(),
            chain_hash: ChainHash::using_genesis_block(Network::Regtest),
            short_channel_id,
            node_id_1,
            node_id_2,
            bitcoin_key_1,
            bitcoin_key_2,
            excess_data: Vec::new(),
        };
        let hash = sha256d::Hash::hash(&contents.encode()).to_byte_array();
        let sign = |key| secp.sign_ecdsa(&Message::from_digest(hash), &key);
        let [node_signature_1, node_signature_2, bitcoin_signature_1, bitcoin_signature_2] =
            keys.map(sign);
        ChannelAnnouncement {
            node_signature_1,
            node_signature_2,
            bitcoin_signature_1,
            bitcoin_signature_2,
            contents,
        }
    }

    #[test]
    fn strangers_do_not_fill_the_memory_with_channels_that_they_invent() {
        let log = Arc::new(Log);
        let graph = Arc::new(Graph::new(Network::Regtest, Arc::clone(&log)));
        let gossip = Arc::new(Gossip::new(Arc::clone(&graph), None, log));
        let bounded = BoundedGossip {
            most: 2,
            ..BoundedGossip::new(gossip, Arc::clone(&graph))
        };
        let peer = SecretKey::from_slice(&[9; 32]).unwrap();
        let peer = Some(peer.public_key(&Secp256k1::new()));
        let tell = |from, number| bounded.handle_channel_announcement(from, &invented(number));
        assert!(tell(peer, 1).is_ok() && tell(peer, 2).is_ok());
        assert!(tell(peer, 3).is_err());
        assert_eq!(graph.read_only().channels().len(), 2);
        // What is known is LDK's to judge, and ours has its place.
        assert_ne!(
            tell(peer, 2).map_err(|error| error.err),
            tell(peer, 3).map_err(|error| error.err)
        );
        assert!(tell(None, 3).is_ok());
    }
}
