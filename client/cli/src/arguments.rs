//! What can be said on the command line.

use std::{path::PathBuf, time::Duration};

use guildmint_client::{GatewayKey, OperationId};
use guildmint_core::Amount;
pub use guildmint_terminal::Format;
use structopt::{clap::Shell, StructOpt};

const AFTER_HELP: &str = "EXAMPLES:
    guildmint init                          make a wallet; write its twelve words down
    guildmint join guild1…                  join a federation by its invite code
    guildmint restore guild1… < words       or: make a wallet of words that were used before, with all they have
    guildmint deposit address               get an address, pay bitcoin to it, then
    guildmint deposit status --wait         wait until it is e-cash
    guildmint send 25sat                    print notes; whoever has the text has the money
    guildmint receive guildnote1…           take notes
    guildmint withdraw bc1q… 0.001btc       ask the price, confirm, pay to a bitcoin address
    guildmint ln pay lnbc…                  ask the price, confirm, have a Lightning invoice paid
    guildmint ln invoice 25sat              be paid over Lightning

Every command prints one JSON document on standard output, also when it fails, and one line on standard error when it fails.
Every option can be given as GUILDMINT_… in the environment where its help says so.

EXIT STATUS:
      0  done
      1  failed; the error's code says why
      2  wrong usage, or an argument that cannot be read
      3  the wallet's words are damaged or wrong
      4  no such wallet, federation or operation
      5  a confirmation is needed: say --yes
      6  no network, or too few guardians answer
      7  refused by the federation: spent or forged notes, a fee that is too low
      8  not done in time but still under way; the operation's name is in the details
    130  interrupted";

/// A wallet for e-cash of a Guildmint federation
#[derive(Debug, StructOpt)]
#[structopt(name = "guildmint", after_help = AFTER_HELP)]
pub struct Arguments {
    /// Where the wallet is kept [default: ~/.guildmint]
    #[structopt(
        long,
        global = true,
        env = "GUILDMINT_DATA_DIR",
        value_name = "DIR",
        hide_env_values = true
    )]
    pub data_dir: Option<PathBuf>,

    /// How answers are printed: json or human
    #[structopt(
        long,
        global = true,
        env = "GUILDMINT_OUTPUT",
        default_value = "json",
        value_name = "FORMAT"
    )]
    pub output: Format,

    /// An Electrum server, tcp://host:port or ssl://host:port, instead of those that the federation names
    #[structopt(
        long,
        global = true,
        env = "GUILDMINT_ELECTRUM",
        value_name = "URL",
        number_of_values = 1,
        use_delimiter = true
    )]
    pub electrum: Vec<String>,

    #[structopt(subcommand)]
    pub command: Command,
}

// How long to wait. A doc comment would take the place of those of the commands.
#[derive(Debug, Clone, Copy, StructOpt)]
pub struct Patience {
    /// Give up waiting after so long, such as 90s or 2m; the operation goes on with the next command
    #[structopt(long, env = "GUILDMINT_TIMEOUT", value_name = "TIME", parse(try_from_str = duration))]
    pub timeout: Option<Duration>,
}

