//! What a gateway remembers: typed rows in memory, and the changes that are yet to be saved.

use bitcoin::Network;
pub(crate) use guildmint_core::ledger::{DamagedRow, Rows};
use guildmint_core::{
    encoding::read,
    ledger::{Key, Memory, Row},
    FederationId,
};
use guildmint_ln::{ContractId, PaymentHash};
use serde::{Deserialize, Serialize};

use crate::{
    announce::Announced,
    event::Millis,
    ledger::{Entry, Totals},
    node::RequestId,
    operation::{ContractKey, Fetch, Incoming, Outgoing},
    settings::Settings,
};

/// A federation that is or was served.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 1, value = Served, resident)]
pub(crate) struct ServedRow(pub FederationId);

/// A contract that a user has funded to have an invoice paid.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 2, value = Outgoing, resident)]
pub(crate) struct OutgoingRow(pub FederationId, pub ContractId);

/// ⚠ Which contract an invoice on this hash was, is, or will be paid for: one for ever, over all federations (SPEC GW-3).
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 3, value = ContractKey, resident)]
pub(crate) struct IntentRow(pub PaymentHash);

/// A payment that a user wants to receive.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 4, value = Incoming, resident)]
pub(crate) struct IncomingRow(pub PaymentHash);

/// HTLCs that nobody waits for, and whether they have gone back. ⚠ It stays: the news of them may come again, and must not be taken for that of
/// others.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 5, value = bool, resident)]
pub(crate) struct StrayRow(pub PaymentHash);

/// An invoice that is being fetched, or waits for its contract.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 6, value = Fetch, resident)]
pub(crate) struct FetchRow(pub RequestId);

/// What a federation was last told about us.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 7, value = Announced, resident)]
pub(crate) struct AnnouncedRow(pub FederationId);

/// What was spent in a federation's period.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 8, value = Spending, resident)]
pub(crate) struct SpendingRow(pub FederationId);

/// What all payments brought and cost.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 9, value = Totals, resident)]
pub(crate) struct TotalsRow(pub ());

/// What one payment brought and cost. Written once, and read by people alone.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 10, value = Entry)]
pub(crate) struct EntryRow(pub u64);

/// A federation that is or was served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Served {
    pub network: Network,
    pub settings: Settings,
    /// Nothing new is begun in it.
    pub left: bool,
}

/// What was spent since then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Spending {
    pub since: Millis,
    pub spent_msat: u64,
}

/// Stored rows, every one of which must be readable: a payment that is overlooked is money lost.
pub(crate) fn load(memory: Memory) -> Result<Rows, DamagedRow> {
    Rows::load(memory, |key, value| {
        Rows::reads::<ServedRow>(key, value)
            || Rows::reads::<OutgoingRow>(key, value)
            || Rows::reads::<IntentRow>(key, value)
            || Rows::reads::<IncomingRow>(key, value)
            || Rows::reads::<StrayRow>(key, value)
            || Rows::reads::<FetchRow>(key, value)
            || Rows::reads::<AnnouncedRow>(key, value)
            || Rows::reads::<SpendingRow>(key, value)
            || Rows::reads::<TotalsRow>(key, value)
    })
}

/// Where the entry with this number is stored.
#[must_use]
pub fn entry_key(number: u64) -> Key {
    Rows::key(&EntryRow(number))
}

/// The entry that a stored row holds, if it is one: what a page of the last payments reads.
#[must_use]
pub fn entry(key: &Key, value: &[u8]) -> Option<Entry> {
    key.0.strip_prefix(&Rows::table::<EntryRow>())?;
    read(value).ok()
}
