//! How the node is set up. Defaults of LDK that lose money or channels are named here, one by one.

use std::{net::SocketAddr, time::Duration};

use bitcoin::Network;
use lightning::util::config::{
    ChannelConfig, ChannelConfigOverrides, ChannelHandshakeConfig, ChannelHandshakeConfigUpdate,
    ChannelHandshakeLimits, MaxDustHTLCExposure, UserConfig,
};

/// The largest channel that others may open to us, in satoshi; a larger one is refused. It holds less than miners earn by `DEPTH` blocks, so that to
/// buy these anew, and so take back what is in the channel, does not pay.
pub const MAX_INBOUND_CHANNEL_SAT: u64 = 10 * 100_000_000;
/// The largest channel that we take after [`SMALL_DEPTH`] blocks.
const SMALL_CHANNEL_SAT: u64 = 10_000_000;
/// Blocks after which what another has put into a channel counts. As many as other nodes ask for at most: more, and some open none.
const DEPTH: u32 = 6;
/// The same for a small channel.
const SMALL_DEPTH: u32 = 3;
/// The smallest channel that we take or open, in satoshi. Closing a smaller one costs a good part of it.
pub const MIN_CHANNEL_SAT: u64 = 20_000;
/// Blocks that an HTLC which we forward is longer locked on its way in than on its way out.
const FORWARD_CLTV_DELTA: u16 = 80;
/// What we take for forwarding others' payments, in satoshi of a million.
const FORWARD_FEE_PPM: u32 = 500;

/// A node's settings.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Which bitcoin.
    pub network: Network,
    /// The Electrum server, `tcp://host:port` or `ssl://host:port`. ⚠ It should be the operator's own: one that hides a
    /// transaction can cost a channel.
    pub electrum_url: String,
    /// Where peers connect to us.
    pub listen: Option<SocketAddr>,
    /// `host:port` addresses that are announced if there are public channels.
    pub announced: Vec<String>,
    /// What others call the node; at most 32 bytes.
    pub alias: String,
    /// How often the chain is looked at.
    pub poll: Duration,
    /// ⚠ Start although the channel manager is older than the monitors ([`crate::Stale`]): channels close.
    pub accept_stale: bool,
}

impl NodeConfig {
    /// The usual settings on a network.
    #[must_use]
    pub fn new(network: Network, electrum_url: impl Into<String>) -> Self {
        let is_test = network == Network::Regtest;
        Self {
            network,
            electrum_url: electrum_url.into(),
            listen: None,
            announced: Vec::new(),
            alias: "guildmint gateway".to_owned(),
            poll: Duration::from_millis(if is_test { 250 } else { 10_000 }),
            accept_stale: false,
        }
    }
}

/// What LDK is told.
pub(crate) fn user_config(network: Network) -> UserConfig {
    let is_test = network == Network::Regtest;
    UserConfig {
        channel_handshake_config: ChannelHandshakeConfig {
            // As LDK's. Fewer are enough for small channels, see `inbound`.
            minimum_depth: if is_test { 1 } else { DEPTH },
            // LDK: 10 %. Fixed for the life of a channel, and a gateway wants to receive through all of it.
            max_inbound_htlc_value_in_flight_percent_of_channel: 100,
            announce_for_forwarding: false,
            // LDK: false. Anchors let a close pay what miners ask on its day, and Electrum wants them.
            negotiate_anchors_zero_fee_htlc_tx: true,
            negotiate_anchor_zero_fee_commitments: false,
            ..ChannelHandshakeConfig::default()
        },
        channel_handshake_limits: ChannelHandshakeLimits {
            min_funding_satoshis: MIN_CHANNEL_SAT,
            max_funding_satoshis: MAX_INBOUND_CHANNEL_SAT,
            // LDK: true, which refuses private channels of a node that announces itself, and the other way round.
            force_announced_channel_preference: false,
            ..ChannelHandshakeLimits::default()
        },
        channel_config: ChannelConfig {
            forwarding_fee_proportional_millionths: FORWARD_FEE_PPM,
            cltv_expiry_delta: FORWARD_CLTV_DELTA,
            max_dust_htlc_exposure: match is_test {
                // Fees on regtest are made up, and Electrum's are high.
                true => MaxDustHTLCExposure::FixedLimitMsat(1_000_000_000),
                false => ChannelConfig::default().max_dust_htlc_exposure,
            },
            accept_underpaying_htlcs: false,
            ..ChannelConfig::default()
        },
        accept_inbound_channels: true,
        // LDK: false. An anchor channel is a debt of our wallet, so each is looked at.
        manually_accept_inbound_channels: true,
        accept_intercept_htlcs: false,
        // LDK: false, which pays what comes. The gateway's client looks at it first.
        manually_handle_bolt12_invoices: true,
        reject_inbound_splices: true,
        ..UserConfig::default()
    }
}

/// What LDK is told about one channel that another opens, of this size: after how many blocks it can be used.
pub(crate) fn inbound(network: Network, amount_sat: u64) -> Option<ChannelConfigOverrides> {
    let is_small = network != Network::Regtest && amount_sat <= SMALL_CHANNEL_SAT;
    is_small.then(|| ChannelConfigOverrides {
        handshake_overrides: Some(ChannelHandshakeConfigUpdate {
            minimum_depth: Some(SMALL_DEPTH),
            ..ChannelHandshakeConfigUpdate::default()
        }),
        update_overrides: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_that_lose_money_are_not_left() {
        for network in [Network::Bitcoin, Network::Regtest] {
            let config = user_config(network);
            let handshake = &config.channel_handshake_config;
            assert_eq!(
                handshake.max_inbound_htlc_value_in_flight_percent_of_channel,
                100
            );
            assert!(handshake.negotiate_anchors_zero_fee_htlc_tx);
            assert!(!handshake.negotiate_anchor_zero_fee_commitments);
            assert!(config.manually_accept_inbound_channels);
            assert!(config.manually_handle_bolt12_invoices);
            assert!(
                !config
                    .channel_handshake_limits
                    .force_announced_channel_preference
            );
            assert!(!config.channel_config.accept_underpaying_htlcs);
            assert!(!config.accept_intercept_htlcs);
            assert!(config.reject_inbound_splices);
            assert!(config.channel_handshake_limits.max_funding_satoshis > 1 << 24);
        }
    }

    #[test]
    fn the_larger_a_channel_of_anothers_the_more_blocks_it_waits_for() {
        let depth = |network, amount_sat| {
            let mut config = user_config(network);
            if let Some(overrides) = inbound(network, amount_sat) {
                config.apply(&overrides);
            }
            config.channel_handshake_config.minimum_depth
        };
        for (amount_sat, blocks) in [
            (MIN_CHANNEL_SAT, 3),
            (10_000_000, 3),
            (10_000_001, 6),
            (MAX_INBOUND_CHANNEL_SAT, 6),
        ] {
            assert_eq!(depth(Network::Bitcoin, amount_sat), blocks, "{amount_sat}");
        }
        assert_eq!(depth(Network::Regtest, MAX_INBOUND_CHANNEL_SAT), 1);
        // What a subsidy of 3.125 bitcoin for each of them costs who buys them anew.
        assert!(MAX_INBOUND_CHANNEL_SAT < u64::from(DEPTH) * 312_500_000);
    }

    #[test]
    fn the_main_network_keeps_a_relative_limit_on_dust() {
        let exposure = user_config(Network::Bitcoin)
            .channel_config
            .max_dust_htlc_exposure;
        assert!(matches!(
            exposure,
            MaxDustHTLCExposure::FeeRateMultiplier(_)
        ));
    }
}
