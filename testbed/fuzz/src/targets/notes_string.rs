//! Notes as text.

use base64::{engine::general_purpose::URL_SAFE_NO_PAD, Engine as _};
use guildmint_core::Tagged;
use guildmint_mint::client::{NotesString, NOTES_PREFIX};

/// The bytes as text; and as what is in the text, with the right checksum.
pub fn target(bytes: &[u8]) {
    read(std::str::from_utf8(bytes).unwrap_or_default());
    let [a, b, c, d, ..] = Tagged::new("guildmint/notes-string").add(bytes).finish();
    let sealed = URL_SAFE_NO_PAD.encode([bytes, &[a, b, c, d]].concat());
    read(&format!("{NOTES_PREFIX}{sealed}"));
}

/// What is a notes string is shown as it was, but for space around it.
fn read(text: &str) {
    if let Ok(notes) = text.parse::<NotesString>() {
        assert!(notes.to_string() == text.trim(), "another text");
        let _ = notes.total();
        if let Some(invite) = notes.invite() {
            let _ = invite.to_string();
        }
    }
}
