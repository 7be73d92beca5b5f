//! The node's wallet on the chain: it funds channels, pays for closing them, and gets what is left of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use bdk_wallet::{
    bitcoin::bip32::Xpriv,
    chain::Merge as _,
    coin_selection::InsufficientFunds,
    error::CreateTxError,
    signer::{SignerError, SignersContainer},
    template::{Bip84, DescriptorTemplate as _},
    ChangeSet, KeychainKind, SignOptions, Update,
};
use bitcoin::{Address, Amount, FeeRate, Network, OutPoint, Psbt, ScriptBuf, Transaction};
use guildmint_gateway::node::Refusal;
use guildmint_gateway_store::{Changes, GatewayStore, Key, Space};
use lightning::{
    events::bump_transaction::{sync::WalletSourceSync, Utxo},
    util::anchor_channel_reserves::{get_reserve_per_channel, AnchorChannelReserveContext},
};
use thiserror::Error;

use crate::keys::Seed;

/// Where its changes are.
const TABLE: &[u8] = b"w";
/// Blocks for which a coin stays LDK's after it has signed for it. As long as it needs one, LDK signs again with each block.
const BUMP_BLOCKS: u32 = 12;
/// Keys that are looked for beyond the last that was used, when a wallet is found again from its seed.
pub(crate) const STOP_GAP: usize = 50;

/// Why the wallet cannot be opened or changed.
#[derive(Debug, Error)]
pub enum WalletError {
    /// The database is lost.
    #[error(transparent)]
    Store(#[from] guildmint_gateway_store::StoreLost),
    /// What is in the database is no wallet of this seed.
    #[error("the wallet in the database does not fit its seed: {0}. Is it another gateway's?")]
    Foreign(String),
    /// The chain that a server tells of is not the wallet's.
    #[error("what the Electrum server tells does not connect to the wallet's chain: {0}")]
    Disconnected(String),
}

/// What the wallet has and has not promised to a channel, in satoshi.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct WalletBalance {
    /// Confirmed, and nobody's yet.
    pub(crate) free_sat: u64,
    /// Confirmed, and taken by LDK for closing a channel: it comes back but for the fee.
    pub(crate) bumping_sat: u64,
    pub(crate) unconfirmed_sat: u64,
}

/// The wallet. ⚠ No call of LDK is made while it is locked.
pub(crate) struct Wallet {
    inner: Mutex<Inner>,
    network: Network,
}

struct Inner {
    wallet: bdk_wallet::Wallet,
    signers: [SignersContainer; 2],
    store: GatewayStore,
    next_row: u64,
    /// Coins that LDK has signed for, and the height at which it did. ⚠ They are its own until it needs them no more: a channel that was funded
    /// with one would never be confirmed, and one that it cannot take again leaves a closing too cheap for miners.
    bumping: BTreeMap<OutPoint, u32>,
}

