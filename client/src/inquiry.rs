//! Commands that only ask: what to do with each answer.

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{Amount, Audit};
use guildmint_ln::FetchRequest;
use guildmint_mint::{
    client::{NotesString, SpendableNote},
    MAX_NONCES,
};
use guildmint_wallet::{PegOutQuote, KIND as WALLET};
use serde_json::{json, Value as Json};

use crate::{
    api::ApiRequest,
    ask::{Finding, Reader, Rule},
    error::ClientError,
    operation::{spent_nonces, spent_reader, spent_request, Bill, Search},
    reply::Reply,
};

/// A question about Lightning that waits for answers.
#[derive(Debug)]
pub(crate) enum LnInquiry {
    /// The list of gateways.
    Gateways,
    /// What this would cost.
    Quote(Bill, Search),
    /// Which gateway is to fetch this; its federation is filled in.
    Fetch(FetchRequest, Search),
    /// This gateway fetches it, for so much.
    Fetching(XOnlyPublicKey, u64),
}

/// A command that waits for answers.
#[derive(Debug)]
pub(crate) enum Inquiry {
    /// First each guardian's status, then what they agree on.
    Info { guardians: Option<Json> },
    /// A price.
    Quote { federation_fee: Amount },
    /// Something about Lightning.
    Lightning(Box<LnInquiry>),
    /// Which notes are spent, a page at a time.
    Validation {
        amount: Amount,
        open: Vec<SpendableNote>,
        good: Vec<SpendableNote>,
        spent: usize,
    },
    /// Whatever whoever embeds the wallet wants to know.
    Plain,
}

/// A question to guardians.
pub(crate) type Question = (ApiRequest, Rule, Reader);

/// What an answer leads to.
pub(crate) enum Next {
    /// Another question.
    Ask(Inquiry, Question),
    /// The end.
    Reply(Result<Reply, ClientError>),
}

impl Inquiry {
    pub(crate) fn info() -> (Self, Question) {
        let question = (ApiRequest::Status, Rule::Each, whole as Reader);
        (Self::Info { guardians: None }, question)
    }

    pub(crate) fn quote(
        address: String,
        amount_sat: u64,
        federation_fee: Amount,
    ) -> (Self, Question) {
        let question = quote(address, amount_sat);
        (Self::Quote { federation_fee }, question)
    }

    pub(crate) fn validation(notes: NotesString) -> (Self, Question) {
        let amount = notes.total();
        let inquiry = Self::Validation {
            amount,
            open: notes.into_notes(),
            good: Vec::new(),
            spent: 0,
        };
        let question = inquiry.page();
        (inquiry, question)
    }

    fn page(&self) -> Question {
        let open = match self {
            Self::Validation { open, .. } => &open[..open.len().min(MAX_NONCES)],
            _ => &[],
        };
        (spent_request(open), Rule::Same, spent_reader)
    }

    /// What to do with an answer.
    pub(crate) fn answered(self, finding: Finding) -> Next {
        let fact = match (finding, &self) {
            (Finding::Fact(fact), _) => fact,
            // Guardians that disagree about the last epoch are no reason to show nothing.
            (_, Self::Info { guardians: Some(_) }) => Json::Null,
            (Finding::Refused(problem), _) => return Next::Reply(Err(problem.into())),
            (Finding::TooFew { answered, needed }, _) => {
                return Next::Reply(Err(ClientError::TooFewGuardians { answered, needed }))
            }
        };
        match self {
            Self::Info { guardians: None } => {
                let guardians = Some(fact);
                let question = (ApiRequest::Audit, Rule::Same, audit as Reader);
                Next::Ask(Self::Info { guardians }, question)
            }
            Self::Info {
                guardians: Some(guardians),
            } => Next::Reply(Ok(Reply::Info {
                guardians,
                audit: fact,
            })),
            // Whoever asks such a thing does not ask here.
            Self::Lightning(_) => Next::Reply(Err(ClientError::NoLightning)),
            Self::Plain => Next::Reply(Ok(Reply::Answer { answer: fact })),
            Self::Quote { federation_fee } => Next::Reply(Ok(Reply::Quote {
                fee_sat: fact.as_u64().unwrap_or(u64::MAX),
                federation_fee,
            })),
            Self::Validation {
                amount,
                open,
                good,
                spent,
            } => validated(amount, open, good, spent, fact),
        }
    }
}

fn validated(
    amount: Amount,
    mut open: Vec<SpendableNote>,
    mut good: Vec<SpendableNote>,
    mut spent: usize,
    fact: Json,
) -> Next {
    let Some(nonces) = spent_nonces(fact) else {
        let (answered, needed) = (0, 1);
        return Next::Reply(Err(ClientError::TooFewGuardians { answered, needed }));
    };
    for note in open.drain(..open.len().min(MAX_NONCES)) {
        if nonces.contains(&note.nonce()) {
            spent += 1;
        } else {
            good.push(note);
        }
    }
    if open.is_empty() {
        let values = good.iter().map(|note| note.denomination().amount());
        return Next::Reply(Ok(Reply::Validation {
            amount,
            notes: good.len() + spent,
            spent,
            unspent: Amount::sum(values).unwrap_or(Amount::ZERO),
        }));
    }
    let inquiry = Inquiry::Validation {
        amount,
        open,
        good,
        spent,
    };
    let question = inquiry.page();
    Next::Ask(inquiry, question)
}

#[allow(clippy::unnecessary_wraps)]
fn whole(answer: &Json) -> Option<Json> {
    Some(answer.clone())
}

/// What a peg-out costs now: the (f + 1)-th highest answer, so that neither liars alone nor one cheap guardian decide.
pub(crate) fn quote(address: String, amount_sat: u64) -> Question {
    let request = ApiRequest::Module {
        kind: WALLET,
        path: "peg-out-quote".to_owned(),
        parameters: [
            ("address".to_owned(), address),
            ("amount_sat".to_owned(), amount_sat.to_string()),
        ]
        .into(),
    };
    (request, Rule::Number, fee)
}

fn fee(answer: &Json) -> Option<Json> {
    let quote: PegOutQuote = serde_json::from_value(answer.clone()).ok()?;
    Some(Json::from(quote.fee_sat))
}

/// The part of the balance sheet that must be equal: certificates differ in who has signed yet.
fn audit(answer: &Json) -> Option<Json> {
    let answer: guildmint_core::api::AuditAnswer = serde_json::from_value(answer.clone()).ok()?;
    let module = |(kind, audit): (String, Audit)| {
        let Audit {
            assets_msat,
            liabilities_msat,
        } = audit;
        let part = json!({"assets_msat": assets_msat, "liabilities_msat": liabilities_msat});
        (kind, part)
    };
    let modules: serde_json::Map<String, Json> = answer.modules.into_iter().map(module).collect();
    Some(json!({
        "epoch": answer.epoch,
        "assets_msat": answer.assets_msat,
        "liabilities_msat": answer.liabilities_msat,
        "net_msat": answer.net_msat,
        "modules": modules,
    }))
}
