//! The side of who is paid, who pays, and who does it for them: offers and contracts from a seed, what invoices say, and two small state
//! machines, [`Receive`] and [`Pay`], that go on from a row after any interruption. Keeps no state: rows and the next index are the
//! wallet's to store.

mod decrypt;
mod derive;
mod invoice;
mod pay;
mod receive;

use bitcoin::secp256k1::{schnorr::Signature, XOnlyPublicKey};
use guildmint_core::{Amount, FederationId, ModuleId, Quorum, TxId};
use guildmint_tbs::encryption::encrypt;

use crate::{
    signed::sign, ConfigError, ContractId, EncryptedPreimage, LnConfig, LnInput, LnTerms, Offer,
    OutgoingContract, Preimage, SignedOffer, Witness,
};
use derive::{Purpose, Secrets};

pub use decrypt::{open, Culprits, OpenError, Opened};
pub use derive::KeyError;
pub use invoice::{Invoice, InvoiceError};
pub use pay::{Pay, PayEffect, PayError, PayEvent, PayState, Quote};
pub use receive::{Receive, ReceiveEffect, ReceiveError, ReceiveEvent, ReceiveState};

/// A wallet's view of one federation's Lightning module, with the secrets from which its offers and contracts are derived.
pub struct LnClient {
    federation: FederationId,
    module: ModuleId,
    config: LnConfig,
    secrets: Secrets,
}

/// Shows no secret.
impl std::fmt::Debug for LnClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LnClient")
            .field("federation", &self.federation)
            .field("module", &self.module)
            .finish_non_exhaustive()
    }
}

impl LnClient {
    /// The client of the module that is `module` in `federation`, for the owner of a seed (the 64 bytes of BIP-39).
    ///
    /// # Errors
    /// If the config is not that of a federation with such a quorum.
    pub fn new(
        federation: FederationId,
        module: ModuleId,
        quorum: Quorum,
        config: LnConfig,
        seed: &[u8; 64],
    ) -> Result<Self, ConfigError> {
        config.validate(quorum)?;
        Ok(Self {
            federation,
            module,
            config,
            secrets: Secrets::new(seed, federation, module),
        })
    }

    /// The federation.
    #[must_use]
    pub fn federation(&self) -> FederationId {
        self.federation
    }

    /// The module's number.
    #[must_use]
    pub fn module(&self) -> ModuleId {
        self.module
    }

    /// The module's key and fees.
    #[must_use]
    pub fn config(&self) -> &LnConfig {
        &self.config
    }

    /// Goes by other fees, which guardians have agreed on (SPEC GEN-6).
    pub fn revise(&mut self, terms: LnTerms) {
        self.config.fees = terms.fees;
    }

    /// The preimage of the offer with this index. ⚠ 32 bytes that look random, and no key (SPEC LN-2): what it opens is public in the end.
    #[must_use]
    pub fn preimage(&self, index: u64) -> Preimage {
        self.secrets.preimage(index)
    }

    /// The offer with this index. The same arguments make the same offer; ⚠ an index is used for one offer only, since the
    /// encryption's secret follows from it.
    ///
    /// # Errors
    /// If there is no such key, which does not happen.
    pub fn offer(
        &self,
        index: u64,
        amount: Amount,
        expires_at: u32,
    ) -> Result<SignedOffer, KeyError> {
        let key = self.secrets.key(Purpose::Claim, index)?;
        let preimage = self.preimage(index);
        let (hash, claim_key) = (preimage.hash(), key.x_only_public_key().0);
        let data = Offer::associate(self.federation, hash, amount, &claim_key, expires_at);
        let secret = self.secrets.ephemeral(index)?;
        let ciphertext = encrypt(self.config.key.aggregate(), &preimage.0 .0, &data, &secret);
        let offer = Offer {
            hash,
            amount,
            preimage: EncryptedPreimage::from(&ciphertext),
            claim_key,
            expires_at,
        };
        Ok(offer.sign(self.federation, &key))
    }

    /// The input that claims the contract which funds the offer with this index.
    ///
    /// # Errors
    /// If there is no such key, which does not happen.
    pub fn claim(&self, index: u64, contract: ContractId) -> Result<LnInput, KeyError> {
        let key = self.secrets.key(Purpose::Claim, index)?;
        Ok(LnInput {
            contract,
            key: key.x_only_public_key().0,
            witness: Witness::Preimage(self.preimage(index)),
        })
    }

    /// Signs a transaction that claims it.
    ///
    /// # Errors
    /// If there is no such key, which does not happen.
    pub fn sign_claim(&self, index: u64, txid: TxId) -> Result<Signature, KeyError> {
        Ok(sign(&self.secrets.key(Purpose::Claim, index)?, txid.0))
    }

    /// The contract with this index: for a gateway that pays an invoice.
    ///
    /// # Errors
    /// If there is no such key, which does not happen.
    pub fn outgoing(
        &self,
        index: u64,
        invoice: &Invoice,
        gateway_key: XOnlyPublicKey,
        amount: Amount,
        timelock: u32,
    ) -> Result<OutgoingContract, KeyError> {
        let key = self.secrets.key(Purpose::Refund, index)?;
        Ok(OutgoingContract {
            hash: invoice.hash,
            amount,
            gateway_key,
            refund_key: key.x_only_public_key().0,
            timelock,
            invoice_hash: invoice.id,
        })
    }

    /// The input that takes back what is in it: [`Witness::TimedOut`] or [`Witness::Forfeit`].
    ///
    /// # Errors
    /// If there is no such key, which does not happen.
    pub fn refund(
        &self,
        index: u64,
        contract: ContractId,
        witness: Witness,
    ) -> Result<LnInput, KeyError> {
        let key = self.secrets.key(Purpose::Refund, index)?;
        Ok(LnInput {
            contract,
            key: key.x_only_public_key().0,
            witness,
        })
    }

    /// Signs a transaction that does.
    ///
    /// # Errors
    /// If there is no such key, which does not happen.
    pub fn sign_refund(&self, index: u64, txid: TxId) -> Result<Signature, KeyError> {
        Ok(sign(&self.secrets.key(Purpose::Refund, index)?, txid.0))
    }
}