impl Wallet {
    /// Opens the wallet; `true` if it has not seen the chain yet: what is at its keys is to be looked for then. ⚠ Not only when its row is new:
    /// a gateway that is restored from its seed may stop before it has found anything.
    pub(crate) fn open(
        seed: &Seed,
        network: Network,
        store: GatewayStore,
    ) -> Result<(Self, bool), WalletError> {
        let foreign = |error: &dyn std::fmt::Display| WalletError::Foreign(error.to_string());
        let key = Xpriv::new_master(network, &**seed).map_err(|error| foreign(&error))?;
        let rows = store.load_prefix(&Space::Node.key(TABLE).0)?;
        let mut changes = ChangeSet::default();
        for value in rows.values() {
            let change = serde_json::from_slice(value).map_err(|error| foreign(&error))?;
            changes.merge(change);
        }
        let external = Bip84(key, KeychainKind::External);
        let internal = Bip84(key, KeychainKind::Internal);
        let is_new = rows.is_empty();
        let wallet = if is_new {
            bdk_wallet::Wallet::create(external, internal)
                .network(network)
                .create_wallet_no_persist()
                .map_err(|error| foreign(&error))?
        } else {
            bdk_wallet::Wallet::load()
                .descriptor(KeychainKind::External, Some(external))
                .descriptor(KeychainKind::Internal, Some(internal))
                .check_network(network)
                .load_wallet_no_persist(changes.clone())
                .map_err(|error| foreign(&error))?
                .ok_or_else(|| foreign(&"it is incomplete"))?
        };
        let signers = [KeychainKind::External, KeychainKind::Internal].map(|keychain| {
            let template = Bip84(key, keychain).build(network.into());
            template.map(|(descriptor, keys, _)| {
                SignersContainer::build(keys, &descriptor, wallet.secp_ctx())
            })
        });
        let [external, internal] = signers;
        let signers = [
            external.map_err(|error| foreign(&error))?,
            internal.map_err(|error| foreign(&error))?,
        ];
        let mut inner = Inner {
            wallet,
            signers,
            store,
            next_row: 0,
            bumping: BTreeMap::new(),
        };
        if is_new {
            inner.save()?;
        } else {
            inner.compact(&changes, rows.into_keys().collect())?;
        }
        let is_blind = inner.wallet.latest_checkpoint().height() == 0;
        let wallet = Self {
            inner: Mutex::new(inner),
            network,
        };
        Ok((wallet, is_blind))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change and saves it.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut bdk_wallet::Wallet) -> T,
    ) -> Result<T, WalletError> {
        let mut inner = self.lock();
        let result = change(&mut inner.wallet);
        inner.save()?;
        Ok(result)
    }

    pub(crate) fn new_address(&self) -> Result<Address, WalletError> {
        self.change(|wallet| wallet.reveal_next_address(KeychainKind::External).address)
    }

    /// A script for LDK, durable before LDK uses it.
    pub(crate) fn next_script(&self) -> Result<ScriptBuf, ()> {
        let address = self.new_address();
        let script = address.map(|address| address.script_pubkey());
        script.map_err(|error| tracing::error!(%error, "no address for the Lightning node"))
    }

    /// Asks for what is new about all scripts, or about those of a wallet that is found again.
    pub(crate) fn requests<T>(&self, ask: impl FnOnce(&bdk_wallet::Wallet) -> T) -> T {
        ask(&self.lock().wallet)
    }

    pub(crate) fn apply(&self, update: impl Into<Update>) -> Result<(), WalletError> {
        let applied = self.change(|wallet| wallet.apply_update(update))?;
        applied.map_err(|error| WalletError::Disconnected(error.to_string()))
    }

    /// Takes note of a transaction that was broadcast: its inputs are spent.
    pub(crate) fn broadcast(&self, transaction: Transaction) -> Result<(), WalletError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_s = since.map_or(0, |since| since.as_secs());
        self.change(|wallet| wallet.apply_unconfirmed_txs([(transaction, now_s)]))
    }

    /// Our transactions that no block has yet, to be broadcast again: servers forget.
    pub(crate) fn unconfirmed(&self) -> Vec<Transaction> {
        let inner = self.lock();
        let ours = inner.wallet.transactions().filter(|transaction| {
            transaction.chain_position.is_unconfirmed()
                && inner.wallet.sent_and_received(&transaction.tx_node.tx).0 > Amount::ZERO
        });
        ours.map(|transaction| transaction.tx_node.tx.as_ref().clone())
            .collect()
    }

    pub(crate) fn balance(&self) -> WalletBalance {
        self.lock().balance()
    }

    /// Whether a transaction that pays the wallet spends this output, which is not the wallet's.
    pub(crate) fn knows_spend_of(&self, output: OutPoint) -> bool {
        let inner = self.lock();
        let mut spends = inner.wallet.tx_graph().outspends(output).iter();
        spends.any(|txid| inner.wallet.get_tx(*txid).is_some())
    }

    /// What anchor channels need for being closed on a bad day, in satoshi.
    pub(crate) fn reserve_sat(channels: usize) -> u64 {
        let one = get_reserve_per_channel(&AnchorChannelReserveContext::default());
        one.to_sat().saturating_mul(channels as u64)
    }

    /// Reads an address of our network.
    pub(crate) fn script_of(&self, address: &str) -> Result<ScriptBuf, Refusal> {
        let malformed = |reason: String| Refusal::Malformed {
            what: format!(
                "the address {}",
                address.chars().take(100).collect::<String>()
            ),
            reason,
        };
        let address = address.parse::<Address<_>>();
        let address = address.map_err(|error| malformed(error.to_string()))?;
        let address = address.require_network(self.network);
        Ok(address
            .map_err(|error| malformed(error.to_string()))?
            .script_pubkey())
    }

    /// A signed transaction that pays a script out of confirmed money and leaves the reserve. ⚠ Its inputs are locked, over restarts too,
    /// until it is broadcast or [`Wallet::release`]d.
    pub(crate) fn pay(
        &self,
        script: &ScriptBuf,
        amount_sat: u64,
        fee_rate: FeeRate,
        reserve_sat: u64,
    ) -> Result<Transaction, Refusal> {
        let mut inner = self.lock();
        let balance = inner.balance();
        let spendable_sat = balance.free_sat.saturating_sub(reserve_sat);
        let refuse = |needed_sat| Refusal::Funds {
            spendable_sat,
            reserved_sat: reserve_sat.saturating_add(balance.bumping_sat),
            needed_sat,
        };
        let bumping = inner.bumping.keys().copied().collect();
        let mut builder = inner.wallet.build_tx();
        builder
            .add_recipient(script.clone(), Amount::from_sat(amount_sat))
            .fee_rate(fee_rate)
            .unspendable(bumping)
            .exclude_unconfirmed();
        let mut psbt = builder.finish().map_err(|error| match error {
            CreateTxError::CoinSelection(InsufficientFunds { needed, .. }) => {
                refuse(needed.to_sat())
            }
            other => Refusal::Node(other.to_string()),
        })?;
        let fee_sat = psbt.fee().map_or(u64::MAX, |fee| fee.to_sat());
        let needed_sat = amount_sat.saturating_add(fee_sat);
        if needed_sat > spendable_sat {
            return Err(refuse(needed_sat));
        }
        let signed = inner.sign(&mut psbt, SignOptions::default());
        let is_whole = signed.map_err(|error| Refusal::Node(error.to_string()))?;
        let transaction = psbt.extract_tx();
        let transaction = transaction.map_err(|error| Refusal::Node(error.to_string()))?;
        if !is_whole {
            return Err(Refusal::Node(
                "the wallet cannot sign all inputs".to_owned(),
            ));
        }
        for input in &transaction.input {
            inner.wallet.lock_outpoint(input.previous_output);
        }
        inner.save().map_err(|_| Refusal::Stopped)?;
        Ok(transaction)
    }

    /// Unlocks the inputs of a transaction that is not going to be.
    pub(crate) fn release(&self, transaction: &Transaction) -> Result<(), WalletError> {
        self.change(|wallet| {
            for input in &transaction.input {
                wallet.unlock_outpoint(input.previous_output);
            }
        })
    }

    fn confirmed(&self) -> Vec<Utxo> {
        let mut inner = self.lock();
        inner.forget_bumps();
        let unspent = inner.wallet.list_output().filter(|output| {
            let is_free = !output.is_spent && !inner.wallet.is_outpoint_locked(output.outpoint);
            output.chain_position.is_confirmed()
                && (is_free || inner.bumping.contains_key(&output.outpoint))
        });
        let utxo = |output: bdk_wallet::LocalOutput| {
            // OP_0 and a push of 20 bytes.
            let hash = output.txout.script_pubkey.as_bytes().get(2..22)?;
            let hash = bitcoin::hashes::Hash::from_slice(hash).ok()?;
            Some(Utxo::new_v0_p2wpkh(
                output.outpoint,
                output.txout.value,
                &hash,
            ))
        };
        unspent.filter_map(utxo).collect()
    }
}

