//! The module's rows. All that is scanned or needed for a vote is resident; what grows for ever is not.

use bitcoin::{secp256k1::ecdsa::Signature, BlockHash, OutPoint, ScriptBuf, Txid};
use guildmint_core::{
    encoding::hex_bytes,
    slices::{Prefix, Tail},
    PeerId, Row,
};
use serde::{Deserialize, Serialize};

use crate::{
    config::Block,
    tweak::Tweak,
    types::{Confirmation, Frozen, Stance},
};

/// Agreed. A block of the agreed chain, and its height. For ever.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 1, value = u32)]
pub struct AgreedBlock(pub BlockHash);

/// Agreed. The hash of one of the last [`crate::limits::RECENT_BLOCKS`] agreed blocks, by height.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 2, value = BlockHash, resident)]
pub struct RecentBlock(pub u32);

/// Agreed. The last agreed block; absent at the start.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 3, value = Block, resident)]
pub struct Tip;

/// Agreed. What a guardian last said about chain and fees.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 4, value = LatestVote, resident)]
pub struct VoteOf(pub PeerId);

/// See [`VoteOf`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatestVote {
    /// The blocks after the last agreed one.
    pub hashes: Vec<BlockHash>,
    /// The fee rate.
    pub fee_rate_sat_per_kvb: Option<u64>,
    /// Whether the agreed chain is its own.
    pub stance: Stance,
}

/// Agreed. An output that was or never can be claimed as a deposit. For ever (SPEC WAL-3).
#[derive(Serialize, Deserialize, Row)]
#[row(table = 5, value = ())]
pub struct Claimed(pub OutPoint);

/// Agreed. A coin that the federation can spend.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 6, value = Coin, resident)]
pub struct CoinAt(pub OutPoint);

/// See [`CoinAt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coin {
    /// What it is worth.
    pub amount_sat: u64,
    /// What its keys are tweaked by.
    pub tweak: Tweak,
    /// The open slot whose change it is, if that is not confirmed. Of a slot with several versions it is the change of the
    /// last, which is the smallest, and cannot be spent: another version may be confirmed.
    pub slot: Option<u64>,
    /// The agreed height at which it was confirmed; before that, of the block before its transaction was built.
    pub height: u32,
}

/// Agreed. A peg-out that waits, by its number in the queue.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 7, value = Queued, resident)]
pub struct QueueAt(pub u64);

/// See [`QueueAt`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// The output that asked for it.
    pub output: guildmint_core::OutPoint,
    /// Where to.
    pub script_pubkey: ScriptBuf,
    /// What is to arrive.
    pub amount_sat: u64,
    /// What it pays to miners.
    pub fee_sat: u64,
}

/// Agreed. Peg-outs that are paid together and not confirmed, by number (SPEC WAL-8).
#[derive(Serialize, Deserialize, Row)]
#[row(table = 8, value = Slot, resident)]
pub struct SlotAt(pub u64);

/// See [`SlotAt`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// What all versions spend, in their order.
    pub inputs: Vec<SlotInput>,
    /// The outputs that asked for the payments.
    pub recipients: Vec<guildmint_core::OutPoint>,
    /// The slot whose unconfirmed change is among the inputs.
    pub parent: Option<u64>,
    /// The transactions that pay, each in place of the one before. Only the last can be unsigned.
    pub versions: Vec<Version>,
    /// The one that a vote of this epoch has proved to be in an agreed block. Such a slot is gone when the epoch is over.
    pub confirmed: Option<Confirmed>,
}

/// See [`Slot::confirmed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// The transaction.
    pub txid: Txid,
    /// The height of its block.
    pub height: u32,
}

impl Slot {
    /// The version that guardians send: the last one that is signed.
    pub fn signed(&self) -> Option<&Version> {
        self.versions.iter().rev().find(|version| version.signed)
    }
}

/// A coin that a slot spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotInput {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it is worth.
    pub amount_sat: u64,
    /// What its keys are tweaked by.
    pub tweak: Tweak,
}

