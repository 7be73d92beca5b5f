//! Channels and the money on the chain behind them.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use bitcoin::{
    consensus::encode::{deserialize, serialize},
    secp256k1::PublicKey,
    FeeRate, ScriptBuf, Transaction,
};
use guildmint_gateway::node::{
    ChainTxid, ChannelId, ChannelOrder, Closing, Peer, Refusal, Withdrawal,
};
use guildmint_gateway_store::StoreLost;
use lightning::{ln::types::ChannelId as LdkChannelId, sign::EntropySource as _};

use super::{lost, Parts};
use crate::{
    config::{inbound, user_config, MAX_INBOUND_CHANNEL_SAT, MIN_CHANNEL_SAT},
    convert,
    rows::{Edit, FundingRow},
    wallet::Wallet,
};

/// Channels at most, opened by whomever. Each is a debt of the wallet when it has to be closed.
const MAX_CHANNELS: usize = 500;
/// How long a peer may take to agree on a channel.
const OPEN_LIMIT: Duration = Duration::from_secs(60);

/// Channels that somebody waits for, and what became of them.
#[derive(Default)]
pub(crate) struct Openings {
    ends: Mutex<BTreeMap<u128, Option<Result<ChannelId, String>>>>,
    changed: Condvar,
}

impl Openings {
    fn begin(&self, channel: u128) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.insert(channel, None);
    }

    /// Tells whoever waits.
    pub(super) fn end(&self, channel: u128, end: Result<ChannelId, String>) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = ends.get_mut(&channel) {
            waiting.get_or_insert(end);
            self.changed.notify_all();
        }
    }

    fn wait(&self, channel: u128) -> Option<Result<ChannelId, String>> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = |ends: &mut BTreeMap<u128, _>| matches!(ends.get(&channel), Some(None));
        let waited = self.changed.wait_timeout_while(ends, OPEN_LIMIT, is_open);
        let (mut ends, _) = waited.unwrap_or_else(PoisonError::into_inner);
        ends.remove(&channel).flatten()
    }
}

impl Parts {
    /// What must stay in the wallet with so many channels more.
    fn reserve_sat(&self, more: usize) -> u64 {
        Wallet::reserve_sat(self.manager.list_channels().len() + more)
    }

    pub(super) fn connect(&self, peer: &Peer) -> Result<(), Refusal> {
        self.net.connect(peer)?;
        let edit = Edit::default().peer(peer.id, Some(&peer.address));
        self.rows.save(edit).map_err(lost)
    }

    pub(super) fn open_channel(&self, order: &ChannelOrder) -> Result<ChannelId, Refusal> {
        self.ready()?;
        self.may_open(order.amount_sat)?;
        self.connect(&order.peer)?;
        let peer = convert::public_key(order.peer.id)?;
        let mut config = user_config(self.config.network);
        config.channel_handshake_config.announce_for_forwarding = order.public;
        let channel = self.channel_number();
        self.openings.begin(channel);
        let created = self.manager.create_channel(
            peer,
            order.amount_sat,
            order.push_msat,
            channel,
            None,
            Some(config),
        );
        if let Err(error) = created {
            self.openings.end(channel, Err(String::new()));
            self.openings.wait(channel);
            return Err(convert::refusal(error));
        }
        match self.openings.wait(channel) {
            Some(Ok(id)) => Ok(id),
            Some(Err(reason)) => Err(Refusal::Node(reason)),
            None => Err(Refusal::Node("the peer does not answer".to_owned())),
        }
    }

    fn may_open(&self, amount_sat: u64) -> Result<(), Refusal> {
        if amount_sat < MIN_CHANNEL_SAT {
            return Err(Refusal::Amount {
                amount_sat,
                reason: format!("a channel has at least {MIN_CHANNEL_SAT} sat"),
            });
        }
        if !self.chain.fees.are_known() {
            let unknown = "it does not say what miners ask, so no channel is opened".to_owned();
            return Err(Refusal::NotSynced(unknown));
        }
        if self.manager.list_channels().len() >= MAX_CHANNELS {
            return Err(Refusal::Node(format!(
                "it has {MAX_CHANNELS} channels already"
            )));
        }
        let (balance, reserve_sat) = (self.wallet.balance(), self.reserve_sat(1));
        let spendable_sat = balance.free_sat.saturating_sub(reserve_sat);
        if spendable_sat < amount_sat {
            return Err(Refusal::Funds {
                spendable_sat,
                reserved_sat: reserve_sat.saturating_add(balance.bumping_sat),
                needed_sat: amount_sat,
            });
        }
        Ok(())
    }

    /// Our number for a channel, which LDK keeps with it.
    fn channel_number(&self) -> u128 {
        let random = self.keys.get_secure_random_bytes();
        random
            .iter()
            .take(16)
            .fold(0, |number, byte| number << 8 | u128::from(*byte))
    }

    pub(super) fn close_channel(&self, id: ChannelId, closing: Closing) -> Result<(), Refusal> {
        let id = convert::ldk_channel_id(id);
        let channels = self.manager.list_channels();
        let channel = channels.iter().find(|channel| channel.channel_id == id);
        let unknown = || Refusal::Node(format!("there is no channel {id}"));
        let peer = channel.ok_or_else(unknown)?.counterparty.node_id;
        let closed = match closing {
            Closing::Cooperative => self.manager.close_channel(&id, &peer),
            Closing::Forced => {
                let reason = "closed by its operator".to_owned();
                self.manager
                    .force_close_broadcasting_latest_txn(&id, &peer, reason)
            }
        };
        closed.map_err(convert::refusal)
    }

