//! Transactions of ours: put together, stored before anyone hears of them, and turned into notes afterwards.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::secp256k1::{schnorr::Signature, Keypair, Message, SecretKey};
use guildmint_core::{encoding::hex_bytes, Amount, Item, PeerId, Transaction, TxId, Wire};
use guildmint_ln::client::LnClient;
use guildmint_mint::{
    client::{FinalizeError, Held, MintClient, NoteRequest, SelectError, SpendableNote},
    Denomination, MintOutcome, PointBytes,
};
use secp256k1::SECP256K1;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    error::ClientError,
    federation::Federation,
    operation::OperationId,
    rows::{Coin, CoinRow, MakingRow, NextNote, PaymentRow, Rows},
};

/// A transaction that is not settled. Stored until it is: after any crash the same bytes are submitted again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Payment {
    /// Whose it is.
    pub operation: OperationId,
    /// The canonical bytes.
    #[serde(with = "hex_bytes")]
    pub transaction: Vec<u8>,
    /// Where our notes begin among the outputs.
    pub first_note: u16,
    /// The notes asked for, in the order of the outputs.
    pub notes: Vec<NoteRequest>,
    /// The notes spent that were in the wallet.
    pub coins: Vec<NoteRequest>,
}

/// An input that is no note of the wallet: what it is, and whose key signs for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Input {
    pub item: Item,
    pub key: InputKey,
}

/// A key that signs for an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum InputKey {
    /// That of a note which somebody gave.
    Note(SpendableNote),
    /// That of the deposit address with this index.
    Deposit(u64),
    /// The refund key of the Lightning contract with this index, in which there is so much.
    Refund { index: u64, amount: Amount },
    /// The claim key of the Lightning offer with this index, whose contract holds so much.
    Claim { index: u64, amount: Amount },
    /// One that came with an errand, whose input is worth this.
    Errand { amount: Amount, key: SecretKey },
}

fn ln(federation: &Federation) -> Result<&LnClient, ClientError> {
    federation.ln.as_ref().ok_or(ClientError::NoLightning)
}

impl Input {
    fn sign(&self, federation: &Federation, txid: TxId) -> Result<Signature, ClientError> {
        match &self.key {
            InputKey::Note(note) => Ok(note.sign(txid)),
            InputKey::Errand { key, .. } => {
                let pair = Keypair::from_secret_key(SECP256K1, key);
                let message = Message::from_digest(txid.0);
                Ok(SECP256K1.sign_schnorr_no_aux_rand(&message, &pair))
            }
            InputKey::Deposit(index) => {
                let signature = federation.wallet.sign(*index, txid);
                signature.map_err(|error| ClientError::Federation(error.to_string()))
            }
            InputKey::Refund { index, .. } => {
                let signature = ln(federation)?.sign_refund(*index, txid);
                signature.map_err(|error| ClientError::Federation(error.to_string()))
            }
            InputKey::Claim { index, .. } => {
                let signature = ln(federation)?.sign_claim(*index, txid);
                signature.map_err(|error| ClientError::Federation(error.to_string()))
            }
        }
    }
}

/// What it takes to make a payment anew, if fees change before it is settled (SPEC GEN-6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Making {
    /// The revision by whose fees it was made.
    pub revision: u32,
    /// Its inputs that are no notes of the wallet.
    pub inputs: Vec<Input>,
}

/// The parts of a transaction. Whoever drafts it sees to it that it balances.
#[derive(Default)]
pub(crate) struct Draft {
    /// Inputs from elsewhere.
    pub inputs: Vec<Input>,
    /// Notes of the wallet that must be spent, be another payment to spend them or not.
    pub coins: Vec<NoteRequest>,
    /// Values of notes to spend from the wallet.
    pub spend: Vec<Denomination>,
    /// Outputs to others.
    pub outputs: Vec<Item>,
    /// Values of notes to ask for.
    pub issue: Vec<Denomination>,
}

/// Notes that can be spent, by value.
pub(crate) fn held(rows: &Rows) -> Held {
    let mut held = Held::new();
    for (CoinRow(request), coin) in rows.scan::<CoinRow>() {
        if coin.spent_by.is_none() {
            *held.entry(request.denomination).or_default() += 1;
        }
    }
    held
}

