//! Where a guardian may be besides where it ought to be (SPEC NET-4): by what it said of itself on an authenticated connection.
//!
//! Nobody signed that, and a guardian behind a router is wrong about itself, so it is only tried when the rest has failed.

use std::net::IpAddr;

use guildmint_core::limits::{MAX_ADDRESSES, MAX_ADDRESS_BYTES};
use libp2p::multiaddr::Protocol;
use libp2p::Multiaddr;

use crate::transport::Endpoint;

/// Addresses to try, of what a peer said that it listens on, seen at `remote`: at most [`MAX_ADDRESSES`].
///
/// A guardian that listens on all interfaces is where it came from. One that came from elsewhere does not have our loopback
/// interface.
pub(crate) fn places(listens: &[String], remote: &Multiaddr) -> Vec<Multiaddr> {
    let remote = ip(remote);
    let short = listens
        .iter()
        .filter(|text| text.len() <= MAX_ADDRESS_BYTES);
    let mut places = Vec::new();
    for address in short.filter_map(|text| text.parse().ok()) {
        if let Some(place) = place(&address, remote) {
            if Endpoint::parse(&place).is_some() && !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places.truncate(MAX_ADDRESSES);
    places
}

fn place(listens: &Multiaddr, remote: Option<IpAddr>) -> Option<Multiaddr> {
    match ip(listens) {
        Some(ip) if ip.is_unspecified() => {
            let port = listens.iter().nth(1)?;
            Some(Multiaddr::from(remote?).with(port))
        }
        Some(ip) if ip.is_loopback() && !remote.is_some_and(|remote| remote.is_loopback()) => None,
        _ => Some(listens.clone()),
    }
}

fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(listens: &[&str], remote: &str) -> Vec<String> {
        let listens: Vec<_> = listens.iter().map(|&text| text.to_owned()).collect();
        let places = places(&listens, &remote.parse().unwrap());
        places.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn who_listens_everywhere_is_where_it_came_from() {
        assert_eq!(
            hints(
                &["/ip4/0.0.0.0/tcp/8173", "/ip4/10.0.0.7/tcp/8174"],
                "/ip4/1.2.3.4/tcp/40000"
            ),
            ["/ip4/1.2.3.4/tcp/8173", "/ip4/10.0.0.7/tcp/8174"]
        );
    }

    #[test]
    fn our_own_loopback_interface_is_nobody_elses() {
        let listens = ["/ip4/127.0.0.1/tcp/8173", "/ip6/::1/tcp/8173"];
        assert_eq!(hints(&listens, "/ip4/1.2.3.4/tcp/40000"), [""; 0]);
        assert_eq!(hints(&listens, "/ip4/127.0.0.1/tcp/40000"), listens);
    }

    #[test]
    fn what_cannot_be_dialled_is_left_out_and_no_more_are_kept_than_may_be() {
        let long = format!("/dns4/{}/tcp/1", "x".repeat(MAX_ADDRESS_BYTES));
        let listens = ["nonsense", "/ip4/1.2.3.4/udp/1", "/ip4/1.2.3.4", &long];
        assert_eq!(hints(&listens, "/ip4/1.2.3.4/tcp/40000"), [""; 0]);
        let many: Vec<_> = (1..100)
            .map(|port| format!("/ip4/10.0.0.7/tcp/{port}"))
            .collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(hints(&many, "/ip4/1.2.3.4/tcp/40000").len(), MAX_ADDRESSES);
    }
}
