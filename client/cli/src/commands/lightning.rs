//! Payments over Lightning.

use std::{
    io::{BufRead as _, IsTerminal as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use guildmint_client::{
    Client, ClientError, Command, GatewayKey, LnPrice, OperationId, Payable, Phase, Reply, View,
};
use guildmint_client_bolt12::{note, Offer, OfferError};
use serde_json::{json, Value as Json};

use super::{document, read_stdin, show_qr};
use crate::{
    arguments::{Arguments, Ln, LnInvoice, LnPay, Patience},
    failure::{Exit, Failure},
    output::clean,
    signals::Signals,
    wallet::Wallet,
};

pub async fn run(arguments: &Arguments, signals: &Signals, command: &Ln) -> Result<Json, Failure> {
    match command {
        Ln::Pay(command) => pay(arguments, signals, command).await,
        Ln::Invoice(command) => invoice(arguments, signals, command).await,
        Ln::Status {
            operation,
            wait,
            patience,
        } => status(arguments, signals, *operation, *wait, *patience).await,
        Ln::Gateways => gateways(arguments, signals).await,
        Ln::Refund {
            operation,
            patience,
        } => refund(arguments, signals, *operation, *patience).await,
    }
}

async fn gateways(arguments: &Arguments, signals: &Signals) -> Result<Json, Failure> {
    let mut wallet = Wallet::open(arguments, signals).await?;
    let reply = wallet
        .command("asking the guardians", Command::Gateways)
        .await?;
    wallet.close().await?;
    let mut document = document(&reply);
    let gateways = document["gateways"].as_array_mut();
    gateways.into_iter().flatten().for_each(with_units);
    Ok(document)
}

/// A gateway, with units in the names of its numbers.
fn with_units(gateway: &mut Json) {
    let rename = |place: &mut Json, old: &str, new: &str| {
        let members = place.as_object_mut();
        let value = members.and_then(|members| members.remove(old));
        if let Some(value) = value {
            place[new] = value;
        }
    };
    for fees in ["send_fees", "receive_fees"] {
        rename(&mut gateway[fees], "base", "base_msat");
    }
    rename(gateway, "valid_until", "valid_until_height");
}

async fn pay(arguments: &Arguments, signals: &Signals, command: &LnPay) -> Result<Json, Failure> {
    let text = match command.invoice.as_str() {
        "-" => read_stdin()?.trim().to_owned(),
        text => text.to_owned(),
    };
    let mut wallet = Wallet::open(arguments, signals).await?;
    let (payable, gateway) = match Offer::is_one(&text) {
        true => fetch(&mut wallet, command, &text).await?,
        false => (Payable::Invoice(text), command.gateway),
    };
    // ⚠ Told before a price is asked: whoever confirms it would think to pay a second time.
    if let Some(operation) = wallet.client().paying(&payable)? {
        wallet
            .command(
                "going on",
                Command::Resume {
                    operation: Some(operation),
                },
            )
            .await?;
        return ended(wallet, operation, command, true).await;
    }
    let price = quote(&mut wallet, gateway, payable.clone()).await?;
    let offer = json!(price);
    if command.dry_run {
        wallet.close().await?;
        return Ok(offer);
    }
    if let Some(limit) = command.max_fee.filter(|limit| price.fee > *limit) {
        let fee = price.fee;
        return Err(Failure::from(ClientError::FeeTooHigh { fee, limit }).detail("quote", offer));
    }
    if !command.yes {
        confirm(&price, &offer)?;
    }
    let start = Command::LnPay {
        payable,
        gateway: Some(price.gateway),
        max_fee: command.max_fee.unwrap_or(price.fee),
    };
    let operation = wallet.start("asking the gateway", start).await?;
    ended(wallet, operation, command, false).await
}

/// What became of a payment, and whether it was begun before.
async fn ended(
    mut wallet: Wallet,
    operation: OperationId,
    command: &LnPay,
    already_started: bool,
) -> Result<Json, Failure> {
    let view = match command.no_wait {
        false => wallet.end(operation, command.patience.or_usual()).await?,
        true => wallet.client().operation(operation)?,
    };
    wallet.close().await?;
    let mut document = json!(view);
    document["already_started"] = Json::from(already_started);
    Ok(document)
}

async fn quote(
    wallet: &mut Wallet,
    gateway: Option<GatewayKey>,
    payable: Payable,
) -> Result<LnPrice, Failure> {
    let question = Command::LnQuote { payable, gateway };
    match wallet.command("asking the price", question).await? {
        Reply::LnQuote(price) => Ok(price),
        other => Err(unexpected(&other)),
    }
}

/// Has a gateway fetch an invoice of an offer. ⚠ What it brings is checked before anything else is done with it.
async fn fetch(
    wallet: &mut Wallet,
    command: &LnPay,
    text: &str,
) -> Result<(Payable, Option<GatewayKey>), Failure> {
    let refused = |error: OfferError| Failure::new(Exit::Usage, "invalid_offer", error);
    let network = wallet.client().federation().network;
    let offer = Offer::read(text, &network, now_s()).map_err(refused)?;
    let amount = offer.amount(command.amount).map_err(refused)?;
    let mut random = [0; 8];
    getrandom::getrandom(&mut random)
        .map_err(|error| Failure::new(Exit::Failed, "no_randomness", error))?;
    let note = note(command.note.as_deref(), random);
    let question = Command::LnFetch {
        offer: offer.text(),
        amount,
        note: Some(note.clone()),
        gateway: command.gateway,
    };
    let reply = wallet.command("asking the payee", question).await?;
    let Reply::LnFetched { gateway, answer } = reply else {
        return Err(unexpected(&reply));
    };
    let fetched = offer.check(answer, amount, &note, now_s());
    let wrong = |error| {
        Failure::new(Exit::Refused, "wrong_invoice", error)
            .remedy("nothing was locked; take another gateway")
            .detail("gateway", gateway.to_string())
    };
    let fetched = fetched.map_err(wrong)?;
    Ok((Payable::Fetched(Box::new(fetched)), Some(gateway)))
}

/// The time in seconds since 1970. Before that it is 0.
fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn unexpected(reply: &Reply) -> Failure {
    let message = format!("the wallet answered {reply:?}");
    Failure::new(Exit::Failed, "unexpected", message)
}

/// Asks the user, if there is one.
fn confirm(price: &LnPrice, offer: &Json) -> Result<(), Failure> {
    let unconfirmed = |message: &str| {
        Failure::new(Exit::Confirmation, "confirmation_needed", message)
            .remedy("say --yes to pay at this price")
            .detail("quote", offer.clone())
    };
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(unconfirmed("the payment was not confirmed"));
    }
    let (amount, fee, gateway) = (price.amount, price.fee, clean(&price.gateway_url));
    eprint!("Pay {amount} through {gateway} for a fee of {fee}? [y/N] ");
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer);
    match (read, answer.trim().to_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(unconfirmed("the payment was declined")),
    }
}

