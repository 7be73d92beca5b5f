//! Peg-outs on their way: slots, chains of unconfirmed change, confirmations (SPEC WAL-7, WAL-8).

use std::collections::BTreeMap;

use bitcoin::{consensus::deserialize, ScriptBuf, Transaction};
use guildmint_core::{ledger::View, PeerId};

use super::{
    audit::totals,
    build::fee_sat,
    rows::{
        AgreedBlock, Announced, AnnouncedRow, Coin, CoinAt, Confirmed, PegOutAt, Progress,
        SignaturesOf, Slot, SlotAt, Totals, TotalsRow, Version,
    },
    Wallet,
};
use crate::{
    limits,
    types::{Confirmation, Job, PegOutState, PegOutStatus, Watched},
};

/// Which open slots build on which.
pub struct Chains(BTreeMap<u64, Link>);

/// What a transaction that builds on a slot must know of it.
struct Link {
    parent: Option<u64>,
    versions: usize,
    vbytes: u64,
    fee_sat: u64,
}

/// The unconfirmed transactions that one builds on.
pub struct Ancestors {
    /// How many there are.
    pub count: usize,
    /// Their virtual bytes.
    pub vbytes: u64,
    /// What they lack in fees, each by itself: one that pays too much does not make up for one that pays too little.
    pub lacking_sat: u64,
}

impl Chains {
    /// Of all open slots.
    pub fn new(view: &View<'_, '_>) -> Self {
        let slots = view.scan::<SlotAt>().into_iter();
        let link = |slot: Slot| {
            let vbytes = slot.versions.iter().map(|version| version.vbytes).max();
            Link {
                parent: slot.parent,
                versions: slot.versions.len(),
                vbytes: vbytes.unwrap_or(0),
                fee_sat: slot.versions.last().map_or(0, |version| version.fee_sat),
            }
        };
        Self(slots.map(|(id, slot)| (id.0, link(slot))).collect())
    }

    /// How many slots are open.
    pub fn open(&self) -> usize {
        self.0.len()
    }

    /// What a transaction builds on that spends change of the slot `parent`.
    pub fn ancestors(&self, mut parent: Option<u64>, fee_rate_sat_per_kvb: u64) -> Ancestors {
        let mut all = Ancestors {
            count: 0,
            vbytes: 0,
            lacking_sat: 0,
        };
        while let Some((id, link)) = parent.and_then(|id| Some((id, self.0.get(&id)?))) {
            let cost_sat = fee_sat(link.vbytes, fee_rate_sat_per_kvb);
            all.count += 1;
            all.vbytes = all.vbytes.saturating_add(link.vbytes);
            let lacking_sat = cost_sat.saturating_sub(link.fee_sat);
            all.lacking_sat = all.lacking_sat.saturating_add(lacking_sat);
            // A slot builds only on older ones.
            parent = link.parent.filter(|next| *next < id);
        }
        all
    }

    /// Whether nodes would relay a transaction of so many virtual bytes that spends change of the slot `parent`.
    pub fn has_room(&self, parent: Option<u64>, vbytes: u64) -> bool {
        let ancestors = self.ancestors(parent, 0);
        ancestors.count < limits::MAX_UNCONFIRMED_CHAIN
            && ancestors.vbytes.saturating_add(vbytes) <= limits::MAX_CHAIN_VBYTES
    }

