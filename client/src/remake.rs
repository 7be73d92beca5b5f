//! A payment made anew, because fees were revised before it was accepted (SPEC GEN-6).
//!
//! ⚠ It spends all that the old one would have spent. The old one may balance again after another revision, and whoever has kept
//! its bytes may have it accepted then: not both.

use guildmint_core::{Amount, Item, Transaction, TxId, Wire};
use guildmint_mint::{client::Held, Denomination};
use guildmint_wallet::{PegInProof, PegOut};

use crate::{
    error::ClientError,
    federation::Federation,
    operation::Remade,
    payment::{held, prepare, Draft, Input, InputKey, Making, Payment},
    rows::Rows,
};

/// What is brought in or taken out, with the module's fee for it.
#[derive(Clone, Copy)]
struct Part {
    gross: Amount,
    fee: Amount,
}

/// Stores a new payment in the place of `old`. Says whether it still pays for what the old one was for; if that is not possible
/// any more, it only brings back what the old one would have spent.
///
/// # Errors
/// If nothing would come back.
pub(crate) fn remake(
    rows: &mut Rows,
    federation: &Federation,
    old: TxId,
    payment: &Payment,
    making: Making,
) -> Result<(Remade, bool), ClientError> {
    let unreadable =
        |error: guildmint_core::DecodeError| ClientError::Federation(error.to_string());
    let mut outputs = Transaction::decode(&payment.transaction)
        .map_err(unreadable)?
        .outputs;
    outputs.truncate(payment.first_note.into());
    if !outputs.is_empty() {
        let whole = attempt(rows, federation, old, payment, (&making, outputs));
        if let Ok(remade) = whole {
            return Ok((remade, true));
        }
        return attempt(rows, federation, old, payment, (&making, Vec::new()))
            .map(|remade| (remade, false));
    }
    attempt(rows, federation, old, payment, (&making, outputs)).map(|remade| (remade, true))
}

fn attempt(
    rows: &mut Rows,
    federation: &Federation,
    old: TxId,
    payment: &Payment,
    (making, outputs): (&Making, Vec<Item>),
) -> Result<Remade, ClientError> {
    let mut brought = Vec::new();
    for input in &making.inputs {
        brought.push(worth(federation, input)?);
    }
    let note = |value: Denomination| Part {
        gross: value.amount(),
        fee: federation.mint.tariff().input_fee,
    };
    brought.extend(payment.coins.iter().map(|coin| note(coin.denomination)));
    let mut taken = Vec::new();
    for output in &outputs {
        taken.push(price(federation, output)?);
    }
    let may_add = !outputs.is_empty();
    let (spend, issue) = balance(rows, federation, &brought, &taken, may_add)?;
    brought.extend(spend.iter().map(|value| note(*value)));
    let gross = |parts: &[Part]| Amount::sum(parts.iter().map(|part| part.gross));
    let credited = Amount::sum(issue.iter().map(|value| value.amount())).unwrap_or(Amount::MAX);
    let fee = gross(&brought)
        .zip(gross(&taken))
        .and_then(|(brought, taken)| brought.checked_sub(taken)?.checked_sub(credited));
    let draft = Draft {
        inputs: making.inputs.clone(),
        coins: payment.coins.clone(),
        spend,
        outputs,
        issue,
    };
    let txid = prepare(rows, federation, payment.operation, draft)?;
    Ok(Remade {
        old,
        txid,
        credited,
        fee: fee.unwrap_or(Amount::ZERO),
    })
}

/// Further notes to spend, if there may be any, and notes to ask for, so that it balances.
fn balance(
    rows: &Rows,
    federation: &Federation,
    brought: &[Part],
    taken: &[Part],
    may_add: bool,
) -> Result<(Vec<Denomination>, Vec<Denomination>), ClientError> {
    let tariff = federation.mint.tariff();
    let msat = |amount: Amount| i128::from(amount.msat());
    let income = |part: &Part| msat(part.gross) - msat(part.fee);
    let expense = |part: &Part| msat(part.gross) + msat(part.fee);
    let mut left: i128 = brought.iter().map(income).sum::<i128>();
    left -= taken.iter().map(expense).sum::<i128>();
    let (mut free, mut spend) = (held(rows), Vec::new());
    loop {
        let available = u64::try_from(left).ok();
        let available = available.and_then(|msat| Amount::from_msat(msat).ok());
        match available.map(|available| tariff.change(available, &free)) {
            Some(Ok(issue)) if may_add || !issue.is_empty() => return Ok((spend, issue)),
            _ if !may_add => {
                let gross = brought.iter().map(|part| part.gross);
                let gross = Amount::sum(gross).unwrap_or(Amount::MAX);
                return Err(ClientError::TooLittle(gross));
            }
            _ => {}
        }
        let next = take_next(&mut free, -left, msat(tariff.input_fee));
        let next = next.ok_or(ClientError::Exhausted("notes"))?;
        left += msat(next.amount()) - msat(tariff.input_fee);
        spend.push(next);
    }
}

/// The smallest note that makes good for what is missing, else the largest.
fn take_next(free: &mut Held, missing_msat: i128, fee_msat: i128) -> Option<Denomination> {
    let net = |value: &Denomination| i128::from(value.msat()) - fee_msat;
    free.retain(|value, count| *count > 0 && net(value) > 0);
    let suffices = |value: &&Denomination| net(value) >= missing_msat;
    let next = *free
        .keys()
        .find(suffices)
        .or_else(|| free.keys().next_back())?;
    free.entry(next).and_modify(|count| *count -= 1);
    Some(next)
}

fn worth(federation: &Federation, input: &Input) -> Result<Part, ClientError> {
    let gross = match &input.key {
        InputKey::Note(note) => {
            let (gross, fee) = (
                note.denomination().amount(),
                federation.mint.tariff().input_fee,
            );
            return Ok(Part { gross, fee });
        }
        InputKey::Deposit(_) => {
            let unreadable = |problem: String| ClientError::Federation(problem);
            let proof = PegInProof::decode(&input.item.bytes);
            let proof = proof.map_err(|error| unreadable(error.to_string()))?;
            let deposit = proof
                .claim()
                .map_err(|error| unreadable(error.to_string()))?;
            Amount::from_sat(deposit.amount_sat).map_err(|error| unreadable(error.to_string()))?
        }
    };
    let config = federation.wallet.config();
    let least = Amount::from_sat(config.min_peg_in_sat).unwrap_or(Amount::MAX);
    match gross < least {
        true => Err(ClientError::TooLittle(gross)),
        false => Ok(Part {
            gross,
            fee: config.peg_in_fee,
        }),
    }
}

fn price(federation: &Federation, output: &Item) -> Result<Part, ClientError> {
    let unreadable = |problem: String| ClientError::Federation(problem);
    let peg_out = PegOut::decode(&output.bytes).map_err(|error| unreadable(error.to_string()))?;
    let gross = peg_out
        .total()
        .map_err(|error| unreadable(error.to_string()))?;
    Ok(Part {
        gross,
        fee: federation.wallet.config().peg_out_fee,
    })
}
