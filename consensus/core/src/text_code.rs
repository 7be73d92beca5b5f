//! Bytes as text that people pass on: bech32m (BIP-350), whose checksum finds typing errors, with a prefix that says what it is.

use std::fmt;

use bech32::{primitives::decode::CheckedHrpstring, Bech32m, Hrp};
use thiserror::Error;

/// Why text is not such a code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextCodeError {
    /// A typing error, or a code that was cut off.
    #[error("damaged: {0}")]
    Damaged(String),
    /// A code of another kind: its prefix.
    #[error("it begins with `{0}1`")]
    OtherKind(String),
}

/// Bech32m without its limit of length: the checksum still finds typing errors. No limit at all, since a code that came as
/// a part of something else must not panic when it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bech32mLong {}

impl bech32::Checksum for Bech32mLong {
    type MidstateRepr = <Bech32m as bech32::Checksum>::MidstateRepr;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = Bech32m::CHECKSUM_LENGTH;
    const GENERATOR_SH: [Self::MidstateRepr; 5] = Bech32m::GENERATOR_SH;
    const TARGET_RESIDUE: Self::MidstateRepr = Bech32m::TARGET_RESIDUE;
}

/// Writes a code: `prefix1…`, in small letters.
///
/// # Errors
/// If the prefix is none.
pub fn write(f: &mut impl fmt::Write, prefix: &str, bytes: &[u8]) -> fmt::Result {
    let prefix = Hrp::parse(prefix).map_err(|_| fmt::Error)?;
    bech32::encode_to_fmt::<Bech32mLong, _>(f, prefix, bytes).map_err(|_| fmt::Error)
}

/// Reads a code of at most `max_chars` characters, in capitals or small letters, with space around it or not.
///
/// # Errors
/// If it is damaged or of another kind.
pub fn read(prefix: &str, text: &str, max_chars: usize) -> Result<Vec<u8>, TextCodeError> {
    let text = text.trim();
    if text.len() > max_chars {
        return Err(TextCodeError::Damaged("it is too long".into()));
    }
    let parsed = CheckedHrpstring::new::<Bech32mLong>(text)
        .map_err(|error| TextCodeError::Damaged(error.to_string()))?;
    let found = parsed.hrp().to_lowercase();
    match found == prefix {
        true => Ok(parsed.byte_iter().collect()),
        false => Err(TextCodeError::OtherKind(found)),
    }
}
