//! What guardians send: the items of the ordered log, in the form in which they travel.
//!
//! Points and proofs are kept as the bytes that came and are decoded, strictly, by the one who checks them. So a bad one is
//! a fault of its sender that every guardian names alike, not an item that gets lost on the way, and reading items costs
//! nothing. Lists have limits.

use serde::{Deserialize, Serialize};

use super::proof::Proof;
use super::transcript::Transcript;
use super::Params;
use crate::wire::{deserialize_list, Bytes};
use crate::{PublicKey, ShareIndex};

const ITEM_TAG: &[u8] = b"guildmint-tbs/dkg/item/1";
const MAX_KEYS: usize = Params::MAX_KEYS as usize;
const MAX_GUARDIANS: usize = ShareIndex::MAX as usize;
const MAX_POINTS: usize = MAX_KEYS * MAX_GUARDIANS;

/// One item of the log. Who sent it is known from elsewhere: consensus authenticates it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// A guardian's part of the keys.
    Dealing(Dealing),
    /// A guardian's operator does not want to wait for more dealings.
    Close,
    /// What a guardian found in the dealings.
    Verdict(Verdict),
    /// A guardian has the keys, and this is the hash of the configuration that it made with them.
    Confirm(#[serde(with = "hash")] [u8; 32]),
}

/// The kinds of [`Item`], of each of which a guardian sends one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemKind {
    /// [`Item::Dealing`].
    Dealing,
    /// [`Item::Close`].
    Close,
    /// [`Item::Verdict`].
    Verdict,
    /// [`Item::Confirm`].
    Confirm,
}

impl std::fmt::Display for ItemKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dealing => "dealing",
            Self::Close => "closing mark",
            Self::Verdict => "verdict",
            Self::Confirm => "confirmation",
        })
    }
}

/// One polynomial for each key, committed to and shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dealing {
    /// aₖ,ₗ·g₂, by key and then by degree: K·t points.
    #[serde(deserialize_with = "deserialize_list::<_, _, MAX_POINTS>")]
    pub(super) commitments: Vec<Bytes<{ PublicKey::LEN }>>,
    /// That aₖ,₀ is known, by key.
    #[serde(deserialize_with = "deserialize_list::<_, _, MAX_KEYS>")]
    pub(super) constant_proofs: Vec<Proof>,
    /// E = e·g₁.
    pub(super) ephemeral: Bytes<48>,
    /// That e is known.
    pub(super) ephemeral_proof: Proof,
    /// fₖ(i) encrypted to guardian i, by i and then by key: n·K ciphertexts.
    #[serde(deserialize_with = "deserialize_list::<_, _, MAX_POINTS>")]
    pub(super) shares: Vec<Bytes<32>>,
}

/// That a guardian has seen all dealings, and which of them gave it a wrong share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Hash of the log up to the end of the dealings.
    pub(super) transcript: Bytes<32>,
    /// In ascending order of the dealer.
    #[serde(deserialize_with = "deserialize_list::<_, _, MAX_GUARDIANS>")]
    pub(super) complaints: Vec<Complaint>,
}

impl Verdict {
    /// The dealers that are complained of.
    pub fn accused(&self) -> impl Iterator<Item = ShareIndex> + '_ {
        self.complaints.iter().map(|complaint| complaint.dealer)
    }
}

/// The key to one dealer's shares for the complaining guardian, so that everybody can look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Complaint {
    pub(super) dealer: ShareIndex,
    /// D = p·E.
    pub(super) point: Bytes<48>,
    /// That D is to E as the guardian's encryption key is to g₁.
    pub(super) proof: Proof,
}

impl Item {
    /// Its kind.
    pub fn kind(&self) -> ItemKind {
        match self {
            Self::Dealing(_) => ItemKind::Dealing,
            Self::Close => ItemKind::Close,
            Self::Verdict(_) => ItemKind::Verdict,
            Self::Confirm(_) => ItemKind::Confirm,
        }
    }

    /// An upper bound of the length of an honest item, in bytes, in any format that writes fixed-length byte strings without
    /// a length, lengths of lists in at most 8 bytes, and the kind in at most 4: bincode, for example.
    pub const fn max_len(threshold: u16, guardians: u16, keys: u16) -> usize {
        let (t, n, k) = (threshold as usize, guardians as usize, keys as usize);
        let lists = k * t * PublicKey::LEN + k * Proof::LEN + n * k * 32;
        let dealing = 3 * 8 + lists + 48 + Proof::LEN;
        let verdict = 32 + 8 + n * (2 + 48 + Proof::LEN);
        4 + if dealing > verdict { dealing } else { verdict }
    }

    /// The largest [`max_len`](Self::max_len) of any ceremony.
    pub const MAX_LEN: usize = Self::max_len(
        ShareIndex::MAX as u16,
        ShareIndex::MAX as u16,
        Params::MAX_KEYS,
    );

    /// A hash of all of it.
    pub(super) fn digest(&self) -> [u8; 32] {
        let transcript = Transcript::new(ITEM_TAG).with(&[self.kind() as u8]);
        let transcript = match self {
            Self::Dealing(dealing) => dealing.describe(transcript),
            Self::Close => transcript,
            Self::Verdict(verdict) => verdict.describe(transcript),
            Self::Confirm(hash) => transcript.with(hash),
        };
        transcript.digest()
    }
}

impl Dealing {
    fn describe(&self, transcript: Transcript) -> Transcript {
        transcript
            .with(&concat(&self.commitments))
            .with(&concat(self.constant_proofs.iter().map(|proof| &proof.0)))
            .with(&self.ephemeral.0)
            .with(&self.ephemeral_proof.0 .0)
            .with(&concat(&self.shares))
    }
}

impl Verdict {
    fn describe(&self, mut transcript: Transcript) -> Transcript {
        transcript.add(&self.transcript.0);
        for complaint in &self.complaints {
            transcript.add(&[complaint.dealer.get()]);
            transcript.add(&complaint.point.0);
            transcript.add(&complaint.proof.0 .0);
        }
        transcript
    }
}

fn concat<'a, const N: usize>(bytes: impl IntoIterator<Item = &'a Bytes<N>>) -> Vec<u8> {
    bytes.into_iter().flat_map(|bytes| bytes.0).collect()
}

/// A hash in serde.
mod hash {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::wire::Bytes;

    pub(super) fn serialize<S: Serializer>(hash: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        Bytes(*hash).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        Bytes::deserialize(from).map(|bytes| bytes.0)
    }
}
