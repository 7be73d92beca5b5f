//! Looking for deposits, one address after the other. Each one that was ever paid to becomes an operation again.

use std::collections::BTreeSet;

use guildmint_core::{module::Reject, slices::Prefix};
use serde::{Deserialize, Serialize};

use super::{prefixes, Found, List, Next, State};
use crate::{
    event::ChainNews,
    operation::{Deposit, Desk, Happening, Operation},
    rows::{NextAddress, OperationRow, SliceRow},
};

/// How many addresses in a row must never have been paid to before the search ends.
pub(crate) const ADDRESS_GAP: u64 = 100;

/// Addresses that a restored wallet leaves out after the last one that was paid to: they may have been given to somebody.
pub(crate) const ADDRESSES_SKIPPED: u64 = 20;

/// How far the search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Addresses {
    next: u64,
    /// The index after the last one that was paid to; 0 if none was.
    after_last: u64,
}

impl Addresses {
    fn end(self) -> u64 {
        self.after_last.saturating_add(ADDRESS_GAP)
    }

    pub(super) fn progress(&self) -> (u64, u64) {
        (self.next, self.end())
    }

    pub(super) fn step(
        mut self,
        happening: Happening,
        desk: &mut Desk<'_>,
        found: &mut Found,
    ) -> Next {
        match happening {
            Happening::Resume | Happening::Time => {}
            Happening::Chain(Ok(news)) => self.take(&news, desk, found),
            Happening::Chain(Err(message)) => {
                let reject = Reject::retryable("chain_unreachable", message);
                return Next::Later(State::Addresses(self), reject);
            }
            _ => return Next::Stay(State::Addresses(self)),
        }
        if self.next >= self.end() {
            return Next::GoOn(self.finish(desk));
        }
        // An index without a key is never given out.
        if let Ok(script) = desk.federation.wallet.script_pubkey(self.next) {
            desk.find_deposits(script);
            return Next::Stay(State::Addresses(self));
        }
        self.next += 1;
        Next::GoOn(State::Addresses(self))
    }

    fn take(&mut self, news: &ChainNews, desk: &mut Desk<'_>, found: &mut Found) {
        let index = self.next;
        self.next += 1;
        if news.deposits.is_empty() {
            return;
        }
        self.after_last = self.next;
        let operations = desk.rows.scan::<OperationRow>();
        let is_known = operations.iter().any(|(_, record)| {
            matches!(&record.operation, Operation::Deposit(deposit) if deposit.index() == index)
        });
        if is_known {
            return;
        }
        let claimed: BTreeSet<Prefix> = prefixes(desk.rows, List::Claimed).collect();
        if let Ok(deposit) = Deposit::found(index, news, &claimed, desk) {
            found.deposits += 1;
            desk.open(Operation::Deposit(deposit));
        }
    }

    fn finish(self, desk: &mut Desk<'_>) -> State {
        for (row, _) in desk.rows.scan::<SliceRow>() {
            desk.rows.remove(&row);
        }
        let now = desk.rows.get(&NextAddress(())).unwrap_or(0);
        let next = self.after_last.saturating_add(ADDRESSES_SKIPPED);
        if self.after_last > 0 && next > now {
            desk.rows.put(&NextAddress(()), &next);
        }
        State::Done
    }
}
