//! What guardians may agree to change about the mint (SPEC GEN-6).

use guildmint_core::{Amount, Wire};
use serde::{Deserialize, Serialize};

use crate::MintConfig;

/// The part of the mint's config that a revision may change: what it charges. Denominations are keys, and stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 64)]
#[serde(deny_unknown_fields)]
pub struct MintConditions {
    /// What redeeming one note costs.
    pub input_fee: Amount,
    /// What issuing one note costs.
    pub output_fee: Amount,
}

impl From<&MintConfig> for MintConditions {
    fn from(config: &MintConfig) -> Self {
        Self {
            input_fee: config.input_fee,
            output_fee: config.output_fee,
        }
    }
}

impl MintConfig {
    /// Whether the mint could charge this.
    ///
    /// # Errors
    /// If no note would be worth anything.
    pub fn allows(&self, conditions: &MintConditions) -> Result<(), String> {
        let largest = self.keys.keys().map(|note| note.amount()).max();
        let fee = conditions.input_fee.max(conditions.output_fee);
        match largest {
            Some(largest) if fee >= largest => Err(format!(
                "a fee of {fee} leaves nothing of the largest note, {largest}"
            )),
            _ => Ok(()),
        }
    }
}
