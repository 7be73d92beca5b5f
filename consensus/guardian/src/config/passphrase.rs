//! Where passphrases come from: files and standard input, never the command line (SPEC SET-5).

use std::{
    io::{self, IsTerminal as _, Read as _},
    path::Path,
};

use zeroize::Zeroizing;

use super::{ConfigError, Key, Sources};

/// Bytes of a passphrase that are read. A longer one is cut, everywhere alike.
const MAX_PASSPHRASE_BYTES: u64 = 4096;

/// The passphrase: the first line of the file that the settings name, or of standard input.
///
/// # Errors
/// If there is none.
pub fn read_passphrase(sources: &Sources) -> Result<Zeroizing<String>, ConfigError> {
    let (place, text) = match sources.text(Key::PASSWORD_FILE) {
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

/// The first line of a file, as passwords are given. No more than a passphrase may have is read.
///
/// # Errors
/// If it cannot be read, or is empty.
pub fn first_line(from: impl io::Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    from.take(MAX_PASSPHRASE_BYTES).read_to_string(&mut text)?;
    match text.lines().next() {
        None | Some("") => Err(io::Error::other("it is empty")),
        Some(line) => Ok(Zeroizing::new(line.to_owned())),
    }
}
