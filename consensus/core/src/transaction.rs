//! Transactions: inputs and outputs of any modules, mixed freely (SPEC TX).

use bitcoin::secp256k1::{schnorr::Signature, XOnlyPublicKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    encoding::{hex_bytes, write, Wire},
    hash::{FederationId, Tagged, TxId},
    limits,
};

/// Names a module within a federation, by the number that the genesis config gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModuleId(pub u16);

impl std::fmt::Display for ModuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "module {}", self.0)
    }
}

/// An input or output as the core sees it: whose it is, and bytes that only that module reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Item {
    /// The module that the item belongs to.
    pub module: ModuleId,
    /// The module's own encoding of it.
    #[serde(with = "hex_bytes")]
    pub bytes: Vec<u8>,
}

impl Item {
    /// Encodes a module's input or output.
    pub fn new(module: ModuleId, item: &impl Wire) -> Self {
        Self {
            module,
            bytes: item.encode(),
        }
    }
}

/// One output of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutPoint {
    /// The transaction.
    pub txid: TxId,
    /// The output's place in it, from 0.
    pub index: u16,
}

impl std::fmt::Display for OutPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.txid, self.index)
    }
}

/// A transaction: all of it happens, or nothing (SPEC TX-1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_TRANSACTION_BYTES)]
pub struct Transaction {
    /// Where the money comes from.
    pub inputs: Vec<Item>,
    /// Where it goes. Inputs = outputs + fees, exactly (SPEC TX-4).
    pub outputs: Vec<Item>,
    /// One BIP-340 signature over the [`TxId`] for each input, in their order; `None` for inputs without a key (SPEC TX-3).
    pub signatures: Vec<Option<Signature>>,
}

impl Transaction {
    /// The id in a federation: what the signatures sign (SPEC TX-2).
    #[must_use]
    pub fn id(&self, federation: FederationId) -> TxId {
        let mut items = Vec::new();
        write(&mut items, &self.inputs);
        write(&mut items, &self.outputs);
        TxId(
            Tagged::new("guildmint/transaction")
                .add(federation)
                .add([Self::VERSION])
                .add(items)
                .finish(),
        )
    }

    /// Checks what needs no knowledge at all: sizes and counts.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn check_structure(&self) -> Result<(), StructureError> {
        let items = self.inputs.len() + self.outputs.len();
        if items > limits::MAX_ITEMS {
            return Err(StructureError::TooManyItems(items));
        }
        if self.inputs.is_empty() {
            return Err(StructureError::NoInput);
        }
        if self.signatures.len() != self.inputs.len() {
            return Err(StructureError::SignatureCount {
                inputs: self.inputs.len(),
                signatures: self.signatures.len(),
            });
        }
        let bytes = self.encode().len();
        if bytes > limits::MAX_TRANSACTION_BYTES {
            return Err(StructureError::TooLarge(bytes));
        }
        Ok(())
    }

    /// Checks that each input's key signed the transaction.
    ///
    /// `keys` has one entry per input; `None` where the module asks for no signature.
    ///
    /// # Errors
    /// Names the first input whose signature is missing, wrong, or there although none is due: a transaction must have
    /// one form only.
    pub fn check_signatures(
        &self,
        id: TxId,
        keys: &[Option<XOnlyPublicKey>],
    ) -> Result<(), SignatureError> {
        let secp = secp256k1::SECP256K1;
        let message = bitcoin::secp256k1::Message::from_digest(id.0);
        for (input, (key, signature)) in keys.iter().zip(&self.signatures).enumerate() {
            match (key, signature) {
                (None, None) => {}
                (Some(key), Some(signature)) => secp
                    .verify_schnorr(signature, &message, key)
                    .map_err(|_| SignatureError::Wrong { input })?,
                (Some(_), None) => return Err(SignatureError::Absent { input }),
                (None, Some(_)) => return Err(SignatureError::Superfluous { input }),
            }
        }
        Ok(())
    }
}

