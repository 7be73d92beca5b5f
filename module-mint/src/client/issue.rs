//! Issue: blinding nonces, and making notes of guardians' signature shares.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::PeerId;
use guildmint_tbs::{
    blind_many, combine_and_unblind, verify_batch, BlindingKey, FinalizeError as TbsError, Message,
    PreparedKeySet, ShareIndex, SignatureShare,
};
use thiserror::Error;

use super::{derive::FederationSecret, MintClient, NoteRequest, SpendableNote};
use crate::{config::share_index, Bytes, Denomination, MintOutput, PointBytes};

pub(super) fn blinded(secret: &FederationSecret, requests: &[NoteRequest]) -> Vec<MintOutput> {
    let secrets: Vec<(Message, BlindingKey)> = requests
        .iter()
        .map(|request| {
            let note = secret.note(request);
            (note.message(), note.blinding_key())
        })
        .collect();
    let blinded = blind_many(secrets.iter().map(|(message, key)| (message, key)));
    requests
        .iter()
        .zip(blinded)
        .map(|(request, blinded)| MintOutput {
            denomination: request.denomination,
            blinded: Bytes(blinded.to_bytes()),
        })
        .collect()
}

/// A note made of guardians' shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finalized {
    /// The note, its signature verified.
    pub note: SpendableNote,
    /// Guardians whose shares were found to be wrong. Shares that were not needed are not looked at.
    pub culprits: BTreeSet<PeerId>,
}

/// Why shares do not make a note.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FinalizeError {
    /// The mint has no notes of this denomination.
    #[error("the mint has no notes of {0}")]
    UnknownDenomination(Denomination),
    /// Too few shares that may be right. Ask other guardians.
    #[error("{good} signature shares that may be right, {need} needed; wrong ones came from {culprits:?}")]
    NotEnough {
        /// Shares not known to be wrong.
        good: usize,
        /// The threshold.
        need: usize,
        /// Guardians whose shares are wrong.
        culprits: BTreeSet<PeerId>,
    },
}

impl MintClient {
    /// Makes notes of the guardians' shares on each of them. If all are right, as they are from honest guardians, they are
    /// verified as one batch, in a third of the time that [`MintClient::finalize`] takes for one after the other.
    ///
    /// # Errors
    /// As [`MintClient::finalize`], for the first that cannot be made.
    pub fn finalize_all(
        &self,
        requests: &[(NoteRequest, BTreeMap<PeerId, PointBytes>)],
    ) -> Result<Vec<Finalized>, FinalizeError> {
        if let Some(all) = self.finalize_trusting(requests) {
            return Ok(all);
        }
        let mut all = Vec::with_capacity(requests.len());
        let mut culprits = BTreeSet::new();
        for (request, shares) in requests {
            // Who was caught once is not asked to be caught again with every note.
            let shares = shares.iter().filter(|(peer, _)| !culprits.contains(*peer));
            let shares = shares.map(|(peer, share)| (*peer, *share)).collect();
            let one = self.finalize(request, &shares)?;
            culprits.extend(one.culprits.iter().copied());
            all.push(one);
        }
        Ok(all)
    }

    /// The notes, if no share that is needed is wrong.
    fn finalize_trusting(
        &self,
        requests: &[(NoteRequest, BTreeMap<PeerId, PointBytes>)],
    ) -> Option<Vec<Finalized>> {
        let mut signed = Vec::with_capacity(requests.len());
        for (request, shares) in requests {
            let keys = self.keys.get(&request.denomination)?;
            let shares = Shares::decode(keys, shares);
            let secret = self.secret.note(request);
            let threshold = keys.keys().threshold();
            let signature = combine_and_unblind(threshold, &shares.good, &secret.blinding_key());
            signed.push((request, keys, secret, signature.ok()?, shares.culprits));
        }
        let messages: Vec<Message> = signed.iter().map(|one| one.2.message()).collect();
        let claims: Vec<_> = signed
            .iter()
            .zip(&messages)
            .map(|((_, keys, _, signature, _), message)| (keys.aggregate(), message, signature))
            .collect();
        if !verify_batch(&claims) {
            return None;
        }
        let notes = signed.into_iter();
        let finalized = notes.map(|(request, _, secret, signature, culprits)| Finalized {
            note: SpendableNote::new(
                request.denomination,
                secret.spend_key(),
                Bytes(signature.to_bytes()),
            ),
            culprits,
        });
        Some(finalized.collect())
    }

    /// Makes a note of the guardians' shares on its blinded message (SPEC MIN-5). Costs 2 ms of computing if the shares
    /// are right.
    ///
    /// Wrong and unreadable shares do no harm as long as enough right ones are left.
    ///
    /// # Errors
    /// If not, with the guardians whose shares are wrong.
    pub fn finalize(
        &self,
        request: &NoteRequest,
        shares: &BTreeMap<PeerId, PointBytes>,
    ) -> Result<Finalized, FinalizeError> {
        let denomination = request.denomination;
        let keys = self
            .keys
            .get(&denomination)
            .ok_or(FinalizeError::UnknownDenomination(denomination))?;
        let mut shares = Shares::decode(keys, shares);
        let secret = self.secret.note(request);
        let (message, blinding) = (secret.message(), secret.blinding_key());
        loop {
            match keys.finalize(&message, &blinding, &shares.good) {
                Ok(signature) => {
                    let signature = Bytes(signature.to_bytes());
                    return Ok(Finalized {
                        note: SpendableNote::new(denomination, secret.spend_key(), signature),
                        culprits: shares.culprits,
                    });
                }
                Err(TbsError::WrongShares { culprits }) if !culprits.is_empty() => {
                    shares.drop_wrong(&culprits);
                }
                Err(_) => {
                    return Err(FinalizeError::NotEnough {
                        good: shares.good.len(),
                        need: keys.keys().threshold().into(),
                        culprits: shares.culprits,
                    });
                }
            }
        }
    }
}

/// Shares that may be right, and who sent the others.
struct Shares {
    good: Vec<(ShareIndex, SignatureShare)>,
    culprits: BTreeSet<PeerId>,
}

impl Shares {
    fn decode(keys: &PreparedKeySet, shares: &BTreeMap<PeerId, PointBytes>) -> Self {
        let mut good = Vec::with_capacity(shares.len());
        let mut culprits = BTreeSet::new();
        for (peer, share) in shares {
            let index = share_index(*peer).filter(|index| keys.keys().share(*index).is_some());
            match (index, SignatureShare::from_bytes(&share.0)) {
                (Some(index), Ok(share)) => good.push((index, share)),
                _ => {
                    culprits.insert(*peer);
                }
            }
        }
        Self { good, culprits }
    }

    fn drop_wrong(&mut self, wrong: &[ShareIndex]) {
        self.good.retain(|(index, _)| !wrong.contains(index));
        let peers = wrong.iter().map(|index| PeerId(u16::from(*index) - 1));
        self.culprits.extend(peers);
    }
}