async fn invoice(
    arguments: &Arguments,
    signals: &Signals,
    command: &LnInvoice,
) -> Result<Json, Failure> {
    let mut wallet = Wallet::open(arguments, signals).await?;
    let expiry_seconds = u32::try_from(command.expiry.as_secs()).unwrap_or(u32::MAX);
    let start = Command::LnInvoice {
        amount: command.amount,
        description: command.description.clone(),
        expiry_seconds,
        gateway: command.gateway,
    };
    let operation = wallet.start("asking a gateway", start).await?;
    let shown = |client: &Client| match client.operation(operation) {
        Ok(view) => invoice_of(&view).is_some() || view.phase != Phase::Pending,
        Err(_) => true,
    };
    wallet
        .until("asking a gateway", command.patience.or_usual(), shown)
        .await?;
    let view = wallet.client().operation(operation)?;
    let Some(text) = invoice_of(&view) else {
        // Which fails, or says that it is still under way.
        return Ok(json!(wallet.end(operation, Some(Duration::ZERO)).await?));
    };
    if view.details["swap_only"] == true {
        eprintln!("The gateway has no Lightning node: only its own users can pay this invoice, nobody outside.");
    }
    if command.qr {
        // Capitals make smaller codes.
        show_qr(&text.to_uppercase());
    }
    if !command.wait {
        wallet.close().await?;
        return Ok(json!(view));
    }
    eprintln!("{}", clean(&text));
    let view = wallet.end(operation, command.patience.timeout).await?;
    wallet.close().await?;
    Ok(json!(view))
}

