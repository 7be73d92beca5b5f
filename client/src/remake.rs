//! A payment made anew, because fees were revised before it was accepted (SPEC GEN-6).
//!
//! ⚠ It spends all that the old one would have spent. The old one may balance again after another revision, and whoever has kept
//! its bytes may have it accepted then: not both.

use guildmint_core::{Amount, Item, Transaction, TxId, Wire};
use guildmint_ln::{LnFees, LnOutput};
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
/// any more, or would cost more than `limit`, it only brings back what the old one would have spent.
///
/// # Errors
/// If nothing would come back.
pub(crate) fn remake(
    rows: &mut Rows,
    federation: &Federation,
    old: TxId,
    payment: &Payment,
    making: Making,
    limit: Option<Amount>,
) -> Result<(Remade, bool), ClientError> {
    let unreadable =
        |error: guildmint_core::DecodeError| ClientError::Federation(error.to_string());
    let mut outputs = Transaction::decode(&payment.transaction)
        .map_err(unreadable)?
        .outputs;
    outputs.truncate(payment.first_note.into());
    if !outputs.is_empty() {
        let whole = attempt(rows, federation, old, payment, (&making, outputs, limit));
        if let Ok(remade) = whole {
            return Ok((remade, true));
        }
        return attempt(rows, federation, old, payment, (&making, Vec::new(), None))
            .map(|remade| (remade, false));
    }
    attempt(rows, federation, old, payment, (&making, outputs, None)).map(|remade| (remade, true))
}

fn attempt(
    rows: &mut Rows,
    federation: &Federation,
    old: TxId,
    payment: &Payment,
    (making, outputs, limit): (&Making, Vec<Item>, Option<Amount>),
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
    let fee = fee.unwrap_or(Amount::ZERO);
    if let Some(limit) = limit.filter(|limit| fee > *limit) {
        return Err(ClientError::FeeTooHigh { fee, limit });
    }
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
        fee,
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
        InputKey::Refund { amount, .. } | InputKey::Claim { amount, .. } => {
            let ln = federation.ln.as_ref().ok_or(ClientError::NoLightning)?;
            let (gross, fee) = (*amount, ln.config().fees.spend);
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
    if let Some(ln) = federation
        .ln
        .as_ref()
        .filter(|ln| ln.module() == output.module)
    {
        let decoded = LnOutput::decode(&output.bytes);
        let decoded = decoded.map_err(|error| unreadable(error.to_string()))?;
        return Ok(price_of(&decoded, ln.config().fees));
    }
    let peg_out = PegOut::decode(&output.bytes).map_err(|error| unreadable(error.to_string()))?;
    let gross = peg_out
        .total()
        .map_err(|error| unreadable(error.to_string()))?;
    Ok(Part {
        gross,
        fee: federation.wallet.config().peg_out_fee,
    })
}

fn price_of(output: &LnOutput, fees: LnFees) -> Part {
    let (gross, fee) = match output {
        LnOutput::Offer(_) => (Amount::ZERO, fees.offer),
        LnOutput::Incoming(contract) => (contract.amount, fees.contract),
        LnOutput::Outgoing(contract) => (contract.amount, fees.contract),
        LnOutput::Announcement(_) => (Amount::ZERO, fees.announcement),
    };
    Part { gross, fee }
}
