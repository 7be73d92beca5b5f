//! What the client is told and what it asks for.

use std::collections::BTreeMap;

use bitcoin::{
    block::Header,
    secp256k1::{PublicKey, XOnlyPublicKey},
    OutPoint, ScriptBuf, Transaction,
};
use guildmint_core::{ledger::Changes, Amount, PeerId};
use guildmint_ln::FetchAnswer;
use guildmint_mint::client::NotesString;
use guildmint_wallet::MerkleBranch;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    api::{ApiRequest, RequestError},
    errand::Errand,
    error::ClientError,
    gateway::GatewayCall,
    operation::OperationId,
    question::Question,
    reply::Reply,
};

/// A point in time: milliseconds since 1970, by the shell's clock.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Millis(pub u64);

impl Millis {
    /// This much later.
    #[must_use]
    pub const fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Pairs a command with its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Pairs a save with the news that it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SaveId(pub u64);

/// Pairs a request with its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// It is this late. The first of these wakes everything that was pending; the shell sends one before other events and
    /// whenever [`Action::WakeAt`] asked for it.
    Time {
        /// How late.
        now: Millis,
    },
    /// The user wants something.
    Command {
        /// Comes back in [`Action::Reply`].
        ticket: Ticket,
        /// What.
        command: Command,
    },
    /// A guardian answered, or did not.
    Answer {
        /// Which request.
        request: RequestId,
        /// The body, or why there is none.
        result: Result<Json, RequestError>,
    },
    /// A gateway answered, or did not.
    Gateway {
        /// Which request.
        request: RequestId,
        /// The body, or why there is none.
        result: Result<Json, RequestError>,
    },
    /// Changes are durable. Saves become durable in the order in which they were asked for.
    Saved {
        /// Which.
        save: SaveId,
    },
    /// What a chain source knows about an address.
    Chain {
        /// Whose address.
        operation: OperationId,
        /// The deposits, or why the source could not say.
        result: Result<ChainNews, String>,
    },
}

/// Payments to one address, as a chain source sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainNews {
    /// The height of the source's best block.
    pub tip_height: u32,
    /// Every output that pays the address, spent or not.
    pub deposits: Vec<Sighting>,
}

/// One payment to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which output.
    pub outpoint: OutPoint,
    /// What it is worth, in satoshi.
    pub amount_sat: u64,
    /// Where it is in the chain, once it is in a block.
    pub burial: Option<Burial>,
}

/// A transaction's place in the chain, with the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burial {
    /// The block's height.
    pub height: u32,
    /// The block's header.
    pub header: Header,
    /// The transaction's way to the header's merkle root.
    pub merkle: MerkleBranch,
    /// The transaction.
    pub transaction: Transaction,
}

/// Something that a gateway can be made to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payable {
    /// A BOLT11 invoice, with or without `lightning:` before it.
    Invoice(String),
    /// An invoice of a BOLT12 offer.
    Fetched(Box<FetchedInvoice>),
}

/// A BOLT12 invoice that a gateway has fetched. ⚠ Whoever hands it to a wallet has checked it against the offer: it is the payee's, and on this hash and
/// amount. The wallet pays what it is told here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedInvoice {
    /// What the gateway gave.
    pub answer: FetchAnswer,
    /// Whom the invoice pays.
    pub payee: PublicKey,
    /// Until when, in seconds since 1970.
    pub expires_at_s: u64,
}

