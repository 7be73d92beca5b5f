//! What can be said on the command line.

use std::path::PathBuf;

use guildmint_core::{Amount, FederationId};
use structopt::StructOpt;

const AFTER_HELP: &str = "EXAMPLES:
    guildmint-gateway-cli info                              how the gateway is
    guildmint-gateway-cli federation join guild1…           serve a federation, by its invite code
    guildmint-gateway-cli ecash deposit FEDERATION          get an address, pay bitcoin to it: e-cash for users who are paid
    guildmint-gateway-cli address                           get an address of the node, pay bitcoin to it: money for channels
    guildmint-gateway-cli channel open KEY@HOST:PORT 0.1btc open a channel
    guildmint-gateway-cli payments                          what the last day brought and cost

The operator's token is read from admin.cookie in the data directory, from --token-file, or from GUILDMINT_GATEWAY_TOKEN in the environment.
Answers are lines for people, or with --json one JSON document, also when a command fails.

EXIT STATUS:
      0  done
      1  failed; the error's code says why
      2  wrong usage, or an argument that cannot be read
      3  no token, or a wrong one
      4  no such federation or channel
      6  no gateway answers
      7  refused; nothing was done
      8  not done in time but still under way";

/// Commands for the operator of a Guildmint Lightning gateway
#[derive(Debug, StructOpt)]
#[structopt(name = "guildmint-gateway-cli", after_help = AFTER_HELP)]
pub struct Arguments {
    /// Where the gateway listens for its operator
    #[structopt(
        long,
        global = true,
        env = "GUILDMINT_GATEWAY_URL",
        default_value = "http://127.0.0.1:8177",
        value_name = "URL"
    )]
    pub url: String,

    /// The gateway's data directory, with admin.cookie in it
    #[structopt(
        long,
        global = true,
        env = "GUILDMINT_GATEWAY_DATA_DIR",
        value_name = "DIR",
        hide_env_values = true
    )]
    pub data_dir: Option<PathBuf>,

    /// The file with the operator's token, if it is elsewhere
    #[structopt(
        long,
        global = true,
        env = "GUILDMINT_GATEWAY_TOKEN_FILE",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub token_file: Option<PathBuf>,

    /// Print answers as one JSON document
    #[structopt(long, global = true)]
    pub json: bool,

    #[structopt(subcommand)]
    pub command: Command,
}

#[derive(Debug, StructOpt)]
pub enum Command {
    /// How the gateway is: node, federations, checks
    Info,
    /// What there is: on the chain, in channels, and as e-cash
    Balances,
    /// An address of the node's own wallet
    Address,
    /// Pay from the node's own wallet to a bitcoin address; never from what channels need to be closed
    Withdraw {
        /// Whom to pay
        address: String,
        /// How much arrives, such as 0.01btc
        amount: Amount,
        /// What miners get for 1000 virtual bytes, in satoshi; without it, what is usual
        #[structopt(long, value_name = "SAT")]
        fee_rate: Option<u64>,
    },
    /// Channels of the node
    Channel(Channel),
    /// Other nodes
    Peer(Peer),
    /// Pay an invoice with the node's own money
    Pay {
        /// The invoice, BOLT11
        invoice: String,
        /// How much, if the invoice leaves it open
        #[structopt(long, value_name = "AMOUNT")]
        amount: Option<Amount>,
        /// The most that the way there may cost [default: 1 %]
        #[structopt(long, value_name = "AMOUNT")]
        max_fee: Option<Amount>,
        /// Give up waiting after so many seconds; the payment goes on
        #[structopt(long, default_value = "60", value_name = "SECONDS")]
        timeout: u64,
    },
    /// An invoice of the operator's own: what is paid is the node's, and no federation's
    Invoice {
        /// How much; without it, the payer says
        amount: Option<Amount>,
        /// What it is for
        #[structopt(long, default_value = "", value_name = "TEXT")]
        description: String,
        /// For how many seconds it is valid
        #[structopt(long, value_name = "SECONDS")]
        expiry: Option<u32>,
    },
    /// A BOLT12 offer of the operator's own: it can be paid again and again, and does not expire. The node needs a public channel
    Offer {
        /// How much; without it, each payer says
        amount: Option<Amount>,
        /// What it is for
        #[structopt(long, default_value = "", value_name = "TEXT")]
        description: String,
    },
    /// Federations that are served
    Federation(Federation),
    /// The gateway's e-cash
    Ecash(Ecash),
    /// Payments: those under way, the last ones, and what the last day brought and cost
    Payments {
        /// Only those before this number
        #[structopt(long, value_name = "NUMBER")]
        before: Option<u64>,
        /// How many, 100 at most
        #[structopt(long, default_value = "20", value_name = "NUMBER")]
        limit: u64,
    },
    /// What the operator should look into
    Warnings,
    /// Begin payments again, after the gateway has halted
    Resume,
    /// What can and cannot be restored, and what the recovery file says
    Backup,
    /// Stop the gateway in order
    Stop,
}

