//! Bitcoin out.

use std::io::{BufRead as _, IsTerminal as _};

use guildmint_client::{ClientError, Command, Reply};
use guildmint_core::Amount;
use serde_json::{json, Value as Json};

use crate::{
    arguments::{Arguments, Withdraw},
    failure::{Exit, Failure},
    output::clean,
    signals::Signals,
    wallet::Wallet,
};

pub async fn run(
    arguments: &Arguments,
    signals: &Signals,
    command: &Withdraw,
) -> Result<Json, Failure> {
    let mut wallet = Wallet::open(arguments, signals).await?;
    let price = quote(&mut wallet, command).await?;
    let offer = json!({
        "address": command.address,
        "amount_sat": command.amount.sat_floor(),
        "fee_sat": price.fee.sat_floor(),
        "fee_msat": price.total_msat(),
    });
    if command.dry_run {
        wallet.close().await?;
        return Ok(offer);
    }
    if !command.yes {
        confirm(&wallet, command, &price, &offer)?;
    }
    let withdraw = Command::Withdraw {
        address: command.address.clone(),
        amount: command.amount,
        fee: price.fee,
    };
    let operation = wallet.start("preparing the withdrawal", withdraw).await?;
    let view = if command.wait || !command.no_wait {
        wallet.end(operation, command.patience.or_usual()).await?
    } else {
        wallet.client().operation(operation)?
    };
    wallet.close().await?;
    Ok(json!(view))
}

struct Price {
    fee: Amount,
    federation_fee: Amount,
}

impl Price {
    fn total_msat(&self) -> u64 {
        self.fee.msat().saturating_add(self.federation_fee.msat())
    }

    fn with(&self, amount: Amount) -> Amount {
        Amount::sum([amount, self.fee, self.federation_fee]).unwrap_or(Amount::MAX)
    }
}

async fn quote(wallet: &mut Wallet, command: &Withdraw) -> Result<Price, Failure> {
    let question = Command::Quote {
        address: command.address.clone(),
        amount: command.amount,
    };
    let reply = wallet.command("asking the price", question).await;
    // Guardians refuse what they could not pay. That the user could not is the nearer reason.
    if reply.as_ref().is_err_and(|no| no.exit == Exit::Refused) {
        afford(wallet, command.amount)?;
    }
    match reply? {
        Reply::Quote {
            fee_sat,
            federation_fee,
        } => Ok(Price {
            fee: Amount::from_sat(fee_sat)
                .map_err(|error| Failure::new(Exit::Refused, "absurd_fee", error))?,
            federation_fee,
        }),
        other => {
            let message = format!("the wallet answered {other:?}");
            Err(Failure::new(Exit::Failed, "unexpected", message))
        }
    }
}

fn afford(wallet: &Wallet, needed: Amount) -> Result<(), Failure> {
    let available = wallet.client().balance().spendable;
    if needed > available {
        return Err(ClientError::InsufficientFunds { needed, available }.into());
    }
    Ok(())
}

/// Asks the user, if there is one, and only what can be done.
fn confirm(
    wallet: &Wallet,
    command: &Withdraw,
    price: &Price,
    offer: &Json,
) -> Result<(), Failure> {
    let unconfirmed = |message: &str| {
        Failure::new(Exit::Confirmation, "confirmation_needed", message)
            .remedy("say --yes to withdraw at this price")
            .detail("quote", offer.clone())
    };
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(unconfirmed("the withdrawal was not confirmed"));
    }
    afford(wallet, price.with(command.amount))?;
    let (amount, fee, address) = (command.amount, price.fee, clean(&command.address));
    eprint!("Withdraw {amount} to {address} for a fee of {fee}? [y/N] ");
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer);
    match (read, answer.trim().to_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(unconfirmed("the withdrawal was declined")),
    }
}