/// The invoice, once a gateway has made it.
fn invoice_of(view: &View) -> Option<String> {
    let invoice = view.details.get("invoice")?.as_str();
    invoice.map(ToOwned::to_owned)
}

async fn status(
    arguments: &Arguments,
    signals: &Signals,
    operation: OperationId,
    wait: bool,
    patience: Patience,
) -> Result<Json, Failure> {
    let mut wallet = Wallet::open(arguments, signals).await?;
    let view = wallet.client().operation(operation)?;
    if !["pay", "invoice"].contains(&view.kind) {
        let problem = format!("is a {}, not a payment over Lightning", view.kind);
        return Err(ClientError::WrongOperation { operation, problem }.into());
    }
    let resume = Command::Resume {
        operation: Some(operation),
    };
    wallet.command("asking the guardians", resume).await?;
    if wait {
        let view = wallet.end(operation, patience.timeout).await?;
        wallet.close().await?;
        return Ok(json!(view));
    }
    let known = |client: &Client| {
        let claiming = |view: &View| view.state == "claiming";
        let moves = client
            .operation(operation)
            .is_ok_and(|view| claiming(&view));
        !client.is_looking(operation) && !moves
    };
    wallet
        .until("asking the guardians", patience.or_usual(), known)
        .await?;
    let view = wallet.client().operation(operation)?;
    wallet.close().await?;
    Ok(json!(view))
}

async fn refund(
    arguments: &Arguments,
    signals: &Signals,
    operation: Option<OperationId>,
    patience: Patience,
) -> Result<Json, Failure> {
    let mut wallet = Wallet::open(arguments, signals).await?;
    let open = |view: &View| view.kind == "pay" && view.phase == Phase::Pending;
    let chosen: Vec<OperationId> = match operation {
        Some(operation) => vec![operation],
        None => {
            let views = wallet.client().operations().into_iter();
            views.filter(open).map(|view| view.operation).collect()
        }
    };
    wallet
        .command("asking for the money", Command::LnRefund { operation })
        .await?;
    let mut views = Vec::new();
    for operation in chosen {
        let view = wallet.wait(operation, patience.or_usual()).await?;
        if view.phase == Phase::Pending {
            let obstacle = wallet.client().obstacle(operation);
            return Err(Failure::pending(operation, view.state, obstacle.as_ref()));
        }
        views.push(view);
    }
    wallet.close().await?;
    match (operation, views.as_slice()) {
        (Some(_), [view]) => Ok(json!(view)),
        _ => Ok(json!({ "operations": views })),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::with_units;

    #[test]
    fn numbers_of_gateways_have_units() {
        let fees = json!({ "base": 1_000, "parts_per_million": 5 });
        let mut gateway = json!({ "send_fees": fees, "receive_fees": fees, "valid_until": 7 });
        with_units(&mut gateway);
        let fees = json!({ "base_msat": 1_000, "parts_per_million": 5 });
        let expected = json!({ "send_fees": fees, "receive_fees": fees, "valid_until_height": 7 });
        assert_eq!(gateway, expected);
    }
}
