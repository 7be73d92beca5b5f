//! Payments to a deposit address.

use bitcoin::{block::Header, OutPoint, Script, Transaction};
use guildmint_wallet::MerkleBranch;

use crate::{error::ServerError, server::Server};

/// A payment to a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The output.
    pub outpoint: OutPoint,
    /// What it pays, in satoshi.
    pub amount_sat: u64,
    /// The whole transaction.
    pub transaction: Transaction,
    /// Where it is in the chain; `None` while it is unconfirmed.
    pub proof: Option<Proof>,
}

/// Where a transaction is in the chain. The branch leads to the header; whether the header is in the chain of the
/// guardians, they decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The block's height, as the server says.
    pub height: u32,
    /// The block's header.
    pub header: Header,
    /// The transaction's way to the header's merkle root.
    pub merkle: MerkleBranch,
}

/// All payments to a script.
pub fn find(server: &Server, script: &Script) -> Result<Vec<Found>, ServerError> {
    let mut found = Vec::new();
    for seen in server.history(script)? {
        let transaction = server.transaction(seen.txid)?;
        let pays = |output: &bitcoin::TxOut| output.script_pubkey.as_script() == script;
        if !transaction.output.iter().any(pays) {
            continue;
        }
        let proof = match seen.height {
            None => None,
            Some(height) => {
                let (header, merkle) = server.proof(seen.txid, height)?;
                Some(Proof {
                    height,
                    header,
                    merkle,
                })
            }
        };
        for (vout, output) in (0..).zip(&transaction.output) {
            if pays(output) {
                found.push(Found {
                    outpoint: OutPoint::new(seen.txid, vout),
                    amount_sat: output.value.to_sat(),
                    transaction: transaction.clone(),
                    proof: proof.clone(),
                });
            }
        }
    }
    Ok(found)
}
