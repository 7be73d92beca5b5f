//! Keys, all from one seed, and the scripts at which LDK wants its money.

use std::sync::Arc;

use bitcoin::{
    secp256k1::{
        ecdh::SharedSecret,
        ecdsa::{RecoverableSignature, Signature},
        All, PublicKey, Scalar, Secp256k1,
    },
    ScriptBuf, Transaction, TxOut,
};
use hkdf::Hkdf;
use lightning::bolt11_invoice::RawBolt11Invoice;
use lightning::{
    ln::{inbound_payment::ExpandedKey, msgs::UnsignedGossipMessage, script::ShutdownScript},
    offers::invoice::UnsignedBolt12Invoice,
    sign::{
        ChangeDestinationSourceSync, EntropySource, InMemorySigner, KeysManager, NodeSigner,
        OutputSpender, PeerStorageKey, ReceiveAuthKey, Recipient, SignerProvider,
        SpendableOutputDescriptor,
    },
};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::wallet::Wallet;

/// 32 random bytes from which the node's keys and its wallet's follow.
pub type Seed = Zeroizing<[u8; 32]>;

/// A secret for one purpose. Nothing of one tells anything of another.
fn derive(seed: &Seed, purpose: &str) -> Seed {
    let mut key = Zeroizing::new([0; 32]);
    let hkdf = Hkdf::<Sha256>::new(Some(b"guildmint gateway v1"), &**seed);
    #[allow(clippy::expect_used)]
    hkdf.expand(purpose.as_bytes(), &mut *key)
        .expect("32 bytes are not too many");
    key
}

/// The wallet's secret.
pub(crate) fn wallet_seed(seed: &Seed) -> Seed {
    derive(seed, "wallet")
}

/// LDK's keys, with scripts of our wallet where money goes when channels end.
pub(crate) struct Keys {
    inner: KeysManager,
    wallet: Arc<Wallet>,
}

impl Keys {
    /// ⚠ `start_ns` must be another at every start.
    pub(crate) fn new(seed: &Seed, start_ns: u64, wallet: Arc<Wallet>) -> Self {
        let seed = derive(seed, "lightning");
        let (secs, nanos) = (start_ns / 1_000_000_000, (start_ns % 1_000_000_000) as u32);
        Self {
            // With remote keys that can be found from the seed alone, after everything else is lost.
            inner: KeysManager::new(&seed, secs, nanos, true),
            wallet,
        }
    }

    pub(crate) fn node_key(&self) -> PublicKey {
        self.inner
            .get_node_id(Recipient::Node)
            .unwrap_or_else(|()| unreachable!())
    }
}

impl EntropySource for Keys {
    fn get_secure_random_bytes(&self) -> [u8; 32] {
        self.inner.get_secure_random_bytes()
    }
}

impl NodeSigner for Keys {
    fn get_expanded_key(&self) -> ExpandedKey {
        self.inner.get_expanded_key()
    }

    fn get_peer_storage_key(&self) -> PeerStorageKey {
        self.inner.get_peer_storage_key()
    }

    fn get_receive_auth_key(&self) -> ReceiveAuthKey {
        self.inner.get_receive_auth_key()
    }

    fn get_node_id(&self, recipient: Recipient) -> Result<PublicKey, ()> {
        self.inner.get_node_id(recipient)
    }

    fn ecdh(
        &self,
        recipient: Recipient,
        other: &PublicKey,
        tweak: Option<&Scalar>,
    ) -> Result<SharedSecret, ()> {
        self.inner.ecdh(recipient, other, tweak)
    }

    fn sign_invoice(
        &self,
        invoice: &RawBolt11Invoice,
        recipient: Recipient,
    ) -> Result<RecoverableSignature, ()> {
        self.inner.sign_invoice(invoice, recipient)
    }

    fn sign_bolt12_invoice(
        &self,
        invoice: &UnsignedBolt12Invoice,
    ) -> Result<bitcoin::secp256k1::schnorr::Signature, ()> {
        self.inner.sign_bolt12_invoice(invoice)
    }

    fn sign_gossip_message(&self, message: UnsignedGossipMessage) -> Result<Signature, ()> {
        self.inner.sign_gossip_message(message)
    }

    fn sign_message(&self, message: &[u8]) -> Result<String, ()> {
        self.inner.sign_message(message)
    }
}

impl OutputSpender for Keys {
    fn spend_spendable_outputs(
        &self,
        descriptors: &[&SpendableOutputDescriptor],
        outputs: Vec<TxOut>,
        change: ScriptBuf,
        sat_per_1000_weight: u32,
        locktime: Option<bitcoin::absolute::LockTime>,
        secp: &Secp256k1<All>,
    ) -> Result<Transaction, ()> {
        let inner = &self.inner;
        inner.spend_spendable_outputs(
            descriptors,
            outputs,
            change,
            sat_per_1000_weight,
            locktime,
            secp,
        )
    }
}

impl SignerProvider for Keys {
    type EcdsaSigner = InMemorySigner;

    fn generate_channel_keys_id(&self, inbound: bool, user_channel_id: u128) -> [u8; 32] {
        self.inner
            .generate_channel_keys_id(inbound, user_channel_id)
    }

    fn derive_channel_signer(&self, channel_keys_id: [u8; 32]) -> InMemorySigner {
        self.inner.derive_channel_signer(channel_keys_id)
    }

    fn get_destination_script(&self, _: [u8; 32]) -> Result<ScriptBuf, ()> {
        self.wallet.next_script()
    }

    fn get_shutdown_scriptpubkey(&self) -> Result<ShutdownScript, ()> {
        let script = self.wallet.next_script()?;
        ShutdownScript::try_from(script).map_err(|_| ())
    }
}

impl ChangeDestinationSourceSync for Keys {
    fn get_change_destination_script(&self) -> Result<ScriptBuf, ()> {
        self.wallet.next_script()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_has_a_secret_of_its_own() {
        let seed = Zeroizing::new([7; 32]);
        let (wallet, node) = (wallet_seed(&seed), derive(&seed, "lightning"));
        assert_ne!(*wallet, *node);
        assert_ne!(*wallet, *seed);
        assert_eq!(*wallet, *wallet_seed(&seed));
    }
}
