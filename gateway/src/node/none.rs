//! No node: a gateway that only swaps.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use bitcoin::{secp256k1::Keypair, Network};
use guildmint_core::Tagged;
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use secp256k1::{
    hashes::{sha256, Hash as _},
    SECP256K1,
};

use super::{
    ChainTxid, ChannelId, ChannelOrder, Closing, Command, Delivery, HeldHtlcs, InvoiceOrder,
    LightningNode, NodeId, NodeState, OwnInvoiceOrder, OwnOfferOrder, PaymentHash, Peer, Refusal,
    SentPayment, Wake, Withdrawal,
};
use crate::Keys;

/// Tells how long ago 1970 began.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A node that is not there. It has nothing, hears nothing, and refuses everything but invoices for users of the gateway.
///
/// These are signed with a key of the gateway's ([`Keys::invoices`]). No channel leads there, so ⚠ nobody pays them but other users of
/// the same gateway, whose contracts it swaps (SPEC GW-4).
#[derive(Clone)]
pub struct NoNode {
    key: Keypair,
    network: Network,
    clock: Clock,
}

impl fmt::Debug for NoNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoNode(..)")
    }
}

impl NoNode {
    /// One that makes invoices for this network.
    #[must_use]
    pub fn new(keys: &Keys, network: Network, clock: Clock) -> Self {
        let key = keys.invoices();
        Self {
            key,
            network,
            clock,
        }
    }
}

impl LightningNode for NoNode {
    fn command(&self, _: Command) -> Result<(), Refusal> {
        Err(Refusal::NoNode)
    }

    fn events(&self, _: usize) -> Result<Vec<Delivery>, Refusal> {
        Ok(Vec::new())
    }

    fn handled(&self, _: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn wake_with(&self, _: Wake) {}

    fn state(&self) -> NodeState {
        NodeState {
            node_id: Some(NodeId(self.key.public_key().serialize())),
            swap_only: true,
            ..NodeState::default()
        }
    }

    fn sent(&self, _: PaymentHash) -> Result<Option<SentPayment>, Refusal> {
        Ok(None)
    }

    fn in_flight(&self, _: Option<PaymentHash>) -> Result<Vec<SentPayment>, Refusal> {
        Ok(Vec::new())
    }

    fn held(&self, _: Option<PaymentHash>) -> Result<Vec<HeldHtlcs>, Refusal> {
        Ok(Vec::new())
    }

    fn make_invoice(&self, order: &InvoiceOrder) -> Result<String, Refusal> {
        if order.amount_msat == 0 {
            return Err(Refusal::Amount {
                amount_sat: 0,
                reason: "an invoice without an amount could be paid with less".to_owned(),
            });
        }
        // The format wants one. Nothing ever comes with it.
        let secret = Tagged::new("guildmint/gateway/payment-secret").add(order.hash.0);
        let built = InvoiceBuilder::new(Currency::from(self.network))
            .description(order.description.clone())
            .payment_hash(sha256::Hash::from_byte_array(order.hash.0))
            .payment_secret(PaymentSecret(secret.finish()))
            .timestamp(UNIX_EPOCH + Duration::from_secs((self.clock)().as_secs()))
            .min_final_cltv_expiry_delta(order.min_final_cltv_delta.into())
            .expiry_time(Duration::from_secs(order.expiry_s.into()))
            .amount_milli_satoshis(order.amount_msat)
            .basic_mpp()
            .build_signed(|message| {
                SECP256K1.sign_ecdsa_recoverable(message, &self.key.secret_key())
            });
        let invoice = built.map_err(|error| Refusal::Node(error.to_string()))?;
        Ok(invoice.to_string())
    }

    fn make_own_invoice(&self, _: &OwnInvoiceOrder) -> Result<String, Refusal> {
        Err(Refusal::NoNode)
    }

    fn make_own_offer(&self, _: &OwnOfferOrder) -> Result<String, Refusal> {
        Err(Refusal::NoNode)
    }

    fn peers(&self) -> Result<Vec<Peer>, Refusal> {
        Ok(Vec::new())
    }

    fn new_address(&self) -> Result<String, Refusal> {
        Err(Refusal::NoNode)
    }

    fn withdraw(&self, _: &Withdrawal) -> Result<ChainTxid, Refusal> {
        Err(Refusal::NoNode)
    }

    fn connect(&self, _: &Peer) -> Result<(), Refusal> {
        Err(Refusal::NoNode)
    }

    fn open_channel(&self, _: &ChannelOrder) -> Result<ChannelId, Refusal> {
        Err(Refusal::NoNode)
    }

    fn close_channel(&self, _: ChannelId, _: Closing) -> Result<(), Refusal> {
        Err(Refusal::NoNode)
    }
}
