//! Downloading a list: first how long it is, then a slice after the other. ⚠ Each slice counts if f + 1 guardians gave the very
//! same: a liar could hide our notes otherwise, or make us believe that they are spent.

use guildmint_core::slices::{Prefix, SliceAnswer, MAX_SLICE};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value as Json};

use super::{search, unusable, Addresses, Next, State};
use crate::{
    api::ApiRequest,
    ask::{Finding, Rule},
    operation::{Desk, Happening},
    rows::{Slice, SliceRow},
};

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum List {
    /// Blinded messages that were signed.
    Issued,
    /// Nonces of notes that were spent.
    Spent,
    /// Deposits that were claimed.
    Claimed,
}

/// How far the download of a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listing {
    list: List,
    /// How long the list was when we asked.
    count: Option<u64>,
    /// How much of it is here.
    have: u64,
}

impl List {
    fn request(self, from: u64, to: u64) -> ApiRequest {
        let (kind, path) = match self {
            Self::Issued => (guildmint_mint::KIND, "issued-prefixes"),
            Self::Spent => (guildmint_mint::KIND, "spent-prefixes"),
            Self::Claimed => (guildmint_wallet::KIND, "claimed-prefixes"),
        };
        ApiRequest::Module {
            kind,
            path: path.to_owned(),
            parameters: [
                ("from".to_owned(), from.to_string()),
                ("to".to_owned(), to.to_string()),
            ]
            .into(),
        }
    }
}

impl Listing {
    pub(super) fn of(list: List) -> Self {
        Self {
            list,
            count: None,
            have: 0,
        }
    }

    pub(super) fn list(&self) -> List {
        self.list
    }

    pub(super) fn progress(&self) -> (u64, u64) {
        (self.have, self.count.unwrap_or(self.have))
    }

    /// Where the next slice ends. Slices are cut in the same places whoever downloads.
    fn end(&self, count: u64) -> u64 {
        count.min(self.have.saturating_add(MAX_SLICE))
    }

    pub(super) fn step(mut self, happening: Happening, desk: &mut Desk<'_>, gap: u64) -> Next {
        match happening {
            Happening::Resume | Happening::Time => self.ask(desk),
            Happening::Found(Finding::Fact(fact)) => {
                return match (self.count, fact.as_u64()) {
                    (None, Some(count)) => {
                        self.count = Some(count);
                        self.go_on(desk, gap)
                    }
                    (Some(count), None) => self.take(count, fact, desk, gap),
                    // An answer to what was asked before.
                    _ => Next::Stay(State::Listing(self)),
                };
            }
            Happening::Found(finding) => {
                return Next::Later(State::Listing(self), unusable(&finding));
            }
            _ => {}
        }
        Next::Stay(State::Listing(self))
    }

    fn ask(&self, desk: &mut Desk<'_>) {
        match self.count {
            // The (f + 1)-th highest of 2f + 1 answers: no longer than the list of an honest guardian.
            None => desk.ask(self.list.request(0, 0), Rule::Number, length),
            Some(count) => {
                let request = self.list.request(self.have, self.end(count));
                desk.ask(request, Rule::Same, slice);
            }
        }
    }

    fn take(mut self, count: u64, fact: Json, desk: &mut Desk<'_>, gap: u64) -> Next {
        let Ok(answer) = serde_json::from_value::<SliceAnswer>(fact.clone()) else {
            return Next::Later(State::Listing(self), unusable(&Finding::Fact(fact)));
        };
        if answer.from != self.have {
            return Next::Stay(State::Listing(self));
        }
        let end = self.end(count);
        let expected = (end - self.have).saturating_mul(std::mem::size_of::<Prefix>() as u64);
        if answer.prefixes.len() as u64 != expected {
            return Next::Later(State::Listing(self), unusable(&Finding::Fact(fact)));
        }
        let row = SliceRow {
            list: self.list,
            from: self.have,
        };
        desk.rows.put(&row, &Slice(answer.prefixes));
        self.have = end;
        self.go_on(desk, gap)
    }

    fn go_on(self, desk: &mut Desk<'_>, gap: u64) -> Next {
        if Some(self.have) != self.count {
            return Next::GoOn(State::Listing(self));
        }
        Next::GoOn(match self.list {
            // In this order: what is spent between the two is then known to be spent.
            List::Issued => State::Listing(Self::of(List::Spent)),
            List::Spent => search(gap, desk),
            List::Claimed => State::Addresses(Addresses::default()),
        })
    }
}

fn length(answer: &Json) -> Option<Json> {
    let answer: SliceAnswer = serde_json::from_value(answer.clone()).ok()?;
    Some(Json::from(answer.count))
}

/// The part of the answer that must be equal: guardians differ in how far they are.
fn slice(answer: &Json) -> Option<Json> {
    let answer: SliceAnswer = serde_json::from_value(answer.clone()).ok()?;
    let count = answer.from;
    Some(json!(SliceAnswer { count, ..answer }))
}
