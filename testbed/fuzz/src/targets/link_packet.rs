//! Packets of the reliable stream between guardians.

use guildmint_core::{Epoch, PeerId, Quorum};
use guildmint_link::{Link, Packet};

use crate::canonical::bare;

/// One that decodes is taken from a peer, from nobody, and again in a later epoch.
pub fn target(bytes: &[u8]) {
    let Some(packet) = bare::<Packet>(bytes) else {
        return;
    };
    let Ok(quorum) = Quorum::new(4) else {
        return;
    };
    let mut link = Link::new(PeerId(0), quorum, Epoch(0));
    link.push(vec![1, 2, 3]);
    let _ = link.flush();
    for (from, now_ms) in [(1, 0), (1, 10), (9, 20)] {
        let _ = link.handle(PeerId(from), packet.clone(), now_ms);
    }
    let _ = link.commit(Epoch(1));
    let _ = link.handle(PeerId(2), packet, 30);
    let _ = link.tick(100_000);
}
