//! Searching the lists for our notes, and having those that are unspent signed again.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::PeerId;
use guildmint_mint::{
    client::{NoteRequest, Search, SpendableNote},
    spent_prefix, MintOutput, PlacedShare, PointBytes, SharesAnswer, KIND, SHARES_PAGE,
};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value as Json};

use super::{after_notes, prefixes, unusable, Found, List, Next, State};
use crate::{
    api::ApiRequest,
    ask::{Finding, Rule},
    operation::{Desk, Happening, Operation},
    rows::{Coin, CoinRow, NextNote, OperationRow, PaymentRow, Rows, SliceRow},
};

/// Notes that are derived in one step: some 80 ms of computing, after which other things have their turn.
const BATCH: usize = 256;

/// Notes and the places in the list of what was issued where they seem to be.
type Places = BTreeMap<NoteRequest, Vec<u64>>;

/// How far the search is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Searching {
    search: Search,
    looked: u64,
    unspent: Places,
}

/// What is yet to be signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Fetching {
    open: Places,
    /// Whether to ask everybody, since the shares of some did not do.
    everybody: bool,
}

impl Searching {
    pub(super) fn new(search: Search) -> Self {
        Self {
            search,
            looked: 0,
            unspent: Places::new(),
        }
    }

    pub(super) fn progress(&self) -> (u64, u64) {
        let total = self.looked.saturating_add(self.search.remaining());
        (self.looked, total)
    }

    pub(super) fn step(mut self, desk: &mut Desk<'_>, found: &mut Found) -> Next {
        let mint = &desk.federation.mint;
        let batch = self.search.batch(BATCH);
        if batch.is_empty() {
            return Next::GoOn(self.finish(desk));
        }
        let issued = mint.find(&batch, prefixes(desk.rows, List::Issued));
        self.search.searched(&batch, issued.keys().copied());
        self.looked = self.looked.saturating_add(batch.len() as u64);
        let by_nonce = issued.into_iter().map(|(request, places)| {
            let nonce = mint.nonce(&request);
            (spent_prefix(&nonce), (request, places))
        });
        let mut ours: BTreeMap<_, _> = by_nonce.collect();
        if !ours.is_empty() {
            for prefix in prefixes(desk.rows, List::Spent) {
                if ours.remove(&prefix).is_some() {
                    found.spent += 1;
                }
            }
        }
        self.unspent.extend(ours.into_values());
        Next::GoOn(State::Searching(self))
    }

    /// ⚠ From here on no index is used that ever was (SPEC MIN-6).
    fn finish(self, desk: &mut Desk<'_>) -> State {
        for denomination in &desk.federation.mint.tariff().denominations {
            let row = NextNote(denomination.exponent());
            let (now, next) = (
                desk.rows.get(&row).unwrap_or(0),
                self.search.next_index(*denomination),
            );
            if next > now {
                desk.rows.put(&row, &next);
            }
        }
        for (row, _) in desk.rows.scan::<SliceRow>() {
            desk.rows.remove(&row);
        }
        Fetching {
            open: self.unspent,
            everybody: false,
        }
        .or_after(desk)
    }
}

impl Fetching {
    fn or_after(self, desk: &mut Desk<'_>) -> State {
        if self.open.is_empty() {
            return after_notes(desk);
        }
        State::Fetching(self)
    }

    pub(super) fn progress(&self, found: u64) -> (u64, u64) {
        (found, found.saturating_add(self.open.len() as u64))
    }

    /// The page of the first place that is open.
    fn page(&self) -> u64 {
        let place = self.open.values().next().and_then(|places| places.first());
        place.copied().unwrap_or(0) / SHARES_PAGE
    }

    pub(super) fn step(self, happening: Happening, desk: &mut Desk<'_>, found: &mut Found) -> Next {
        match happening {
            Happening::Resume | Happening::Time => {
                let request = ApiRequest::Module {
                    kind: KIND,
                    path: "shares".to_owned(),
                    parameters: [("page".to_owned(), self.page().to_string())].into(),
                };
                let rule = if self.everybody {
                    Rule::Each
                } else {
                    Rule::Enough
                };
                desk.ask(request, rule, shares);
                Next::Stay(State::Fetching(self))
            }
            Happening::Found(Finding::Fact(fact)) => self.take(&fact, desk, found),
            Happening::Found(finding) => Next::Later(State::Fetching(self), unusable(&finding)),
            _ => Next::Stay(State::Fetching(self)),
        }
    }

