//! The alone stage: everything about a transaction that needs no state, among it everything that is slow. Runs on workers,
//! many transactions at once; what comes out has proof in its type that it was checked.

use std::collections::BTreeMap;

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{module::Reject, ModuleId, Transaction, TxId};

use crate::{Federation, Versions};

/// A transaction whose structure, signatures and proofs hold. Only this module makes one.
#[derive(Debug, Clone)]
pub struct Checked {
    transaction: Transaction,
    id: TxId,
    keys: Vec<Option<XOnlyPublicKey>>,
}

impl Checked {
    /// The transaction.
    #[must_use]
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> TxId {
        self.id
    }

    /// The keys that signed it, one for each input.
    #[must_use]
    pub fn keys(&self) -> &[Option<XOnlyPublicKey>] {
        &self.keys
    }
}

impl Federation {
    /// Checks transactions alone, by the versions that count in an epoch, and answers for each of them. Their proofs are verified
    /// as one batch; only if that fails is the culprit looked for.
    pub fn check_each(
        &self,
        transactions: Vec<Transaction>,
        versions: &Versions,
    ) -> Vec<Result<Checked, Reject>> {
        let mut checked: Vec<Result<Checked, Reject>> = transactions
            .into_iter()
            .map(|transaction| self.check_cheaply(transaction, versions))
            .collect();
        let good: Vec<&Checked> = checked.iter().flatten().collect();
        let mut hold = self.each_proof_holds(&good).into_iter();
        for one in &mut checked {
            if one.is_ok() && hold.next() == Some(false) {
                *one = Err(Reject::permanent(
                    "invalid_proof",
                    "the proof of an input is wrong, for instance a note that this federation did not sign",
                ));
            }
        }
        checked
    }

    /// Whose proofs hold. ⚠ Halves that do not hold are halved again: one bad transaction among many costs its sender's
    /// neighbours little.
    fn each_proof_holds(&self, transactions: &[&Checked]) -> Vec<bool> {
        if transactions.is_empty() || self.proofs_hold(transactions) {
            return vec![true; transactions.len()];
        }
        if transactions.len() == 1 {
            return vec![false];
        }
        let (left, right) = transactions.split_at(transactions.len() / 2);
        let mut hold = self.each_proof_holds(left);
        hold.extend(self.each_proof_holds(right));
        hold
    }

    /// Checks the transactions of one contribution: all hold, or the contribution counts as empty (SPEC TX-5).
    ///
    /// # Errors
    /// What is wrong with the first bad one, as far as that is known without looking for it.
    pub fn check_all(
        &self,
        transactions: Vec<Transaction>,
        versions: &Versions,
    ) -> Result<Vec<Checked>, Reject> {
        let checked = transactions
            .into_iter()
            .map(|transaction| self.check_cheaply(transaction, versions))
            .collect::<Result<Vec<_>, _>>()?;
        if self.proofs_hold(&checked.iter().collect::<Vec<_>>()) {
            Ok(checked)
        } else {
            Err(Reject::permanent("invalid_proof", "a proof is wrong"))
        }
    }

    /// Takes transactions of an epoch that f + 1 guardians certified: an honest one among them has checked the proofs.
    pub(crate) fn trust(&self, transactions: Vec<Transaction>) -> Result<Vec<Checked>, Reject> {
        let keys = |transaction: Transaction| {
            Ok(Checked {
                id: self.txid(&transaction),
                keys: self.check_items(&transaction)?,
                transaction,
            })
        };
        transactions.into_iter().map(keys).collect()
    }

    fn check_cheaply(
        &self,
        transaction: Transaction,
        versions: &Versions,
    ) -> Result<Checked, Reject> {
        transaction
            .check_structure()
            .map_err(|error| Reject::permanent("malformed", error))?;
        self.check_versions(&transaction, versions)?;
        let keys = self.check_items(&transaction)?;
        let id = self.txid(&transaction);
        transaction
            .check_signatures(id, &keys)
            .map_err(|error| Reject::permanent("invalid_signature", error))?;
        Ok(Checked {
            transaction,
            id,
            keys,
        })
    }

    /// ⚠ Whoever does not know a version cannot read what is new in it, and takes a contribution that has it as empty. So must all,
    /// until it is agreed (SPEC GEN-4).
    fn check_versions(&self, transaction: &Transaction, versions: &Versions) -> Result<(), Reject> {
        let inputs = transaction.inputs.iter().map(|item| (item, true));
        let outputs = transaction.outputs.iter().map(|item| (item, false));
        for (item, is_input) in inputs.chain(outputs) {
            let module = self.module(item.module)?;
            let agreed = versions.of(item.module);
            // One that knows nothing newer reads nothing newer.
            if module.version() <= agreed {
                continue;
            }
            let needed = match is_input {
                true => module.input_version(&item.bytes),
                false => module.output_version(&item.bytes),
            };
            if needed > agreed {
                let kind = module.kind();
                let message = format!("this is of version {needed} of the {kind} module, and guardians have agreed on {agreed} as yet");
                return Err(Reject::retryable("version_not_agreed", message));
            }
        }
        Ok(())
    }

    fn check_items(
        &self,
        transaction: &Transaction,
    ) -> Result<Vec<Option<XOnlyPublicKey>>, Reject> {
        for output in &transaction.outputs {
            self.module(output.module)?.check_output(&output.bytes)?;
        }
        let key =
            |input: &guildmint_core::Item| self.module(input.module)?.check_input(&input.bytes);
        transaction.inputs.iter().map(key).collect()
    }

    fn proofs_hold(&self, transactions: &[&Checked]) -> bool {
        let mut inputs: BTreeMap<ModuleId, Vec<&[u8]>> = BTreeMap::new();
        for checked in transactions {
            for input in &checked.transaction.inputs {
                inputs.entry(input.module).or_default().push(&input.bytes);
            }
        }
        inputs.into_iter().all(|(module, inputs)| {
            self.module(module)
                .is_ok_and(|module| module.proofs_hold(&inputs))
        })
    }
}

#[cfg(test)]
impl Checked {
    /// A transaction that was never checked, for tests of what only carries it about.
    pub(crate) fn unchecked(transaction: Transaction) -> Self {
        Self {
            id: transaction.id(guildmint_core::FederationId::default()),
            keys: Vec::new(),
            transaction,
        }
    }
}
