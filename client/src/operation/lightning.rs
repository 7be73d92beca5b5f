//! Payments over Lightning: of what an invoice asks for, and by somebody who pays one. The state machines are the module's; here they become
//! operations, whose transactions are the wallet's and whose news comes from guardians and a gateway.

mod bill;
mod pay;
mod receive;
mod search;

use guildmint_core::{module::Reject, Amount, Item, TxId};
use guildmint_ln::{ClockAnswer, LnInput};
use guildmint_mint::Denomination;
use serde_json::Value as Json;

use super::Desk;
use crate::{
    error::ClientError,
    payment::{held, Draft, Input, InputKey},
    rows::NextLn,
};

pub(crate) use bill::{price, Bill};
pub(crate) use pay::LnPay;
pub(crate) use receive::LnReceive;
pub(crate) use search::{listed, Search, Seek, Wants, LIST};

/// Indices that one life of the wallet may use for each millisecond of its clock.
const INDICES_PER_MS: u64 = 1 << 16;

/// The next index of secrets for offers and contracts. ⚠ An index is used once (SPEC LN-2), also by a wallet that is made of its words again and
/// finds no contracts: each life of the words begins where its clock is, and counts from there.
fn next_index(desk: &mut Desk<'_>) -> Result<u64, ClientError> {
    let exhausted = ClientError::Exhausted("Lightning indices");
    let begin = desk.now.0.checked_mul(INDICES_PER_MS);
    let next = desk.rows.get(&NextLn(())).or(begin);
    let index = next.ok_or(exhausted.clone())?;
    let after = index.checked_add(1).ok_or(exhausted)?;
    desk.rows.put(&NextLn(()), &after);
    Ok(index)
}

/// Notes for what an input brings, after fees.
fn issue(desk: &Desk<'_>, amount: Amount) -> Result<Vec<Denomination>, ClientError> {
    let fee = desk.ln()?.config().fees.spend;
    let net = amount
        .checked_sub(fee)
        .filter(|net| *net > Amount::ZERO)
        .ok_or(ClientError::TooLittle(amount))?;
    let notes = desk
        .federation
        .mint
        .tariff()
        .change(net, &held(desk.rows))?;
    match notes.is_empty() {
        true => Err(ClientError::TooLittle(amount)),
        false => Ok(notes),
    }
}

/// Spends a contract into the wallet. Gives what arrives.
fn spend(
    desk: &mut Desk<'_>,
    input: &LnInput,
    key: InputKey,
    amount: Amount,
) -> Result<(TxId, Amount), ClientError> {
    let issue = issue(desk, amount)?;
    let credited = Amount::sum(issue.iter().map(|value| value.amount())).unwrap_or(amount);
    let item = Item::new(desk.ln()?.module(), input);
    let txid = desk.pay(Draft {
        inputs: vec![Input { item, key }],
        issue,
        ..Draft::default()
    })?;
    Ok((txid, credited))
}

/// Reads the agreed clock.
fn height(fact: &Json) -> Option<u32> {
    let answer: ClockAnswer = serde_json::from_value(fact.clone()).ok()?;
    Some(answer.height)
}

fn refusal(error: &ClientError) -> Reject {
    Reject {
        code: error.code(),
        message: error.to_string(),
        retryable: error.retryable(),
    }
}
