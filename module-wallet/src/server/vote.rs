//! What this guardian sees, says, and hears from the others (SPEC WAL-4, WAL-5, EPO-7).

use std::collections::BTreeSet;

use bitcoin::BlockHash;
use guildmint_core::{ledger::View, module::Fault, PeerId};

use super::{
    rows::{RecentBlock, Sighting, SightingRow, SignaturesOf, UnfreezeRow, VoteOf},
    slots::versions,
    Wallet,
};
use crate::{
    config::Block,
    limits,
    types::{Confirmation, News, Signatures, Vote},
};

/// A fee rate that moved by less than one in so many is no reason for an epoch.
const FEE_RATE_STEPS: u64 = 4;
/// Transactions that one vote signs. The rest are signed in the next epoch.
const MAX_SIGNED_PER_VOTE: usize = 8;

/// The latest news.
pub fn sighting(local: &View<'_, '_>) -> Sighting {
    local.get(&SightingRow).unwrap_or_default()
}

/// Takes in news.
pub fn remember(local: &mut View<'_, '_>, news: News) {
    if let News::Unfreeze { number } = news {
        if local.get(&UnfreezeRow) != Some(number) {
            local.put(&UnfreezeRow, &number);
        }
        return;
    }
    let before = sighting(local);
    let mut now = before.clone();
    match news {
        News::Chain {
            tip_height,
            first_height,
            mut hashes,
        } => {
            hashes.truncate(limits::MAX_VOTED_BLOCKS);
            now.tip_height = Some(tip_height);
            now.first_height = first_height;
            now.hashes = hashes;
        }
        News::FeeRate { sat_per_kvb } => now.fee_rate_sat_per_kvb = Some(sat_per_kvb),
        News::Confirmed(confirmation) => {
            let same = |known: &Confirmation| known.txid == confirmation.txid;
            now.confirmations.retain(|known| !same(known));
            now.confirmations.push(confirmation);
            let surplus = now
                .confirmations
                .len()
                .saturating_sub(limits::MAX_CONFIRMATIONS);
            now.confirmations.drain(..surplus);
        }
        News::Unfreeze { .. } => {}
    }
    // The same news again changes no row.
    if now != before {
        local.put(&SightingRow, &now);
    }
}

