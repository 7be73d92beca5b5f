//! What guessing a secret costs.

use serde::{Deserialize, Serialize};

/// Memory that a file may ask for, in KiB. A file that asks for more is refused before it exhausts the machine.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// Passes over the memory that a file may ask for.
const MAX_PASSES: u32 = 100;

/// How much work and memory one guess of a passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes, which could be computed in parallel.
    pub lanes: u32,
}

impl Cost {
    /// For guardians: the second recommendation of RFC 9106, under a second.
    pub const STRONG: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 4,
    };

    /// For tests only: protects nothing.
    pub const CHEAP: Self = Self {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };

    /// Whether a file may ask for this much.
    #[must_use]
    pub fn is_sane(&self) -> bool {
        self.memory_kib <= MAX_MEMORY_KIB && self.passes <= MAX_PASSES
    }
}
