//! A backup as a file: one JSON document, and a last line with the SHA-256 of it.
//!
//! The document says who the backup is of, so that people know which they hold; all else is encrypted with the passphrase. ⚠ The
//! last line tells a damaged file from a wrong passphrase, and a file of a later version from a damaged one: later layouts keep it.

use bitcoin::hashes::{sha256, Hash as _};
use guildmint_core::{module::Registry, FederationId, PeerId, Tagged, Wire as _};
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    contents::{Contained, Contents, ContentsError},
    CreateError,
};
use crate::{
    files::FileError,
    secrets::{open_bytes, seal_bytes, Cost, SecretsError},
};

/// The layout that this version writes.
const VERSION: u32 = 1;

/// What the last line begins with.
const CHECKSUM: &str = "sha256: ";

/// Bytes of a guardian's files: more than the longest genesis config and the longest secrets take in hexadecimal digits. With more there
/// is no backup.
pub(super) const MAX_CONTENTS_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of a backup: the same in hexadecimal digits, and what is around them. A longer file is not read.
pub(super) const MAX_FILE_BYTES: u64 = 33 * 1024 * 1024;

/// A backup that was opened: a guardian can be made of it.
pub struct Backup {
    pub(super) contents: Contents,
    contained: Contained,
}

/// Why a backup cannot be used. Nothing of what is secret is in it.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not such a file.
    #[error("this is no backup of a guardian. Give a file that `guildmintd backup create` wrote")]
    NotABackup,
    /// Longer than any backup.
    #[error("the file has more than {MAX_FILE_BYTES} bytes, which no backup of a guardian has. Give a file that `guildmintd backup create` wrote")]
    TooLong,
    /// Some bytes are not those that were written.
    #[error("the backup is damaged: its checksum is wrong, or its end is missing. Use another copy of it")]
    Damaged,
    /// A layout of a later version of this software.
    #[error("the backup has layout {0}, this version knows {VERSION}. Use the version that made it, or a later one")]
    Newer(u32),
    /// It does not open.
    #[error(transparent)]
    Sealed(SecretsError),
    /// No guardian can be made of it.
    #[error("no guardian can be made of this backup: {0}")]
    Contents(#[from] ContentsError),
}

impl OpenError {
    /// What the process exits with: 3 if the passphrase is wrong, else 2.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Sealed(SecretsError::Passphrase | SecretsError::EmptyPassphrase) => 3,
            _ => 2,
        }
    }
}

/// What of a document says how to read the rest.
#[derive(Deserialize)]
struct Versioned {
    guildmint_backup: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    guildmint_backup: u32,
    federation: FederationId,
    guardian: PeerId,
    sealed: Json,
}

impl Document {
    /// What the encryption is bound to: all of the readable part, and that it is a backup and not another file of secrets.
    fn purpose(&self) -> FederationId {
        let tagged = Tagged::new("guildmint/backup")
            .add(self.guildmint_backup.to_le_bytes())
            .add(self.federation)
            .add(self.guardian.0.to_le_bytes());
        FederationId(tagged.finish())
    }
}

/// The contents of a backup file.
pub(super) fn seal(
    contents: &Contents,
    of: &Contained,
    passphrase: &str,
    cost: Cost,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<String, CreateError> {
    let plain = Zeroizing::new(contents.encode());
    if plain.len() > MAX_CONTENTS_BYTES {
        return Err(CreateError::TooLong {
            bytes: plain.len(),
            max: MAX_CONTENTS_BYTES,
        });
    }
    let mut document = Document {
        guildmint_backup: VERSION,
        federation: of.federation_id,
        guardian: of.guardian,
        sealed: Json::Null,
    };
    let sealed = seal_bytes(&plain, document.purpose(), passphrase, cost, rng);
    let sealed = sealed.map_err(CreateError::Seal)?;
    let malformed = |error: serde_json::Error| SecretsError::Malformed(error.to_string());
    let text = serde_json::from_str(&sealed).and_then(|sealed| {
        document.sealed = sealed;
        serde_json::to_string_pretty(&document)
    });
    let text = text.map_err(malformed).map_err(CreateError::Seal)? + "\n";
    let checksum = checksum(&text);
    Ok(format!("{text}{CHECKSUM}{checksum}\n"))
}

/// As `sha256sum` prints it for all but the last line.
fn checksum(document: &str) -> String {
    sha256::Hash::hash(document.as_bytes()).to_string()
}

/// The document, if it is the one that was written.
fn undamaged(bytes: &[u8]) -> Result<&str, OpenError> {
    if u64::try_from(bytes.len()).map_or(true, |length| length > MAX_FILE_BYTES) {
        return Err(OpenError::TooLong);
    }
    let document = std::str::from_utf8(bytes).ok().and_then(|text| {
        let place = text.rfind(&format!("\n{CHECKSUM}"))?;
        let (document, last) = text.split_at(place + 1);
        (last == format!("{CHECKSUM}{}\n", checksum(document))).then_some(document)
    });
    document.ok_or_else(|| {
        // Among its first words: what damaged a backup hardly ever damaged these.
        let beginning = String::from_utf8_lossy(bytes.get(..64).unwrap_or(bytes));
        match beginning.contains("guildmint_backup") {
            true => OpenError::Damaged,
            false => OpenError::NotABackup,
        }
    })
}

impl Backup {
    /// Opens the contents of a backup file, and checks all that is in it.
    ///
    /// # Errors
    /// Says whether the file, the passphrase, or what is in it is wrong.
    pub fn open(bytes: &[u8], passphrase: &str, registry: &Registry) -> Result<Self, OpenError> {
        let document = undamaged(bytes)?;
        let not_one = |_| OpenError::NotABackup;
        let Versioned { guildmint_backup } = serde_json::from_str(document).map_err(not_one)?;
        if guildmint_backup != VERSION {
            return Err(OpenError::Newer(guildmint_backup));
        }
        let document: Document = serde_json::from_str(document).map_err(not_one)?;
        let sealed = document.sealed.to_string();
        let plain = open_bytes(&sealed, document.purpose(), passphrase).map_err(|problem| {
            match problem {
                // Somebody wrote the last line anew.
                SecretsError::Malformed(_)
                | SecretsError::Damaged
                | SecretsError::OtherFederation { .. } => OpenError::Damaged,
                problem => OpenError::Sealed(problem),
            }
        })?;
        let contents = Contents::decode(&plain).map_err(|_| OpenError::Damaged)?;
        let contained = contents.check(registry, passphrase)?;
        Ok(Self {
            contents,
            contained,
        })
    }

    /// Whose it is.
    #[must_use]
    pub fn contained(&self) -> &Contained {
        &self.contained
    }
}