impl Sighting {
    /// The blocks after the last agreed one; none if the guardian's own chain is another.
    fn after(&self, agreed: Block) -> &[BlockHash] {
        let next = agreed.height.saturating_add(1);
        let Some(skip) = next.checked_sub(self.first_height) else {
            return &[];
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let on_chain = match skip.checked_sub(1) {
            None => true,
            Some(last) => self.hashes.get(last) == Some(&agreed.hash),
        };
        match self.hashes.get(skip..) {
            Some(hashes) if on_chain => hashes,
            _ => &[],
        }
    }
}

/// Whether a fee rate has moved so far that the others should hear of it.
fn has_moved(before: Option<u64>, now: u64) -> bool {
    before.is_none_or(|before| now.abs_diff(before).saturating_mul(FEE_RATE_STEPS) >= before)
}

impl Wallet {
    /// What this guardian would say now, if anything in it would change what is agreed.
    pub(super) fn say(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Option<Vote> {
        let sighting = sighting(local);
        let tip = self.agreed(agreed);
        let said = agreed.get(&VoteOf(self.federation.me)).unwrap_or_default();

        let hashes = sighting.after(tip);
        let new_blocks = !said.hashes.starts_with(hashes);
        let fee_rate = sighting
            .fee_rate_sat_per_kvb
            .map(|rate| self.present(agreed).fee_rate_bounds.clamp(rate));
        let new_rate = fee_rate.is_some_and(|rate| has_moved(said.fee_rate_sat_per_kvb, rate));
        let signatures = self.missing_signatures(agreed);
        let (confirmations, provable) = confirmations(agreed, &sighting, tip);

        let stance = self.stance(agreed, local, &sighting);
        let stance = stance.filter(|stance| *stance != said.stance);

        let reason =
            new_blocks || new_rate || !signatures.is_empty() || provable || stance.is_some();
        reason.then(|| Vote {
            first_height: tip.height.saturating_add(1),
            hashes: if new_blocks {
                hashes.to_vec()
            } else {
                Vec::new()
            },
            fee_rate_sat_per_kvb: fee_rate,
            signatures,
            confirmations,
            stance,
        })
    }

    /// Signatures that this guardian has not given yet and that are still needed.
    fn missing_signatures(&self, agreed: &View<'_, '_>) -> Vec<Signatures> {
        versions(agreed)
            .iter()
            .filter(|(slot, number, _, version)| {
                let mine = SignaturesOf {
                    slot: *slot,
                    version: *number,
                    peer: self.federation.me,
                };
                !version.signed && !agreed.contains(&mine)
            })
            .take(MAX_SIGNED_PER_VOTE)
            .filter_map(|(_, _, slot, version)| self.sign(slot, version))
            .collect()
    }

    /// Counts the votes of an epoch. What is wrong with one is a fault of its guardian and delays nothing.
    pub(super) fn count(&self, view: &mut View<'_, '_>, votes: &[(PeerId, Vote)]) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut counted = Vec::new();
        for (peer, vote) in votes {
            match check_size(vote).and_then(|()| self.count_chain(view, *peer, vote)) {
                Ok(()) => counted.push((*peer, vote)),
                Err(kind) => faults.push(fault(*peer, kind)),
            }
        }
        self.count_stances(view);
        self.advance(view);
        for (peer, vote) in &counted {
            for signatures in &vote.signatures {
                if let Err(kind) = self.count_signatures(view, *peer, signatures) {
                    faults.push(fault(*peer, kind));
                }
            }
        }
        for (peer, vote) in &counted {
            for confirmation in &vote.confirmations {
                if let Err(kind) = self.count_confirmation(view, confirmation) {
                    faults.push(fault(*peer, kind));
                }
            }
        }
        faults
    }
}

/// ⚠ Each signature and each confirmation costs everybody work, whether it is right or not.
fn check_size(vote: &Vote) -> Result<(), &'static str> {
    let signed: BTreeSet<_> = vote.signatures.iter().map(|one| one.txid).collect();
    if vote.signatures.len() > limits::MAX_OPEN_SLOTS || signed.len() < vote.signatures.len() {
        return Err("signs too much, or one transaction twice");
    }
    let confirmed: BTreeSet<_> = vote.confirmations.iter().map(|one| one.txid).collect();
    let many = vote.confirmations.len();
    if many > limits::MAX_CONFIRMATIONS || confirmed.len() < many {
        return Err("confirms too much, or one transaction twice");
    }
    Ok(())
}

fn fault(peer: PeerId, kind: &str) -> Fault {
    Fault {
        peer,
        kind: format!("{} vote {kind}", crate::KIND),
    }
}

/// Confirmations of open slots, and whether one of them is sure to be counted. ⚠ A guardian whose source lies would
/// otherwise start one epoch after another.
fn confirmations(
    agreed: &View<'_, '_>,
    sighting: &Sighting,
    tip: Block,
) -> (Vec<Confirmation>, bool) {
    let open = versions(agreed);
    let mut provable = false;
    let mut chosen = Vec::new();
    for confirmation in &sighting.confirmations {
        let ours = open.iter().any(|(.., v)| v.txid == confirmation.txid);
        if !ours || confirmation.height > tip.height {
            continue;
        }
        let agreed_hash = agreed.get(&RecentBlock(confirmation.height));
        let header = &confirmation.header;
        let proof = confirmation
            .merkle
            .check(confirmation.txid, header.merkle_root);
        if agreed_hash.is_some_and(|hash| hash != header.block_hash()) || proof.is_err() {
            continue;
        }
        provable |= agreed_hash.is_some();
        chosen.push(confirmation.clone());
    }
    (chosen, provable)
}
