//! From commands to what the gateway is asked.

use std::{
    fs::File,
    io::{self, Read},
};

use guildmint_core::Amount;
use serde_json::{json, Map, Value as Json};
use zeroize::Zeroizing;

use crate::{
    arguments::{Channel, Command, Ecash, Federation, Peer},
    failure::{Exit, Failure},
};

/// Bytes of notes that are read. More are not: the gateway would refuse them.
const MAX_NOTES_BYTES: u64 = 60 * 1024;

/// What to ask.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// The path, with what is said in it.
    pub path: String,
    /// What is posted; a question if absent.
    pub body: Option<Json>,
    /// For how many seconds to ask again, if it has not ended.
    pub patience: Option<u64>,
    /// ⚠ Said twice, it is done twice. The command that shows whether it was done, where nobody has said so.
    pub once: Option<&'static str>,
}

impl Request {
    fn once(self, look: &'static str) -> Self {
        let once = Some(look);
        Self { once, ..self }
    }
}

fn get(path: impl Into<String>) -> Request {
    Request {
        path: path.into(),
        body: None,
        patience: None,
        once: None,
    }
}

/// Without what is null: it stays as it is.
fn post(path: &str, body: Json) -> Request {
    let members = match body {
        Json::Object(members) => members,
        _ => Map::new(),
    };
    let said = members.into_iter().filter(|(_, value)| !value.is_null());
    Request {
        path: path.to_owned(),
        body: Some(Json::Object(said.collect())),
        patience: None,
        once: None,
    }
}

/// Whole satoshi, as the chain has them.
fn sat(amount: Amount) -> Result<u64, Failure> {
    match amount.msat() % 1000 {
        0 => Ok(amount.msat() / 1000),
        _ => {
            let message = format!("{amount} is no whole number of satoshi, which the chain wants");
            Err(Failure::new(Exit::Usage, "not_whole_satoshi", message))
        }
    }
}

fn msat(amount: Option<Amount>) -> Option<u64> {
    amount.map(|amount| amount.msat())
}

/// What a command asks.
pub fn request(command: Command) -> Result<Request, Failure> {
    Ok(match command {
        Command::Info => get("/status"),
        Command::Balances => get("/balances"),
        Command::Warnings => get("/warnings"),
        Command::Backup => get("/backup"),
        Command::Resume => post("/resume", json!({})),
        Command::Stop => post("/stop", json!({})),
        Command::Payments { before, limit } => {
            let before = before.map_or_else(String::new, |before| format!("&before={before}"));
            get(format!("/payments?limit={limit}{before}"))
        }
        Command::Channel(command) => channel(command)?,
        Command::Peer(Peer::Connect { peer }) => post("/peers", json!({ "peer": peer })),
        Command::Federation(command) => federation(command),
        Command::Ecash(command) => ecash(command)?,
        money => moving(money)?,
    })
}

/// The node's own money.
fn moving(command: Command) -> Result<Request, Failure> {
    Ok(match command {
        Command::Withdraw {
            address,
            amount,
            fee_rate,
        } => post(
            "/withdrawals",
            json!({ "address": address, "amount_sat": sat(amount)?, "fee_sat_per_kvb": fee_rate }),
        )
        .once("balances"),
        Command::Pay {
            invoice,
            amount,
            max_fee,
            timeout,
        } => Request {
            patience: Some(timeout),
            ..post(
                "/payments",
                json!({
                    "invoice": invoice,
                    "amount_msat": msat(amount),
                    "max_fee_msat": msat(max_fee),
                }),
            )
        },
        Command::Invoice {
            amount,
            description,
            expiry,
        } => post(
            "/invoices",
            json!({ "amount_msat": msat(amount), "description": description, "expiry_s": expiry }),
        ),
        Command::Offer {
            amount,
            description,
        } => post(
            "/offers",
            json!({ "amount_msat": msat(amount), "description": description }),
        ),
        _ => post("/address", json!({})),
    })
}

fn channel(command: Channel) -> Result<Request, Failure> {
    Ok(match command {
        Channel::Open {
            peer,
            amount,
            push,
            public,
        } => post(
            "/channels",
            json!({
                "peer": peer,
                "amount_sat": sat(amount)?,
                "push_msat": msat(push),
                "public": public,
            }),
        )
        .once("channel list"),
        Channel::Close { channel, force } => post(
            "/channels/close",
            json!({ "channel": channel, "force": force }),
        ),
        Channel::List => get("/channels"),
    })
}

fn federation(command: Federation) -> Request {
    match command {
        Federation::Join { invite } => post("/federations", json!({ "invite": invite })),
        Federation::Leave { federation } => {
            post("/federations/leave", json!({ "federation": federation }))
        }
        Federation::List => get("/federations"),
        Federation::SetFees {
            federation,
            send_base,
            send_ppm,
            margin_base,
            margin_ppm,
            receive_base,
            receive_ppm,
        } => post(
            "/federations/fees",
            json!({
                "federation": federation,
                "send_base_msat": msat(send_base),
                "send_parts_per_million": send_ppm,
                "margin_base_msat": msat(margin_base),
                "margin_parts_per_million": margin_ppm,
                "receive_base_msat": msat(receive_base),
                "receive_parts_per_million": receive_ppm,
            }),
        ),
        Federation::SetLimits {
            federation,
            exposure,
            spending,
            paying,
            held,
        } => post(
            "/federations/limits",
            json!({
                "federation": federation,
                "exposure_msat": msat(exposure),
                "spending_msat": msat(spending),
                "paying": paying,
                "held": held,
            }),
        ),
    }
}