#[derive(Debug, StructOpt)]
pub enum Command {
    /// Make a wallet
    Init {
        /// Make it of the twelve words in this file, or on standard input if it is `-`; `restore` then finds what they have
        #[structopt(long, env = "GUILDMINT_WORDS_FILE", value_name = "FILE")]
        words_file: Option<PathBuf>,
    },
    /// Find everything again that twelve words have: notes and deposits. Said again, it goes on where it was, or looks again
    Restore(Restore),
    /// Join a federation by its invite code
    Join {
        /// guild1…
        invite: String,
    },
    /// Show the federation, what its guardians say, and its balance sheet
    Info,
    /// Show how much can be spent
    Balance,
    /// Turn bitcoin into e-cash
    Deposit(Deposit),
    /// Make notes to hand over; whoever has the text has the money
    Send {
        /// How much, with its unit: 1000msat, 25sat, 0.001btc
        amount: Amount,
        /// Show the text as a QR code on standard error
        #[structopt(long)]
        qr: bool,
        /// Take the notes back if nobody has taken them after so long
        #[structopt(long, env = "GUILDMINT_RECLAIM_AFTER", default_value = "3d", value_name = "TIME", parse(try_from_str = duration))]
        reclaim_after: Duration,
        #[structopt(flatten)]
        patience: Patience,
    },
    /// Take notes: exchange them for notes that nobody else knows
    Receive {
        /// guildnote1…, or - to read it from standard input
        notes: String,
        #[structopt(flatten)]
        patience: Patience,
    },
    /// Check notes without taking them
    Validate {
        /// guildnote1…, or - to read it from standard input
        notes: String,
    },
    /// Take back notes that were sent and not taken
    Reclaim {
        /// Which sending; all of them if left out
        operation: Option<OperationId>,
        #[structopt(flatten)]
        patience: Patience,
    },
    /// Turn e-cash into bitcoin
    Withdraw(Withdraw),
    /// Pay and be paid over Lightning
    Ln(Ln),
    /// What was started and how far it is
    Operations(Operations),
    /// Show the notes in the wallet, by denomination
    Notes,
    /// Show what anyone may see of notes: denomination, nonce, signature and the key that verifies it
    Decode {
        /// guildnote1…, or - to read it from standard input
        notes: String,
    },
    /// Print a completion script for a shell
    Completions {
        /// bash, zsh, fish, powershell or elvish
        #[structopt(possible_values = &Shell::variants())]
        shell: Shell,
    },
}

#[derive(Debug, StructOpt)]
pub struct Restore {
    /// guild1…, the federation's invite code, unless the wallet has joined it
    pub invite: Option<String>,
    /// Read the words from this file instead of standard input; a wallet that is there knows its words
    #[structopt(long, env = "GUILDMINT_WORDS_FILE", value_name = "FILE")]
    pub words_file: Option<PathBuf>,
    /// How many notes of a value in a row must be unknown before the search for more of them ends
    #[structopt(long, value_name = "NUMBER")]
    pub gap: Option<u64>,
    #[structopt(flatten)]
    pub patience: Patience,
}

#[derive(Debug, StructOpt)]
pub enum Deposit {
    /// Get a new address to pay to
    Address {
        /// Show the address as a QR code on standard error
        #[structopt(long)]
        qr: bool,
    },
    /// See whether a deposit has arrived, and claim it if it is deep enough in the chain
    Status {
        /// Which deposit; all that are pending if left out
        operation: Option<OperationId>,
        /// Wait until it is claimed
        #[structopt(long)]
        wait: bool,
        #[structopt(flatten)]
        patience: Patience,
    },
}

#[derive(Debug, StructOpt)]
pub struct Withdraw {
    /// Where to
    pub address: String,
    /// What arrives there, with its unit; the fee comes on top
    pub amount: Amount,
    /// Do not ask for confirmation
    #[structopt(long)]
    pub yes: bool,
    /// Only ask the price
    #[structopt(long)]
    pub dry_run: bool,
    /// Wait until the guardians have signed the transaction, which they then send until it is in a block; this is the default
    #[structopt(long)]
    pub wait: bool,
    /// Do not wait for the transaction
    #[structopt(long, conflicts_with = "wait")]
    pub no_wait: bool,
    #[structopt(flatten)]
    pub patience: Patience,
}

