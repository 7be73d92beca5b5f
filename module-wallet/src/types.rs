//! What guardians tell each other, the outside world and their clients.

use bitcoin::{block::Header, secp256k1::ecdsa::Signature, BlockHash, OutPoint, ScriptBuf, Txid};
use guildmint_core::{
    encoding::hex_bytes, limits::MAX_VOTE_BYTES, slices::Prefix, Amount, Tagged, Wire,
};
use serde::{Deserialize, Serialize};

use crate::{config::Block, limits, merkle::MerkleBranch, tweak::Tweak};

/// What a guardian says about the chain and the federation's transactions (SPEC WAL-5, WAL-7, WAL-8).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = MAX_VOTE_BYTES)]
pub struct Vote {
    /// The height of the first of `hashes`: that after the last agreed block.
    pub first_height: u32,
    /// The blocks that the guardian holds final, in order, without gaps; if empty, its last vote stays.
    pub hashes: Vec<BlockHash>,
    /// The fee rate that it would pay, in satoshi per 1000 virtual bytes; if none, its last vote stays.
    pub fee_rate_sat_per_kvb: Option<u64>,
    /// Its signatures on the federation's transactions.
    pub signatures: Vec<Signatures>,
    /// Proofs that transactions of the federation are in blocks.
    pub confirmations: Vec<Confirmation>,
    /// Whether the agreed chain is still the guardian's own; if none, its last word on that stays.
    pub stance: Option<Stance>,
}

/// What a guardian says of a reorganisation deeper than finality (SPEC WAL-5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stance {
    /// The last agreed block is on its chain, or it does not know better.
    #[default]
    Follow,
    /// This agreed block is not on its chain, which has another that is as deep: no deposit must be credited.
    Freeze(Block),
    /// Its operator has looked. The agreed chain can go on after this agreed block, the last that is on its own chain.
    Unfreeze(Block),
}

/// One guardian's signatures on one of the federation's transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signatures {
    /// The transaction.
    pub txid: Txid,
    /// For each of its inputs, in their order, an ECDSA signature over all of it (`SIGHASH_ALL`).
    pub signatures: Vec<Signature>,
}

/// A proof that a transaction is in a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The transaction.
    pub txid: Txid,
    /// The block's height, as the observer was told. Only the header's hash counts.
    pub height: u32,
    /// The block's header.
    pub header: Header,
    /// The transaction's way to the header's merkle root.
    pub merkle: MerkleBranch,
}

/// What a guardian sees in the outside world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 64 * 1024)]
pub enum News {
    /// The chain: its tip, and the hashes of the blocks after the last agreed one that are deep enough. If the last agreed
    /// block is not among the blocks that are deep enough but another is, those up to its height.
    Chain {
        /// The height of the tip.
        tip_height: u32,
        /// The height of the first of `hashes`.
        first_height: u32,
        /// Hashes of blocks, each the parent of the next; at most [`limits::MAX_VOTED_BLOCKS`].
        hashes: Vec<BlockHash>,
    },
    /// What fee rate gets a transaction confirmed soon, in satoshi per 1000 virtual bytes.
    FeeRate {
        /// The rate.
        sat_per_kvb: u64,
    },
    /// A transaction of the federation is in a block that is agreed.
    Confirmed(Confirmation),
    /// The guardian's operator has looked at a freeze, by its number, and wants to go on (SPEC WAL-5).
    Unfreeze {
        /// The number. A word on one freeze is none on the next.
        number: u32,
    },
}

impl News {
    /// What there is to say of a chain whose tip is at `tip_height` and whose blocks are those of `hash_at`; `None` if that
    /// chain is behind, or differs from the agreed one in blocks that may yet be replaced.
    #[must_use]
    pub fn of_chain(
        agreed: Block,
        tip_height: u32,
        finality_blocks: u32,
        hash_at: impl Fn(u32) -> Option<BlockHash>,
    ) -> Option<Self> {
        let last = tip_height.saturating_sub(finality_blocks);
        if hash_at(agreed.height)? == agreed.hash {
            let first_height = agreed.height.saturating_add(1);
            let last = last.min(agreed.height.saturating_add(VOTED_BLOCKS));
            return Some(Self::Chain {
                tip_height,
                first_height,
                hashes: (first_height..=last).map_while(hash_at).collect(),
            });
        }
        if last < agreed.height {
            return None;
        }
        let window = Self::window_start(agreed.height)..=agreed.height;
        let mut hashes: Vec<BlockHash> = window.rev().map_while(hash_at).collect();
        hashes.reverse();
        let before = u32::try_from(hashes.len()).unwrap_or(0);
        Some(Self::Chain {
            tip_height,
            first_height: agreed.height.saturating_add(1).saturating_sub(before),
            hashes,
        })
    }

    /// Where to begin to tell of a chain that differs from the agreed one at this height.
    #[must_use]
    pub fn window_start(agreed_height: u32) -> u32 {
        agreed_height.saturating_sub(VOTED_BLOCKS - 1)
    }
}

