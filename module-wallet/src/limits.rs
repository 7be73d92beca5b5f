//! Every limit of the module, and what happens when it is hit (SPEC GEN-5).

/// Blocks whose hashes one vote may name. A longer vote is a fault and is not counted; a guardian that is further ahead
/// names the rest in later epochs.
pub const MAX_VOTED_BLOCKS: usize = 144;

/// Agreed blocks whose hashes are held in memory. A confirmation under an older block is still counted, but is no reason
/// for an epoch of its own.
pub const RECENT_BLOCKS: u32 = 288;

/// Hashes on the way from a transaction to the root of its block's merkle tree. A longer branch is refused: 2^16
/// transactions do not fit a block.
pub const MAX_MERKLE_DEPTH: usize = 16;

/// Characters of an address. A longer one is refused.
pub const MAX_ADDRESS_CHARS: usize = 100;

/// Coins that one of the federation's transactions spends. A peg-out that needs more is refused; its owner asks for a new
/// quote when there are larger coins.
pub const MAX_INPUTS: usize = 100;

/// Peg-outs that one transaction pays. The rest stay in the queue.
pub const MAX_BATCH: usize = 100;

/// Transactions in flight. When there are as many, peg-outs stay in the queue until one is confirmed.
pub const MAX_OPEN_SLOTS: usize = 24;

/// Transactions in flight that build on each other's change. Change at the end of a longer chain is not spent before a
/// confirmation: nodes relay no more than 25.
pub const MAX_UNCONFIRMED_CHAIN: usize = 10;

/// Virtual bytes of such a chain, for the same reason: nodes relay no more than 101,000.
pub const MAX_CHAIN_VBYTES: u64 = 95_000;

/// Agreed blocks in which a transaction could have been confirmed and was not, before it is replaced by one that pays more.
pub const BUMP_AFTER_BLOCKS: u32 = 6;

/// Versions of a transaction that is replaced again and again. After the last of them it waits for lower fees.
pub const MAX_VERSIONS: usize = 8;

/// Confirmations in one vote, and in a guardian's own memory. More are left for later votes; the oldest are forgotten
/// and sighted again.
pub const MAX_CONFIRMATIONS: usize = 2 * MAX_OPEN_SLOTS;

/// Bytes of the module's config. A larger one is refused.
pub const MAX_CONFIG_BYTES: usize = 64 * 1024;

/// URLs of Electrum servers in the config. A config with more is refused.
pub const MAX_ELECTRUM_URLS: usize = 16;

/// Bytes of such a URL in a revision. One with a longer is not agreed.
pub const MAX_URL_BYTES: usize = 256;

/// Keys of a recovery branch. A config with more is refused.
pub const MAX_RECOVERY_KEYS: usize = 20;

/// Peg-outs that a config may let wait at once. A config with more is refused.
pub const MAX_QUEUE: u16 = 1000;

/// Rows in one answer. More are given with the next cursor.
pub const MAX_PAGE: usize = 500;