fn ecash(command: Ecash) -> Result<Request, Failure> {
    Ok(match command {
        Ecash::Deposit { federation } => {
            post("/ecash/deposit", json!({ "federation": federation }))
        }
        Ecash::Withdraw {
            federation,
            address,
            amount,
            max_fee,
        } => post(
            "/ecash/withdraw",
            json!({
                "federation": federation,
                "address": address,
                "amount_sat": sat(amount)?,
                "max_fee_sat": max_fee,
            }),
        )
        .once("ecash operations"),
        Ecash::Send { federation, amount } => post(
            "/ecash/send",
            json!({ "federation": federation, "amount_msat": amount.msat() }),
        )
        .once("ecash operations"),
        Ecash::Receive { federation, from } => {
            let read = match &from {
                Some(path) => File::open(path).and_then(notes),
                None => notes(io::stdin()),
            };
            let notes = read.map_err(|error| {
                let message = format!("the notes cannot be read: {error}");
                Failure::new(Exit::Usage, "no_notes", message)
            })?;
            post(
                "/ecash/receive",
                json!({ "federation": federation, "notes": *notes }),
            )
        }
        Ecash::Operations {
            federation,
            operation,
        } => {
            let operation = operation.map_or_else(String::new, |one| format!("&operation={one}"));
            get(format!(
                "/ecash/operations?federation={federation}{operation}"
            ))
        }
    })
}

fn notes(from: impl Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    from.take(MAX_NOTES_BYTES).read_to_string(&mut text)?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use structopt::StructOpt as _;

    use super::*;
    use crate::arguments::Arguments;

    fn asked(line: &str) -> Result<Request, Failure> {
        let words = std::iter::once("guildmint-gateway-cli").chain(line.split(' '));
        request(Arguments::from_iter_safe(words).unwrap().command)
    }

    #[test]
    fn commands_become_what_the_gateway_is_asked() {
        let id = "ab".repeat(32);
        for (line, path, body) in [
            ("info", "/status", None),
            (
                "payments --before 7 --limit 3",
                "/payments?limit=3&before=7",
                None,
            ),
            ("channel list", "/channels", None),
            ("stop", "/stop", Some(json!({}))),
            ("address", "/address", Some(json!({}))),
            (
                "offer 5sat --description tea",
                "/offers",
                Some(json!({ "amount_msat": 5000, "description": "tea" })),
            ),
            ("offer", "/offers", Some(json!({ "description": "" }))),
            (
                "withdraw bcrt1q 0.5btc --fee-rate 2000",
                "/withdrawals",
                Some(
                    json!({ "address": "bcrt1q", "amount_sat": 50_000_000, "fee_sat_per_kvb": 2000 }),
                ),
            ),
            (
                "channel open 02@h:1 1000sat --public",
                "/channels",
                Some(json!({ "peer": "02@h:1", "amount_sat": 1000, "public": true })),
            ),
            (
                "channel close ab --force",
                "/channels/close",
                Some(json!({ "channel": "ab", "force": true })),
            ),
            (
                &format!("federation set-fees {id} --send-ppm 10 --receive-base 1sat"),
                "/federations/fees",
                Some(
                    json!({ "federation": id, "send_parts_per_million": 10, "receive_base_msat": 1000 }),
                ),
            ),
            (
                &format!("federation set-limits {id} --exposure 1btc"),
                "/federations/limits",
                Some(json!({ "federation": id, "exposure_msat": 100_000_000_000_u64 })),
            ),
            (
                &format!("ecash send {id} 5msat"),
                "/ecash/send",
                Some(json!({ "federation": id, "amount_msat": 5 })),
            ),
            (
                &format!("ecash operations {id} op-3"),
                &format!("/ecash/operations?federation={id}&operation=op-3"),
                None,
            ),
        ] {
            let request = asked(line).unwrap();
            assert_eq!(
                (request.path.as_str(), request.body),
                (path, body),
                "{line}"
            );
        }
    }

    #[test]
    fn a_payment_is_waited_for() {
        let request = asked("pay lnbcrt1 --max-fee 2sat --timeout 7").unwrap();
        assert_eq!(request.patience, Some(7));
        let body = json!({ "invoice": "lnbcrt1", "max_fee_msat": 2000 });
        assert_eq!(request.body, Some(body));
    }

    #[test]
    fn the_chain_has_whole_satoshi() {
        let failure = asked("withdraw bcrt1q 1500msat").unwrap_err();
        assert_eq!(
            (failure.exit, failure.code.as_str()),
            (Exit::Usage, "not_whole_satoshi")
        );
    }

    #[test]
    fn notes_are_read_and_never_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "guildnote1abc\n").unwrap();
        let id = "ab".repeat(32);
        let line = format!("ecash receive {id} --from {}", path.display());
        let body = json!({ "federation": id, "notes": "guildnote1abc" });
        assert_eq!(asked(&line).unwrap().body, Some(body));
        let missing = asked(&format!("ecash receive {id} --from /nowhere")).unwrap_err();
        assert_eq!(missing.code, "no_notes");
    }
}
