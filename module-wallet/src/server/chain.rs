//! The agreed chain and the agreed fee rate (SPEC WAL-5).

use std::collections::BTreeMap;

use bitcoin::BlockHash;
use guildmint_core::{ledger::View, PeerId};

use super::{
    rows::{AgreedBlock, LatestVote, RecentBlock, Tip, VoteOf},
    Wallet,
};
use crate::{config::Block, limits, types::Vote};

impl Wallet {
    /// The last agreed block.
    pub(super) fn agreed(&self, view: &View<'_, '_>) -> Block {
        view.get(&Tip).unwrap_or(self.config.start)
    }

    /// The agreed fee rate, in satoshi per 1000 virtual bytes: the median of all guardians' latest votes. With t of them,
    /// at most f lie, and there is an honest one on either side. `None` before t guardians have voted.
    pub(super) fn fee_rate(&self, view: &View<'_, '_>) -> Option<u64> {
        let votes = view.scan::<VoteOf>().into_iter();
        let mut rates: Vec<u64> = votes
            .filter_map(|(_, vote)| vote.fee_rate_sat_per_kvb)
            .collect();
        if rates.len() < self.federation.quorum.threshold() {
            return None;
        }
        rates.sort_unstable();
        let median = rates.get(rates.len() / 2)?;
        Some(self.present(view).fee_rate_bounds.clamp(*median))
    }

    /// Takes the place of what the guardian last said about chain and fees.
    pub(super) fn count_chain(
        &self,
        view: &mut View<'_, '_>,
        peer: PeerId,
        vote: &Vote,
    ) -> Result<(), &'static str> {
        if vote.hashes.len() > limits::MAX_VOTED_BLOCKS {
            return Err("names too many blocks");
        }
        let next = self.agreed(view).height.saturating_add(1);
        if !vote.hashes.is_empty() && vote.first_height != next {
            return Err("names blocks that do not follow the last agreed one");
        }
        let mut latest = view.get(&VoteOf(peer)).unwrap_or_default();
        let before = latest.clone();
        if !vote.hashes.is_empty() {
            latest.hashes.clone_from(&vote.hashes);
        }
        latest.fee_rate_sat_per_kvb = vote.fee_rate_sat_per_kvb.or(latest.fee_rate_sat_per_kvb);
        if let Some(stance) = vote.stance {
            if !self.names_agreed_block(view, stance) {
                return Err("freezes or unfreezes at a block that is not agreed");
            }
            latest.stance = stance;
        }
        if latest != before {
            view.put(&VoteOf(peer), &latest);
        }
        Ok(())
    }

    /// Extends the agreed chain by every block that t latest votes name. It stands still while deposits are frozen.
    pub(super) fn advance(&self, view: &mut View<'_, '_>) {
        if self.frozen(view).is_some() {
            return;
        }
        let mut votes = view.scan::<VoteOf>();
        let start = self.agreed(view);
        let mut tip = start;
        while let Some(hash) = self.named_by_most(&votes) {
            tip = Block {
                height: tip.height.saturating_add(1),
                hash,
            };
            extend(view, tip);
            for (_, vote) in &mut votes {
                // Who named another block is on another chain, and so is all it named after that.
                if vote.hashes.first() == Some(&hash) {
                    vote.hashes.remove(0);
                } else {
                    vote.hashes.clear();
                }
            }
        }
        if tip != start {
            votes.iter().for_each(|(row, vote)| view.put(row, vote));
        }
    }

    /// The next block, if t latest votes name the same.
    fn named_by_most(&self, votes: &[(VoteOf, LatestVote)]) -> Option<BlockHash> {
        let mut voters: BTreeMap<BlockHash, usize> = BTreeMap::new();
        for hash in votes.iter().filter_map(|(_, vote)| vote.hashes.first()) {
            *voters.entry(*hash).or_default() += 1;
        }
        let threshold = self.federation.quorum.threshold();
        let (hash, _) = voters.into_iter().find(|(_, count)| *count >= threshold)?;
        Some(hash)
    }
}

fn extend(view: &mut View<'_, '_>, tip: Block) {
    view.put(&AgreedBlock(tip.hash), &tip.height);
    view.put(&RecentBlock(tip.height), &tip.hash);
    if let Some(old) = tip.height.checked_sub(limits::RECENT_BLOCKS) {
        view.remove(&RecentBlock(old));
    }
    view.put(&Tip, &tip);
}
