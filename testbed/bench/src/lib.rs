//! What the benchmarks share.

pub mod guardians;
pub mod wallet;
