//! What clients and guardians say to each other about notes.

use guildmint_core::{slices::Prefix, Amount, Tagged, Wire};
use serde::{Deserialize, Serialize};

use crate::{Bytes, Denomination};

/// The name of a note: an x-only secp256k1 key, whose secret half spends it (SPEC MIN-2). Not yet known to be a key.
pub type Nonce = Bytes<32>;

/// A compressed point of G1, not yet known to be one.
pub type PointBytes = Bytes<48>;

/// An e-cash note as anyone may see it (SPEC MIN-2).
///
/// Strict decoding of its points is up to whoever checks it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Wire,
)]
#[wire(version = 1, max_bytes = 82)]
pub struct Note {
    /// What it is worth.
    pub denomination: Denomination,
    /// What the signature signs, and the key that signs the transaction which spends the note.
    pub nonce: Nonce,
    /// The federation's BLS signature under the denomination's key.
    pub signature: PointBytes,
}

/// Spends a note: an input is the note itself.
pub type MintInput = Note;

/// Asks for a note: the guardians sign the blinded message under the denomination's key.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Wire,
)]
#[wire(version = 1, max_bytes = 50)]
pub struct MintOutput {
    /// What the note will be worth.
    pub denomination: Denomination,
    /// The hidden nonce.
    pub blinded: PointBytes,
}

/// What the owner of an accepted output is told by one guardian (SPEC MIN-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MintOutcome {
    /// The guardian's signature share on the blinded message.
    pub share: PointBytes,
}

/// Answer to `GET /v1/mint/notes/{nonce}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpentAnswer {
    /// Whether the note with this nonce, if there ever was one, has been spent.
    pub spent: bool,
}

/// Most nonces in one `GET /v1/mint/spent?nonces=…`, which answers with a map from nonce to whether it was spent. A request
/// with more is refused with `too_many_nonces`.
pub const MAX_NONCES: usize = 100;

/// One element of the answer to `GET /v1/mint/denominations`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenominationTotals {
    /// The denomination, as the exponent of two.
    pub denomination: Denomination,
    /// How many notes of it were ever issued.
    pub issued: u64,
    /// How many of these were redeemed.
    pub redeemed: u64,
}

impl DenominationTotals {
    /// What the federation owes to the holders of such notes, in msat.
    #[must_use]
    pub fn outstanding_msat(&self) -> u128 {
        u128::from(self.issued.saturating_sub(self.redeemed)) * u128::from(self.denomination.msat())
    }
}

/// Places in one page of `GET /v1/mint/shares?page=…`. The pages are the same for everybody, so that who asks for one shows
/// only that something in it is wanted; computing one costs a guardian as much as a transaction of so many notes.
pub const SHARES_PAGE: u64 = 64;

/// Answer to `GET /v1/mint/shares?page=…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharesAnswer {
    /// Which page: it begins with the place `page` · [`SHARES_PAGE`] in the list of what was signed.
    pub page: u64,
    /// What was signed at these places, as far as this guardian is.
    pub shares: Vec<PlacedShare>,
}

/// One guardian's share on what was signed at a place of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedShare {
    /// What was asked for.
    #[serde(flatten)]
    pub output: MintOutput,
    /// The guardian's signature share on it.
    pub share: PointBytes,
}

/// Under what a spent nonce is in the list of these.
#[must_use]
pub fn spent_prefix(nonce: &Nonce) -> Prefix {
    first(&nonce.0)
}

fn first(bytes: &[u8; 32]) -> Prefix {
    let mut prefix = Prefix::default();
    let length = prefix.len();
    prefix.copy_from_slice(&bytes[..length]);
    prefix
}

impl MintOutput {
    /// Names what is signed and under which denomination's key.
    #[must_use]
    pub(crate) fn hash(&self) -> [u8; 32] {
        Tagged::new("guildmint/mint/issued")
            .add([self.denomination.exponent()])
            .add(self.blinded.0)
            .finish()
    }

    /// Under what it is in the list of all that was signed.
    #[must_use]
    pub fn prefix(&self) -> Prefix {
        first(&self.hash())
    }

    /// What the note will be worth.
    #[must_use]
    pub fn amount(&self) -> Amount {
        self.denomination.amount()
    }
}

impl Note {
    /// What it is worth.
    #[must_use]
    pub fn amount(&self) -> Amount {
        self.denomination.amount()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_as_short_as_they_can_be() {
        let note = Note {
            denomination: Denomination::MAX,
            nonce: Bytes([1; 32]),
            signature: Bytes([2; 48]),
        };
        assert_eq!(note.encode().len(), Note::MAX_BYTES);
        assert_eq!(Note::decode(&note.encode()), Ok(note));
        let output = MintOutput {
            denomination: Denomination::MIN,
            blinded: Bytes([3; 48]),
        };
        assert_eq!(output.encode().len(), MintOutput::MAX_BYTES);
        assert_eq!(MintOutput::decode(&output.encode()), Ok(output));
    }

    #[test]
    fn an_outcome_is_a_share_in_hexadecimal() {
        let outcome = MintOutcome {
            share: Bytes([0xc0; 48]),
        };
        let json = serde_json::to_value(outcome).unwrap();
        assert_eq!(json["share"], "c0".repeat(48));
        assert_eq!(
            serde_json::from_value::<MintOutcome>(json).unwrap(),
            outcome
        );
    }
}
