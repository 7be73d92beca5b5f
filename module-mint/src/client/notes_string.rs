//! Notes as text, to be given away through any channel (SPEC MIN-8).

use std::{collections::BTreeSet, fmt, str::FromStr};

use base64::{engine::general_purpose::URL_SAFE_NO_PAD, Engine as _};
use guildmint_core::{limits, Amount, DecodeError, FederationId, InviteCode, Tagged, Wire};
use guildmint_tbs::{find_invalid, verify_batch, Message, PreparedPublicKey, Signature};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{MintClient, SpendableNote};
use crate::Bytes;

/// What every notes string starts with.
pub const NOTES_PREFIX: &str = "guildnote1";

/// Most notes in a notes string: what can be redeemed in one transaction.
pub const MAX_NOTES: usize = super::MAX_TRANSACTION_NOTES;

const CHECKSUM_BYTES: usize = 4;

/// The first bytes of a [`FederationId`]: enough to tell the federations of one wallet apart.
pub type FederationPrefix = Bytes<8>;

/// Notes with their secrets, for whoever reads the text first: `guildnote1…`.
///
/// The text is [`NOTES_PREFIX`] and base64url, without padding, of the encoding and four bytes of its hash, which find
/// any damage. There is at least one note, none twice, and at most [`MAX_NOTES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotesString(Body);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = MAX_NOTES * 81 + limits::MAX_INVITE_CHARS + 64)]
struct Body {
    federation: FederationPrefix,
    invite: Option<InviteCode>,
    notes: Vec<SpendableNote>,
}

/// Most characters of a notes string, with room for white space around it.
const MAX_CHARS: usize = NOTES_PREFIX.len() + (Body::MAX_BYTES + CHECKSUM_BYTES) * 4 / 3 + 64;

/// Why there is no such notes string. Never quotes the text, which is money.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotesStringError {
    /// Some other text.
    #[error("this is no notes string; one starts with `{NOTES_PREFIX}`")]
    OtherKind,
    /// More characters than any notes string has.
    #[error("{0} characters are too many for a notes string")]
    TooLong(usize),
    /// A character that does not belong there.
    #[error("the notes string is damaged; copy it again, from `{NOTES_PREFIX}` to its end")]
    Damaged,
    /// Made by software of another version.
    #[error("the notes string is of unknown version {0}; install a newer version")]
    UnknownVersion(u8),
    /// Intact text of other contents.
    #[error("the notes string cannot be read: {0}")]
    Contents(String),
    /// No notes, or too many.
    #[error("{0} notes in a notes string; there must be 1 to {MAX_NOTES}")]
    Count(usize),
    /// The same note twice: the total would be a lie.
    #[error("the notes string contains a note twice")]
    Duplicate,
    /// The invite code in it is to another federation.
    #[error("the notes string is of federation {federation}… but invites to {invited}")]
    OtherInvite {
        /// Whose notes.
        federation: FederationPrefix,
        /// Where the invite leads.
        invited: FederationId,
    },
}

/// Why notes are not genuine.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OfflineError {
    /// They are not this federation's.
    #[error("the notes are of federation {0}…, not of this one")]
    OtherFederation(FederationPrefix),
    /// The federation never signed these.
    #[error("{} of the notes are not genuine", .0.len())]
    Forged(Vec<usize>),
}

fn prefix(federation: FederationId) -> FederationPrefix {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&federation.0[..8]);
    Bytes(bytes)
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [a, b, c, d, ..] = Tagged::new("guildmint/notes-string").add(body).finish();
    [a, b, c, d]
}

impl NotesString {
    /// A notes string of a federation's notes, with an invite code for a receiver who has not joined it.
    ///
    /// # Errors
    /// If there are no notes or too many, one twice, or the invite is to another federation.
    pub fn new(
        federation: FederationId,
        invite: Option<InviteCode>,
        notes: Vec<SpendableNote>,
    ) -> Result<Self, NotesStringError> {
        Self::check(Body {
            federation: prefix(federation),
            invite,
            notes,
        })
    }

