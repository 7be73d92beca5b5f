//! Whether the others run the federation already (SPEC SET-2).
//!
//! A guardian that has its keys and was restarted before it heard that all have theirs may find nobody any more who could tell: the
//! others know it and have gone over to `run`, where another session is spoken. So it looks for them there. Whoever takes part in the
//! federation's own session knows that all have their keys; of f + 1 that do one is honest.

use async_std::{
    channel::Sender,
    task::{self, JoinHandle},
};
use guildmint_core::SessionId;
use guildmint_founding::{Meeting, Roster, Seed};
use guildmint_net_p2p::{Network, NetworkConfig, NetworkEvent};

use super::{
    organizer::{Inbox, Organizer},
    FoundError,
};
use crate::guardian::instance;

/// A look at the network of the federation, without taking part in it: all that comes is dropped.
pub(super) struct Probe {
    network: Network,
    listener: JoinHandle<()>,
}

impl Probe {
    /// Looks for the others; tells of each that is found.
    pub(super) async fn start(
        roster: &Roster,
        seed: &Seed,
        session: SessionId,
        inbox: Sender<Inbox>,
    ) -> Result<Self, FoundError> {
        let config = NetworkConfig {
            identity_seed: seed.identity().seed(),
            session_id: session.0,
            me: roster.me(),
            instance: instance().map_err(FoundError::Randomness)?,
            guardians: super::organizer::addresses(roster),
            // Where this guardian listens it founds.
            listen: Vec::new(),
        };
        let (network, mut events) = Network::start(config).await?;
        let listener = task::spawn(async move {
            while let Some(event) = events.recv().await {
                if let NetworkEvent::Connected(peer) = event {
                    if inbox.send(Inbox::Runs(peer)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Self { network, listener })
    }

    pub(super) async fn stop(self) {
        self.network.stop().await;
        self.listener.cancel().await;
    }
}

impl Organizer {
    /// Whoever is waited for and not there may run the federation already.
    pub(super) async fn look_for_the_others(&mut self) -> Result<(), FoundError> {
        let (Some(together), Some((seed, _))) = (&mut self.together, &self.own) else {
            return Ok(());
        };
        let session = together.meeting.as_ref().and_then(Meeting::agreed);
        let Some(session) = session.map(|agreed| agreed.session) else {
            return Ok(());
        };
        let peers = together.network.peers();
        let waits = together.is_done() && together.all_done.is_none();
        if waits && together.probe.is_none() && peers.iter().any(|peer| !peer.connected) {
            let (roster, inbox) = (&together.roster, self.inbox.clone());
            together.probe = Some(Probe::start(roster, seed, session, inbox).await?);
        }
        Ok(())
    }
}
