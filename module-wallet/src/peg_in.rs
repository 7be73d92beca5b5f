//! Deposits and their proofs (SPEC WAL-2, WAL-3).

use bitcoin::{
    block::Header,
    consensus::{deserialize, serialize},
    secp256k1::XOnlyPublicKey,
    BlockHash, OutPoint, ScriptBuf, Transaction, Witness,
};
use guildmint_core::{encoding::hex_bytes, limits::MAX_TRANSACTION_BYTES, Wire};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    descriptor::{DescriptorError, FederationDescriptor},
    merkle::{MerkleBranch, MerkleError},
    tweak::Tweak,
};

/// Proves that a transaction in a block paid the federation. The key in it signs the transaction that claims the deposit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = MAX_TRANSACTION_BYTES)]
pub struct PegInProof {
    /// The block's header.
    pub header: Header,
    /// The transaction's way to the header's merkle root.
    pub merkle: MerkleBranch,
    /// The transaction, without its witness.
    #[serde(with = "hex_bytes")]
    pub transaction: Vec<u8>,
    /// Which of its outputs paid the federation.
    pub output_index: u32,
    /// The depositor's key, by which the guardians' keys are tweaked.
    pub tweak_key: XOnlyPublicKey,
}

/// What a proof claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    /// The block's hash.
    pub block: BlockHash,
    /// The output that paid the federation.
    pub outpoint: OutPoint,
    /// What it paid, in satoshi.
    pub amount_sat: u64,
    /// Where it paid to.
    pub script_pubkey: ScriptBuf,
    /// Whether it is a miner's reward, which nobody can spend before 100 blocks.
    pub coinbase: bool,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PegInError {
    /// The bytes are no transaction.
    #[error("the deposit's transaction cannot be read: {0}")]
    Unreadable(String),
    /// The transaction still has its witness.
    #[error("the deposit's transaction must be given without its witness")]
    Witness,
    /// A transaction that could be two hashes of a merkle tree.
    #[error("a transaction of 64 bytes proves nothing")]
    SixtyFourBytes,
    /// The transaction has no such output.
    #[error("the transaction has {outputs} outputs and so none with index {index}")]
    NoSuchOutput {
        /// The index.
        index: u32,
        /// How many outputs there are.
        outputs: usize,
    },
    /// The output is somebody else's.
    #[error("the output pays {found}, not the federation with this key ({expected})")]
    OtherScript {
        /// Where the output pays to.
        found: ScriptBuf,
        /// Where it should.
        expected: ScriptBuf,
    },
    /// The block does not contain the transaction.
    #[error(transparent)]
    Merkle(#[from] MerkleError),
    /// Less than the federation credits.
    #[error("{amount_sat} sat; deposits below {min_sat} sat are not credited")]
    TooSmall {
        /// What was paid, in satoshi.
        amount_sat: u64,
        /// The least that is credited, in satoshi.
        min_sat: u64,
    },
    /// See [`DescriptorError`].
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
}

impl PegInProof {
    /// Puts a proof together. The transaction's witness is left out: its id does not cover it.
    #[must_use]
    pub fn new(
        transaction: &Transaction,
        output_index: u32,
        header: Header,
        merkle: MerkleBranch,
        tweak_key: XOnlyPublicKey,
    ) -> Self {
        let mut transaction = transaction.clone();
        for input in &mut transaction.input {
            input.witness = Witness::new();
        }
        Self {
            header,
            merkle,
            transaction: serialize(&transaction),
            output_index,
            tweak_key,
        }
    }

    /// Reads what the proof claims, without checking any of it.
    ///
    /// # Errors
    /// If its transaction cannot be read or has no such output.
    pub fn claim(&self) -> Result<Deposit, PegInError> {
        let transaction: Transaction = deserialize(&self.transaction)
            .map_err(|error| PegInError::Unreadable(error.to_string()))?;
        let bare = |input: &bitcoin::TxIn| input.witness.is_empty();
        if transaction.input.is_empty() || !transaction.input.iter().all(bare) {
            return Err(PegInError::Witness);
        }
        let index = usize::try_from(self.output_index).unwrap_or(usize::MAX);
        let output = transaction
            .output
            .get(index)
            .ok_or(PegInError::NoSuchOutput {
                index: self.output_index,
                outputs: transaction.output.len(),
            })?;
        Ok(Deposit {
            block: self.header.block_hash(),
            outpoint: OutPoint::new(transaction.compute_txid(), self.output_index),
            amount_sat: output.value.to_sat(),
            script_pubkey: output.script_pubkey.clone(),
            coinbase: transaction.is_coinbase(),
        })
    }

    /// Checks all that needs no knowledge of the chain.
    ///
    /// # Errors
    /// If the proof cannot be valid whatever the chain is.
    pub fn check(
        &self,
        descriptor: &FederationDescriptor,
        min_sat: u64,
    ) -> Result<Deposit, PegInError> {
        if self.transaction.len() == 64 {
            return Err(PegInError::SixtyFourBytes);
        }
        let deposit = self.claim()?;
        self.merkle
            .check(deposit.outpoint.txid, self.header.merkle_root)?;
        if deposit.amount_sat < min_sat {
            return Err(PegInError::TooSmall {
                amount_sat: deposit.amount_sat,
                min_sat,
            });
        }
        let expected = descriptor.script_pubkey(&Tweak::from(self.tweak_key))?;
        if deposit.script_pubkey != expected {
            return Err(PegInError::OtherScript {
                found: deposit.script_pubkey,
                expected,
            });
        }
        Ok(deposit)
    }
}
