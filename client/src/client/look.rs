//! What can be seen of a wallet without asking anybody.

use std::collections::BTreeMap;

use guildmint_core::{Amount, FederationId, GenesisConfig, PeerId};
use guildmint_mint::{client::NotesString, Nonce, PointBytes};
use serde::Serialize;

use super::{Asker, Client};
use crate::{
    errand::{ErrandName, ErrandView},
    error::ClientError,
    event::Payable,
    operation::{Bill, Operation, OperationId, Phase, View},
    payment::held,
    rows::{CoinRow, ErrandRow, OperationRow, PaymentRow, Unrestored},
    submission::Standing,
};

/// What is in the wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// Notes that can be spent now.
    #[serde(rename = "balance_msat")]
    pub spendable: Amount,
    /// Notes and deposits that will be there if all goes well.
    #[serde(rename = "pending_msat")]
    pub pending: Amount,
    /// Money in contracts of payments over Lightning that have not ended: a gateway's if it pays, and the wallet's if not. Left out if there is
    /// none.
    #[serde(rename = "locked_msat", skip_serializing_if = "is_nothing")]
    pub locked: Amount,
}

fn is_nothing(amount: &Amount) -> bool {
    *amount == Amount::ZERO
}

/// Notes of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NoteCount {
    /// What one of them is worth.
    #[serde(rename = "denomination_msat")]
    pub denomination: Amount,
    /// How many there are.
    pub count: u64,
}

/// A note as anyone may see it, with the key that verifies it: no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoteView {
    /// What it is worth if it is genuine.
    #[serde(rename = "denomination_msat")]
    pub denomination: Amount,
    /// Its name; the signature is on the byte 1 and these 32.
    pub nonce: Nonce,
    /// A BLS signature of `BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_`, 48 bytes.
    pub signature: PointBytes,
    /// The federation's key for this denomination, a compressed point of G2, in hexadecimal; null if it has none.
    pub public_key: Option<String>,
}

/// The federation that the wallet has joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FederationView {
    /// Its name for programs.
    pub federation: FederationId,
    /// Its name for people. Hostile text.
    pub name: String,
    /// The number of the last revision of its config that is known; 0 if none.
    pub revision: u32,
    /// The bitcoin network.
    pub network: String,
    /// Guardians that are needed to decide.
    pub threshold: usize,
    /// The guardians.
    pub guardians: BTreeMap<u16, GuardianView>,
}

/// One guardian.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuardianView {
    /// Its name for people. Hostile text.
    pub name: String,
    /// Where its API is, as far as we know. Hostile text.
    pub api: Option<String>,
}

/// What a federation takes for contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContractCosts {
    /// For funding one.
    pub fund: Amount,
    /// For spending one.
    pub spend: Amount,
}

impl Client {
    /// What the federation takes for contracts by the conditions that count now, when a contract is paid with so many notes, as many come back
    /// as change, and as many come of what was in one. None if it has no Lightning.
    #[must_use]
    pub fn contract_costs(&self, notes: u64) -> Option<ContractCosts> {
        let (fees, tariff) = (
            self.federation.ln.as_ref()?.config().fees,
            self.federation.mint.tariff(),
        );
        let times = |fee: Amount| {
            Amount::from_msat(fee.msat().saturating_mul(notes)).unwrap_or(Amount::MAX)
        };
        let sum = |one: Amount, other| one.checked_add(other).unwrap_or(Amount::MAX);
        let issuing = times(tariff.output_fee);
        Some(ContractCosts {
            fund: sum(fees.contract, sum(times(tariff.input_fee), issuing)),
            spend: sum(fees.spend, issuing),
        })
    }

    /// What is in the wallet.
    #[must_use]
    pub fn balance(&self) -> Balance {
        let sum = |amounts: Vec<Amount>| Amount::sum(amounts).unwrap_or(Amount::MAX);
        let (coins, payments) = (self.rows.scan::<CoinRow>(), self.rows.scan::<PaymentRow>());
        let spendable = coins.iter().filter(|(_, coin)| coin.spent_by.is_none());
        let operations = self.rows.scan::<OperationRow>();
        let expected = operations
            .iter()
            .map(|(_, record)| record.operation.expected());
        let locked = operations
            .iter()
            .map(|(_, record)| record.operation.locked());
        let asked = payments.iter().map(|(_, payment)| payment.asked());
        Balance {
            spendable: sum(spendable
                .map(|(row, _)| row.0.denomination.amount())
                .collect()),
            pending: sum(asked.chain(expected).collect()),
            locked: sum(locked.collect()),
        }
    }

    /// Notes that can be spent, by value.
    #[must_use]
    pub fn notes(&self) -> Vec<NoteCount> {
        held(&self.rows)
            .into_iter()
            .map(|(value, count)| NoteCount {
                denomination: value.amount(),
                count,
            })
            .collect()
    }

    /// All operations, the oldest first.
    #[must_use]
    pub fn operations(&self) -> Vec<View> {
        let rows = self.rows.scan::<OperationRow>().into_iter();
        rows.map(|(OperationRow(id), record)| record.view(id))
            .collect()
    }