impl Inner {
    /// ⚠ A coin that is locked is as good as spent: who counts it spends the reserve in its place. One that LDK took is not spent, but no
    /// other payment can have it.
    fn balance(&mut self) -> WalletBalance {
        self.forget_bumps();
        let whole = self.wallet.balance();
        let mut balance = WalletBalance {
            free_sat: whole.confirmed.to_sat(),
            bumping_sat: 0,
            unconfirmed_sat: (whole.trusted_pending + whole.untrusted_pending).to_sat(),
        };
        let coins = self.wallet.list_unspent();
        for coin in coins.filter(|coin| coin.chain_position.is_confirmed()) {
            let is_locked = self.wallet.is_outpoint_locked(coin.outpoint);
            let is_bumping = !is_locked && self.bumping.contains_key(&coin.outpoint);
            let sat = coin.txout.value.to_sat();
            if is_locked || is_bumping {
                balance.free_sat = balance.free_sat.saturating_sub(sat);
            }
            if is_bumping {
                balance.bumping_sat += sat;
            }
        }
        balance
    }

    /// Forgets coins that LDK took and that are spent for good, or that it has not signed for again for some blocks.
    fn forget_bumps(&mut self) {
        if self.bumping.is_empty() {
            return;
        }
        let height = self.wallet.latest_checkpoint().height();
        let confirmed = self
            .wallet
            .transactions()
            .filter(|transaction| transaction.chain_position.is_confirmed());
        let spent: BTreeSet<OutPoint> = confirmed
            .flat_map(|transaction| transaction.tx_node.tx.input.clone())
            .map(|input| input.previous_output)
            .collect();
        self.bumping
            .retain(|coin, signed_at| !spent.contains(coin) && *signed_at + BUMP_BLOCKS >= height);
    }

