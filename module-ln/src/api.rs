//! Answers under `/v1/ln/`, and the one question that is signed.

use bitcoin::secp256k1::{schnorr::Signature, Keypair, XOnlyPublicKey};
use guildmint_core::{module::VerifiedKey, Bytes, FederationId, PeerId, Tagged};
use serde::{Deserialize, Serialize};

use crate::{
    signed::{sign, WrongSignature},
    Closing, ContractAccount, ContractId, SignedAnnouncement, SignedOffer,
};

/// Answer to `GET /v1/ln/contracts/{id}`. The same at every guardian that has come as far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractAnswer {
    /// The contract, once it is funded; null before.
    pub account: Option<ContractAccount>,
    /// How it ended; null while it has not.
    pub closing: Option<Closing>,
}

/// Answer to `GET /v1/ln/clock`: what time limits of contracts and offers are reckoned by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockAnswer {
    /// The agreed clock, in blocks.
    pub height: u32,
}

/// Answer to `GET /v1/ln/fundings/{offer id}`; with `?past={height}` of guardians alone whose clock is beyond that height, since only they know
/// that an offer which expires there will never be funded. An offer is funded once, so this names one contract at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundingAnswer {
    /// The contract that funds the offer; null while there is none.
    pub contract: Option<ContractId>,
    /// What is in it.
    pub account: Option<ContractAccount>,
    /// How it ended; null while it has not.
    pub closing: Option<Closing>,
}

/// Answer to `GET /v1/ln/offers/{payment hash}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffersAnswer {
    /// Stored offers with this hash that can still be funded, at most [`MAX_OFFERS_PER_HASH`](crate::limits::MAX_OFFERS_PER_HASH).
    pub offers: Vec<SignedOffer>,
}

/// Answer to `GET /v1/ln/gateways`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewaysAnswer {
    /// All whose announcements hold, in the order of their keys.
    pub gateways: Vec<GatewayAnswer>,
}

/// A gateway that has announced itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayAnswer {
    /// What it says, with its signature.
    #[serde(flatten)]
    pub signed: SignedAnnouncement,
    /// Guardians whose operators vouch for it.
    pub vouched_by: Vec<PeerId>,
}

/// Answer to `GET /v1/ln/contracts/{id}/share?expires_at={height}&signature={hexadecimal}` (SPEC LN-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareAnswer {
    /// This guardian's decryption share of the contract's preimage, a point of G2.
    pub share: Bytes<96>,
}

/// Asks one guardian for its decryption share. ⚠ The funder's right alone: whoever else had t shares would know the preimage, and take
/// the Lightning payment from under the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareRequest {
    /// The contract.
    pub contract: ContractId,
    /// The guardian that is asked: another cannot use the signature.
    pub guardian: PeerId,
    /// The last height of the agreed clock at which it is answered, at most
    /// [`MAX_SHARE_REQUEST_BLOCKS`](crate::limits::MAX_SHARE_REQUEST_BLOCKS) from now.
    pub expires_at: u32,
}

impl ShareRequest {
    fn hash(&self, federation: FederationId) -> [u8; 32] {
        Tagged::new("guildmint/ln/share-request")
            .add(federation)
            .add(self.contract)
            .add(self.guardian.0.to_le_bytes())
            .add(self.expires_at.to_le_bytes())
            .finish()
    }

    /// Signs it with the secret of the contract's refund key.
    #[must_use]
    pub fn sign(&self, federation: FederationId, key: &Keypair) -> Signature {
        sign(key, self.hash(federation))
    }

    /// Whether the owner of `key` asks.
    ///
    /// # Errors
    /// If not.
    pub fn verify(
        &self,
        federation: FederationId,
        key: XOnlyPublicKey,
        signature: &Signature,
    ) -> Result<VerifiedKey, WrongSignature> {
        VerifiedKey::verify(key, self.hash(federation), signature).map_err(|_| WrongSignature(key))
    }

    /// The path and parameters to ask under, after `/v1/ln/`.
    #[must_use]
    pub fn path(&self, signature: &Signature) -> String {
        let Self {
            contract,
            expires_at,
            ..
        } = self;
        format!("contracts/{contract}/share?expires_at={expires_at}&signature={signature}")
    }
}