/// What a user can want that takes more than a look at the rows.
#[derive(Debug, Clone)]
pub enum Command {
    /// What the guardians say about themselves and their balance sheet.
    Info,
    /// A new address to pay into.
    DepositAddress,
    /// Look again at the addresses: one operation's or, with `None`, all that wait.
    Deposits {
        /// Whose.
        operation: Option<OperationId>,
    },
    /// Hand out notes worth exactly this.
    Send {
        /// How much.
        amount: Amount,
        /// When the notes may be taken back without being asked, in milliseconds from now.
        reclaim_after_ms: u64,
    },
    /// Take notes from someone.
    Receive {
        /// The notes.
        notes: NotesString,
    },
    /// Check notes without taking them.
    Validate {
        /// The notes.
        notes: NotesString,
    },
    /// Take back notes that were handed out and not taken.
    Reclaim {
        /// Which hand-out.
        operation: OperationId,
    },
    /// Give up a withdrawal that guardians keep refusing for now: its notes are exchanged for fresh ones, if that comes first.
    Cancel {
        /// Which withdrawal.
        operation: OperationId,
    },
    /// What a withdrawal costs now.
    Quote {
        /// Where to.
        address: String,
        /// How much.
        amount: Amount,
    },
    /// Withdraw at a fee that was quoted.
    Withdraw {
        /// Where to.
        address: String,
        /// How much arrives there.
        amount: Amount,
        /// The fee on top.
        fee: Amount,
    },
    /// Which Lightning gateways there are.
    Gateways,
    /// What it costs to have something paid over Lightning, through the best gateway that works now.
    LnQuote {
        /// What.
        payable: Payable,
        /// Through this gateway, not the best one.
        gateway: Option<XOnlyPublicKey>,
    },
    /// Have it paid. The same again is the same operation, as long as that may still pay, or has.
    LnPay {
        /// What.
        payable: Payable,
        /// Through this gateway, or the best one that works now.
        gateway: Option<XOnlyPublicKey>,
        /// What it may cost on top of the amount, all together.
        max_fee: Amount,
    },
    /// Be paid by an invoice.
    LnInvoice {
        /// What the user gets, before the federation's fees. The payer pays the gateway's.
        amount: Amount,
        /// What it is for.
        description: String,
        /// For how long it can be paid.
        expiry_seconds: u32,
        /// By this gateway, or the best one that works now.
        gateway: Option<XOnlyPublicKey>,
    },
    /// Have a gateway fetch an invoice of a BOLT12 offer.
    LnFetch {
        /// The offer, `lno1…`.
        offer: String,
        /// What the payee is to get.
        amount: Amount,
        /// A word for the payee.
        note: Option<String>,
        /// By this gateway, or the best one that works now.
        gateway: Option<XOnlyPublicKey>,
    },
    /// Look at once whether money in the contract of a payment can be taken back, of one or all. It comes back by itself when that is so.
    LnRefund {
        /// Which payment.
        operation: Option<OperationId>,
    },
    /// Find everything again that follows from the seed, or go on with that.
    Restore {
        /// How many unknown notes of a denomination in a row end the search; [`Command::RESTORE_GAP`] is wide enough for any
        /// wallet of this software.
        gap: u64,
    },
    /// Do not wait any longer before the next try of this operation, or of all.
    Resume {
        /// Which.
        operation: Option<OperationId>,
    },
    /// Ask guardians what has changed about the federation (SPEC GEN-6). The reply comes at once; [`crate::Client::is_up_to_date`] says when they have
    /// told.
    Refresh,
    /// Bring this to guardians; whoever embeds the wallet looks at [`crate::Client::errand`].
    Errand(Box<Errand>),
    /// Ask guardians this.
    Ask(Box<Question>),
}

impl Command {
    /// How far to search by default.
    pub const RESTORE_GAP: u64 = guildmint_mint::client::GAP;
}

/// Something that the shell must do. In the order given.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Write these changes durably, in one piece, then say [`Event::Saved`]. What depends on them is held back until then.
    Save {
        /// Comes back.
        save: SaveId,
        /// The changes.
        changes: Changes,
    },
    /// Ask a guardian; answer with [`Event::Answer`] in any case.
    Request {
        /// Comes back.
        request: RequestId,
        /// Whom.
        peer: PeerId,
        /// What.
        body: ApiRequest,
    },
    /// Ask a gateway; answer with [`Event::Gateway`] in any case.
    AskGateway {
        /// Comes back.
        request: RequestId,
        /// Where, from its announcement: `https://…`. Hostile text.
        url: String,
        /// What.
        call: GatewayCall,
    },
    /// Ask guardians here from now on.
    UseAddresses {
        /// Where each of them is, as far as that is known.
        apis: BTreeMap<PeerId, String>,
    },
    /// Ask a chain source for payments to this script; answer with [`Event::Chain`] in any case.
    FindDeposits {
        /// Comes back.
        operation: OperationId,
        /// The script of its address.
        script: ScriptBuf,
    },
    /// Send [`Event::Time`] at this time, once. Replaces the last wish; see [`Alarm`](crate::Alarm).
    WakeAt {
        /// When.
        at: Millis,
    },
    /// Tell the user.
    Reply {
        /// Whose command.
        ticket: Ticket,
        /// What came of it. For an operation: that it is stored and under way.
        result: Result<Reply, ClientError>,
    },
    /// An operation changed: look at [`crate::Client::operation`].
    Progress {
        /// Which.
        operation: OperationId,
    },
}