    /// Signs what it can; whether that is all.
    fn sign(&self, psbt: &mut Psbt, options: SignOptions) -> Result<bool, SignerError> {
        let [external, internal] = &self.signers;
        self.wallet
            .sign_with_signers(psbt, &[external, internal], options)
    }

    /// Makes what changed durable.
    fn save(&mut self) -> Result<(), WalletError> {
        let Some(changes) = self.wallet.take_staged() else {
            return Ok(());
        };
        let row = self.row(&changes)?;
        self.store.save(Changes::from([row]))?;
        Ok(())
    }

    fn row(&mut self, changes: &ChangeSet) -> Result<(Key, Option<Vec<u8>>), WalletError> {
        let value = serde_json::to_vec(changes);
        let value = value.map_err(|error| WalletError::Foreign(error.to_string()))?;
        let mut key = Space::Node.key(TABLE);
        key.0.extend_from_slice(&self.next_row.to_be_bytes());
        self.next_row += 1;
        Ok((key, Some(value)))
    }

    /// One row instead of many.
    fn compact(&mut self, whole: &ChangeSet, rows: Vec<Key>) -> Result<(), WalletError> {
        let mut changes: Changes = rows.into_iter().map(|key| (key, None)).collect();
        changes.extend([self.row(whole)?]);
        self.store.save(changes)?;
        Ok(())
    }
}

impl WalletSourceSync for Wallet {
    fn list_confirmed_utxos(&self) -> Result<Vec<Utxo>, ()> {
        Ok(self.confirmed())
    }

    fn get_change_script(&self) -> Result<ScriptBuf, ()> {
        let address = self.change(|wallet| wallet.reveal_next_address(KeychainKind::Internal));
        let script = address.map(|address| address.script_pubkey());
        script.map_err(|error| tracing::error!(%error, "no address for change"))
    }

    fn sign_psbt(&self, mut psbt: Psbt) -> Result<Transaction, ()> {
        let mut inner = self.lock();
        let height = inner.wallet.latest_checkpoint().height();
        for input in &psbt.unsigned_tx.input {
            if inner.wallet.get_utxo(input.previous_output).is_some() {
                inner.bumping.insert(input.previous_output, height);
            }
        }
        // LDK gives the outputs that are spent, and they are our own.
        let options = SignOptions {
            trust_witness_utxo: true,
            ..SignOptions::default()
        };
        let signed = inner.sign(&mut psbt, options);
        signed.map_err(|error| tracing::error!(%error, "the wallet does not sign"))?;
        Ok(psbt.extract_tx_unchecked_fee_rate())
    }
}

#[cfg(test)]
mod tests;
