//! Peg-outs on their way: slots, chains of unconfirmed change, confirmations (SPEC WAL-7, WAL-8).

use std::collections::BTreeMap;

use bitcoin::{consensus::deserialize, ScriptBuf, Transaction, Txid};
use guildmint_core::{ledger::View, PeerId};

use super::{
    rows::{
        AgreedBlock, Announced, AnnouncedRow, Coin, CoinAt, PegOutAt, Progress, SignaturesOf, Slot,
        SlotAt, Version,
    },
    Wallet,
};
use crate::{
    limits,
    types::{Confirmation, Job, PegOutState, PegOutStatus, Watched},
};

/// Which open slots build on which.
pub struct Chains(BTreeMap<u64, (Option<u64>, u64)>);

impl Chains {
    /// Of all open slots.
    pub fn new(view: &View<'_, '_>) -> Self {
        let slots = view.scan::<SlotAt>().into_iter();
        let vbytes = |slot: &Slot| slot.versions.iter().map(|version| version.vbytes).max();
        Self(
            slots
                .map(|(id, slot)| (id.0, (slot.parent, vbytes(&slot).unwrap_or(0))))
                .collect(),
        )
    }

    /// How many slots are open.
    pub fn open(&self) -> usize {
        self.0.len()
    }

    /// Whether nodes would relay a transaction of so many virtual bytes that spends change of the slot `parent`.
    pub fn has_room(&self, mut parent: Option<u64>, vbytes: u64) -> bool {
        let (mut length, mut total_vbytes) = (1, vbytes);
        while let Some((id, (next, vbytes))) = parent.and_then(|id| Some((id, self.0.get(&id)?))) {
            length += 1;
            total_vbytes = total_vbytes.saturating_add(*vbytes);
            // A slot builds only on older ones.
            parent = next.filter(|next| *next < id);
        }
        length <= limits::MAX_UNCONFIRMED_CHAIN && total_vbytes <= limits::MAX_CHAIN_VBYTES
    }
}

/// All versions of all open slots.
pub fn versions(view: &View<'_, '_>) -> Vec<(u64, u8, Slot, Version)> {
    let mut all = Vec::new();
    for (id, slot) in view.scan::<SlotAt>() {
        for (number, version) in (0u8..).zip(&slot.versions) {
            all.push((id.0, number, slot.clone(), version.clone()));
        }
    }
    all
}

/// Every transaction that is signed and not confirmed, parents first.
pub fn broadcasts(view: &View<'_, '_>) -> Vec<Job> {
    versions(view)
        .iter()
        .filter_map(|(_, _, _, version)| broadcast(version))
        .collect()
}

/// The job for one transaction, if it is signed.
pub fn broadcast(version: &Version) -> Option<Job> {
    version.signed.then(|| Job::Broadcast {
        txid: version.txid,
        transaction: version.transaction.clone(),
    })
}

/// What the owner of a peg-out is told.
pub fn status(view: &View<'_, '_>, progress: Progress) -> Option<PegOutStatus> {
    let (state, txid) = match progress {
        Progress::Queued => (PegOutState::Queued, None),
        Progress::Confirmed(txid) => (PegOutState::Confirmed, Some(txid)),
        Progress::Slot(id) => {
            let slot = view.get(&SlotAt(id))?;
            let version = slot.versions.last()?;
            (state(version), Some(version.txid))
        }
    };
    Some(PegOutStatus { state, txid })
}

/// How far a transaction has come that is not confirmed.
pub fn state(version: &Version) -> PegOutState {
    if version.signed {
        PegOutState::Signed
    } else {
        PegOutState::Signing
    }
}

impl Wallet {
    /// Closes the slot whose transaction is proved to be in an agreed block. A slot that is closed already needs nothing.
    pub(super) fn count_confirmation(
        &self,
        view: &mut View<'_, '_>,
        confirmation: &Confirmation,
    ) -> Result<(), &'static str> {
        let txid = confirmation.txid;
        let Some((id, _, slot, version)) = versions(view)
            .into_iter()
            .find(|(_, _, _, version)| version.txid == txid)
        else {
            return Ok(());
        };
        if !view.contains(&AgreedBlock(confirmation.header.block_hash())) {
            return Err("proves a transaction by a block that is not agreed");
        }
        confirmation
            .merkle
            .check(txid, confirmation.header.merkle_root)
            .map_err(|_| "proves a transaction by a wrong merkle branch")?;
        self.close(view, id, &slot, &version);
        Ok(())
    }

    fn close(&self, view: &mut View<'_, '_>, id: u64, slot: &Slot, confirmed: &Version) {
        view.remove(&SlotAt(id));
        self.forget_signatures(view, id, slot.versions.len());
        for output in &slot.recipients {
            view.put(&PegOutAt(*output), &Progress::Confirmed(confirmed.txid));
        }
        // It is gone if another slot has spent it.
        if let Some(row) = confirmed.change().map(CoinAt) {
            if let Some(coin) = view.get(&row) {
                view.put(&row, &Coin { slot: None, ..coin });
            }
        }
    }

    /// Signatures of a slot that needs no more of them.
    pub(super) fn forget_signatures(&self, view: &mut View<'_, '_>, slot: u64, versions: usize) {
        for (version, _) in (0u8..).zip(0..versions) {
            for peer in self.federation.quorum.peers() {
                let row = SignaturesOf {
                    slot,
                    version,
                    peer,
                };
                if view.contains(&row) {
                    view.remove(&row);
                }
            }
        }
    }

    /// The guardians that signed a version, as long as that is known.
    pub(super) fn signers(&self, view: &View<'_, '_>, slot: u64, version: u8) -> Vec<PeerId> {
        let signed = |peer: &PeerId| {
            view.contains(&SignaturesOf {
                slot,
                version,
                peer: *peer,
            })
        };
        self.federation.quorum.peers().filter(signed).collect()
    }

    /// What the outside world must watch.
    pub(super) fn watch(&self, view: &View<'_, '_>) -> Job {
        let pending = versions(view).into_iter();
        Job::Watch {
            agreed: self.agreed(view),
            pending: pending.filter_map(|(.., v)| watched(&v)).collect(),
        }
    }

    /// Asks the outside world to watch, if what is to be watched has changed; and with every new block to broadcast again
    /// what is not confirmed.
    pub(super) fn announce(&self, view: &mut View<'_, '_>) -> Vec<Job> {
        let pending: Vec<Txid> = versions(view).iter().map(|(.., v)| v.txid).collect();
        let agreed = self.agreed(view);
        let now = Announced { agreed, pending };
        let before = view.get(&AnnouncedRow);
        if before.as_ref() == Some(&now) {
            return Vec::new();
        }
        view.put(&AnnouncedRow, &now);
        let new_block = before.is_some_and(|before| before.agreed != now.agreed);
        let mut jobs = if new_block {
            broadcasts(view)
        } else {
            Vec::new()
        };
        jobs.push(self.watch(view));
        jobs
    }
}

fn watched(version: &Version) -> Option<Watched> {
    let transaction: Transaction = deserialize(&version.transaction).ok()?;
    let script_pubkey: ScriptBuf = transaction.output.last()?.script_pubkey.clone();
    Some(Watched {
        txid: version.txid,
        script_pubkey,
    })
}
