//! The ends of log files, for messages that say why something failed.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// More of a log than this is never read.
const WINDOW: u64 = 64 * 1024;

/// The last `lines` lines of a file, or nothing if it cannot be read. Bytes that are not text are replaced.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = last_bytes(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn last_bytes(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(WINDOW)))?;
    let mut bytes = Vec::new();
    file.take(WINDOW).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert_eq!(tail(&path, 3), "");
        let many: String = (0..100_000).map(|i| format!("line {i}\n")).collect();
        std::fs::write(&path, many).unwrap();
        assert_eq!(tail(&path, 2), "line 99998\nline 99999");
        std::fs::write(&path, b"one\nt\xffwo").unwrap();
        assert_eq!(tail(&path, 9), "one\nt\u{fffd}wo");
    }
}