/// A transaction that no module needs to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StructureError {
    /// More inputs and outputs than [`limits::MAX_ITEMS`].
    #[error("{0} inputs and outputs; at most {max} are allowed", max = limits::MAX_ITEMS)]
    TooManyItems(usize),
    /// Nothing is spent.
    #[error("the transaction has no input")]
    NoInput,
    /// Signatures and inputs do not pair up.
    #[error("{signatures} signatures for {inputs} inputs")]
    SignatureCount {
        /// How many inputs there are.
        inputs: usize,
        /// How many signatures there are.
        signatures: usize,
    },
    /// More bytes than [`limits::MAX_TRANSACTION_BYTES`].
    #[error("{0} bytes; at most {max} are allowed", max = limits::MAX_TRANSACTION_BYTES)]
    TooLarge(usize),
}

/// An input that its owner did not sign, or not alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// No signature where one is due.
    #[error("input {input} is not signed")]
    Absent {
        /// The input's place.
        input: usize,
    },
    /// The signature is not of the input's key over this transaction in this federation.
    #[error("the signature of input {input} is wrong")]
    Wrong {
        /// The input's place.
        input: usize,
    },
    /// A signature where none is due.
    #[error("input {input} needs no signature but has one")]
    Superfluous {
        /// The input's place.
        input: usize,
    },
}

#[cfg(test)]
mod tests {
    use secp256k1::{Keypair, Message, SECP256K1};

    use super::*;

    fn item(byte: u8) -> Item {
        Item {
            module: ModuleId(1),
            bytes: vec![byte],
        }
    }

    fn transaction() -> Transaction {
        Transaction {
            inputs: vec![item(1)],
            outputs: vec![item(2)],
            signatures: vec![None],
        }
    }

    #[test]
    fn the_id_covers_all_but_signatures() {
        let federation = FederationId([1; 32]);
        let id = transaction().id(federation);
        assert_ne!(id, transaction().id(FederationId([2; 32])));
        let mut moved = transaction();
        moved.outputs.insert(0, moved.inputs.remove(0));
        assert_ne!(id, moved.id(federation));
        let key = Keypair::from_seckey_slice(SECP256K1, &[7; 32]).unwrap();
        let mut signed = transaction();
        signed.signatures = vec![Some(
            SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(id.0), &key),
        )];
        assert_eq!(id, signed.id(federation));
        assert_eq!(Transaction::decode(&signed.encode()), Ok(signed));
    }

    #[test]
    fn signatures_are_due_exactly_where_there_is_a_key() {
        let key = Keypair::from_seckey_slice(SECP256K1, &[7; 32]).unwrap();
        let public = Some(key.x_only_public_key().0);
        let mut tx = transaction();
        let id = tx.id(FederationId::default());
        assert_eq!(
            tx.check_signatures(id, &[public]),
            Err(SignatureError::Absent { input: 0 })
        );
        assert_eq!(tx.check_signatures(id, &[None]), Ok(()));
        let sign = |digest| SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(digest), &key);
        tx.signatures = vec![Some(sign(id.0))];
        assert_eq!(tx.check_signatures(id, &[public]), Ok(()));
        assert_eq!(
            tx.check_signatures(id, &[None]),
            Err(SignatureError::Superfluous { input: 0 })
        );
        tx.signatures = vec![Some(sign([0; 32]))];
        assert_eq!(
            tx.check_signatures(id, &[public]),
            Err(SignatureError::Wrong { input: 0 })
        );
    }

    #[test]
    fn structure_is_bounded() {
        assert_eq!(transaction().check_structure(), Ok(()));
        let mut many = transaction();
        many.outputs = vec![item(0); limits::MAX_ITEMS];
        assert_eq!(
            many.check_structure(),
            Err(StructureError::TooManyItems(limits::MAX_ITEMS + 1))
        );
        let mut large = transaction();
        large.outputs[0].bytes = vec![0; limits::MAX_TRANSACTION_BYTES];
        assert!(matches!(
            large.check_structure(),
            Err(StructureError::TooLarge(_))
        ));
        let mut unsigned = transaction();
        unsigned.signatures.clear();
        assert!(unsigned.check_structure().is_err());
        let mut empty = transaction();
        empty.inputs.clear();
        empty.signatures.clear();
        assert_eq!(empty.check_structure(), Err(StructureError::NoInput));
    }
}
