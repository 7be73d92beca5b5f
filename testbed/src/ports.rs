//! Free TCP ports on the loopback address.

use std::{
    net::TcpListener,
    ops::Range,
    process,
    time::{SystemTime, UNIX_EPOCH},
};

use thiserror::Error;

use crate::cache::{Cache, CacheError, Lock};

/// Below the range from which Linux picks the ports of outgoing connections, or one of those could take a chosen port
/// before its server binds it.
const RANGE: Range<u16> = 16_384..32_768;
/// Ports are set aside in blocks of this many.
const BLOCK: u16 = 64;

/// A source of free ports. While it lives, no other testbed of this cache is given the same ones.
#[derive(Debug)]
pub struct Ports {
    cache: Cache,
    blocks: Vec<u16>,
    left: Range<u16>,
    locks: Vec<Lock>,
}

/// Why there is no free port.
#[derive(Debug, Error)]
pub enum PortsError {
    /// Every block is taken.
    #[error("no free port between {} and {}", RANGE.start, RANGE.end)]
    Exhausted,
    /// The lock that sets ports aside cannot be taken.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Ports {
    /// Starts at a block that depends on the process and the time, so that testbeds begun together seldom meet.
    pub fn new(cache: &Cache) -> Self {
        let count = RANGE.len() as u32 / u32::from(BLOCK);
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.subsec_nanos());
        let first = nanos.wrapping_add(process::id().wrapping_mul(0x9e37_79b1)) % count;
        let block = |i| RANGE.start + ((first + i) % count) as u16 * BLOCK;
        Self {
            cache: cache.clone(),
            blocks: (0..count).rev().map(block).collect(),
            left: 0..0,
            locks: Vec::new(),
        }
    }

    /// A port that nobody listens on.
    pub fn free(&mut self) -> Result<u16, PortsError> {
        loop {
            let bindable = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
            if let Some(port) = self.left.find(bindable) {
                return Ok(port);
            }
            let start = self.blocks.pop().ok_or(PortsError::Exhausted)?;
            if let Some(lock) = self.cache.try_lock(&format!("ports-{start}"))? {
                self.locks.push(lock);
                self.left = start..start + BLOCK;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn two_sources_never_give_the_same_port_and_all_can_be_bound() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let (mut a, mut b) = (Ports::new(&cache), Ports::new(&cache));
        let ports: Vec<u16> = (0..100)
            .flat_map(|_| [a.free().unwrap(), b.free().unwrap()])
            .collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
        assert!(ports.iter().all(|port| RANGE.contains(port)));
        assert!(TcpListener::bind(("127.0.0.1", ports[0])).is_ok());
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut ports = Ports::new(&Cache::at(folder.path()));
        let first = ports.free().unwrap();
        // Whether this or somebody else has it, it is in use.
        let _in_use = TcpListener::bind(("127.0.0.1", first + 1));
        assert_ne!(ports.free().unwrap(), first + 1);
    }
}
