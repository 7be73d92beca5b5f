//! What guardians agree on about lockers.

use guildmint_core::{OutPoint, Row};
use serde::{Deserialize, Serialize};

use crate::types::Lock;

/// A locker that has money in it.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 1, value = Lock)]
pub struct Locked(pub OutPoint);

/// What is in all lockers, in millisatoshi. One row.
#[derive(Serialize, Deserialize, Row)]
#[row(table = 2, value = u64, resident)]
pub struct Total;
