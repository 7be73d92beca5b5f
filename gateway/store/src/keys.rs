use guildmint_core::ledger::Key;

/// Whose rows they are, by the first byte of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Space {
    /// This crate's own.
    Store = 0,
    /// What the Lightning library keeps.
    Library = 1,
    /// What the node keeps beside the library.
    Node = 2,
    /// The gateway's state machines'.
    Gateway = 3,
    /// Those of the clients in federations, each after its federation's id.
    Federation = 4,
    /// What the gateway's program keeps of itself: whose the database is.
    Daemon = 5,
}

impl Space {
    /// A key in this space.
    #[must_use]
    pub fn key(self, rest: &[u8]) -> Key {
        let mut key = Vec::with_capacity(1 + rest.len());
        key.push(self as u8);
        key.extend_from_slice(rest);
        Key(key)
    }
}