    /// Makes notes of a page of shares.
    fn take(mut self, fact: &Json, desk: &mut Desk<'_>, found: &mut Found) -> Next {
        let page = self.page();
        let told = told(fact, page);
        let first = page.saturating_mul(SHARES_PAGE);
        let here = first..first.saturating_add(SHARES_PAGE);
        let mut in_doubt = false;
        let requests: Vec<NoteRequest> = self.open.keys().copied().collect();
        for request in requests {
            let places = self.open.get(&request).cloned().unwrap_or_default();
            let Some(place) = places.iter().find(|place| here.contains(place)) else {
                continue;
            };
            match judge(request, *place, &told, desk) {
                Judgement::Signed(note) => {
                    keep(request, note, desk.rows, found);
                    self.open.remove(&request);
                }
                Judgement::Foreign => {
                    let others = places.iter().filter(|other| *other != place).copied();
                    let others: Vec<u64> = others.collect();
                    if others.is_empty() {
                        self.open.remove(&request);
                    } else {
                        self.open.insert(request, others);
                    }
                }
                Judgement::Open => in_doubt = true,
            }
        }
        if !in_doubt {
            self.everybody = false;
            return Next::GoOn(self.or_after(desk));
        }
        if self.everybody {
            return Next::Later(State::Fetching(self), unusable(&Finding::Fact(Json::Null)));
        }
        self.everybody = true;
        Next::GoOn(State::Fetching(self))
    }
}

/// What each guardian told about the places of a page.
type Told = BTreeMap<u64, BTreeMap<PeerId, PlacedShare>>;

fn told(fact: &Json, page: u64) -> Told {
    let mut told = Told::new();
    let answers = fact.as_object().into_iter().flatten();
    for (peer, answer) in answers {
        let answer = serde_json::from_value::<SharesAnswer>(answer.clone());
        let (Ok(peer), Ok(answer)) = (peer.parse(), answer) else {
            continue;
        };
        // One to what was asked before is of no use here.
        if answer.page != page {
            continue;
        }
        let first = page.saturating_mul(SHARES_PAGE);
        let page = (0..SHARES_PAGE).zip(answer.shares);
        for (offset, share) in page {
            let place = first.saturating_add(offset);
            told.entry(place).or_default().insert(PeerId(peer), share);
        }
    }
    told
}

enum Judgement {
    Signed(SpendableNote),
    /// Something else was signed there: a prefix that is the same by somebody's intent.
    Foreign,
    Open,
}

fn judge(request: NoteRequest, place: u64, told: &Told, desk: &Desk<'_>) -> Judgement {
    let mint = &desk.federation.mint;
    let ours: Vec<MintOutput> = mint.blinded(&[request]);
    let (mut shares, mut foreign) = (BTreeMap::<PeerId, PointBytes>::new(), 0);
    for (peer, placed) in told.get(&place).into_iter().flatten() {
        if ours.contains(&placed.output) {
            shares.insert(*peer, placed.share);
        } else {
            foreign += 1;
        }
    }
    match mint.finalize(&request, &shares) {
        Ok(finalized) => Judgement::Signed(finalized.note),
        Err(_) if foreign >= desk.federation.quorum.one_honest() => Judgement::Foreign,
        Err(_) => Judgement::Open,
    }
}

/// Puts a note into the wallet, unless it is there, on its way, or handed out: then whoever has it may take it.
fn keep(request: NoteRequest, note: SpendableNote, rows: &mut Rows, found: &mut Found) {
    let held = rows.get(&CoinRow(request)).is_some();
    let payments = rows.scan::<PaymentRow>();
    let mut payments = payments.iter().map(|(_, payment)| payment);
    let asked = payments.any(|payment| payment.notes.contains(&request));
    let operations = rows.scan::<OperationRow>();
    let handed: BTreeSet<_> = operations
        .iter()
        .filter_map(|(_, record)| match &record.operation {
            Operation::Send(send) => Some(send.handed_out()),
            _ => None,
        })
        .flatten()
        .collect();
    if held || asked || handed.contains(&note.nonce()) {
        return;
    }
    found.notes += 1;
    let amount = found.amount.checked_add(request.denomination.amount());
    found.amount = amount.unwrap_or(found.amount);
    let spent_by = None;
    rows.put(&CoinRow(request), &Coin { note, spent_by });
}

fn shares(answer: &Json) -> Option<Json> {
    let answer: SharesAnswer = serde_json::from_value(answer.clone()).ok()?;
    Some(json!(answer))
}