    fn check(body: Body) -> Result<Self, NotesStringError> {
        if body.notes.is_empty() || body.notes.len() > MAX_NOTES {
            return Err(NotesStringError::Count(body.notes.len()));
        }
        let nonces: BTreeSet<_> = body.notes.iter().map(SpendableNote::nonce).collect();
        if nonces.len() != body.notes.len() {
            return Err(NotesStringError::Duplicate);
        }
        match &body.invite {
            Some(invite) if prefix(invite.federation) != body.federation => {
                Err(NotesStringError::OtherInvite {
                    federation: body.federation,
                    invited: invite.federation,
                })
            }
            _ => Ok(Self(body)),
        }
    }

    /// Whose notes they say they are.
    #[must_use]
    pub fn federation(&self) -> FederationPrefix {
        self.0.federation
    }

    /// Whether they say that they are this federation's notes.
    #[must_use]
    pub fn is_of(&self, federation: FederationId) -> bool {
        self.0.federation == prefix(federation)
    }

    /// The way to the federation, if the sender added it.
    #[must_use]
    pub fn invite(&self) -> Option<&InviteCode> {
        self.0.invite.as_ref()
    }

    /// The notes. Nothing says yet that they are genuine or unspent.
    #[must_use]
    pub fn notes(&self) -> &[SpendableNote] {
        &self.0.notes
    }

    /// The notes, to be redeemed.
    #[must_use]
    pub fn into_notes(self) -> Vec<SpendableNote> {
        self.0.notes
    }

    /// What the notes are worth if they are good.
    #[must_use]
    pub fn total(&self) -> Amount {
        let values = self.0.notes.iter().map(|note| note.note().amount());
        // MAX_NOTES of the largest denomination are far less than all bitcoin.
        Amount::sum(values).unwrap_or(Amount::MAX)
    }
}

/// Writes the secrets: the text is the money.
impl fmt::Display for NotesString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0.encode();
        let checksum = checksum(&bytes);
        bytes.extend(checksum);
        write!(f, "{NOTES_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for NotesString {
    type Err = NotesStringError;

    fn from_str(text: &str) -> Result<Self, NotesStringError> {
        if text.len() > MAX_CHARS {
            return Err(NotesStringError::TooLong(text.len()));
        }
        let data = text
            .trim()
            .strip_prefix(NOTES_PREFIX)
            .ok_or(NotesStringError::OtherKind)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(data)
            .map_err(|_| NotesStringError::Damaged)?;
        let (body, sum) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or(NotesStringError::Damaged)?;
        if *sum != checksum(body) {
            return Err(NotesStringError::Damaged);
        }
        let body = Body::decode(body).map_err(|error| match error {
            DecodeError::UnknownVersion(version) => NotesStringError::UnknownVersion(version),
            other => NotesStringError::Contents(other.to_string()),
        })?;
        Self::check(body)
    }
}

impl MintClient {
    /// Checks that the federation signed all the notes. Whether they are spent only the guardians know.
    ///
    /// # Errors
    /// If the notes are another federation's, or which of them (counted from 0) are not genuine.
    pub fn verify_offline(&self, notes: &NotesString) -> Result<(), OfflineError> {
        if !notes.is_of(self.federation) {
            return Err(OfflineError::OtherFederation(notes.federation()));
        }
        let mut forged = Vec::new();
        let mut claims = Vec::new();
        for (position, note) in notes.notes().iter().enumerate() {
            match self.claim(note) {
                Some(claim) => claims.push((position, claim)),
                None => forged.push(position),
            }
        }
        let batch: Vec<_> = claims
            .iter()
            .map(|(_, (key, message, signature))| (*key, message, signature))
            .collect();
        if !verify_batch(&batch) {
            let invalid = find_invalid(&batch);
            forged.extend(invalid.into_iter().map(|position| claims[position].0));
        }
        if forged.is_empty() {
            return Ok(());
        }
        forged.sort_unstable();
        Err(OfflineError::Forged(forged))
    }

    /// What a note claims, if it can be genuine at all.
    fn claim(&self, note: &SpendableNote) -> Option<(&PreparedPublicKey, Message, Signature)> {
        let key = self.keys.get(&note.denomination())?.aggregate();
        let signature = Signature::from_bytes(&note.note().signature.0).ok()?;
        Some((key, Message::note(&note.nonce().0), signature))
    }
}
