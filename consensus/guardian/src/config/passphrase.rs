//! Where passphrases come from: files and standard input, never the command line (SPEC SET-5).

use std::{
    io::{self, IsTerminal as _},
    path::Path,
};

use guildmint_daemon::admin::files::first_line;
use zeroize::Zeroizing;

use super::{keys, ConfigError, Sources};

/// The passphrase: the first line of the file that the settings name, or of standard input.
///
/// # Errors
/// If there is none.
pub fn read_passphrase(sources: &Sources) -> Result<Zeroizing<String>, ConfigError> {
    let (place, text) = match sources.text(keys::PASSWORD_FILE) {
        Some((path, _)) => {
            let text = std::fs::File::open(&path).and_then(first_line);
            (path, text)
        }
        None if io::stdin().is_terminal() => {
            let hidden = io::Error::other("it would show on the terminal");
            ("the terminal".to_owned(), Err(hidden))
        }
        None => ("standard input".to_owned(), first_line(io::stdin())),
    };
    text.map_err(|problem| ConfigError::Passphrase { place, problem })
}

/// The passphrase in a file.
///
/// # Errors
/// If there is none.
pub fn read_passphrase_file(path: &Path) -> Result<Zeroizing<String>, ConfigError> {
    let text = std::fs::File::open(path).and_then(first_line);
    text.map_err(|problem| ConfigError::Passphrase {
        place: path.display().to_string(),
        problem,
    })
}
