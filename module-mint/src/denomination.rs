//! What one note is worth.

use std::fmt;

use guildmint_core::Amount;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A note's value: 2^k millisatoshi, k from 0 to [`Denomination::MAX`] (SPEC MIN-1). Ordered by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Denomination(u8);

/// There is no note of such a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there are no notes of 2^{0} msat; the largest are of 2^{max}", max = Denomination::MAX.0)]
pub struct DenominationError(pub u8);

impl Denomination {
    /// 1 msat.
    pub const MIN: Self = Self(0);
    /// 2^39 msat, about 5.5 million sat.
    pub const MAX: Self = Self(39);

    /// The denomination of 2^`exponent` msat.
    ///
    /// # Errors
    /// If that is more than [`Denomination::MAX`].
    pub const fn new(exponent: u8) -> Result<Self, DenominationError> {
        if exponent > Self::MAX.0 {
            return Err(DenominationError(exponent));
        }
        Ok(Self(exponent))
    }

    /// k, where the value is 2^k msat.
    #[must_use]
    pub const fn exponent(self) -> u8 {
        self.0
    }

    /// The value in msat.
    #[must_use]
    pub const fn msat(self) -> u64 {
        1 << self.0
    }

    /// The value.
    #[must_use]
    pub const fn amount(self) -> Amount {
        match Amount::power_of_two(self.0) {
            Some(amount) => amount,
            // Amounts reach beyond 2^60 msat.
            None => Amount::MAX,
        }
    }

    /// Every denomination, from the smallest.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (Self::MIN.0..=Self::MAX.0).map(Self)
    }
}

impl TryFrom<u8> for Denomination {
    type Error = DenominationError;

    fn try_from(exponent: u8) -> Result<Self, DenominationError> {
        Self::new(exponent)
    }
}

impl From<Denomination> for u8 {
    fn from(denomination: Denomination) -> u8 {
        denomination.0
    }
}

impl fmt::Display for Denomination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} msat", self.msat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guildmint_core::encoding::{read, write};

    #[test]
    fn values_are_powers_of_two() {
        assert_eq!(Denomination::all().count(), 40);
        for (exponent, denomination) in Denomination::all().enumerate() {
            assert_eq!(denomination.msat(), 1 << exponent);
            assert_eq!(denomination.amount().msat(), denomination.msat());
        }
    }

    #[test]
    fn refuses_others_when_decoding() {
        assert_eq!(Denomination::new(40), Err(DenominationError(40)));
        assert!(read::<Denomination>(&[40]).is_err());
        assert!(serde_json::from_str::<Denomination>("40").is_err());
        let mut bytes = Vec::new();
        write(&mut bytes, &Denomination::MAX);
        assert_eq!(bytes, [39]);
        assert_eq!(read::<Denomination>(&bytes), Ok(Denomination::MAX));
    }
}
