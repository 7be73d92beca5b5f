//! Guardians that get newer software.

use guildmint_core::PeerId;
use guildmint_engine::node::Event;
use guildmint_kit::play;

use crate::{setup, world::World};

impl World {
    /// A stopped guardian gets software that knows the second version of play money.
    pub fn upgrade(&mut self, peer: PeerId) {
        let federation = setup::upgraded(&self.setup, &self.outside.chain, peer);
        self.guardians[usize::from(peer.0)].federation = federation;
    }

    /// A guardian's operator wants the second version of play money, whether all know it or not.
    pub fn insist(&mut self, peer: PeerId) {
        let (module, version) = (play::MODULE, 2);
        self.tell(peer, Event::Insist { module, version });
    }

    /// Guardians may stop for good from now on.
    pub fn expect_halts(&mut self) {
        self.checks.halts_are_expected = true;
    }

    /// Why a guardian has stopped for good, if it has.
    #[must_use]
    pub fn halted(&self, peer: PeerId) -> Option<String> {
        let node = self.guardians[usize::from(peer.0)].node.as_ref()?;
        node.halted().map(ToOwned::to_owned)
    }
}
