//! Every limit of the protocol, and what happens when it is hit (SPEC GEN-5).

/// Guardians in a federation. A larger genesis config is refused.
pub const MAX_GUARDIANS: u16 = 20;

/// Bytes of an encoded transaction. A larger one is refused by the API and makes a contribution empty.
pub const MAX_TRANSACTION_BYTES: usize = 128 * 1024;

/// Inputs and outputs of a transaction together. One with more is refused before anything else is looked at.
pub const MAX_ITEMS: usize = 512;

/// Bytes of an encoded contribution. A guardian proposes no more than fits; a larger payload is never echoed.
pub const MAX_CONTRIBUTION_BYTES: usize = 1024 * 1024;

/// Bytes of all transactions in a guardian's pool. Beyond it a submission is answered `pool_full`, retryable.
pub const MAX_POOL_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of one module's vote in a contribution. A larger one is a fault of its author, whose contribution then is empty.
pub const MAX_VOTE_BYTES: usize = 256 * 1024;

/// Bytes of frames kept for peers that have not acknowledged them. Beyond it the oldest epochs, the open and the last
/// committed one excepted, are forgotten and slow peers catch up from history.
pub const MAX_OUTBOX_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of frames held that came too early, from one peer. Later ones are dropped and asked for again.
pub const MAX_INBOX_BYTES: usize = 4 * 1024 * 1024;

/// Epochs beyond the open one whose frames are held. Frames of later epochs are dropped and asked for again.
pub const MAX_EPOCHS_AHEAD: u64 = 3;

/// Bytes of one agreement frame (echo, ready, vote of a binary agreement: 150 at most). A larger one is a fault of its sender.
pub const MAX_FRAME_BYTES: usize = 256;

/// Bytes of one message between guardians on the wire. The connection that carries a larger one is closed.
pub const MAX_PACKET_BYTES: usize = 2 * 1024 * 1024;

/// Rejections that a guardian remembers so as to answer a client that asks again. The oldest are forgotten first.
pub const MAX_REJECTIONS: usize = 10_000;

/// Bytes of a genesis config. A larger one is refused by guardians and clients.
pub const MAX_CONFIG_BYTES: usize = 4 * 1024 * 1024;

/// Characters of an invite code. A longer one is refused.
pub const MAX_INVITE_CHARS: usize = 8 * 1024;

/// Seconds that a client may wait for an answer in one request. A longer wait is cut to this.
pub const MAX_WAIT_SECONDS: u64 = 60;

/// Addresses in a guardian's announcement. One with more counts for nothing.
pub const MAX_ADDRESSES: usize = 8;

/// Characters of an announced address or URL. An announcement with a longer one counts for nothing.
pub const MAX_ADDRESS_BYTES: usize = 256;

/// Bytes of a revision of the config. A larger one is a fault of whoever approves it, and wallets take none.
pub const MAX_REVISION_BYTES: usize = 32 * 1024;

/// Hexadecimal digits of a revision's hash by which an operator approves it, at least; fewer are refused. ⚠ Whoever proposes one may search for two
/// that begin alike, to put one in the other's place: with half as many digits that takes minutes.
pub const MIN_PROPOSAL_DIGITS: usize = 32;

/// Bytes of one module's conditions in a revision. With more the module refuses it.
pub const MAX_CONDITIONS_BYTES: usize = 8 * 1024;

/// Revisions that a federation may ever make; they are held in memory. After the last of them none is agreed any more.
pub const MAX_REVISIONS: u32 = 1_000;

/// Revisions in one answer. Whoever lacks more asks again.
pub const MAX_REVISIONS_IN_ANSWER: usize = 8;

/// Bytes of the federation's name in a revision. One with a longer name is a fault of whoever approves it.
pub const MAX_FEDERATION_NAME_BYTES: usize = 100;

/// Bytes of a guardian's name in a revision. The same happens.
pub const MAX_GUARDIAN_NAME_BYTES: usize = 64;
