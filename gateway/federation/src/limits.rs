//! Every limit of the carrier, and what happens when it is hit (SPEC GEN-5). Orders under way have none of their own: the gateway has bounds
//! on what it begins.

/// How often guardians are asked how they are.
pub const WATCH_MS: u64 = 10_000;

/// The same where blocks come when the operator wants.
pub const WATCH_REGTEST_MS: u64 = 1_000;

/// How long transactions may wait while guardians agree on nothing. After it nothing new is begun there.
pub const STALL_MS: u64 = 60_000;

/// How long the agreed clock may stand still, on networks whose blocks come by themselves. After it nothing new is begun there: not one block
/// in so long a time is likelier to be a federation that has lost the chain.
pub const CLOCK_MS: u64 = 3 * 3_600_000;

/// When what could not be done yet is tried again, for the first time. Each further try waits twice as long.
pub const RETRY_FIRST_MS: u64 = 500;

/// And at most so long.
pub const RETRY_MOST_MS: u64 = 30_000;

/// How long the next try waits at most, when transactions that spend a contract are refused again and again. Each waits four times as long as the
/// one before.
pub const ERRAND_MOST_MS: u64 = 3_600_000;

/// How long guardians may keep a question about a contract that they do not know yet: whoever funded it may have asked those who were first.
pub const LOOK_WAIT_S: u64 = 3;

/// Transactions that try to fund one offer, each after the one before can never be accepted any more. Then it is given up.
pub const MAX_FUNDINGS: u32 = 3;

/// Notes that a payment is reckoned with, each way, where it is about what it costs. No payment depends on it: it tells an operator whether fees are
/// too low.
pub const TYPICAL_NOTES: u64 = 10;
