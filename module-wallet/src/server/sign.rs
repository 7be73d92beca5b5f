//! Signatures on the federation's transactions (SPEC WAL-7).

use std::collections::BTreeMap;

use bitcoin::{
    consensus::{deserialize, serialize},
    ecdsa,
    hashes::Hash,
    secp256k1::{ecdsa::Signature, Message},
    sighash::{EcdsaSighashType, SighashCache},
    Amount, PublicKey, Transaction,
};
use guildmint_core::{ledger::View, PeerId};
use miniscript::{descriptor::Wsh, Descriptor};
use secp256k1::SECP256K1;

use super::{
    rows::{SignaturesOf, Slot, SlotAt, SlotInput, Version},
    slots::{broadcast, versions},
    Wallet,
};
use crate::{
    tweak::tweak_secret,
    types::{Job, Signatures},
};

/// What must be signed for one input, and by which keys.
pub struct ToSign {
    message: Message,
    /// The guardians' keys in the guardians' order.
    keys: Vec<PublicKey>,
    descriptor: Wsh<PublicKey>,
}

impl Wallet {
    /// What must be signed for each input; the same on every guardian. `None` never happens to what `settle` has built.
    pub(super) fn to_sign(&self, inputs: &[SlotInput], version: &Version) -> Option<Vec<ToSign>> {
        let transaction: Transaction = deserialize(&version.transaction).ok()?;
        let mut cache = SighashCache::new(&transaction);
        let each = inputs.iter().enumerate().map(|(index, input)| {
            let descriptor = self.descriptor.tweaked(&input.tweak).ok()?;
            let script = descriptor.inner_script();
            let amount = Amount::from_sat(input.amount_sat);
            let sighash = cache
                .p2wsh_signature_hash(index, &script, amount, EcdsaSighashType::All)
                .ok()?;
            Some(ToSign {
                message: Message::from_digest(sighash.to_byte_array()),
                keys: self.descriptor.keys(&input.tweak).ok()?,
                descriptor,
            })
        });
        each.collect()
    }

    /// This guardian's signatures: deterministic (RFC 6979), so that they are the same however often they are made.
    pub(super) fn sign(&self, slot: &Slot, version: &Version) -> Option<Signatures> {
        let to_sign = self.to_sign(&slot.inputs, version)?;
        let each = slot.inputs.iter().zip(to_sign).map(|(input, to_sign)| {
            let mut key = tweak_secret(self.secret.key(), &input.tweak).ok()?;
            let signature = SECP256K1.sign_ecdsa(&to_sign.message, &key);
            key.non_secure_erase();
            Some(signature)
        });
        Some(Signatures {
            txid: version.txid,
            signatures: each.collect::<Option<_>>()?,
        })
    }

    /// Keeps a guardian's signatures on a transaction, if every one of them is right: a single wrong one would make the
    /// whole transaction invalid.
    pub(super) fn count_signatures(
        &self,
        view: &mut View<'_, '_>,
        peer: PeerId,
        given: &Signatures,
    ) -> Result<(), &'static str> {
        let all = versions(view);
        let Some((slot_id, number, slot, version)) =
            all.iter().find(|(.., version)| version.txid == given.txid)
        else {
            return Err("signs a transaction that does not wait for it");
        };
        let row = SignaturesOf {
            slot: *slot_id,
            version: *number,
            peer,
        };
        if version.signed || view.contains(&row) {
            return Ok(());
        }
        if slot.inputs.len() != given.signatures.len() {
            return Err("signs not all inputs of a transaction");
        }
        let to_sign = self.to_sign(&slot.inputs, version).unwrap_or_default();
        if to_sign.len() != given.signatures.len() {
            return Err("signs a transaction that cannot be signed");
        }
        let right = to_sign
            .iter()
            .zip(&given.signatures)
            .all(|(to_sign, signature)| {
                to_sign.keys.get(usize::from(peer.0)).is_some_and(|key| {
                    SECP256K1
                        .verify_ecdsa(&to_sign.message, signature, &key.inner)
                        .is_ok()
                })
            });
        if !right {
            return Err("gives a wrong signature on a transaction");
        }
        view.put(&row, &given.signatures);
        Ok(())
    }

    /// Completes every transaction that t guardians have signed.
    pub(super) fn finish_signed(&self, view: &mut View<'_, '_>) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (id, number, mut slot, version) in versions(view) {
            if version.signed {
                continue;
            }
            let Some(signed) = self.finish(view, id, number, &slot, &version) else {
                continue;
            };
            jobs.extend(broadcast(&signed));
            self.forget_signatures(view, id, slot.versions.len());
            // Those before are kept to be recognised when they are confirmed, which takes no more than their ids.
            for older in slot.versions.iter_mut().take(usize::from(number)) {
                older.transaction.clear();
            }
            if let Some(place) = slot.versions.get_mut(usize::from(number)) {
                *place = signed;
            }
            view.put(&SlotAt(id), &slot);
        }
        jobs
    }

    fn finish(
        &self,
        view: &View<'_, '_>,
        id: u64,
        number: u8,
        slot: &Slot,
        version: &Version,
    ) -> Option<Version> {
        let signatures: Vec<(PeerId, Vec<Signature>)> = self
            .signers(view, id, number)
            .into_iter()
            .filter_map(|peer| {
                let row = SignaturesOf {
                    slot: id,
                    version: number,
                    peer,
                };
                Some((peer, view.get(&row)?))
            })
            .collect();
        if signatures.len() < self.federation.quorum.threshold() {
            return None;
        }
        let mut transaction: Transaction = deserialize(&version.transaction).ok()?;
        let to_sign = self.to_sign(&slot.inputs, version)?;
        for (index, (input, to_sign)) in transaction.input.iter_mut().zip(to_sign).enumerate() {
            let witness = to_sign.signed_by(index, &signatures)?;
            Descriptor::Wsh(to_sign.descriptor)
                .satisfy(input, witness)
                .ok()?;
        }
        Some(Version {
            transaction: serialize(&transaction),
            signed: true,
            ..version.clone()
        })
    }
}

impl ToSign {
    /// The signatures on the input with this index, by key.
    fn signed_by(
        &self,
        index: usize,
        signatures: &[(PeerId, Vec<Signature>)],
    ) -> Option<BTreeMap<PublicKey, ecdsa::Signature>> {
        let each = signatures.iter().map(|(peer, signatures)| {
            let signature = ecdsa::Signature {
                signature: *signatures.get(index)?,
                sighash_type: EcdsaSighashType::All,
            };
            Some((*self.keys.get(usize::from(peer.0))?, signature))
        });
        each.collect()
    }
}
