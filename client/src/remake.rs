//! A payment made anew, because fees were revised before it was accepted (SPEC GEN-6).
//!
//! ⚠ It spends all that the old one would have spent. The old one may balance again after another revision, and whoever has kept
//! its bytes may have it accepted then: not both.

use guildmint_core::{Amount, Item, Transaction, TxId, Wire};
use guildmint_ln::{LnFees, LnOutput};
use guildmint_mint::{
    client::{Held, Tariff, MAX_TRANSACTION_NOTES},
    Denomination,
};
use guildmint_wallet::{PegInProof, PegOut};

use crate::{
    error::ClientError,
    federation::Federation,
    operation::Remade,
    payment::{held, prepare, Draft, Input, InputKey, Making, Payment},
    rows::{MakingRow, PaymentRow, Rows},
};

/// Notes of one value of which a wallet that runs errands keeps no more. What is beyond is exchanged for larger ones along with whatever is paid:
/// who is paid in small sums day by day would have ever more notes otherwise.
const MANY: u64 = 16;

/// And so many of them in one transaction; the rest with the next.
const MAX_TIDIED: usize = 48;

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
    let coins = payment.coins.iter().map(|coin| coin.denomination);
    brought.extend(coins.map(|value| note(federation, value)));
    let mut taken = Vec::new();
    for output in &outputs {
        taken.push(price(federation, output)?);
    }
    let may_add = !outputs.is_empty();
    let (spend, issue) = balance(rows, federation, &brought, &taken, may_add)?;
    brought.extend(spend.iter().map(|value| note(federation, *value)));
    let (credited, fee) = kept(&brought, &taken, &issue);
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

fn note(federation: &Federation, value: Denomination) -> Part {
    Part {
        gross: value.amount(),
        fee: federation.mint.tariff().input_fee,
    }
}

/// What arrives, and what the federation keeps.
fn kept(brought: &[Part], taken: &[Part], issue: &[Denomination]) -> (Amount, Amount) {
    let gross = |parts: &[Part]| Amount::sum(parts.iter().map(|part| part.gross));
    let credited = Amount::sum(issue.iter().map(|value| value.amount())).unwrap_or(Amount::MAX);
    let fee = gross(brought)
        .zip(gross(taken))
        .and_then(|(brought, taken)| brought.checked_sub(taken)?.checked_sub(credited));
    (credited, fee.unwrap_or(Amount::ZERO))
}

/// What is left over after all fees; negative if something is lacking.
fn left_msat(brought: &[Part], taken: &[Part]) -> i128 {
    let msat = |amount: Amount| i128::from(amount.msat());
    let income = brought.iter().map(|part| msat(part.gross) - msat(part.fee));
    let expense = taken.iter().map(|part| msat(part.gross) + msat(part.fee));
    income.sum::<i128>() - expense.sum::<i128>()
}

/// What pays for inputs and outputs that are somebody else's.
pub(crate) struct Plan {
    /// Notes to spend.
    pub spend: Vec<Denomination>,
    /// Notes to ask for.
    pub issue: Vec<Denomination>,
    /// What the federation keeps.
    pub fee: Amount,
}

/// Balances inputs and outputs with notes of the wallet.
///
/// # Errors
/// If there are too few, or nothing would come of it.
pub(crate) fn plan(
    rows: &Rows,
    federation: &Federation,
    inputs: &[Input],
    outputs: &[Item],
) -> Result<Plan, ClientError> {
    let brought: Result<Vec<_>, _> = inputs.iter().map(|one| worth(federation, one)).collect();
    let taken: Result<Vec<_>, _> = outputs.iter().map(|one| price(federation, one)).collect();
    let (mut brought, taken) = (brought?, taken?);
    let tariff = federation.mint.tariff();
    let amount = |msat: i128| {
        let amount = u64::try_from(msat).map(Amount::from_msat);
        amount.ok().and_then(Result::ok).unwrap_or(Amount::MAX)
    };
    let left = left_msat(&brought, &taken);
    if outputs.is_empty() && left <= 0 {
        let gross = brought.iter().map(|part| part.gross);
        let gross = Amount::sum(gross).unwrap_or(Amount::MAX);
        return Err(ClientError::TooLittle(gross));
    }
    let (spend, issue) = if left < 0 {
        let funding = tariff.fund(&held(rows), amount(-left))?;
        (funding.spend, funding.change)
    } else {
        match tariff.change(amount(left), &held(rows)) {
            Ok(issue) => (Vec::new(), issue),
            Err(_) => balance(rows, federation, &brought, &taken, true)?,
        }
    };
    let tidied = tidy(tariff, held(rows), left, &spend);
    let (spend, issue) = tidied.unwrap_or((spend, issue));
    brought.extend(spend.iter().map(|value| note(federation, *value)));
    let (_, fee) = kept(&brought, &taken, &issue);
    Ok(Plan { spend, issue, fee })
}

/// Spends notes of values of which there are too many along with the others, if that makes them fewer.
fn tidy(
    tariff: &Tariff,
    mut free: Held,
    mut left: i128,
    spend: &[Denomination],
) -> Option<(Vec<Denomination>, Vec<Denomination>)> {
    let net = |value: &Denomination| i128::from(value.msat()) - i128::from(tariff.input_fee.msat());
    for value in spend {
        free.entry(*value).and_modify(|count| *count -= 1);
    }
    let surplus = free.iter().filter(|(value, _)| net(value) > 0);
    let extra: Vec<Denomination> = surplus.flat_map(surplus_of).take(MAX_TIDIED).collect();
    for value in &extra {
        free.entry(*value).and_modify(|count| *count -= 1);
    }
    let all = [spend, &extra].concat();
    left += all.iter().map(net).sum::<i128>();
    let available = Amount::from_msat(u64::try_from(left).ok()?).ok()?;
    let issue = tariff.change(available, &free).ok()?;
    let fits = all.len() + issue.len() <= MAX_TRANSACTION_NOTES;
    (fits && issue.len() < extra.len()).then_some((all, issue))
}

/// Of one value, how many are too many.
fn surplus_of((value, count): (&Denomination, &u64)) -> impl Iterator<Item = Denomination> {
    let surplus = usize::try_from(count.saturating_sub(MANY)).unwrap_or(MAX_TIDIED);
    std::iter::repeat_n(*value, surplus.min(MAX_TIDIED))
}

/// Stores a payment that takes back what another, which stays as it is, would have spent. Guardians accept one of the two.
///
/// # Errors
/// If nothing would come back.
pub(crate) fn take_back(
    rows: &mut Rows,
    federation: &Federation,
    old: TxId,
) -> Result<TxId, ClientError> {
    let stored = rows.get(&PaymentRow(old)).zip(rows.get(&MakingRow(old)));
    let (payment, making) = stored.ok_or(ClientError::Exhausted("payments"))?;
    let remade = attempt(rows, federation, old, &payment, (&making, Vec::new(), None))?;
    Ok(remade.txid)
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
    let mut left = left_msat(brought, taken);
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
            return Ok(self::note(federation, note.denomination()));
        }
        InputKey::Errand { amount, .. } => {
            let ln = federation.ln.as_ref().ok_or(ClientError::NoLightning)?;
            let (gross, fee) = (*amount, ln.config().fees.spend);
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
