//! `guildmintd revise`: changes of names, fees and other conditions that guardians agree on.

use std::path::PathBuf;

use structopt::StructOpt;

use super::Place;

/// Changes what may change about the federation. The guardian must run. What n − f operators approve counts for all from the next
/// epoch on; no restart is needed.
#[derive(Debug, StructOpt)]
pub enum ReviseCommand {
    /// Prints what counts now, and what guardians propose.
    Show(Place),
    /// Proposes changes, and approves them. Takes the place of what this guardian approved before.
    Propose {
        /// A file with the values to change, as `revise show` prints them under `present`; what it leaves out stays.
        file: Option<PathBuf>,
        /// A value to change, such as mint.input_fee=5 or guardians.0="Alice"; may be given several times.
        #[structopt(long, value_name = "name=value", number_of_values = 1)]
        set: Vec<String>,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        place: Place,
    },
    /// Approves what another guardian proposes. Takes the place of what this guardian approved before.
    Approve {
        /// The proposal's hash as `revise show` prints it, or at least its first 32 digits.
        proposal: String,
        #[allow(missing_docs)]
        #[structopt(flatten)]
        place: Place,
    },
    /// Approves nothing any more.
    Withdraw(Place),
}
