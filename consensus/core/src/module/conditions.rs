//! What guardians may agree to change about a module (SPEC GEN-6).

use serde::{Deserialize, Serialize};

use crate::{encoding::Wire, ledger::View, revision::Conditions, Row};

/// Agreed, in a module's own scope: its conditions since the last revision. The engine writes it, and modules have no other table
/// of this number.
#[derive(Debug, Serialize, Deserialize, Row)]
#[row(table = 255, value = Conditions, resident)]
pub struct Revised;

/// For modules of which nothing may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 1)]
pub enum NoConditions {}

/// A module's conditions as they were last revised, to be read from its agreed rows; `None` if those of the founding count.
#[must_use]
pub fn revised<T: Wire>(agreed: &View<'_, '_>) -> Option<T> {
    // Nothing is agreed that the module has not read before.
    T::decode(&agreed.get(&Revised)?.0).ok()
}
