//! Channels, as Electrum tells of them.

use serde::{Deserialize, Serialize};

/// A channel of Electrum's. "Local" is Electrum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The output that funds it, `txid:number`.
    pub channel_point: String,
    /// How far it is.
    pub state: ChannelState,
    /// `GOOD` if the peer is there.
    pub peer_state: String,
    /// The peer's key in hex.
    pub remote_pubkey: String,
    /// What is Electrum's, in satoshi, rounded down.
    #[serde(rename = "local_balance")]
    pub local_sat: u64,
    /// What is the peer's.
    #[serde(rename = "remote_balance")]
    pub remote_sat: u64,
    /// What Electrum has sent and is in flight.
    #[serde(rename = "local_unsettled_sent")]
    pub local_in_flight_sat: u64,
    /// What the peer has sent and is in flight.
    #[serde(rename = "remote_unsettled_sent")]
    pub remote_in_flight_sat: u64,
}

/// How far a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChannelState {
    /// Being agreed on.
    Preopening,
    /// Waits for its funding.
    Opening,
    /// Funded; the peer has not said the same.
    Funded,
    /// In use.
    Open,
    /// Being closed together.
    Shutdown,
    /// Being closed together; the transaction is agreed on.
    Closing,
    /// The peer was asked to close it.
    #[serde(rename = "REQUESTED_FCLOSE")]
    Requested,
    /// Being closed by Electrum alone.
    ForceClosing,
    /// Closed on the chain.
    Closed,
    /// And all outputs are spent.
    Redeemed,
    /// The peer says that Electrum has an old state.
    WeAreToxic,
}

impl Channel {
    /// Whether payments can go through it now.
    pub fn is_usable(&self) -> bool {
        self.state == ChannelState::Open && self.peer_state == "GOOD"
    }

    /// Whether it is gone from the chain.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, ChannelState::Closed | ChannelState::Redeemed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_that_opens_is_not_open() {
        let mut text = json!({
            "type": "CHANNEL", "short_channel_id": null, "channel_id": "00", "channel_point": "00:1",
            "state": "OPENING", "peer_state": "GOOD", "remote_pubkey": "02", "local_balance": 7,
            "remote_balance": 0, "local_unsettled_sent": 0, "remote_unsettled_sent": 0,
        });
        let opening: Channel = serde_json::from_value(text.clone()).unwrap();
        assert!(!opening.is_usable() && opening.local_sat == 7);
        text["state"] = json!("OPEN");
        let open: Channel = serde_json::from_value(text.clone()).unwrap();
        assert!(open.is_usable() && !open.is_closed());
        text["peer_state"] = json!("DISCONNECTED");
        let alone: Channel = serde_json::from_value(text.clone()).unwrap();
        assert!(!alone.is_usable());
        for state in ["FORCE_CLOSING", "REQUESTED_FCLOSE", "WE_ARE_TOXIC"] {
            text["state"] = json!(state);
            assert!(serde_json::from_value::<Channel>(text.clone()).is_ok());
        }
    }
}