/// [`limits::MAX_VOTED_BLOCKS`] as a number of blocks.
const VOTED_BLOCKS: u32 = limits::MAX_VOTED_BLOCKS as u32;

/// What a guardian asks of the outside world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 4 * 1024 * 1024)]
pub enum Job {
    /// Send a transaction to the bitcoin network.
    Broadcast {
        /// Its id.
        txid: Txid,
        /// The signed transaction.
        #[serde(with = "hex_bytes")]
        transaction: Vec<u8>,
    },
    /// Report what happens after this block and to these transactions. Takes the place of the job of this kind before.
    Watch {
        /// The last agreed block.
        agreed: Block,
        /// The federation's transactions that are not confirmed, at most [`limits::MAX_OPEN_SLOTS`] slots' worth.
        pending: Vec<Watched>,
        /// The freeze of deposits, for the operator.
        frozen: Option<Frozen>,
    },
}

/// A freeze of deposits (SPEC WAL-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// How many freezes there have been, this one included: what operators call it by.
    pub number: u32,
    /// The last agreed block when it began.
    pub at: Block,
}

/// A transaction of the federation that is not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Its id.
    pub txid: Txid,
    /// Where one of its outputs pays to: servers index transactions by that.
    pub script_pubkey: ScriptBuf,
    /// Whether a later version was sent in its place (SPEC WAL-8): it may be confirmed all the same, but is not sent again.
    pub replaced: bool,
}

/// How far a peg-out has come: what its owner is told as the outcome of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PegOutStatus {
    /// How far.
    pub state: PegOutState,
    /// The transaction that pays it, once there is one.
    pub txid: Option<Txid>,
}

/// The stages of a peg-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PegOutState {
    /// It waits for a transaction.
    Queued,
    /// The transaction waits for signatures.
    Signing,
    /// The transaction is signed, and each guardian sends it to the bitcoin network until it is in a block.
    Signed,
    /// The transaction is in an agreed block.
    Confirmed,
}

/// Answer to `GET /v1/wallet/peg-out-quote?address=…&amount_sat=…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PegOutQuote {
    /// What must be paid to miners, in satoshi.
    pub fee_sat: u64,
    /// The agreed fee rate that this comes from.
    pub fee_rate_sat_per_kvb: u64,
    /// The module's own fee.
    pub module_fee: Amount,
}

/// Answer to `GET /v1/wallet/chain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainAnswer {
    /// The last agreed block.
    pub agreed: Block,
    /// The agreed fee rate; null before enough guardians have voted.
    pub fee_rate_sat_per_kvb: Option<u64>,
    /// The tip as this guardian sees it.
    pub tip_height: Option<u32>,
    /// The freeze of deposits; null if they are credited as usual.
    pub frozen: Option<Frozen>,
}

/// Answer to `GET /v1/wallet/utxos?after=…&limit=…`: the reserves (SPEC AUD-1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinsAnswer {
    /// The federation's coins, in the order of their outpoints.
    pub utxos: Vec<CoinAnswer>,
    /// What to give as `after` for the rest; null at the end.
    pub next: Option<OutPoint>,
}

/// One of the federation's coins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinAnswer {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it is worth, in satoshi.
    pub amount_sat: u64,
    /// What its keys are tweaked by.
    pub tweak: Tweak,
    /// Whether it is in an agreed block.
    pub confirmed: bool,
}

/// Answer to `GET /v1/wallet/peg-outs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PegOutsAnswer {
    /// Peg-outs that wait for a transaction, in their order.
    pub queued: Vec<QueuedAnswer>,
    /// Transactions that are not confirmed.
    pub pending: Vec<PendingAnswer>,
}

/// A peg-out that waits for a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedAnswer {
    /// Where to.
    pub script_pubkey: ScriptBuf,
    /// What is to arrive, in satoshi.
    pub amount_sat: u64,
    /// What it pays to miners, in satoshi.
    pub fee_sat: u64,
}

/// A transaction that is not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingAnswer {
    /// Its id.
    pub txid: Txid,
    /// The slot that it belongs to: of the transactions of a slot one will be confirmed.
    pub slot: u64,
    /// How many peg-outs it pays.
    pub recipients: usize,
    /// What it pays to miners, in satoshi.
    pub fee_sat: u64,
    /// How far it has come.
    pub state: PegOutState,
    /// Guardians that signed, while signatures are still collected.
    pub signers: Vec<guildmint_core::PeerId>,
    /// The agreed height at which it was built.
    pub built_at: u32,
}

/// Under what a claimed deposit is in `GET /v1/wallet/claimed-prefixes?from=…&to=…`.
#[must_use]
pub fn claimed_prefix(outpoint: &OutPoint) -> Prefix {
    let hash = Tagged::new("guildmint/wallet/claimed")
        .add(outpoint.txid)
        .add(outpoint.vout.to_be_bytes())
        .finish();
    let mut prefix = Prefix::default();
    let length = prefix.len();
    prefix.copy_from_slice(&hash[..length]);
    prefix
}

const _: () = assert!(limits::MAX_VOTED_BLOCKS * 40 < 64 * 1024);