#[derive(Debug, StructOpt)]
pub enum Ln {
    /// Have an invoice or an offer paid by a gateway. The same invoice again is the same payment; an offer again is another
    Pay(LnPay),
    /// Get an invoice that a gateway makes; what is paid on it becomes e-cash
    Invoice(LnInvoice),
    /// See whether an invoice has been paid, or what became of a payment
    Status {
        /// Such as op-1
        operation: OperationId,
        /// Wait until it has ended
        #[structopt(long)]
        wait: bool,
        #[structopt(flatten)]
        patience: Patience,
    },
    /// Show the gateways that announce themselves in the federation, and what they take
    Gateways,
    /// Take back money that a gateway gives up or whose time is over. That happens by itself, too, whenever the wallet runs
    Refund {
        /// Which payment; all that are under way if left out
        operation: Option<OperationId>,
        #[structopt(flatten)]
        patience: Patience,
    },
}

#[derive(Debug, StructOpt)]
pub struct LnPay {
    /// lnbc… or lno1…, with or without lightning: before it, or - to read it from standard input
    pub invoice: String,
    /// What the payee of an offer gets, with its unit, if the offer does not say it
    #[structopt(long, value_name = "AMOUNT")]
    pub amount: Option<Amount>,
    /// A word for the payee of an offer
    #[structopt(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Do not ask for confirmation
    #[structopt(long)]
    pub yes: bool,
    /// Only ask the price
    #[structopt(long)]
    pub dry_run: bool,
    /// What it may cost at most on top of the amount, with its unit [default: what the price says]
    #[structopt(long, value_name = "AMOUNT")]
    pub max_fee: Option<Amount>,
    /// Through the gateway with this key, not the best one
    #[structopt(long, value_name = "KEY")]
    pub gateway: Option<GatewayKey>,
    /// Do not wait until it is paid
    #[structopt(long)]
    pub no_wait: bool,
    #[structopt(flatten)]
    pub patience: Patience,
}

#[derive(Debug, StructOpt)]
pub struct LnInvoice {
    /// What you get, with its unit; the payer pays the gateway's fee
    pub amount: Amount,
    /// What it is for; the payer sees it
    #[structopt(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    pub description: String,
    /// For how long it can be paid, at most a day
    #[structopt(long, default_value = "1h", value_name = "TIME", parse(try_from_str = duration))]
    pub expiry: Duration,
    /// By the gateway with this key, not the best one
    #[structopt(long, value_name = "KEY")]
    pub gateway: Option<GatewayKey>,
    /// Show the invoice as a QR code on standard error
    #[structopt(long)]
    pub qr: bool,
    /// Show the invoice on standard error, and wait until it is paid and claimed
    #[structopt(long)]
    pub wait: bool,
    #[structopt(flatten)]
    pub patience: Patience,
}

#[derive(Debug, StructOpt)]
pub enum Operations {
    /// All of them, the oldest first
    List,
    /// One of them, with all that is known
    Show {
        /// Such as op-1
        operation: OperationId,
    },
    /// Give up a withdrawal that guardians keep refusing for now, because its price has risen for instance
    Cancel {
        /// Such as op-1
        operation: OperationId,
        #[structopt(flatten)]
        patience: Patience,
    },
    /// Go on with what is pending, now; of a withdrawal that is signed, look which transaction pays it by now
    Resume {
        /// Which; all that are pending if left out
        operation: Option<OperationId>,
        #[structopt(flatten)]
        patience: Patience,
    },
}

/// A number and a unit: `90s`, `2m`, `12h`, `3d`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; write it like 90s, 2m, 12h or 3d");
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let parse = |(unit, seconds): (&str, u64)| {
        let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        Some(Duration::from_secs(number.checked_mul(seconds)?))
    };
    units.into_iter().find_map(parse).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_described_in_its_own_words() {
        let help = Arguments::from_iter_safe(["guildmint", "--help"]).unwrap_err();
        for words in [
            "Take notes:",
            "Make notes to hand over",
            "Take back notes",
            "Pay and be paid",
        ] {
            assert!(
                help.message.contains(words),
                "{words:?} is not in {}",
                help.message
            );
        }
    }

    #[test]
    fn durations_need_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("3d"), Ok(Duration::from_secs(259_200)));
        for wrong in ["90", "", "-1s", "1.5h", "99999999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
