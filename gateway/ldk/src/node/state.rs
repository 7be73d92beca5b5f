//! The node at this moment.

use bitcoin::OutPoint;
use guildmint_gateway::node::{Balances, Channel, NodeState};
use lightning::{
    chain::channelmonitor::{Balance, BalanceSource},
    ln::channel_state::ChannelDetails,
    sign::SpendableOutputDescriptor,
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
        // Once they are spent, the wallet knows of them.
        let swept = self.sweeper.tracked_spendable_outputs();
        let swept = swept.iter().filter(|output| {
            matches!(
                output.status,
                OutputSpendStatus::PendingInitialBroadcast { .. }
            )
        });
        let swept_sat: u64 = swept.map(|output| value_sat(&output.descriptor)).sum();
        let closing_sat = self.closing_sat(channels);
        // The wallet last: what comes to it in this moment is missing nowhere.
        let wallet = self.wallet.balance();
        let reserved_sat = Wallet::reserve_sat(channels.len()).min(wallet.free_sat);
        Balances {
            wallet_msat: (wallet.free_sat - reserved_sat) * 1000,
            reserved_msat: (reserved_sat + wallet.bumping_sat) * 1000,
            unconfirmed_msat: wallet.unconfirmed_sat * 1000,
            channels_msat: channels.iter().map(ours_msat).sum(),
            closing_msat: (closing_sat + swept_sat) * 1000,
        }
    }

    /// Ours of channels that are no more. ⚠ What a closing by both pays to the wallet, the wallet counts, from the moment it knows of it; LDK goes
    /// on counting it until it is deep in the chain.
    fn closing_sat(&self, open: &[ChannelDetails]) -> u64 {
        let mut channels = self.monitor.list_monitors();
        channels.retain(|id| open.iter().all(|channel| channel.channel_id != *id));
        let claimable = channels.into_iter().filter_map(|id| {
            let monitor = self.monitor.get_monitor(id).ok()?;
            let funding = monitor.get_funding_txo().into_bitcoin_outpoint();
            Some((funding, monitor.get_claimable_balances()))
        });
        let claimable: Vec<_> = claimable.collect();
        let of_one = |(funding, balances): (OutPoint, Vec<Balance>)| {
            let is_paid_out = self.wallet.knows_spend_of(funding);
            let left = balances.into_iter();
            let left = left.filter(|balance| !(is_paid_out && is_of_closing(balance)));
            left.map(|balance| balance.claimable_amount_satoshis())
                .sum::<u64>()
        };
        claimable.into_iter().map(of_one).sum()
    }
}

/// Whether that is what a closing by both would pay, or has paid.
fn is_of_closing(balance: &Balance) -> bool {
    matches!(
        balance,
        Balance::ClaimableOnChannelClose { .. }
            | Balance::ClaimableAwaitingConfirmations {
                source: BalanceSource::CoopClose,
                ..
            }
    )
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