/// One of the transactions that a slot may be settled by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Its id.
    pub txid: Txid,
    /// The transaction, with its witnesses once it is signed. Empty once a later version is signed: it may still be the
    /// one that is confirmed, but nobody sends it any more.
    #[serde(with = "hex_bytes")]
    pub transaction: Vec<u8>,
    /// The agreed height at which it was built.
    pub built_at: u32,
    /// Whether enough guardians have signed.
    pub signed: bool,
    /// What it pays to miners.
    pub fee_sat: u64,
    /// The most virtual bytes it can have when signed.
    pub vbytes: u64,
    /// Which of its outputs is change.
    pub change_index: Option<u32>,
}

impl Version {
    /// The output that is change.
    pub fn change(&self) -> Option<OutPoint> {
        Some(OutPoint::new(self.txid, self.change_index?))
    }
}

/// Agreed. A guardian's verified signatures on a version that is not signed by enough yet.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 9, value = Vec<Signature>, resident)]
pub struct SignaturesOf {
    /// The slot.
    pub slot: u64,
    /// The version.
    pub version: u8,
    /// The guardian.
    pub peer: PeerId,
}

/// Agreed. How far a peg-out has come. For ever.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 10, value = Progress)]
pub struct PegOutAt(pub guildmint_core::OutPoint);

/// See [`PegOutAt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// In the queue.
    Queued,
    /// In a slot.
    Slot(u64),
    /// Paid.
    Confirmed(Txid),
}

/// Agreed. The module's running totals and counters.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 11, value = Totals, resident)]
pub struct TotalsRow;

/// See [`TotalsRow`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The coins' worth.
    pub coins_sat: u64,
    /// What the queue is owed, miners' fees included.
    pub queued_sat: u64,
    /// Fees collected by this module and not paid to miners. The rest of a transaction's fee may come from here.
    pub surplus_msat: u64,
    /// The number of the first peg-out in the queue.
    pub queue_first: u64,
    /// The number of the next peg-out.
    pub queue_next: u64,
    /// The number of the next slot.
    pub slot_next: u64,
}

impl Totals {
    /// How many peg-outs wait.
    pub fn queue_len(&self) -> u64 {
        self.queue_next.saturating_sub(self.queue_first)
    }
}

/// Agreed. What the outside world was last asked to watch.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 12, value = Announced, resident)]
pub struct AnnouncedRow;

/// See [`AnnouncedRow`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// After which block.
    pub agreed: Block,
    /// Which transactions, and whether they were signed.
    pub pending: Vec<(Txid, bool)>,
    /// Whether deposits are frozen.
    pub frozen: Option<Frozen>,
}

/// Agreed. How often deposits were frozen, and whether they are.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 13, value = Freezes, resident)]
pub struct FreezesRow;

/// See [`FreezesRow`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freezes {
    /// How often.
    pub count: u32,
    /// The last agreed block when they were frozen, if they are.
    pub at: Option<Block>,
}

/// Agreed. The end of the list of all deposits that were claimed (SPEC MIN-7).
#[derive(Serialize, Deserialize, Row)]
#[row(table = 15, value = Tail, resident)]
pub struct ClaimedEnd(pub ());

/// Agreed. A full leaf of that list.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 14, value = Vec<Prefix>)]
pub struct ClaimedLeaf(pub u64);

/// Local. The latest news.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 1, value = Sighting, resident)]
pub struct SightingRow;

/// See [`SightingRow`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The height of the chain's tip.
    pub tip_height: Option<u32>,
    /// The height of the first of `hashes`.
    pub first_height: u32,
    /// Blocks that are deep enough.
    pub hashes: Vec<BlockHash>,
    /// The fee rate.
    pub fee_rate_sat_per_kvb: Option<u64>,
    /// Transactions of the federation that are in blocks; the newest last.
    pub confirmations: Vec<Confirmation>,
}

/// Local. The number of the freeze after which this guardian's operator wants to go on.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 2, value = u32, resident)]
pub struct UnfreezeRow;
