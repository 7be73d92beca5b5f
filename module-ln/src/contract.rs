//! Contracts: money that waits for a preimage, or for its time to be over (SPEC LN-3, LN-5).

use bitcoin::secp256k1::{schnorr::Signature, Keypair, XOnlyPublicKey};
use guildmint_core::{Amount, FederationId, Tagged};
use serde::{Deserialize, Serialize};

use crate::{
    signed::{sign, verify, WrongSignature},
    ContractId, InvoiceHash, Offer, OfferId, PaymentHash, Preimage, SignedOffer,
};

/// The offer that an incoming contract funds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant)] // one in a transaction, and short-lived
pub enum OfferRef {
    /// One that guardians have stored.
    Stored(OfferId),
    /// One that comes with the funding, at no fee of its own.
    Carried(SignedOffer),
}

/// A gateway's money for a user who is to be paid: the output that funds it (SPEC LN-3).
///
/// ⚠ Hash, ciphertext and claim key are the offer's: a funder who could choose them would pay itself, or nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncomingContract {
    /// The offer.
    pub offer: OfferRef,
    /// What is locked: at least what the offer asks.
    pub amount: Amount,
    /// The gateway's key for this contract: it reads the preimage, and has the money back if there is none.
    pub refund_key: XOnlyPublicKey,
    /// The last height of the agreed clock at which this may be funded. ⚠ A gateway's Lightning payment has a deadline: what
    /// comes too late must not come at all.
    pub valid_until: u32,
}

/// A user's money for a gateway that pays an invoice: the output that funds it (SPEC LN-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingContract {
    /// The invoice's payment hash.
    pub hash: PaymentHash,
    /// What the gateway gets: the invoice's amount and its fee.
    pub amount: Amount,
    /// Who gets it, with the preimage.
    pub gateway_key: XOnlyPublicKey,
    /// Who gets it back.
    pub refund_key: XOnlyPublicKey,
    /// From this height of the agreed clock on it may be refunded; and still be claimed, until it is.
    pub timelock: u32,
    /// The invoice that is to be paid, so that a gateway cannot be made to pay another.
    pub invoice_hash: InvoiceHash,
}

/// What a contract says, with its offer in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Terms {
    /// For a user who is to be paid.
    Incoming {
        /// What it funds.
        offer: Offer,
        /// The gateway's key.
        refund_key: XOnlyPublicKey,
    },
    /// For a gateway that pays.
    Outgoing(OutgoingContract),
}

impl Terms {
    /// The hash whose preimage claims it.
    #[must_use]
    pub fn hash(&self) -> PaymentHash {
        match self {
            Self::Incoming { offer, .. } => offer.hash,
            Self::Outgoing(contract) => contract.hash,
        }
    }

    /// Who claims it with the preimage.
    #[must_use]
    pub fn claim_key(&self) -> XOnlyPublicKey {
        match self {
            Self::Incoming { offer, .. } => offer.claim_key,
            Self::Outgoing(contract) => contract.gateway_key,
        }
    }

    /// Who may have it back.
    #[must_use]
    pub fn refund_key(&self) -> XOnlyPublicKey {
        match self {
            Self::Incoming { refund_key, .. } => *refund_key,
            Self::Outgoing(contract) => contract.refund_key,
        }
    }
}

/// A contract that was funded: once, and it is spent whole (SPEC LN-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractAccount {
    /// What is locked in it.
    pub amount: Amount,
    /// When it was funded, by the agreed clock.
    pub funded_at: u32,
    /// What it says.
    pub terms: Terms,
}

/// How a contract ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closing {
    /// With its preimage, which is public from then on: a gateway that waits for one learns it here.
    Claimed {
        /// The preimage.
        preimage: Preimage,
    },
    /// An incoming contract whose offer hides no preimage; its funder has the money back.
    Undecryptable,
    /// An outgoing contract whose time was over; its funder has the money back.
    TimedOut,
    /// An outgoing contract that its gateway gave up; its funder has the money back.
    Forfeited,
}

/// A gateway's word that it will not claim an outgoing contract, upon which its funder has the money back at once.
///
/// ⚠ It is signed for one contract of one federation: it says nothing of any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forfeit {
    /// The contract.
    pub contract: ContractId,
    /// The contract's gateway key.
    pub gateway_key: XOnlyPublicKey,
    /// That key's signature.
    pub signature: Signature,
}

impl Forfeit {
    fn hash(federation: FederationId, contract: ContractId) -> [u8; 32] {
        Tagged::new("guildmint/ln/forfeit")
            .add(federation)
            .add(contract)
            .finish()
    }

    /// Gives a contract up. ⚠ Never while a payment may still be under way: whoever is then paid, this gateway is not.
    #[must_use]
    pub fn sign(federation: FederationId, contract: ContractId, key: &Keypair) -> Self {
        Self {
            contract,
            gateway_key: key.x_only_public_key().0,
            signature: sign(key, Self::hash(federation, contract)),
        }
    }

    /// Whether the gateway key's owner signed it, for a contract of this federation. That the key is the contract's is for whoever
    /// knows the contract to compare.
    ///
    /// # Errors
    /// If not.
    pub fn verify(&self, federation: FederationId) -> Result<(), WrongSignature> {
        let hash = Self::hash(federation, self.contract);
        verify(&self.gateway_key, hash, &self.signature)
    }
}
