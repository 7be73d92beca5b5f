//! Finding everything again that follows from the seed: notes and deposits (SPEC MIN-7).
//!
//! Lists of what was issued and spent are downloaded whole and searched here, so that guardians do not learn what is ours. Only
//! the shares on unspent notes are asked for by place, in pages that are the same for everybody. Each step is saved: a wallet that
//! is killed meanwhile goes on where it was.

mod deposits;
mod lists;
mod notes;

use guildmint_core::{module::Reject, slices::Prefix, Amount};
use guildmint_mint::client::Search;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::{deposits::Addresses, lists::Listing, notes::Fetching, notes::Searching};
use super::{problem, Description, Desk, Happening, Phase};
use crate::{
    ask::Finding,
    rows::{Rows, SliceRow, Unrestored},
};

pub(crate) use lists::List;

/// How long to wait after guardians, or the chain source, could not say.
const RETRY_MS: u64 = 2_000;

/// The state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Restore {
    /// How many unknown indices of a denomination in a row end the search.
    gap: u64,
    found: Found,
    /// What was in the way the last time.
    trouble: Option<Reject>,
    state: State,
}

/// What has come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Found {
    notes: u64,
    amount: Amount,
    spent: u64,
    deposits: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    /// A list is being downloaded.
    Listing(Listing),
    /// The lists are searched for our notes.
    Searching(Searching),
    /// Guardians are asked for their shares on what is unspent.
    Fetching(Fetching),
    /// The chain is searched for our deposits.
    Addresses(Addresses),
    Done,
}

/// What a stage leads to.
enum Next {
    /// The same stage: something was asked for, or will be.
    Stay(State),
    /// This stage or another, which goes on at once.
    GoOn(State),
    /// Something was in the way; try again later.
    Later(State, Reject),
}

impl Restore {
    pub(crate) fn start(gap: u64, desk: &mut Desk<'_>) -> Self {
        let restore = Self {
            gap,
            found: Found::default(),
            trouble: None,
            state: State::Listing(Listing::of(List::Issued)),
        };
        desk.wake_after_ms(0);
        restore
    }

    /// Whether all notes that can be found are in the wallet, and the indices go on after them.
    pub(crate) fn has_notes(&self) -> bool {
        match &self.state {
            State::Listing(listing) => listing.list() == List::Claimed,
            State::Searching(_) | State::Fetching(_) => false,
            State::Addresses(_) | State::Done => true,
        }
    }

    /// What was in the way the last time it got no further.
    pub(crate) fn trouble(&self) -> Option<&Reject> {
        self.trouble.as_ref()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Done
    }

    pub(super) fn step(mut self, happening: Happening, desk: &mut Desk<'_>) -> Self {
        let state = std::mem::replace(&mut self.state, State::Done);
        let next = match (state, happening) {
            (State::Listing(one), happening) => one.step(happening, desk, self.gap),
            (State::Searching(one), Happening::Resume | Happening::Time) => {
                one.step(desk, &mut self.found)
            }
            (State::Fetching(one), happening) => one.step(happening, desk, &mut self.found),
            (State::Addresses(one), happening) => one.step(happening, desk, &mut self.found),
            (state, _) => Next::Stay(state),
        };
        self.state = match next {
            Next::Stay(state) => state,
            Next::GoOn(state) => {
                self.trouble = None;
                if state != State::Done {
                    desk.wake_after_ms(0);
                }
                state
            }
            Next::Later(state, reject) => {
                self.trouble = Some(reject);
                desk.wake_after_ms(RETRY_MS);
                state
            }
        };
        self
    }

    pub(super) fn describe(&self) -> Description {
        let (state, (done, total)) = match &self.state {
            State::Listing(listing) => ("downloading", listing.progress()),
            State::Searching(searching) => ("searching", searching.progress()),
            State::Fetching(fetching) => ("fetching", fetching.progress(self.found.notes)),
            State::Addresses(addresses) => ("looking_for_deposits", addresses.progress()),
            State::Done => ("restored", (1, 1)),
        };
        let mut details = json!({
            "notes": self.found.notes,
            "amount_msat": self.found.amount.msat(),
            "spent_notes": self.found.spent,
            "deposits": self.found.deposits,
            "progress": { "done": done, "total": total },
        });
        if let Some(reject) = &self.trouble {
            details["obstacle"] = problem(reject);
        }
        let phase = match self.state {
            State::Done => Phase::Done,
            _ => Phase::Pending,
        };
        Description {
            kind: "restore",
            state,
            phase,
            details,
        }
    }
}

/// After the lists of notes: the search.
fn search(gap: u64, desk: &Desk<'_>) -> State {
    let denominations = desk.federation.mint.tariff().denominations.iter().copied();
    State::Searching(Searching::new(Search::new(denominations, gap)))
}

/// After the notes: from here on the wallet can be used, but for new addresses.
fn after_notes(desk: &mut Desk<'_>) -> State {
    desk.rows.remove(&Unrestored(()));
    State::Listing(Listing::of(List::Claimed))
}

/// All prefixes of a list that was downloaded.
fn prefixes(rows: &Rows, list: List) -> impl Iterator<Item = Prefix> {
    let of_list = rows.scan::<SliceRow>().into_iter();
    let of_list = of_list.filter(move |(row, _)| row.list == list);
    of_list.flat_map(|(_, slice)| {
        let whole = slice.0.chunks_exact(std::mem::size_of::<Prefix>());
        let prefixes = whole.map(|bytes| {
            let mut prefix = Prefix::default();
            prefix.copy_from_slice(bytes);
            prefix
        });
        prefixes.collect::<Vec<_>>()
    })
}

/// Why a finding is of no use now.
fn unusable(finding: &Finding) -> Reject {
    match finding {
        Finding::Refused(problem) => Reject {
            code: problem.code.clone(),
            message: problem.detail.clone(),
            retryable: true,
        },
        Finding::TooFew { answered, needed } => Reject::retryable(
            "too_few_guardians",
            format!("{answered} guardians gave a useful answer; {needed} are needed"),
        ),
        Finding::Fact(_) => Reject::retryable(
            "unusable_answer",
            "guardians gave answers that cannot be used; others are asked",
        ),
    }
}
