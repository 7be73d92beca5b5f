//! Announcements of where guardians are.

use guildmint_core::{AddressBook, Announcement};

use crate::{canonical::wire, seeds};

/// One that decodes is taken only if its guardian has signed it.
pub fn target(bytes: &[u8]) {
    if let Some(announcement) = wire::<Announcement>(bytes) {
        let mut book = AddressBook::new(&seeds::genesis());
        let is_news = book.take(&announcement);
        assert_eq!(is_news.is_ok(), book.get(announcement.guardian).is_some());
    }
}
