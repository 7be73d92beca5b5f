//! `guildmintd setup`: steps by which a federation is founded.

use std::path::PathBuf;

use structopt::StructOpt;

use super::Options;

/// Steps by which a federation is founded. The guardian must run: `guildmintd run` in the same data directory.
#[derive(Debug, StructOpt)]
pub enum SetupCommand {
    /// Makes this guardian's setup code, and prints it. Give it to all other operators. The settings p2p_address and api_url say where
    /// others reach it.
    Code {
        /// What this guardian calls itself.
        #[structopt(long)]
        name: String,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        options: Options,
    },
    /// Enters the setup codes of all guardians, and connects to them.
    Join {
        /// The codes, in any order; without them they are read from standard input.
        codes: Vec<String>,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        options: Options,
    },
    /// Proposes what the federation shall be, and prints the words to compare. One operator does this.
    Propose {
        /// The federation's name.
        #[structopt(long)]
        name: Option<String>,
        /// The bitcoin network: bitcoin (the default), signet, testnet4, testnet or regtest.
        #[structopt(long)]
        network: Option<String>,
        /// Prints the proposal as JSON, and proposes nothing.
        #[structopt(long)]
        preview: bool,
        /// A file with the proposal as --preview prints it, changed as you like.
        #[structopt(long, value_name = "json", conflicts_with_all = &["name", "network"])]
        file: Option<PathBuf>,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        options: Options,
    },
    /// Confirms a proposal, for good. Every operator does this, after all have compared the words by voice.
    Confirm {
        /// The twelve words.
        #[structopt(required = true)]
        words: Vec<String>,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        options: Options,
    },
    /// Prints how far it is, and what to do next.
    Status(Options),
    /// Waits for no more dealings of keys. If t operators do this, it goes on without guardians that have not dealt.
    Close(Options),
    /// Once this guardian has its keys: does not wait until the others have theirs.
    Finish(Options),
    /// Forgets this guardian's code and all that was said, to begin again with new codes.
    Abort {
        /// That you mean it.
        #[structopt(long)]
        yes: bool,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        options: Options,
    },
}
