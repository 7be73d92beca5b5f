//! Proofs that a transaction is in a block.

use bitcoin::{
    consensus::deserialize,
    hashes::{sha256d, Hash},
    Amount, Transaction, TxMerkleNode, Txid,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::MAX_MERKLE_DEPTH;

/// Bytes of two hashes: what an inner node of a merkle tree is the hash of.
const NODE_BYTES: usize = 64;

/// The way from a transaction to the root of its block's merkle tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MerkleBranch {
    /// The transaction's place in the block, from 0.
    pub position: u32,
    /// The other child at each level, from the transaction's up.
    pub hashes: Vec<TxMerkleNode>,
}

/// Why a branch proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MerkleError {
    /// More levels than a block can have.
    #[error("{0} levels; no block has more than {MAX_MERKLE_DEPTH}")]
    TooDeep(usize),
    /// A place that a tree of this depth does not have.
    #[error("there is no place {position} in a tree of {levels} levels")]
    NoSuchPlace {
        /// The place.
        position: u32,
        /// The depth.
        levels: usize,
    },
    /// An inner node that may be a transaction, so that what is below it is in no block.
    #[error("level {0} of the merkle tree reads as a transaction of 64 bytes")]
    DisguisedTransaction(usize),
    /// It leads elsewhere.
    #[error("the branch leads to {found}, not to the block's {expected}")]
    OtherRoot {
        /// Where it leads.
        found: TxMerkleNode,
        /// The block's root.
        expected: TxMerkleNode,
    },
}

impl MerkleBranch {
    /// The branch of the transaction at `position` among all of a block's; `None` if there is no such place.
    #[must_use]
    pub fn of(txids: &[Txid], position: usize) -> Option<Self> {
        let mut level: Vec<[u8; 32]> = txids.iter().map(|id| id.to_byte_array()).collect();
        let mut place = position;
        let mut hashes = Vec::new();
        level.get(place)?;
        while level.len() > 1 {
            // An odd level ends with its last hash once more.
            let sibling = level.get(place ^ 1).or(level.last())?;
            hashes.push(TxMerkleNode::from_byte_array(*sibling));
            level = level
                .chunks(2)
                .map(|pair| parent(pair[0], *pair.last().unwrap_or(&pair[0])).0)
                .collect();
            place /= 2;
        }
        Some(Self {
            position: u32::try_from(position).ok()?,
            hashes,
        })
    }

    /// Checks that a block with this root contains the transaction.
    ///
    /// ⚠ A merkle tree does not say how deep it is. Somebody who gets a transaction of exactly 64 bytes into a block can
    /// show its two halves as hashes of further "transactions", or two hashes as the halves of one. The caller refuses
    /// transactions of 64 bytes; this refuses inner nodes that read as one (SPEC WAL-3).
    ///
    /// # Errors
    /// If it does not prove that.
    pub fn check(&self, txid: Txid, root: TxMerkleNode) -> Result<(), MerkleError> {
        let levels = self.hashes.len();
        if levels > MAX_MERKLE_DEPTH {
            return Err(MerkleError::TooDeep(levels));
        }
        if u64::from(self.position) >= 1 << levels {
            return Err(MerkleError::NoSuchPlace {
                position: self.position,
                levels,
            });
        }
        let mut node = txid.to_byte_array();
        for (level, sibling) in self.hashes.iter().enumerate() {
            let sibling = sibling.to_byte_array();
            let (above, preimage) = if self.position >> level & 1 == 0 {
                parent(node, sibling)
            } else {
                parent(sibling, node)
            };
            if reads_as_transaction(&preimage) {
                return Err(MerkleError::DisguisedTransaction(level));
            }
            node = above;
        }
        let found = TxMerkleNode::from_byte_array(node);
        if found != root {
            return Err(MerkleError::OtherRoot {
                found,
                expected: root,
            });
        }
        Ok(())
    }
}

