//! Every limit and margin of the gateway, and what happens when it is hit (SPEC GEN-5).

/// Blocks between the last height at which a payment of ours can be settled on the chain, and the contract's time limit: 18 for the
/// peer's transaction to be confirmed, some for the federation to order our claim, and the rest for either to be away for a while.
/// What leaves less is not paid.
pub const SETTLE_BLOCKS: u32 = 144;

/// Blocks that may come while a payment is tried again on other ways: each try reckons from the height of its own.
pub const RETRY_BLOCKS: u32 = 6;

/// Blocks that the way to a payee may take on top of what the payee wants for itself. A contract that leaves less is given up at once: hardly
/// any way would do.
pub const WAY_BLOCKS: u32 = 80;

/// The operator is warned when a payment is still under way so many blocks before the contract's time limit.
pub const ALARM_BLOCKS: u32 = 72;

/// A payment that came is given back if the node would give it back in fewer blocks than this.
pub const MIN_FUND_BLOCKS: u32 = 36;

/// Blocks before the node gives a payment back at which a contract for it can be funded at last. ⚠ Consensus refuses it later (SPEC LN-3): in
/// these blocks the preimage is read and the payment claimed.
pub const OPEN_BLOCKS: u32 = 18;

/// Blocks, by the agreed clock, within which a contract is funded or never. A clock that stands still for a while then matters little.
pub const FUNDING_BLOCKS: u32 = 12;

/// Blocks that a payer's contract must be valid beyond the funding of the payee's, when one is swapped for the other.
pub const SWAP_BLOCKS: u32 = SETTLE_BLOCKS;

/// Blocks by which the node's chain and a federation's clock may differ. If they differ by more, one of them is wrong or far behind, and nothing
/// new is begun.
pub const MAX_SKEW_BLOCKS: u32 = 3;

/// For how long the node may not have been at the chain's tip. If it is longer, nothing new is begun.
pub const MAX_SYNC_AGE_MS: u64 = 10 * 60 * 1000;

/// Blocks for which HTLCs that arrive must be locked (SPEC GW-2).
pub const MIN_FINAL_CLTV_DELTA: u16 = 144;

/// Blocks for which a payment of a fetched invoice may be locked; the node must be told when it is fetched, before there is a contract.
/// A contract that leaves less is given up.
pub const FETCHED_CLTV_BLOCKS: u32 = 576;

/// For how long an invoice that was fetched is kept for a contract. After it the node forgets the invoice, and a contract on its hash is
/// given up.
pub const FETCH_HOLD_MS: u64 = 10 * 60 * 1000;

/// Fetched invoices that wait, for an answer or for a contract. Beyond it one more is refused, retryably.
pub const MAX_FETCHES: usize = 256;

/// The longest life of an invoice that the gateway makes. A request for a longer one gets this one.
pub const MAX_INVOICE_EXPIRY_S: u32 = 24 * 60 * 60;

/// For how long an invoice is remembered after its end: nodes take payments for up to two hours more, because of how times of blocks may lie.
pub const INVOICE_SLACK_MS: u64 = 3 * 60 * 60 * 1000;

/// Invoices of one federation that can be paid. Beyond it one more is refused, retryably, until one has expired.
pub const MAX_INVOICES: usize = 10_000;

/// Contracts about which one federation is being asked, for users who want invoices paid. Beyond it a request is refused, retryably.
pub const MAX_LOOKS: usize = 1024;

/// Requests that wait for the end of one payment, or for a look at one contract. Beyond it the oldest of the former is answered that there are too
/// many, and of the latter the newest.
pub const MAX_WAITERS: usize = 8;

/// Federations that one gateway serves, those not counted that it has left. One more cannot be joined before one is left.
pub const MAX_FEDERATIONS: usize = 64;

/// Federations that one gateway serves or has left. It keeps what it needs to end what was begun in them, so one more cannot be joined.
pub const MAX_REMEMBERED_FEDERATIONS: usize = 256;

/// The payment for which it is looked whether fees cover what federations take; of smaller ones the ledger tells when they do not.
pub const USUAL_PAYMENT_SAT: u64 = 1_000;

/// When something that was refused for the moment is tried again.
pub const RETRY_MS: u64 = 5_000;

/// The period for which spending limits hold.
pub const PERIOD_MS: u64 = 24 * 60 * 60 * 1000;

/// After this time the operator is warned of a payment that has not ended.
pub const STALE_MS: u64 = 24 * 60 * 60 * 1000;

/// Blocks for which an announcement holds. It is renewed when half of them are over.
pub const ANNOUNCEMENT_BLOCKS: u32 = 144;

/// How much less than at its best the gateway may have earned before its operator is warned, in hundredths of all that it has.
pub const WARN_PERCENT: u128 = 2;

/// And before nothing new is begun.
pub const HALT_PERCENT: u128 = 10;

/// Blocks for which a request for a decryption share is valid: a guardian whose clock differs by that much still answers, and who has read it on
/// the way has little of it.
pub const SHARE_REQUEST_BLOCKS: u32 = 6;
