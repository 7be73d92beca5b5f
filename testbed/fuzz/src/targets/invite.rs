//! Invite codes.

use guildmint_core::InviteCode;

use crate::canonical::wire;

/// The bytes as text, and as what is in the text.
pub fn target(bytes: &[u8]) {
    if let Some(invite) = wire::<InviteCode>(bytes) {
        read(&invite.to_string());
    }
    read(std::str::from_utf8(bytes).unwrap_or_default());
}

/// What is an invite code is shown as it was, but for space around it and capitals.
fn read(text: &str) {
    if let Ok(invite) = text.parse::<InviteCode>() {
        assert_eq!(invite.to_string(), text.trim().to_lowercase());
    }
}
