//! The node at this moment.

use guildmint_gateway::node::{Balances, Channel, NodeState};
use lightning::{
    ln::channel_state::ChannelDetails, sign::SpendableOutputDescriptor,
    util::sweep::OutputSpendStatus,
};

use super::Parts;
use crate::{convert, wallet::Wallet};

impl Parts {
    pub(super) fn state(&self) -> NodeState {
        let channels = self.manager.list_channels();
        let trouble = match self.ready() {
            Ok(()) => None,
            Err(refusal) => Some(refusal.to_string()),
        };
        NodeState {
            node_id: Some(convert::node_id(&self.keys.node_key())),
            swap_only: false,
            height: self.manager.current_best_block().height,
            synced_at_ms: self.chain.synced_at_ms(),
            trouble,
            balances: self.balances(&channels),
            channels: channels.iter().map(channel).collect(),
            peers: self.watch.count() as u32,
        }
    }

    fn balances(&self, channels: &[ChannelDetails]) -> Balances {
        let wallet = self.wallet.balance();
        let reserved_sat = Wallet::reserve_sat(channels.len()).min(wallet.free_sat);
        let open: Vec<&ChannelDetails> = channels.iter().collect();
        let closing = self.monitor.get_claimable_balances(&open);
        let closing = closing
            .iter()
            .map(|balance| balance.claimable_amount_satoshis());
        // Once they are spent, the wallet knows of them.
        let swept = self.sweeper.tracked_spendable_outputs();
        let swept = swept.iter().filter(|output| {
            matches!(
                output.status,
                OutputSpendStatus::PendingInitialBroadcast { .. }
            )
        });
        let swept = swept.map(|output| value_sat(&output.descriptor));
        Balances {
            wallet_msat: (wallet.free_sat - reserved_sat) * 1000,
            reserved_msat: (reserved_sat + wallet.bumping_sat) * 1000,
            unconfirmed_msat: wallet.unconfirmed_sat * 1000,
            channels_msat: channels.iter().map(ours_msat).sum(),
            closing_msat: closing.chain(swept).sum::<u64>() * 1000,
        }
    }
}

fn value_sat(descriptor: &SpendableOutputDescriptor) -> u64 {
    let output = match descriptor {
        SpendableOutputDescriptor::StaticOutput { output, .. } => output,
        SpendableOutputDescriptor::DelayedPaymentOutput(output) => &output.output,
        SpendableOutputDescriptor::StaticPaymentOutput(output) => &output.output,
    };
    output.value.to_sat()
}

fn ours_msat(channel: &ChannelDetails) -> u64 {
    let reserve_sat = channel.unspendable_punishment_reserve.unwrap_or(0);
    channel.outbound_capacity_msat + reserve_sat * 1000
}

fn channel(details: &ChannelDetails) -> Channel {
    Channel {
        id: convert::channel_id(details.channel_id),
        peer: convert::node_id(&details.counterparty.node_id),
        funding: details
            .funding_txo
            .map(|output| format!("{}:{}", output.txid, output.index)),
        capacity_sat: details.channel_value_satoshis,
        outbound_msat: details.next_outbound_htlc_limit_msat,
        inbound_msat: details.inbound_capacity_msat,
        ready: details.is_channel_ready,
        usable: details.is_usable,
        public: details.is_announced,
    }
}