fn parent(left: [u8; 32], right: [u8; 32]) -> ([u8; 32], [u8; NODE_BYTES]) {
    let mut preimage = [0; NODE_BYTES];
    preimage[..32].copy_from_slice(&left);
    preimage[32..].copy_from_slice(&right);
    (sha256d::Hash::hash(&preimage).to_byte_array(), preimage)
}

/// Whether a block could contain these bytes as a transaction. Of honest nodes one in 2^40 does.
fn reads_as_transaction(preimage: &[u8; NODE_BYTES]) -> bool {
    let Ok(transaction) = deserialize::<Transaction>(preimage) else {
        return false;
    };
    let plain = transaction
        .input
        .iter()
        .all(|input| input.witness.is_empty());
    let affordable = |value: Amount| value <= Amount::MAX_MONEY;
    let outputs = &transaction.output;
    plain && !transaction.input.is_empty() && outputs.iter().all(|output| affordable(output.value))
}

#[cfg(test)]
mod tests {
    use bitcoin::{
        absolute::LockTime, consensus::serialize, merkle_tree, transaction::Version, OutPoint,
        ScriptBuf, Sequence, TxIn, TxOut, Witness,
    };

    use super::*;

    fn txids(count: u8) -> Vec<Txid> {
        (0..count)
            .map(|n| Txid::from_byte_array([n + 1; 32]))
            .collect()
    }

    fn root(txids: &[Txid]) -> TxMerkleNode {
        let root = merkle_tree::calculate_root(txids.iter().map(|id| id.to_raw_hash())).unwrap();
        TxMerkleNode::from_raw_hash(root)
    }

    #[test]
    fn every_place_of_every_tree_is_proved() {
        for count in 1..40 {
            let txids = txids(count);
            for (place, txid) in txids.iter().enumerate() {
                let branch = MerkleBranch::of(&txids, place).unwrap();
                assert_eq!(
                    branch.check(*txid, root(&txids)),
                    Ok(()),
                    "{place} of {count}"
                );
                let other = Txid::from_byte_array([0xee; 32]);
                assert!(branch.check(other, root(&txids)).is_err());
            }
            assert_eq!(MerkleBranch::of(&txids, txids.len()), None);
        }
    }

    #[test]
    fn the_place_must_exist() {
        let txids = txids(4);
        let mut branch = MerkleBranch::of(&txids, 1).unwrap();
        branch.position += 4;
        assert!(matches!(
            branch.check(txids[1], root(&txids)),
            Err(MerkleError::NoSuchPlace { .. })
        ));
        branch.hashes = vec![branch.hashes[0]; MAX_MERKLE_DEPTH + 1];
        assert!(matches!(
            branch.check(txids[1], root(&txids)),
            Err(MerkleError::TooDeep(_))
        ));
    }

    /// A real transaction of 64 bytes, whose last 32 are shown as the id of one that no block contains.
    #[test]
    fn a_transaction_is_no_inner_node() {
        let small = Transaction {
            version: Version::ONE,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::new(Txid::from_byte_array([5; 32]), 0),
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![TxOut {
                value: Amount::from_sat(1000),
                script_pubkey: ScriptBuf::from(vec![0x51; 4]),
            }],
        };
        let bytes: [u8; 64] = serialize(&small).try_into().unwrap();
        let mut txids = txids(3);
        txids.push(small.compute_txid());
        let honest = MerkleBranch::of(&txids, 3).unwrap();
        assert_eq!(honest.check(txids[3], root(&txids)), Ok(()));

        let half = |at| <[u8; 32]>::try_from(&bytes[at..at + 32]).unwrap();
        let invented = Txid::from_byte_array(half(32));
        let mut hashes = vec![TxMerkleNode::from_byte_array(half(0))];
        hashes.extend(&honest.hashes);
        let forged = MerkleBranch {
            position: 2 * 3 + 1,
            hashes,
        };
        assert_eq!(
            forged.check(invented, root(&txids)),
            Err(MerkleError::DisguisedTransaction(0))
        );
    }
}
