//! The node against Electrum, a Lightning node that shares no code with it (SPEC GW-1).

mod breach;
mod closings;
mod parts;
mod payments;
mod restarts;
mod town;