    /// One operation.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn operation(&self, id: OperationId) -> Result<View, ClientError> {
        let record = self.rows.get(&OperationRow(id));
        let record = record.ok_or(ClientError::NoSuchOperation(id))?;
        Ok(record.view(id))
    }

    /// An errand, if one of this name was ever begun.
    #[must_use]
    pub fn errand(&self, name: ErrandName) -> Option<ErrandView> {
        let operation = self.rows.get(&ErrandRow(name))?;
        let record = self.rows.get(&OperationRow(operation))?;
        let Operation::Errand(errand) = record.operation else {
            return None;
        };
        let state = errand.state();
        Some(ErrandView { operation, state })
    }

    /// The federation's config as it was founded with. Fees in it may have been revised.
    #[must_use]
    pub fn genesis(&self) -> &GenesisConfig {
        &self.federation.genesis
    }

    /// Whether nothing can be derived from the words yet, because what they had is not found again.
    #[must_use]
    pub fn is_unrestored(&self) -> bool {
        self.rows.get(&Unrestored(())).is_some()
    }

    /// All notes, those included whose transaction is not accepted yet.
    #[must_use]
    pub fn owned(&self) -> Amount {
        let coins = self.rows.scan::<CoinRow>().into_iter();
        let values = coins.map(|(row, _)| row.0.denomination.amount());
        Amount::sum(values).unwrap_or(Amount::MAX)
    }

    /// The notes that can be spent now: of [`Client::balance`] the part that is cheap to tell.
    #[must_use]
    pub fn spendable(&self) -> Amount {
        let coins = self.rows.scan::<CoinRow>();
        let free = coins.iter().filter(|(_, coin)| coin.spent_by.is_none());
        Amount::sum(free.map(|(row, _)| row.0.denomination.amount())).unwrap_or(Amount::MAX)
    }

    /// Whether anything goes on by itself while the program runs.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.operations()
            .iter()
            .any(|view| view.phase == Phase::Pending)
    }

    /// Whether the chain, guardians or a gateway are being asked about an operation, and have told nothing yet.
    #[must_use]
    pub fn is_looking(&self, id: OperationId) -> bool {
        let mut questions = self.questions.values();
        let asks = |asker: &Asker| matches!(asker, Asker::Operation(asking) if *asking == id);
        self.looking.contains(&id)
            || questions.any(|(asker, _)| asks(asker))
            || self.lightning.is_looking(id)
    }

    /// The operation that pays on the hash of this, or has: the same is never paid twice.
    ///
    /// # Errors
    /// If it is nothing that could be paid.
    pub fn paying(&self, payable: &Payable) -> Result<Option<OperationId>, ClientError> {
        let hash = Bill::hash_of(payable, self.federation.network)?;
        let known = self.rows.scan::<OperationRow>().into_iter().rev().find(
            |(_, record)| matches!(&record.operation, Operation::LnPay(pay) if pay.is_on(hash)),
        );
        Ok(known.map(|(OperationRow(operation), _)| operation))
    }

    /// What keeps an operation from getting on: what the guardians say of its transactions, or that the chain could not be looked
    /// at, or its gateway not be asked.
    #[must_use]
    pub fn obstacle(&self, id: OperationId) -> Option<ClientError> {
        let blind = self.blind.get(&id).cloned().map(ClientError::Chain);
        let restoring = || match self.rows.get(&OperationRow(id))?.operation {
            Operation::Restore(restore) => restore.trouble().cloned().map(ClientError::from),
            _ => None,
        };
        let gateway = || self.lightning.trouble(id).map(ClientError::GatewayTrouble);
        self.submission_obstacle(id)
            .or(blind)
            .or_else(restoring)
            .or_else(gateway)
    }

    fn submission_obstacle(&self, id: OperationId) -> Option<ClientError> {
        let needed = self.federation.quorum.threshold();
        let ours = self
            .submissions
            .values()
            .filter(|(operation, _)| *operation == id);
        ours.map(|(_, submission)| submission)
            .find_map(|submission| match submission.standing() {
                Standing::Open(Some(reject)) => Some(reject.into()),
                Standing::Open(None) if submission.heard() < needed => {
                    let answered = submission.heard();
                    Some(ClientError::TooFewGuardians { answered, needed })
                }
                _ => None,
            })
    }

    /// The federation.
    #[must_use]
    pub fn federation(&self) -> FederationView {
        let guardian = |peer: PeerId| GuardianView {
            name: self.federation.guardians[usize::from(peer.0)].clone(),
            api: self.federation.apis.get(&peer).cloned(),
        };
        FederationView {
            federation: self.federation.id,
            name: self.federation.name.clone(),
            revision: self.federation.latest.number,
            network: self.federation.network.to_string(),
            threshold: self.federation.quorum.threshold(),
            guardians: self
                .federation
                .quorum
                .peers()
                .map(|peer| (peer.0, guardian(peer)))
                .collect(),
        }
    }

    /// Where guardians can be asked.
    #[must_use]
    pub fn apis(&self) -> &BTreeMap<PeerId, String> {
        &self.federation.apis
    }

    /// Electrum servers that the federation recommends.
    #[must_use]
    pub fn electrum(&self) -> &[String] {
        &self.federation.wallet.config().electrum
    }

    /// What anyone may see of notes, to verify them with other software.
    #[must_use]
    pub fn decode(&self, notes: &NotesString) -> Vec<NoteView> {
        let keys = &self.federation.mint.config().keys;
        let view = |note: &guildmint_mint::Note| NoteView {
            denomination: note.amount(),
            nonce: note.nonce,
            signature: note.signature,
            public_key: keys
                .get(&note.denomination)
                .map(|keys| hex::encode(keys.aggregate().to_bytes())),
        };
        notes.notes().iter().map(|note| view(note.note())).collect()
    }
}
