//! Finding a wallet's notes again with nothing but its seed (SPEC MIN-7): which of its blinded messages were ever signed. What
//! is asked of guardians does not depend on what is found, so they learn nothing of it.

use std::collections::BTreeMap;

use guildmint_core::slices::Prefix;
use serde::{Deserialize, Serialize};

use super::{MintClient, NoteRequest};
use crate::Denomination;

/// How many indices of a denomination in a row must be unknown to the guardians before the search takes it that there are no
/// more. One transaction can ask for [`MAX_TRANSACTION_NOTES`](super::MAX_TRANSACTION_NOTES) notes of one denomination and fail;
/// a wallet that was restored leaves out [`SKIPPED`]; both together fit.
pub const GAP: u64 = 640;

/// Indices that a restored wallet leaves out after the last one that was ever signed. They may have been shown to guardians in
/// transactions that failed, or are under way.
pub const SKIPPED: u64 = 64;

/// How far a search is, by denomination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    gap: u64,
    open: BTreeMap<Denomination, Reached>,
    /// Indices after the last one that was signed, where there was any.
    after_last: BTreeMap<Denomination, u64>,
}

/// All indices below `next` were looked for; those below `end` must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Reached {
    next: u64,
    end: u64,
}

impl Search {
    /// A search that gives up on a denomination after so many unknown indices.
    pub fn new(denominations: impl IntoIterator<Item = Denomination>, gap: u64) -> Self {
        let reached = Reached { next: 0, end: gap };
        Self {
            gap,
            open: denominations
                .into_iter()
                .map(|one| (one, reached))
                .collect(),
            after_last: BTreeMap::new(),
        }
    }

    /// The next indices to look for, at most so many; none at the end.
    #[must_use]
    pub fn batch(&self, most: usize) -> Vec<NoteRequest> {
        let indices = self.open.iter().flat_map(|(denomination, reached)| {
            (reached.next..reached.end).map(|index| NoteRequest::new(*denomination, index))
        });
        indices.take(most).collect()
    }

    /// Takes note of what a batch has brought. `found` are those of it that were signed.
    pub fn searched(
        &mut self,
        batch: &[NoteRequest],
        found: impl IntoIterator<Item = NoteRequest>,
    ) {
        for request in found {
            let after = request.index.saturating_add(1);
            let last = self.after_last.entry(request.denomination).or_default();
            *last = after.max(*last);
            if let Some(reached) = self.open.get_mut(&request.denomination) {
                reached.end = reached.end.max(after.saturating_add(self.gap));
            }
        }
        for request in batch {
            if let Some(reached) = self.open.get_mut(&request.denomination) {
                reached.next = reached.next.max(request.index.saturating_add(1));
            }
        }
        self.open.retain(|_, reached| reached.next < reached.end);
    }

    /// How many indices are left to look for, as far as is known.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        let left = |reached: &Reached| reached.end.saturating_sub(reached.next);
        self.open.values().map(left).fold(0, u64::saturating_add)
    }

    /// The first index of a denomination that the wallet may use from now on. Nothing needs to be left out by a wallet that
    /// has never been used.
    #[must_use]
    pub fn next_index(&self, denomination: Denomination) -> u64 {
        if self.after_last.is_empty() {
            return 0;
        }
        let after = self.after_last.get(&denomination).copied().unwrap_or(0);
        after.saturating_add(SKIPPED)
    }
}

impl MintClient {
    /// Which of these notes were signed, and at which places of the list of all that was. There is more than one place only
    /// if somebody has spent 2^64 hashes on it. Costs 0.3 ms of computing a note, and a look at each prefix.
    pub fn find(
        &self,
        requests: &[NoteRequest],
        issued: impl IntoIterator<Item = Prefix>,
    ) -> BTreeMap<NoteRequest, Vec<u64>> {
        let outputs = self.blinded(requests);
        let wanted: BTreeMap<Prefix, NoteRequest> = outputs
            .iter()
            .zip(requests)
            .map(|(output, request)| (output.prefix(), *request))
            .collect();
        let mut found: BTreeMap<NoteRequest, Vec<u64>> = BTreeMap::new();
        for (prefix, place) in issued.into_iter().zip(0..) {
            if let Some(request) = wanted.get(&prefix) {
                found.entry(*request).or_default().push(place);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn denomination(exponent: u8) -> Denomination {
        Denomination::new(exponent).unwrap()
    }

    fn run(used: &BTreeSet<(u8, u64)>, gap: u64, batch: usize) -> (BTreeSet<(u8, u64)>, Search) {
        let mut search = Search::new((0..3).map(denomination), gap);
        let (mut all, mut looked) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let requests = search.batch(batch);
            if requests.is_empty() {
                assert_eq!(search.remaining(), 0);
                return (all, search);
            }
            assert!(
                requests.iter().all(|one| looked.insert(*one)),
                "looked for twice"
            );
            let key = |one: &NoteRequest| (one.denomination.exponent(), one.index);
            let found = requests
                .iter()
                .copied()
                .filter(|one| used.contains(&key(one)));
            let found: Vec<_> = found.collect();
            all.extend(found.iter().map(key));
            search.searched(&requests, found);
        }
    }

    #[test]
    fn a_hole_as_wide_as_the_gap_ends_the_search_and_a_narrower_one_does_not() {
        let used = BTreeSet::from([(1, 0), (1, 5), (1, 11)]);
        assert_eq!(run(&used, 6, 4).0, used);
        assert_eq!(run(&used, 5, 4).0, BTreeSet::from([(1, 0), (1, 5)]));
        assert_eq!(run(&used, 4, 4).0, BTreeSet::from([(1, 0)]));
    }

    #[test]
    fn a_failed_transaction_after_a_restored_wallet_fits_into_the_gap() {
        assert!(GAP > SKIPPED + crate::client::MAX_TRANSACTION_NOTES as u64);
    }

    proptest! {
        /// The model: walk up each denomination until so many in a row are unknown.
        #[test]
        fn all_within_the_gap_is_found_whatever_the_batches(
            used in proptest::collection::btree_set((0..3u8, 0..60u64), 0..40),
            gap in 1..20u64,
            batch in 1..50usize,
        ) {
            let mut expected = BTreeSet::new();
            for exponent in 0..3 {
                let (mut index, mut unknown) = (0, 0);
                while unknown < gap {
                    if used.contains(&(exponent, index)) {
                        expected.insert((exponent, index));
                        unknown = 0;
                    } else {
                        unknown += 1;
                    }
                    index += 1;
                }
            }
            let (found, search) = run(&used, gap, batch);
            prop_assert_eq!(&found, &expected);
            for exponent in 0..3 {
                let next = search.next_index(denomination(exponent));
                prop_assert!(found.iter().all(|(of, index)| *of != exponent || *index < next));
            }
        }
    }
}