/// What comes back of the wallet's own notes, whatever becomes of the transactions that are to spend them.
pub(crate) fn change_on_its_way(rows: &Rows) -> Amount {
    let worth = |coins: &[NoteRequest]| {
        let values = coins.iter().map(|coin| coin.denomination.amount());
        Amount::sum(values).unwrap_or(Amount::MAX)
    };
    let payments = rows.scan::<PaymentRow>().into_iter();
    let change = payments.map(|(_, payment)| payment.asked().min(worth(&payment.coins)));
    Amount::sum(change).unwrap_or(Amount::MAX)
}

/// Picks notes of these values, the oldest of each first.
pub(crate) fn pick(
    rows: &Rows,
    values: &[Denomination],
) -> Result<Vec<(NoteRequest, SpendableNote)>, ClientError> {
    let mut wanted = values.to_vec();
    let mut picked = Vec::new();
    for (CoinRow(request), coin) in rows.scan::<CoinRow>() {
        let place = wanted
            .iter()
            .position(|value| *value == request.denomination);
        if let (None, Some(place)) = (coin.spent_by, place) {
            wanted.swap_remove(place);
            picked.push((request, coin.note));
        }
    }
    if wanted.is_empty() {
        return Ok(picked);
    }
    Err(ClientError::Exhausted("notes"))
}

/// Puts a transaction together and stores all that it takes to profit from it.
pub(crate) fn prepare(
    rows: &mut Rows,
    federation: &Federation,
    operation: OperationId,
    draft: Draft,
) -> Result<TxId, ClientError> {
    let mint = &federation.mint;
    let mut issue = draft.issue;
    // Sorted: the order must not tell which notes are change.
    issue.sort_unstable();
    let mut spent = Vec::with_capacity(draft.coins.len());
    for coin in draft.coins {
        let held = rows.get(&CoinRow(coin));
        spent.push((coin, held.ok_or(ClientError::Exhausted("notes"))?.note));
    }
    spent.extend(pick(rows, &draft.spend)?);
    let items = draft.inputs.len() + spent.len() + draft.outputs.len() + issue.len();
    let first_note = u16::try_from(draft.outputs.len());
    let first_note = first_note.map_err(|_| ClientError::TooManyNotes(items))?;
    let notes = reserve(rows, &issue)?;
    let mut transaction = Transaction {
        inputs: draft
            .inputs
            .iter()
            .map(|input| input.item.clone())
            .collect(),
        outputs: draft.outputs,
        signatures: Vec::new(),
    };
    transaction
        .inputs
        .extend(spent.iter().map(|(_, note)| mint.input(note)));
    transaction.outputs.extend(mint.outputs(&notes));
    let txid = transaction.id(federation.id);
    for input in &draft.inputs {
        let signature = input.sign(federation, txid)?;
        transaction.signatures.push(Some(signature));
    }
    let ours = spent
        .iter()
        .map(|(_, note)| Some(mint.sign_input(txid, note)));
    transaction.signatures.extend(ours);
    transaction
        .check_structure()
        .map_err(|_| ClientError::TooManyNotes(items))?;
    for (request, note) in &spent {
        let coin = Coin {
            note: note.clone(),
            spent_by: Some(txid),
        };
        rows.put(&CoinRow(*request), &coin);
    }
    let payment = Payment {
        operation,
        transaction: transaction.encode(),
        first_note,
        notes,
        coins: spent.into_iter().map(|(request, _)| request).collect(),
    };
    rows.put(&PaymentRow(txid), &payment);
    let making = Making {
        revision: federation.latest.number,
        inputs: draft.inputs,
    };
    rows.put(&MakingRow(txid), &making);
    Ok(txid)
}

/// Indices for new notes. They are used up even if nothing comes of it: a second use would show that two notes are of one
/// wallet, and be refused.
fn reserve(rows: &mut Rows, values: &[Denomination]) -> Result<Vec<NoteRequest>, ClientError> {
    let mut requests = Vec::with_capacity(values.len());
    for value in values {
        let index = rows.count_up(&NextNote(value.exponent()));
        let index = index.ok_or(ClientError::Exhausted("note indices"))?;
        requests.push(NoteRequest::new(*value, index));
    }
    Ok(requests)
}

