//! Errands: what a wallet brings to guardians for whoever embeds it (SPEC GW-7).

use bitcoin::secp256k1::SecretKey;
use guildmint_core::{module::Reject, Amount, Item, TxId};
use serde::{Deserialize, Serialize};

use crate::operation::OperationId;

/// Names an errand, for ever. ⚠ Whoever makes names sees to it that the same thing gets the same name, and no other does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ErrandName(pub [u8; 32]);

/// Inputs and outputs of other modules, which the wallet puts into a transaction. What it lacks is paid with notes, what is left over becomes
/// notes, and so that it balances, all modules have their fees.
///
/// It is begun once: a name that is ordered again is found, also after its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Errand {
    /// Its name.
    pub name: ErrandName,
    /// What it spends.
    pub inputs: Vec<ErrandInput>,
    /// What it makes: the first outputs of its transaction, in this order.
    pub outputs: Vec<Item>,
    /// ⚠ Whether its outputs must never come to be by a transaction that whoever ordered it does not know of, or after its end was told.
    ///
    /// One that cannot be begun has then ended, and its name is used up; unless only change is lacking that is on its way, of which the command
    /// fails as of others. If fees are revised before it was accepted, it is not made anew: its
    /// notes are taken back, and once they are it has ended as rejected with [`FEES_REVISED`]. Of others the command fails, and the name
    /// stays free; and they are made anew, by another transaction with other outpoints.
    pub once: bool,
}

/// The code of the end of an errand that happens once, when fees were revised under it. It may be ordered anew, under another name.
pub const FEES_REVISED: &str = "fees_revised";

/// An input that is somebody else's.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrandInput {
    /// What it is.
    pub item: Item,
    /// What it brings.
    pub amount: Amount,
    /// What signs the transaction for it. ⚠ It is stored until the transaction is settled.
    pub key: SecretKey,
}

/// An errand as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrandView {
    /// The operation that brings it.
    pub operation: OperationId,
    /// How far it is.
    pub state: ErrandState,
}

/// How far an errand is.
#[derive(Debug, Clone, PartialEq)]
pub enum ErrandState {
    /// It goes on by itself.
    Pending,
    /// It happened. For ever.
    Accepted {
        /// By this transaction, whose first outputs are the errand's.
        txid: TxId,
        /// What the federation kept.
        fee: Amount,
    },
    /// It can never happen, for this reason. What it would have spent is free, or on its way back.
    Rejected(Reject),
}
