#![doc = include_str!("../README.md")]

mod agreement;
mod check;
pub mod coin;
mod contribution;
mod federation;
pub mod node;
mod process;
mod revise;
pub mod rows;
mod upgrade;

pub use agreement::{Agreement, Message, Step};
pub use check::Checked;
#[cfg(feature = "dealer")]
pub use coin::deal as deal_coin;
pub use coin::{Coin, CoinError, CoinKeys};
pub use contribution::{Contribution, EffectiveBatch, Payload, PayloadError, Statement, Vote};
pub use federation::{Federation, FederationError};
pub use node::Node;
pub use process::{Batch, EpochOutput, Stop};
pub use revise::{AgreedRevision, RevisionVote};
pub use upgrade::{Activation, Known, Outdated, Versions, ENGINE};