/// Why an accepted transaction has not become notes: too few good shares so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// Guardians whose shares are wrong.
    pub culprits: BTreeSet<PeerId>,
}

impl Payment {
    /// What the notes asked for are worth.
    pub(crate) fn asked(&self) -> Amount {
        let values = self.notes.iter().map(|note| note.denomination.amount());
        Amount::sum(values).unwrap_or(Amount::MAX)
    }

    /// Makes the notes of what guardians told about the outputs.
    pub(crate) fn finish(
        &self,
        mint: &MintClient,
        outcomes: &BTreeMap<PeerId, Vec<Json>>,
    ) -> Result<Vec<SpendableNote>, Unfinished> {
        let mut culprits = BTreeSet::new();
        let mut readable: BTreeMap<PeerId, Vec<PointBytes>> = BTreeMap::new();
        for (peer, told) in outcomes {
            match self.shares(told) {
                Some(shares) => {
                    readable.insert(*peer, shares);
                }
                None => {
                    culprits.insert(*peer);
                }
            }
        }
        let requests = self.notes.iter().enumerate().map(|(place, request)| {
            let shares = readable.iter();
            let shares = shares.filter_map(|(peer, shares)| Some((*peer, *shares.get(place)?)));
            (*request, shares.collect())
        });
        match mint.finalize_all(&requests.collect::<Vec<_>>()) {
            Ok(all) => Ok(all.into_iter().map(|one| one.note).collect()),
            Err(error) => {
                if let FinalizeError::NotEnough { culprits: more, .. } = error {
                    culprits.extend(more);
                }
                Err(Unfinished { culprits })
            }
        }
    }

    /// A guardian's share on each note, if it told all of them.
    fn shares(&self, told: &[Json]) -> Option<Vec<PointBytes>> {
        let mine = told
            .get(usize::from(self.first_note)..)?
            .get(..self.notes.len())?;
        let outcomes = mine
            .iter()
            .cloned()
            .map(serde_json::from_value::<MintOutcome>);
        outcomes.map(|outcome| Some(outcome.ok()?.share)).collect()
    }
}

/// Ends a payment that was accepted: what it spent is gone, what it asked for is here.
pub(crate) fn settle(rows: &mut Rows, txid: TxId, payment: &Payment, notes: Vec<SpendableNote>) {
    for coin in &payment.coins {
        rows.remove(&CoinRow(*coin));
    }
    for (request, note) in payment.notes.iter().zip(notes) {
        let spent_by = None;
        rows.put(&CoinRow(*request), &Coin { note, spent_by });
    }
    forget(rows, txid);
}

/// Ends a payment that can never be accepted: what it would have spent is free again, unless another payment is about to spend it.
pub(crate) fn release(rows: &mut Rows, txid: TxId, payment: &Payment) {
    for request in &payment.coins {
        mark(rows, *request, Some(txid), None);
    }
    forget(rows, txid);
}

/// Takes a payment out of the wallet's memory.
pub(crate) fn forget(rows: &mut Rows, txid: TxId) {
    rows.remove(&PaymentRow(txid));
    rows.remove(&MakingRow(txid));
}

/// Lets a payment that is not settled have its notes back from another one.
pub(crate) fn hand_back(rows: &mut Rows, txid: TxId) {
    let payment = rows.get(&PaymentRow(txid));
    for request in payment.iter().flat_map(|payment| &payment.coins) {
        mark(rows, *request, None, Some(txid));
    }
}

fn mark(rows: &mut Rows, request: NoteRequest, from: Option<TxId>, to: Option<TxId>) {
    let coin = rows.get(&CoinRow(request));
    if let Some(coin) = coin.filter(|coin| coin.spent_by == from) {
        let spent_by = to;
        rows.put(&CoinRow(request), &Coin { spent_by, ..coin });
    }
}

impl From<SelectError> for ClientError {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::Insufficient { have, need } => Self::InsufficientFunds {
                needed: need,
                available: have,
            },
            SelectError::NotExact(amount) => Self::CannotBalance(amount),
            SelectError::TooManyNotes => {
                Self::TooManyNotes(guildmint_mint::client::MAX_TRANSACTION_NOTES)
            }
        }
    }
}
