//! The wallet's side of the mint: which notes to ask for, what to send, and what to make of the answers. Keeps no state:
//! notes and the next index of each denomination are the wallet's to store.

mod derive;
mod issue;
mod note;
mod notes_string;
mod search;
mod select;

use std::collections::BTreeMap;

use guildmint_core::{FederationId, Item, ModuleId, Quorum, Transaction, TxId};
use guildmint_tbs::PreparedKeySet;
use secp256k1::schnorr::Signature;

use crate::{ConfigError, Denomination, MintConditions, MintConfig, MintOutput, Nonce};

pub use derive::{MasterSeed, NoteRequest};
pub use issue::{FinalizeError, Finalized};
pub use note::SpendableNote;
pub use notes_string::{
    FederationPrefix, NotesString, NotesStringError, OfflineError, MAX_NOTES, NOTES_PREFIX,
};
pub use search::{Search, GAP, SKIPPED};
pub use select::{Funding, Held, SelectError, Tariff, MAX_TRANSACTION_NOTES};

use derive::FederationSecret;

/// A wallet's view of one mint, with the secrets from which its notes are derived.
pub struct MintClient {
    federation: FederationId,
    module: ModuleId,
    config: MintConfig,
    keys: BTreeMap<Denomination, PreparedKeySet>,
    tariff: Tariff,
    secret: FederationSecret,
}

/// Shows no secret.
impl std::fmt::Debug for MintClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MintClient")
            .field("federation", &self.federation)
            .field("module", &self.module)
            .finish_non_exhaustive()
    }
}

impl MintClient {
    /// The client of the mint that is `module` in `federation`.
    ///
    /// # Errors
    /// If the config is not that of a federation with such a quorum.
    pub fn new(
        federation: FederationId,
        module: ModuleId,
        quorum: Quorum,
        config: MintConfig,
        seed: &MasterSeed,
    ) -> Result<Self, ConfigError> {
        config.validate(quorum)?;
        let prepare = |(denomination, keys): (&Denomination, &guildmint_tbs::PublicKeySet)| {
            (*denomination, PreparedKeySet::from(keys.clone()))
        };
        Ok(Self {
            federation,
            module,
            keys: config.keys.iter().map(prepare).collect(),
            tariff: Tariff::from(&config),
            config,
            secret: FederationSecret::new(seed, federation),
        })
    }

    /// The federation.
    #[must_use]
    pub fn federation(&self) -> FederationId {
        self.federation
    }

    /// The number of the mint in the federation.
    #[must_use]
    pub fn module(&self) -> ModuleId {
        self.module
    }

    /// Goes by other conditions, which guardians have agreed on.
    pub fn revise(&mut self, conditions: MintConditions) {
        self.config.input_fee = conditions.input_fee;
        self.config.output_fee = conditions.output_fee;
        self.tariff = Tariff::from(&self.config);
    }

    /// The mint's keys and fees.
    #[must_use]
    pub fn config(&self) -> &MintConfig {
        &self.config
    }

    /// The arithmetic of amounts and notes with this mint's denominations and fees.
    #[must_use]
    pub fn tariff(&self) -> &Tariff {
        &self.tariff
    }

    /// What the guardians are asked to sign for each of these notes, in the same order. Costs 0.3 ms of computing a note.
    #[must_use]
    pub fn blinded(&self, requests: &[NoteRequest]) -> Vec<MintOutput> {
        issue::blinded(&self.secret, requests)
    }

    /// The same as transaction outputs.
    #[must_use]
    pub fn outputs(&self, requests: &[NoteRequest]) -> Vec<Item> {
        let outputs = self.blinded(requests);
        let item = |output: &MintOutput| Item::new(self.module, output);
        outputs.iter().map(item).collect()
    }

    /// The nonce of a note, issued or not: what recovery looks for among the spent ones.
    #[must_use]
    pub fn nonce(&self, request: &NoteRequest) -> Nonce {
        note::nonce(&self.secret.note(request).spend_key())
    }

    /// The transaction input that spends a note.
    #[must_use]
    pub fn input(&self, note: &SpendableNote) -> Item {
        Item::new(self.module, note.note())
    }

    /// The signature that a transaction needs for this note's input (SPEC TX-3).
    #[must_use]
    pub fn sign_input(&self, id: TxId, note: &SpendableNote) -> Signature {
        note.sign(id)
    }

    /// A signed transaction that spends `notes` and nothing else.
    #[must_use]
    pub fn transaction(&self, notes: &[SpendableNote], outputs: Vec<Item>) -> Transaction {
        let mut transaction = Transaction {
            inputs: notes.iter().map(|note| self.input(note)).collect(),
            outputs,
            signatures: Vec::new(),
        };
        let id = transaction.id(self.federation);
        let sign = |note| Some(self.sign_input(id, note));
        transaction.signatures = notes.iter().map(sign).collect();
        transaction
    }
}
