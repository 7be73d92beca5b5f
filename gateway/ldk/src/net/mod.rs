//! Peers over TCP.
//!
//! LDK is called from threads of our own, because it may wait there for the database; no executor that others share is held up.

mod gossip;
mod link;
mod offers;
mod serve;
mod watch;

pub(crate) use gossip::BoundedGossip;
pub(crate) use link::Link;
pub(crate) use offers::Offers;
pub(crate) use serve::Net;
pub(crate) use watch::PeerWatch;
