use std::{fmt, sync::Arc};

use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use guildmint_core::Tagged;

/// Bytes of a token.
const TOKEN_BYTES: usize = 32;

/// What opens the operator's listener to programs: text that nobody guesses.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// Why there is no token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The system gives no randomness.
    #[error("the system gives no random numbers: {0}")]
    Randomness(getrandom::Error),
    /// Other text.
    #[error("this is no token, which is {} hexadecimal digits", 2 * TOKEN_BYTES)]
    Malformed,
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn random() -> Result<Self, TokenError> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        getrandom::getrandom(&mut bytes[..]).map_err(TokenError::Randomness)?;
        Ok(Self(Zeroizing::new(hex::encode(&bytes[..]))))
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let is_token =
            text.len() == 2 * TOKEN_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match is_token {
            true => Ok(Self(Zeroizing::new(text.to_owned()))),
            false => Err(TokenError::Malformed),
        }
    }

    /// The token itself, which is a secret.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// ⚠ Whether somebody knows it, in a time that does not tell how much of it is right.
    pub(crate) fn is(&self, text: &str) -> bool {
        digest(&self.0).ct_eq(&digest(text)).into()
    }

    /// What may be kept to know it again, and gives nothing away.
    pub(crate) fn digest(&self) -> [u8; 32] {
        digest(&self.0)
    }
}

/// What a token is known by.
pub(crate) fn digest(text: &str) -> [u8; 32] {
    Tagged::new("guildmint/admin").add(text).finish()
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The operator's password, wherever it is kept.
pub trait Password: Send + Sync + 'static {
    /// Something that changes when the password does, and says nothing about it; none if there is no password. Quick.
    fn generation(&self) -> Option<[u8; 32]>;

    /// Whether this is the password. Slow on purpose.
    fn is(&self, attempt: &str) -> bool;
}

/// What opens the operator's listener.
#[derive(Clone)]
pub struct Access {
    /// The program whose commands set the password, for the page on which it is asked for.
    pub program: &'static str,
    /// For programs on this machine. Always works.
    pub token: Token,
    /// For people with browsers.
    pub password: Arc<dyn Password>,
    /// Whether anybody who reaches the listener may read `/metrics`.
    pub open_metrics: bool,
    /// Names under which the listener is known, besides `localhost` and IP addresses. ⚠ Under any other name it does not answer:
    /// it may be a stranger's, made to point here for a moment.
    pub hosts: Vec<String>,
}

impl Access {
    /// By the token alone.
    #[must_use]
    pub fn by_token(token: Token) -> Self {
        Self {
            program: "guildmintd",
            token,
            password: Arc::new(NoPassword),
            open_metrics: false,
            hosts: Vec::new(),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("open_metrics", &self.open_metrics)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// None is set, and none is right.
struct NoPassword;

impl Password for NoPassword {
    fn generation(&self) -> Option<[u8; 32]> {
        None
    }

    fn is(&self, _: &str) -> bool {
        false
    }
}
