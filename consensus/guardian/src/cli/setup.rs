//! `guildmintd setup`: steps by which a federation is founded.

use std::path::PathBuf;

use structopt::StructOpt;

use super::Place;

/// Steps by which a federation is founded. The guardian must run: `guildmintd run` in the same data directory.
#[derive(Debug, StructOpt)]
pub enum SetupCommand {
    /// Makes this guardian's setup code, and prints it. Give it to all other operators. The settings p2p_address and api_url say where
    /// others reach it.
    Code {
        /// What this guardian calls itself.
        #[structopt(long)]
        name: String,
        /// Where other guardians reach it, as a multiaddress such as /dns4/guardian.example/tcp/8173; several with commas between.
        #[structopt(long, value_name = "multiaddress")]
        p2p_address: Option<String>,
        /// Where clients will reach it, such as `https://guardian.example`.
        #[structopt(long, value_name = "url")]
        api_url: Option<String>,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        place: Place,
    },
    /// Enters the setup codes of all guardians, and connects to them.
    Join {
        /// The codes, in any order; without them they are read from standard input.
        codes: Vec<String>,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        place: Place,
    },
    /// Proposes what the federation shall be, and prints the words to compare. One operator does this.
    Propose {
        /// The federation's name.
        #[structopt(long)]
        name: Option<String>,
        /// The bitcoin network: bitcoin (the default), signet, testnet4, testnet or regtest.
        #[structopt(long)]
        network: Option<String>,
        /// An Electrum server at which wallets look for deposits, such as ssl://electrum.example.org:50002; may be given several times.
        /// Without one each user must name one.
        #[structopt(long, value_name = "url", number_of_values = 1, use_delimiter = true)]
        electrum_for_wallets: Vec<String>,
        /// Prints the proposal as JSON, and proposes nothing.
        #[structopt(long)]
        preview: bool,
        /// A file with the proposal as --preview prints it, changed as you like.
        #[structopt(long, value_name = "json", conflicts_with_all = &["name", "network", "electrum-for-wallets"])]
        file: Option<PathBuf>,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        place: Place,
    },
    /// Confirms a proposal, for good. Every operator does this, after all have compared the words by voice.
    Confirm {
        /// The twelve words.
        #[structopt(required = true)]
        words: Vec<String>,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        place: Place,
    },
    /// Prints how far it is, and what to do next.
    Status(Place),
    /// Waits for no more dealings of keys. If t operators do this, it goes on without guardians that have not dealt.
    Close(Place),
    /// Once this guardian has its keys: does not wait until the others have theirs.
    Finish(Place),
    /// Forgets this guardian's code and all that was said, to begin again with new codes.
    Abort {
        /// That you mean it.
        #[structopt(long)]
        yes: bool,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        place: Place,
    },
}
