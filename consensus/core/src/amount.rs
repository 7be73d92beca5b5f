//! Money: whole millisatoshi, checked (SPEC GEN-3).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An amount in millisatoshi, at most 21 million bitcoin. There is no unchecked arithmetic.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Amount {
    msat: u64,
}

/// More than 21 million bitcoin, or less than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} msat is more than all bitcoin")]
pub struct AmountError(pub u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self { msat: 0 };
    /// All bitcoin that there can be.
    pub const MAX: Self = Self {
        msat: 2_100_000_000_000_000_000,
    };

    /// An amount of millisatoshi.
    ///
    /// # Errors
    /// If it is above [`Amount::MAX`].
    pub const fn from_msat(msat: u64) -> Result<Self, AmountError> {
        if msat > Self::MAX.msat {
            return Err(AmountError(msat));
        }
        Ok(Self { msat })
    }

    /// An amount of satoshi.
    ///
    /// # Errors
    /// If it is above [`Amount::MAX`].
    pub const fn from_sat(sat: u64) -> Result<Self, AmountError> {
        match sat.checked_mul(1000) {
            Some(msat) => Self::from_msat(msat),
            None => Err(AmountError(u64::MAX)),
        }
    }

    /// 2^`exponent` millisatoshi: the value of a note; `None` from 2^61 on.
    #[must_use]
    pub const fn power_of_two(exponent: u8) -> Option<Self> {
        if exponent > 60 {
            return None;
        }
        Some(Self {
            msat: 1 << exponent,
        })
    }

    /// The amount in millisatoshi.
    #[must_use]
    pub const fn msat(self) -> u64 {
        self.msat
    }

    /// The whole satoshi in the amount, rounded down.
    #[must_use]
    pub const fn sat_floor(self) -> u64 {
        self.msat / 1000
    }

    /// The amount in satoshi if it is a whole number of them.
    #[must_use]
    pub const fn sat_exact(self) -> Option<u64> {
        if self.msat.is_multiple_of(1000) {
            Some(self.msat / 1000)
        } else {
            None
        }
    }

    /// The sum, unless it is above [`Amount::MAX`].
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::from_msat(self.msat.checked_add(other.msat)?).ok()
    }

    /// The difference, unless it is below zero.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Some(Self {
            msat: self.msat.checked_sub(other.msat)?,
        })
    }

    /// The product, unless it is above [`Amount::MAX`].
    #[must_use]
    pub fn checked_mul(self, factor: u64) -> Option<Self> {
        Self::from_msat(self.msat.checked_mul(factor)?).ok()
    }

    /// The sum of many amounts, unless it is above [`Amount::MAX`].
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

impl TryFrom<u64> for Amount {
    type Error = AmountError;

    fn try_from(msat: u64) -> Result<Self, AmountError> {
        Self::from_msat(msat)
    }
}

impl From<Amount> for u64 {
    fn from(amount: Amount) -> u64 {
        amount.msat
    }
}

/// Satoshi where that is exact, else millisatoshi; always with the unit.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sat_exact() {
            Some(sat) => write!(f, "{sat} sat"),
            None => write!(f, "{} msat", self.msat),
        }
    }
}

/// Why text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseAmountError {
    /// A number with no unit: nobody can tell what it means.
    #[error("{0:?} has no unit; write it like 1000msat, 25sat or 0.001btc")]
    NoUnit(String),
    /// Not a number, or one with a sign, an exponent or several points.
    #[error("{0:?} is not a number; write it like 1000msat, 25sat or 0.001btc")]
    NotANumber(String),
    /// A fraction of a millisatoshi.
    #[error("{0:?} is finer than a millisatoshi")]
    TooFine(String),
    /// More than all bitcoin.
    #[error("{0:?} is more than all bitcoin")]
    TooLarge(String),
}

/// A decimal number and a unit: `1000msat`, `25sat`, `0.5btc`, with or without a space between them.
impl FromStr for Amount {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, ParseAmountError> {
        let lower = text.trim().to_ascii_lowercase();
        let shown = || text.chars().take(40).collect::<String>();
        let units = [("msat", 0), ("sats", 3), ("sat", 3), ("btc", 11)];
        let (number, decimals) = units
            .iter()
            .find_map(|(unit, decimals)| Some((lower.strip_suffix(unit)?.trim_end(), *decimals)))
            .ok_or_else(|| ParseAmountError::NoUnit(shown()))?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || number.ends_with('.') {
            return Err(ParseAmountError::NotANumber(shown()));
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > decimals {
            return Err(ParseAmountError::TooFine(shown()));
        }
        format!("{whole}{fraction:0<decimals$}")
            .parse()
            .ok()
            .and_then(|msat| Self::from_msat(msat).ok())
            .ok_or_else(|| ParseAmountError::TooLarge(shown()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn msat(msat: u64) -> Amount {
        Amount::from_msat(msat).unwrap()
    }

    #[test]
    fn arithmetic_is_checked_at_both_ends() {
        assert_eq!(msat(1).checked_add(msat(2)), Some(msat(3)));
        assert_eq!(Amount::MAX.checked_add(msat(1)), None);
        assert_eq!(msat(1).checked_sub(msat(2)), None);
        assert_eq!(Amount::MAX.checked_mul(2), None);
        assert_eq!(Amount::sum([Amount::MAX, msat(1)]), None);
        assert_eq!(Amount::sum([]), Some(Amount::ZERO));
    }

    #[test]
    fn no_more_than_all_bitcoin_decodes() {
        let too_much = Amount::MAX.msat() + 1;
        assert_eq!(Amount::from_msat(too_much), Err(AmountError(too_much)));
        assert!(serde_json::from_str::<Amount>(&too_much.to_string()).is_err());
        assert!(crate::encoding::read::<Amount>(&too_much.to_le_bytes()).is_err());
    }

    #[test]
    fn parses_every_unit() {
        for (text, expected) in [
            ("1000msat", 1000),
            ("25sat", 25_000),
            ("25 sats", 25_000),
            ("0.001sat", 1),
            ("0.001btc", 100_000_000),
            ("21000000BTC", Amount::MAX.msat()),
            ("1.50sat", 1_500),
        ] {
            assert_eq!(text.parse(), Ok(msat(expected)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_unclear() {
        use ParseAmountError as E;
        assert!(matches!("1000".parse::<Amount>(), Err(E::NoUnit(_))));
        assert!(matches!("-1sat".parse::<Amount>(), Err(E::NotANumber(_))));
        assert!(matches!("1.sat".parse::<Amount>(), Err(E::NotANumber(_))));
        assert!(matches!("sat".parse::<Amount>(), Err(E::NotANumber(_))));
        assert!(matches!(
            "1.2.3sat".parse::<Amount>(),
            Err(E::NotANumber(_))
        ));
        assert!(matches!("0.0001sat".parse::<Amount>(), Err(E::TooFine(_))));
        assert!(matches!(
            "21000001btc".parse::<Amount>(),
            Err(E::TooLarge(_))
        ));
        assert!(matches!(
            "99999999999999999999999sat".parse::<Amount>(),
            Err(E::TooLarge(_))
        ));
    }

    #[test]
    fn shows_the_unit() {
        assert_eq!(msat(1_500).to_string(), "1500 msat");
        assert_eq!(msat(2_000).to_string(), "2 sat");
    }
}
