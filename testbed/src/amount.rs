//! Amounts of money as people type them: a number with its unit, never a bare number.

use std::str::FromStr;

use bitcoin::Amount;
use thiserror::Error;

/// An amount in millisatoshi, read from text such as `1000sat`, `0.5btc` or `5000msat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msat(pub u64);

/// Why a text is no amount.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AmountError {
    /// A number alone: nobody can tell satoshi from millisatoshi.
    #[error("{0:?} has no unit: write {0}sat, {0}msat or {0}btc")]
    NoUnit(String),
    /// Neither a number nor a known unit.
    #[error("{0:?} is not an amount: write for example 1000sat, 0.5btc or 5000msat")]
    Malformed(String),
    /// More decimals than the unit has.
    #[error("{text:?} has more than {decimals} decimals")]
    TooFine {
        /// What was typed.
        text: String,
        /// How many decimals its unit has.
        decimals: usize,
    },
    /// More than a 64-bit number of millisatoshi.
    #[error("{0:?} is more than there can be")]
    TooLarge(String),
    /// A fraction of a satoshi where the chain wants whole ones.
    #[error("{0} msat is not a whole number of satoshi")]
    NotWholeSatoshi(u64),
}

/// Units by suffix, the longest first, with the number of decimals down to the millisatoshi.
const UNITS: [(&str, usize); 3] = [("msat", 0), ("sat", 3), ("btc", 11)];

impl Msat {
    /// The same amount in the chain's unit.
    pub fn to_chain(self) -> Result<Amount, AmountError> {
        match self.0 % 1000 {
            0 => Ok(Amount::from_sat(self.0 / 1000)),
            _ => Err(AmountError::NotWholeSatoshi(self.0)),
        }
    }
}

impl FromStr for Msat {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let typed = text.trim().to_ascii_lowercase();
        let unit = UNITS
            .iter()
            .find_map(|(suffix, decimals)| Some((typed.strip_suffix(suffix)?, *decimals)));
        let Some((number, decimals)) = unit else {
            let bare = !typed.is_empty() && typed.chars().all(|c| c.is_ascii_digit() || c == '.');
            return Err(if bare {
                AmountError::NoUnit(typed)
            } else {
                AmountError::Malformed(text.into())
            });
        };
        let (whole, fraction) = number
            .trim_end()
            .split_once('.')
            .unwrap_or((number.trim_end(), ""));
        if whole.is_empty()
            || !(whole.to_owned() + fraction)
                .bytes()
                .all(|c| c.is_ascii_digit())
        {
            return Err(AmountError::Malformed(text.into()));
        }
        if fraction.len() > decimals {
            return Err(AmountError::TooFine {
                text: text.into(),
                decimals,
            });
        }
        let digits = format!("{whole}{fraction:0<decimals$}");
        digits
            .parse()
            .map(Self)
            .map_err(|_| AmountError::TooLarge(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood() {
        for (text, msat) in [
            ("1000sat", 1_000_000),
            ("5000msat", 5000),
            ("0.5btc", 50_000_000_000),
            ("21 sat", 21_000),
            ("1.001SAT", 1001),
            ("0.00000000001btc", 1),
        ] {
            assert_eq!(text.parse(), Ok(Msat(msat)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        let parse = |text: &str| text.parse::<Msat>();
        assert_eq!(parse("1000"), Err(AmountError::NoUnit("1000".into())));
        assert_eq!(
            parse("0.5msat"),
            Err(AmountError::TooFine {
                text: "0.5msat".into(),
                decimals: 0
            })
        );
        assert_eq!(
            parse("99999999999btc"),
            Err(AmountError::TooLarge("99999999999btc".into()))
        );
        for text in [
            "", "sat", "-1sat", "1e3sat", ".5btc", "1.2.3btc", "one btc", "١sat",
        ] {
            assert_eq!(
                parse(text),
                Err(AmountError::Malformed(text.into())),
                "{text}"
            );
        }
        assert_eq!(
            Msat(1500).to_chain(),
            Err(AmountError::NotWholeSatoshi(1500))
        );
        assert_eq!(Msat(2000).to_chain(), Ok(Amount::from_sat(2)));
    }
}
