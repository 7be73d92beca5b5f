//! What happens when blocks that the guardians agreed on are no longer on the chain (SPEC WAL-5).
//!
//! A reorganisation deeper than finality may take deposits back that were credited. No software can know whether they will
//! come again, so the federation stops crediting any, as soon as f + 1 guardians see it (one guardian that stopped by itself
//! would fork), and waits for people: t operators must have looked. Then the agreed chain goes back to where it parted from
//! the real one, and on from there.

use std::collections::BTreeMap;

use guildmint_core::ledger::View;

use super::{
    rows::{
        AgreedBlock, Freezes, FreezesRow, LatestVote, RecentBlock, Sighting, Tip, UnfreezeRow,
        VoteOf,
    },
    Wallet,
};
use crate::{
    config::Block,
    types::{Frozen, Stance},
};

/// What a guardian's own chain says of the last agreed block.
enum Standing {
    /// Nothing yet.
    Unknown,
    /// It is there.
    Same,
    /// Another is in its place; this agreed block before it is there, if it is among those that were looked at.
    Other(Option<Block>),
}

impl Wallet {
    /// The freeze of deposits, if there is one.
    pub(super) fn frozen(&self, view: &View<'_, '_>) -> Option<Frozen> {
        let Freezes { count, at } = view.get(&FreezesRow).unwrap_or_default();
        at.map(|at| Frozen { number: count, at })
    }

    /// What this guardian thinks of the agreed chain; `None` if it cannot tell.
    pub(super) fn stance(
        &self,
        agreed: &View<'_, '_>,
        local: &View<'_, '_>,
        sighting: &Sighting,
    ) -> Option<Stance> {
        let tip = self.agreed(agreed);
        let frozen = self.frozen(agreed);
        let is_ordered = frozen.is_some_and(|f| local.get(&UnfreezeRow) == Some(f.number));
        match self.standing(agreed, tip, sighting) {
            Standing::Unknown => None,
            Standing::Same if is_ordered => Some(Stance::Unfreeze(tip)),
            Standing::Same => Some(Stance::Follow),
            Standing::Other(Some(common)) if is_ordered => Some(Stance::Unfreeze(common)),
            Standing::Other(_) => Some(Stance::Freeze(tip)),
        }
    }

    fn standing(&self, agreed: &View<'_, '_>, tip: Block, sighting: &Sighting) -> Standing {
        if sighting.tip_height.is_none() || sighting.first_height > tip.height {
            // Observers tell of the blocks after the last agreed one only if that one is there.
            let follows = sighting.tip_height.is_some()
                && sighting.first_height == tip.height.saturating_add(1);
            return if follows {
                Standing::Same
            } else {
                Standing::Unknown
            };
        }
        let seen: Vec<Block> = (sighting.first_height..=tip.height)
            .zip(&sighting.hashes)
            .map(|(height, hash)| Block {
                height,
                hash: *hash,
            })
            .collect();
        match seen.last() {
            Some(last) if *last == tip => Standing::Same,
            Some(last) if last.height == tip.height => {
                let common = seen.iter().rev().find(|b| self.is_agreed(agreed, **b));
                Standing::Other(common.copied())
            }
            _ => Standing::Unknown,
        }
    }

    /// Whether a block is one of the last that were agreed.
    fn is_agreed(&self, view: &View<'_, '_>, block: Block) -> bool {
        block == self.config.start || view.get(&RecentBlock(block.height)) == Some(block.hash)
    }

    /// Whether a guardian may say this: all must be able to see what it speaks of.
    pub(super) fn names_agreed_block(&self, view: &View<'_, '_>, stance: Stance) -> bool {
        match stance {
            Stance::Follow => true,
            Stance::Freeze(block) | Stance::Unfreeze(block) => self.is_agreed(view, block),
        }
    }

    /// Freezes deposits if f + 1 guardians say so: one of them is honest. Goes on when t say after which block.
    pub(super) fn count_stances(&self, view: &mut View<'_, '_>) {
        let votes = view.scan::<VoteOf>();
        let stances = votes.iter().map(|(_, vote)| vote.stance);
        let Some(frozen) = self.frozen(view) else {
            let freezing = stances.filter(|stance| matches!(stance, Stance::Freeze(_)));
            if freezing.count() >= self.federation.quorum.one_honest() {
                let Freezes { count, .. } = view.get(&FreezesRow).unwrap_or_default();
                let now = Freezes {
                    count: count.saturating_add(1),
                    at: Some(self.agreed(view)),
                };
                view.put(&FreezesRow, &now);
            }
            return;
        };
        let mut wanted: BTreeMap<(u32, _), usize> = BTreeMap::new();
        for stance in stances {
            if let Stance::Unfreeze(block) = stance {
                *wanted.entry((block.height, block.hash)).or_default() += 1;
            }
        }
        let threshold = self.federation.quorum.threshold();
        let most = wanted.into_iter().find(|(_, count)| *count >= threshold);
        if let Some(((height, hash), _)) = most {
            self.go_on_after(view, Block { height, hash }, votes);
            let now = Freezes {
                count: frozen.number,
                at: None,
            };
            view.put(&FreezesRow, &now);
        }
    }

    /// ⚠ Blocks that are no more prove nothing from now on.
    fn go_on_after(&self, view: &mut View<'_, '_>, last: Block, votes: Vec<(VoteOf, LatestVote)>) {
        let tip = self.agreed(view);
        for height in last.height.saturating_add(1)..=tip.height {
            let row = RecentBlock(height);
            if let Some(hash) = view.get(&row) {
                view.remove(&AgreedBlock(hash));
                view.remove(&row);
            }
        }
        if last != tip {
            view.put(&Tip, &last);
        }
        for (row, vote) in votes {
            // What follows the block that was agreed then need not follow this one.
            let vote = LatestVote {
                hashes: Vec::new(),
                stance: Stance::Follow,
                ..vote
            };
            view.put(&row, &vote);
        }
    }
}
