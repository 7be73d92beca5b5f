//! What the operator was told without asking, kept for whoever looks.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use guildmint_gateway::Millis;
use serde::Serialize;

/// Warnings that are kept. One more takes the place of the oldest; each is in the log, when it is said for the first time.
pub(crate) const MAX_WARNINGS: usize = 256;

/// Something that the operator should look into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Kept {
    /// When it was said last.
    pub(crate) at_ms: u64,
    /// How often.
    pub(crate) times: u64,
    /// What.
    pub(crate) text: String,
}

/// The last warnings.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<VecDeque<Kept>>);

impl Warnings {
    pub(crate) fn add(&self, at: Millis, text: String) {
        let mut kept = self.kept();
        // What is tried again and again is said once.
        let before = kept.iter().position(|one| one.text == text);
        let before = before.and_then(|place| kept.remove(place));
        if before.is_none() {
            tracing::warn!("{text}");
        }
        if kept.len() >= MAX_WARNINGS {
            kept.pop_front();
        }
        kept.push_back(Kept {
            at_ms: at.0,
            times: before.map_or(0, |before| before.times) + 1,
            text,
        });
    }

    /// The latest first.
    pub(crate) fn all(&self) -> Vec<Kept> {
        self.kept().iter().rev().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_come_first() {
        let warnings = Warnings::default();
        for number in 0..=MAX_WARNINGS as u64 {
            warnings.add(Millis(number), number.to_string());
        }
        let kept = warnings.all();
        assert_eq!(kept.len(), MAX_WARNINGS);
        assert_eq!(kept[0].at_ms, MAX_WARNINGS as u64);
        assert_eq!(kept[MAX_WARNINGS - 1].at_ms, 1);
        warnings.add(Millis(999), "7".to_owned());
        let kept = warnings.all();
        assert_eq!(kept.len(), MAX_WARNINGS);
        assert_eq!((kept[0].at_ms, kept[0].times), (999, 2));
        assert!(!kept[1..].iter().any(|one| one.text == "7"));
    }
}