    pub(super) fn withdraw(&self, order: &Withdrawal) -> Result<ChainTxid, Refusal> {
        self.ready()?;
        let script = self.wallet.script_of(&order.address)?;
        let rate = match order.fee_sat_per_kvb {
            // Per 1000 units of weight, of which a virtual byte has four.
            Some(sat_per_kvb) => FeeRate::from_sat_per_kwu(sat_per_kvb.div_ceil(4)),
            None => self.chain.fees.wallet_rate(),
        };
        let paid = self
            .wallet
            .pay(&script, order.amount_sat, rate, self.reserve_sat(0))?;
        // Noted first: the wallet broadcasts it again until it is in a block, over restarts too.
        let noted = self.wallet.broadcast(paid.clone());
        noted.map_err(|error| Refusal::Node(error.to_string()))?;
        let mut txid = bitcoin::hashes::Hash::to_byte_array(paid.compute_txid());
        txid.reverse();
        self.broadcaster.send(vec![paid]);
        Ok(ChainTxid(txid))
    }

    /// Funds a channel that the peer has agreed to.
    pub(super) fn fund(
        &self,
        temporary: LdkChannelId,
        peer: PublicKey,
        amount_sat: u64,
        script: &ScriptBuf,
        channel: u128,
    ) {
        let give_up = |reason: &dyn std::fmt::Display| {
            tracing::warn!(%reason, "a channel cannot be funded");
            self.openings.end(channel, Err(reason.to_string()));
            let closing = self.manager.force_close_broadcasting_latest_txn(
                &temporary,
                &peer,
                "it cannot be funded".to_owned(),
            );
            drop(closing);
        };
        // The channel is among those that are counted.
        let (rate, reserve_sat) = (self.chain.fees.wallet_rate(), self.reserve_sat(0));
        let paid = match self.wallet.pay(script, amount_sat, rate, reserve_sat) {
            Ok(paid) => paid,
            Err(refusal) => return give_up(&refusal),
        };
        let row = FundingRow(serialize(&paid));
        if let Err(error) = self.rows.save(Edit::default().funding(channel, Some(&row))) {
            return give_up(&error);
        }
        let taken = self
            .manager
            .funding_transaction_generated(temporary, peer, paid);
        if let Err(error) = taken {
            give_up(&convert::refusal(error));
        }
    }

    /// ⚠ Only now, with the peer's signature for getting it back, is the money spent.
    pub(super) fn funded(&self, channel: u128) -> Result<(), StoreLost> {
        let row = self.rows.get::<FundingRow>(&channel.to_be_bytes())?;
        if let Some(transaction) = row.as_ref().and_then(funding) {
            let noted = self.wallet.broadcast(transaction.clone());
            noted.map_err(|error| StoreLost(error.to_string()))?;
            self.broadcaster.send(vec![transaction]);
        }
        self.rows.save(Edit::default().funding(channel, None))
    }

    /// A channel is gone. If it was never funded, its money is free again.
    pub(super) fn not_funded(&self, channel: u128) -> Result<(), StoreLost> {
        let row = self.rows.get::<FundingRow>(&channel.to_be_bytes())?;
        let Some(transaction) = row.as_ref().and_then(funding) else {
            return Ok(());
        };
        let released = self.wallet.release(&transaction);
        released.map_err(|error| StoreLost(error.to_string()))?;
        self.rows.save(Edit::default().funding(channel, None))
    }

    /// Looks at a channel that a peer wants to open.
    pub(super) fn judge(&self, temporary: LdkChannelId, peer: PublicKey, amount_sat: u64) {
        let has_sat = self.wallet.balance().free_sat;
        // LDK lists it once it is accepted.
        let reserve_sat = self.reserve_sat(1);
        let objection = if !(MIN_CHANNEL_SAT..=MAX_INBOUND_CHANNEL_SAT).contains(&amount_sat) {
            Some("its size is out of bounds")
        } else if self.manager.list_channels().len() >= MAX_CHANNELS {
            Some("there are too many")
        } else if self.ready().is_err() {
            Some("this node does not follow the chain")
        } else if has_sat < reserve_sat {
            Some("this node has too little on the chain for closing it")
        } else {
            None
        };
        let done = match objection {
            None => {
                let number = self.channel_number();
                let overrides = inbound(self.config.network, amount_sat);
                self.manager
                    .accept_inbound_channel(&temporary, &peer, number, overrides)
            }
            Some(objection) => {
                tracing::warn!(%peer, amount_sat, has_sat, reserve_sat, objection, "a channel is refused");
                let manager = &self.manager;
                manager.force_close_broadcasting_latest_txn(&temporary, &peer, objection.to_owned())
            }
        };
        if let Err(error) = done {
            tracing::warn!(%peer, error = ?error, "a peer's channel is not opened");
        }
    }
}

fn funding(row: &FundingRow) -> Option<Transaction> {
    deserialize(&row.0).ok()
}