    /// ⚠ Whether the change of an open slot may be spent. Not if the slot has several versions: whichever is not confirmed
    /// takes with it all that was built on its change.
    pub fn may_spend_change(&self, slot: u64) -> bool {
        let only = self.0.get(&slot).is_some_and(|link| link.versions == 1);
        only && self.has_room(Some(slot), 0)
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

/// Every transaction that is signed and not confirmed, parents first. Of a slot's versions, the last: nodes that have a
/// later one refuse those before.
pub fn broadcasts(view: &View<'_, '_>) -> Vec<Job> {
    let slots = view.scan::<SlotAt>().into_iter();
    slots
        .filter_map(|(_, slot)| broadcast(slot.signed()?))
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
            let version = slot.signed().or(slot.versions.last())?;
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
    /// Marks the slot one of whose transactions is proved to be in an agreed block. Votes move no money: it is closed when
    /// the epoch is settled. A slot that is closed already needs nothing.
    pub(super) fn count_confirmation(
        &self,
        view: &mut View<'_, '_>,
        confirmation: &Confirmation,
    ) -> Result<(), &'static str> {
        let txid = confirmation.txid;
        let mut slots = view.scan::<SlotAt>().into_iter();
        let pays = |slot: &Slot| slot.versions.iter().any(|version| version.txid == txid);
        let Some((row, slot)) = slots.find(|(_, slot)| slot.confirmed.is_none() && pays(slot))
        else {
            return Ok(());
        };
        let block = AgreedBlock(confirmation.header.block_hash());
        let Some(height) = view.get(&block) else {
            return Err("proves a transaction by a block that is not agreed");
        };
        confirmation
            .merkle
            .check(txid, confirmation.header.merkle_root)
            .map_err(|_| "proves a transaction by a wrong merkle branch")?;
        let confirmed = Some(Confirmed { txid, height });
        view.put(&row, &Slot { confirmed, ..slot });
        Ok(())
    }

    /// Closes the slots of which a version was proved to be in a block in this epoch.
    pub(super) fn close_confirmed(&self, view: &mut View<'_, '_>) {
        for (SlotAt(id), slot) in view.scan::<SlotAt>() {
            let Some(Confirmed { txid, height }) = slot.confirmed else {
                continue;
            };
            if let Some(version) = slot.versions.iter().find(|version| version.txid == txid) {
                self.close(view, id, &slot, version, height);
            }
        }
    }

    fn close(
        &self,
        view: &mut View<'_, '_>,
        id: u64,
        slot: &Slot,
        confirmed: &Version,
        height: u32,
    ) {
        view.remove(&SlotAt(id));
        self.forget_signatures(view, id, slot.versions.len());
        for output in &slot.recipients {
            view.put(&PegOutAt(*output), &Progress::Confirmed(confirmed.txid));
        }
        let Some(last) = slot.versions.last() else {
            return;
        };
        // It is gone if another slot has spent it.
        let expected = last.change().map(CoinAt);
        let coin = expected.as_ref().and_then(|row| view.get(row));
        if last.txid == confirmed.txid {
            if let Some((row, coin)) = expected.zip(coin) {
                let slot = None;
                view.put(
                    &row,
                    &Coin {
                        slot,
                        height,
                        ..coin
                    },
                );
            }
            return;
        }
        if let Some(row) = expected.filter(|_| coin.is_some()) {
            view.remove(&row);
        }
        // The books had the smallest change.
        let saved_sat = last.fee_sat.saturating_sub(confirmed.fee_sat);
        let books = totals(view);
        view.put(
            &TotalsRow,
            &Totals {
                coins_sat: books.coins_sat.saturating_add(saved_sat),
                surplus_msat: books
                    .surplus_msat
                    .saturating_add(saved_sat.saturating_mul(1000)),
                ..books
            },
        );
        if let Some(row) = confirmed.change().map(CoinAt) {
            let smallest_sat = coin.map_or(0, |coin| coin.amount_sat);
            let change = Coin {
                amount_sat: smallest_sat.saturating_add(saved_sat),
                tweak: self.change_tweak(id),
                slot: None,
                height,
            };
            view.put(&row, &change);
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
        let slots = view.scan::<SlotAt>().into_iter();
        Job::Watch {
            agreed: self.agreed(view),
            pending: slots.flat_map(|(_, slot)| watched(&slot)).collect(),
            frozen: self.frozen(view),
        }
    }

    /// Asks the outside world to watch, if what is to be watched has changed; and with every new block to broadcast again
    /// what is not confirmed.
    pub(super) fn announce(&self, view: &mut View<'_, '_>) -> Vec<Job> {
        let all = versions(view);
        let now = Announced {
            agreed: self.agreed(view),
            pending: all.iter().map(|(.., v)| (v.txid, v.signed)).collect(),
            frozen: self.frozen(view),
        };
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

/// All versions of a slot: any of them may be confirmed.
fn watched(slot: &Slot) -> Vec<Watched> {
    let Some(script_pubkey) = slot.versions.last().and_then(common_script) else {
        return Vec::new();
    };
    let sent = slot.signed().map(|version| version.txid);
    let each = slot.versions.iter().map(|version| Watched {
        txid: version.txid,
        script_pubkey: script_pubkey.clone(),
        replaced: version.signed && sent != Some(version.txid),
    });
    each.collect()
}

/// A script that all versions of a slot pay to, given the last: its change, or a recipient if it has none. Change is the
/// better one to look for: recipients may have long histories.
fn common_script(last: &Version) -> Option<ScriptBuf> {
    let transaction: Transaction = deserialize(&last.transaction).ok()?;
    Some(transaction.output.last()?.script_pubkey.clone())
}
