//! Every limit of the module, and what happens when it is hit (SPEC GEN-5).

/// Bytes of an encoded config. A larger one is refused when a federation is founded.
pub const MAX_CONFIG_BYTES: usize = 4 * 1024;

/// Bytes of an encoded input. The longest is a refund because of an offer that hides no preimage. A longer one is refused.
pub const MAX_INPUT_BYTES: usize = 512;

/// Bytes of an encoded output. The longest is an announcement with all its route hints. A longer one is refused.
pub const MAX_OUTPUT_BYTES: usize = 2 * 1024;

/// Offers that are stored at once. Beyond it a standalone offer is refused, retryably, until one expires or is funded; offers
/// that come with their funding need no place.
pub const MAX_OFFERS: usize = 4096;

/// Stored offers with one payment hash. Beyond it the next is refused, retryably; its author takes another hash, or gives the
/// offer to the gateway alone.
pub const MAX_OFFERS_PER_HASH: usize = 4;

/// Blocks for which an offer may be stored. One that expires later is refused.
pub const MAX_OFFER_BLOCKS: u32 = 1008;

/// Blocks for which an announcement may hold. One that is valid for longer is refused (SPEC LN-6).
pub const MAX_ANNOUNCEMENT_BLOCKS: u32 = 1008;

/// Gateways that are listed at once without a guardian that vouches for them. Beyond it an announcement of one more is refused,
/// retryably, until one expires; those that are vouched for always have a place.
pub const MAX_GATEWAYS: usize = 128;

/// Gateways that one guardian may vouch for. A vote with more is a fault and not counted.
pub const MAX_VOUCHED: usize = 16;

/// Bytes of a gateway's URL. An announcement with a longer one is refused.
pub const MAX_URL_BYTES: usize = 256;

/// Route hints in an announcement. One with more is refused.
pub const MAX_ROUTE_HINTS: usize = 4;

/// Hops in a route hint. An announcement with a longer one is refused.
pub const MAX_HOPS: usize = 4;

/// Blocks for which a request for a decryption share may be valid. One that is valid for longer is refused: it could be played
/// again for too long.
pub const MAX_SHARE_REQUEST_BLOCKS: u32 = 144;

/// Bytes of an invoice that wallets and gateways hand each other. A longer one is refused.
pub const MAX_INVOICE_BYTES: usize = 4 * 1024;

/// Bytes of an invoice's description. An [`InvoiceRequest`](crate::InvoiceRequest) with a longer one is refused.
pub const MAX_DESCRIPTION_BYTES: usize = 512;

/// Bytes of a BOLT12 offer's text and the note to its issuer. A [`FetchRequest`](crate::FetchRequest) with more is refused.
pub const MAX_OFFER_BYTES: usize = 2 * 1024;

/// Characters that are read of why a gateway does not work; the rest is left out.
pub const MAX_TROUBLE_CHARS: usize = 200;

/// Blocks that a wallet gives a gateway to pay an invoice, about a week: long enough for a payment that is settled on the chain. After
/// them the money is taken back.
pub const OUTGOING_BLOCKS: u32 = 1008;