#[derive(Debug, StructOpt)]
pub enum Channel {
    /// Open one
    Open {
        /// With whom, as key@host:port
        peer: String,
        /// How much of the node's own money to put into it
        amount: Amount,
        /// How much of that the peer gets as a gift
        #[structopt(long, value_name = "AMOUNT")]
        push: Option<Amount>,
        /// Let others route through it
        #[structopt(long)]
        public: bool,
    },
    /// Close one, together with the peer
    Close {
        /// Which
        channel: String,
        /// Alone, because the peer does not answer: the money is locked for some time
        #[structopt(long)]
        force: bool,
    },
    /// All of them
    List,
}

#[derive(Debug, StructOpt)]
pub enum Peer {
    /// Connect to one, and stay connected as long as there is a channel
    Connect {
        /// Whom, as key@host:port
        peer: String,
    },
}

#[derive(Debug, StructOpt)]
pub enum Federation {
    /// Serve one
    Join {
        /// Its invite code
        invite: String,
    },
    /// Begin nothing new in one; what has begun is brought to an end
    Leave {
        /// Which
        federation: FederationId,
    },
    /// All of them, with fees and limits
    List,
    /// Change what is charged; what is not said stays
    SetFees {
        /// Where
        federation: FederationId,
        /// For each invoice that is paid
        #[structopt(long, value_name = "AMOUNT")]
        send_base: Option<Amount>,
        /// And so many millionths of its amount
        #[structopt(long, value_name = "PPM")]
        send_ppm: Option<u32>,
        /// Kept of that whatever the way to the payee costs
        #[structopt(long, value_name = "AMOUNT")]
        margin_base: Option<Amount>,
        /// And so many millionths
        #[structopt(long, value_name = "PPM")]
        margin_ppm: Option<u32>,
        /// Kept of each payment that a user receives
        #[structopt(long, value_name = "AMOUNT")]
        receive_base: Option<Amount>,
        /// And so many millionths
        #[structopt(long, value_name = "PPM")]
        receive_ppm: Option<u32>,
    },
    /// Change what limits the risk; what is not said stays
    SetLimits {
        /// Where
        federation: FederationId,
        /// Money in the federation at most: it is lost if the guardians are thieves
        #[structopt(long, value_name = "AMOUNT")]
        exposure: Option<Amount>,
        /// What may be paid in a day
        #[structopt(long, value_name = "AMOUNT")]
        spending: Option<Amount>,
        /// Payments to Lightning at once
        #[structopt(long, value_name = "NUMBER")]
        paying: Option<u32>,
        /// Payments from Lightning at once
        #[structopt(long, value_name = "NUMBER")]
        held: Option<u32>,
    },
}

#[derive(Debug, StructOpt)]
pub enum Ecash {
    /// An address: bitcoin that is paid to it becomes e-cash
    Deposit {
        /// Where
        federation: FederationId,
    },
    /// Turn e-cash into bitcoin at an address, such as one of the node
    Withdraw {
        /// Where
        federation: FederationId,
        /// Whom to pay
        address: String,
        /// How much arrives
        amount: Amount,
        /// The most that miners may get, in satoshi
        #[structopt(long, value_name = "SAT")]
        max_fee: Option<u64>,
    },
    /// Hand out notes: whoever has their text has the money
    Send {
        /// Where
        federation: FederationId,
        /// How much
        amount: Amount,
    },
    /// Take notes, whose text is in a file or on standard input
    Receive {
        /// Where
        federation: FederationId,
        /// The file; without it, standard input
        #[structopt(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// What became of all this
    Operations {
        /// Where
        federation: FederationId,
        /// One of them
        operation: Option<String>,
    },
}
