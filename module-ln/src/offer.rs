//! Offers: what a user wants to be paid, and the preimage, encrypted to the guardians (SPEC LN-2).

use bitcoin::secp256k1::{schnorr::Signature, Keypair, XOnlyPublicKey};
use guildmint_core::{encoding::write, Amount, Bytes, FederationId, Tagged, Wire};
use guildmint_tbs::{encryption::Ciphertext, PointError};
use serde::{Deserialize, Serialize};

use crate::{
    signed::{sign, verify, WrongSignature},
    OfferId, PaymentHash,
};

/// A preimage that any t guardians can read together, not yet known to be one: a ciphertext of `guildmint_tbs::encryption`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EncryptedPreimage {
    /// The ephemeral key, a point of G2.
    pub u: Bytes<96>,
    /// The preimage under a pad.
    pub v: Bytes<32>,
    /// The proof that whoever encrypted it knows it and meant the rest of the offer, a point of G1.
    pub w: Bytes<48>,
}

impl From<&Ciphertext> for EncryptedPreimage {
    fn from(ciphertext: &Ciphertext) -> Self {
        let (u, v, w) = ciphertext.to_parts();
        Self {
            u: Bytes(u),
            v: Bytes(v),
            w: Bytes(w),
        }
    }
}

impl EncryptedPreimage {
    /// The ciphertext.
    ///
    /// # Errors
    /// If its points are none: canonical, in the subgroup, and not the identity.
    pub fn ciphertext(&self) -> Result<Ciphertext, PointError> {
        Ciphertext::from_parts(&self.u.0, &self.v.0, &self.w.0)
    }

    /// What it is found by: a ciphertext is used once ever (SPEC LN-2). ⚠ It is that of the ephemeral key: what opens one ciphertext of a secret opens
    /// all of them, so none comes after another, as those of a wallet would that is set up again from its words and takes an index twice.
    /// Nobody but its author can make a second. Half a hash keeps the index small; two keys with one are 2^64 work for their author, whose
    /// loss it is.
    #[must_use]
    pub fn fingerprint(&self) -> Bytes<16> {
        let hash = Tagged::new("guildmint/ln/ciphertext")
            .add(self.u.0)
            .finish();
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&hash[..16]);
        Bytes(fingerprint)
    }
}

/// What a user wants to be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The hash that the payment will be made on.
    pub hash: PaymentHash,
    /// What the user is to get, at least.
    pub amount: Amount,
    /// The preimage, for the guardians.
    pub preimage: EncryptedPreimage,
    /// Who gets the money. A key of its own, which neither follows from the preimage nor leads to it.
    pub claim_key: XOnlyPublicKey,
    /// The last height of the agreed clock at which it may be funded.
    pub expires_at: u32,
}

impl Offer {
    /// What the ciphertext authenticates: all of the offer but itself. ⚠ Without it anybody could put the ciphertext of another's
    /// offer under a key of their own.
    #[must_use]
    pub fn associated_data(&self, federation: FederationId) -> [u8; 32] {
        Self::associate(
            federation,
            self.hash,
            self.amount,
            &self.claim_key,
            self.expires_at,
        )
    }

    /// The same, before there is a ciphertext.
    #[must_use]
    pub fn associate(
        federation: FederationId,
        hash: PaymentHash,
        amount: Amount,
        claim_key: &XOnlyPublicKey,
        expires_at: u32,
    ) -> [u8; 32] {
        Tagged::new("guildmint/ln/encrypted-preimage")
            .add(federation)
            .add(hash)
            .add(amount.msat().to_le_bytes())
            .add(claim_key.serialize())
            .add(expires_at.to_le_bytes())
            .finish()
    }

    /// Its name in a federation.
    #[must_use]
    pub fn id(&self, federation: FederationId) -> OfferId {
        let mut bytes = Vec::new();
        write(&mut bytes, self);
        Tagged::new("guildmint/ln/offer")
            .add(federation)
            .add(bytes)
            .finish()
            .into()
    }

    /// Signs it with the claim key's secret.
    #[must_use]
    pub fn sign(self, federation: FederationId, key: &Keypair) -> SignedOffer {
        SignedOffer {
            offer: self,
            signature: sign(key, self.id(federation).0 .0),
        }
    }
}

/// An offer that its claim key has signed. It goes to a gateway, which puts it into the transaction that funds it; or it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 320)]
pub struct SignedOffer {
    /// The offer.
    pub offer: Offer,
    /// The claim key's signature over its [id](Offer::id).
    pub signature: Signature,
}

impl SignedOffer {
    /// Whether the claim key's owner made it for this federation.
    ///
    /// # Errors
    /// If not.
    pub fn verify(&self, federation: FederationId) -> Result<(), WrongSignature> {
        let hash = self.offer.id(federation).0 .0;
        verify(&self.offer.claim_key, hash, &self.signature)
    }
}
