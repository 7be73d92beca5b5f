//! Setup codes.

use guildmint_founding::SetupCode;

use crate::canonical::wire;

/// The bytes as text, and as what is in the text.
pub fn target(bytes: &[u8]) {
    if let Some(code) = wire::<SetupCode>(bytes) {
        read(&code.to_string());
    }
    read(std::str::from_utf8(bytes).unwrap_or_default());
}

/// What is a code is shown as it was, but for space around it and capitals.
fn read(text: &str) {
    if let Ok(code) = text.parse::<SetupCode>() {
        assert_eq!(code.to_string(), text.trim().to_lowercase());
    }
}
