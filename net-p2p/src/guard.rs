//! Who may connect, and how often: the first thing that a connection meets once noise has authenticated it.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use guildmint_core::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::Endpoint;
use libp2p::swarm::{
    dummy, CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, ToSwarm,
};
use libp2p::Multiaddr;
use thiserror::Error;

use crate::config::NetId;
use crate::hello::Instance;
use crate::peers::Peers;
use crate::transport::HANDSHAKE_TIMEOUT;

/// Two guardians that dial each other at once see both connections within this time of each other: one dials only
/// while it has none. A second connection later than that means that the peer has lost the first.
const SIMULTANEOUS: Duration = HANDSHAKE_TIMEOUT.saturating_add(Duration::from_secs(2));

/// Lets guardians in, once each.
///
/// Gossipsub announces its subscriptions on the first connection to a peer only, and over whichever of two
/// connections is free. If that one is then closed, or is a dead one that the peer has already forgotten, the peer
/// never learns them. So no second connection is ever let through to it: it is refused here, before gossipsub knows.
pub(crate) struct Guard {
    me: PeerId,
    guardians: BTreeMap<NetId, PeerId>,
    peers: Arc<Peers>,
    established: BTreeMap<NetId, Established>,
    closing: VecDeque<(NetId, ConnectionId)>,
}

struct Established {
    connection: ConnectionId,
    /// The process at the other end.
    instance: Option<Instance>,
    dialled_by: PeerId,
    since: Instant,
}

/// Why a connection was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    #[error("{0} is no guardian of this federation")]
    Stranger(NetId),
    #[error("there is a connection to {0} already")]
    Second(PeerId),
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Accept,
    /// Keep the connection that there is.
    Refuse,
    /// Keep neither; the peer soon dials again.
    RefuseBoth,
}

/// Of two connections made at once the first stays, which is the lower index's but for bad luck: it dials first.
///
/// The two sides see another order only if both connections come within half a round trip; then both go, and the next
/// attempts differ by their jitter. A peer that dials once more, or long after, has lost the first connection. So has one that
/// is another process than the first connection leads to; or both run, which shows when the first comes back (SPEC NET-6).
fn judge(existing: Option<First>, dialled_by: PeerId) -> Verdict {
    match existing {
        None => Verdict::Accept,
        Some(first)
            if first.dialled_by != dialled_by
                && first.age < SIMULTANEOUS
                && first.is_same_process =>
        {
            Verdict::Refuse
        }
        Some(_) => Verdict::RefuseBoth,
    }
}

/// The connection that there is already.
#[derive(Clone, Copy)]
struct First {
    dialled_by: PeerId,
    age: Duration,
    /// Whether it leads to the process that the second one leads to.
    is_same_process: bool,
}

impl Guard {
    /// Lets in the `guardians`, which does not name ourselves.
    pub(crate) fn new(me: PeerId, guardians: BTreeMap<NetId, PeerId>, peers: Arc<Peers>) -> Self {
        Self {
            me,
            guardians,
            peers,
            established: BTreeMap::new(),
            closing: VecDeque::new(),
        }
    }

    fn guardian(&self, id: NetId) -> Result<PeerId, Refused> {
        self.guardians
            .get(&id)
            .copied()
            .ok_or(Refused::Stranger(id))
    }

    fn admit(&mut self, id: NetId, inbound: bool) -> Result<(), Refused> {
        let peer = self.guardian(id)?;
        let dialled_by = if inbound { peer } else { self.me };
        let existing = self.established.get(&id);
        let first = existing.map(|first| First {
            dialled_by: first.dialled_by,
            age: first.since.elapsed(),
            is_same_process: first.instance == self.peers.instance(peer),
        });
        match judge(first, dialled_by) {
            Verdict::Accept => return Ok(()),
            Verdict::Refuse => {}
            Verdict::RefuseBoth => self
                .closing
                .extend(existing.map(|first| (id, first.connection))),
        }
        Err(Refused::Second(peer))
    }
}

impl NetworkBehaviour for Guard {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        id: Option<NetId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if let Some(id) = id {
            self.guardian(id).map_err(ConnectionDenied::new)?;
        }
        Ok(Vec::new())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        id: NetId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        self.admit(id, true).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        id: NetId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        self.admit(id, false).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                let inbound = event.endpoint.is_listener();
                if let Ok(peer) = self.guardian(event.peer_id) {
                    let established = Established {
                        connection: event.connection_id,
                        instance: self.peers.instance(peer),
                        dialled_by: if inbound { peer } else { self.me },
                        since: Instant::now(),
                    };
                    self.established.insert(event.peer_id, established);
                }
            }
            FromSwarm::ConnectionClosed(event) => {
                self.established.remove(&event.peer_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: NetId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, Infallible>> {
        // No waker: the queue fills while the swarm handles a connection, after which it polls again.
        match self.closing.pop_front() {
            Some((peer_id, connection)) => Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::One(connection),
            }),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: PeerId = PeerId(1);
    const HIGH: PeerId = PeerId(2);
    const YOUNG: Duration = Duration::from_secs(1);
    const OLD: Duration = Duration::from_secs(60);

    fn first(dialled_by: PeerId, age: Duration) -> Option<First> {
        Some(First {
            dialled_by,
            age,
            is_same_process: true,
        })
    }

    #[test]
    fn the_first_connection_is_let_in() {
        assert_eq!(judge(None, LOW), Verdict::Accept);
        assert_eq!(judge(None, HIGH), Verdict::Accept);
    }

    #[test]
    fn of_two_made_at_once_the_first_stays() {
        assert_eq!(judge(first(LOW, YOUNG), HIGH), Verdict::Refuse);
        assert_eq!(judge(first(HIGH, YOUNG), LOW), Verdict::Refuse);
    }

    #[test]
    fn a_connection_that_the_peer_has_forgotten_goes() {
        assert_eq!(judge(first(LOW, OLD), HIGH), Verdict::RefuseBoth);
        assert_eq!(judge(first(HIGH, OLD), LOW), Verdict::RefuseBoth);
        assert_eq!(judge(first(HIGH, YOUNG), HIGH), Verdict::RefuseBoth);
        assert_eq!(judge(first(LOW, YOUNG), LOW), Verdict::RefuseBoth);
    }

    #[test]
    fn a_connection_to_another_process_goes_at_once() {
        let other = first(LOW, YOUNG).map(|first| First {
            is_same_process: false,
            ..first
        });
        assert_eq!(judge(other, HIGH), Verdict::RefuseBoth);
    }

    #[test]
    fn strangers_and_our_own_key_are_refused() {
        let (stranger, friend) = (NetId::random(), NetId::random());
        let others = BTreeMap::from([(friend, HIGH)]);
        let peers = Arc::new(Peers::new(LOW, [0; 16], others.clone()));
        let mut guard = Guard::new(LOW, others, peers);
        assert_eq!(
            guard.admit(stranger, true),
            Err(Refused::Stranger(stranger))
        );
        assert_eq!(guard.admit(friend, true), Ok(()));
    }
}
