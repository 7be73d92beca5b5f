//! A guardian that has turned against the others, with its key and all the time in the world (SPEC NET-7, scenario 34).

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use async_std::task::{self, block_on};
use common::{
    giver::{is_accepted, peak_kib, start, Giver},
    Dealt,
};
use futures::future::join_all;
use guildmint_core::PeerId;
use guildmint_net_p2p::{GuardianAddress, Network, NetworkConfig};
use guildmintd::{admin::read_cookie, Guardian};

const FLOODER: u16 = 3;

/// How much all guardians of this process may need besides, however much is sent to them.
const MAX_GROWTH_KIB: u64 = 256 * 1024;

/// Says nothing that can be read, small and large, as fast as it can, until it is told to stop.
async fn flood(dealt: &Dealt, is_over: &AtomicBool) {
    let config = dealt.config(FLOODER);
    let guardians = config.federation.guardians.iter();
    let addresses = guardians.map(|guardian| GuardianAddress {
        identity: guardian.identity.0,
        addresses: guardian.p2p.clone(),
    });
    let network = NetworkConfig {
        identity_seed: config.secrets.identity().seed(),
        session_id: config.genesis.session.0,
        me: config.me,
        instance: [1; 16],
        guardians: addresses.collect(),
        listen: Vec::new(),
    };
    let (network, _events) = Network::start(network).await.unwrap();
    let large = vec![0xff; 512 * 1024];
    while !is_over.load(Ordering::Relaxed) {
        for peer in (0..FLOODER).map(PeerId) {
            for _ in 0..100 {
                network.send(peer, vec![0xff; 100]).await;
            }
            network.send(peer, large.clone()).await;
        }
        task::yield_now().await;
    }
    network.stop().await;
}

/// Ends the flood, also when the test fails.
struct Dam<'a>(&'a AtomicBool);

impl Drop for Dam<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// For how long a guardian has made another wait, in seconds, as its operator sees it.
fn slowed(dealt: &Dealt, guardian: u16, at: &Guardian, of: u16) -> f64 {
    let token = read_cookie(&dealt.data_dir(guardian)).unwrap();
    let request = minreq::get(format!("http://{}/metrics", at.admin()));
    let request = request.with_header("authorization", format!("Bearer {}", token.reveal()));
    let response = request.with_timeout(30).send().unwrap();
    let name = format!("guildmint_peer_slowed_seconds_total{{guardian=\"{of}\"}} ");
    let lines = response.as_str().unwrap().lines();
    let figure = lines.filter_map(|line| line.strip_prefix(&name)).next();
    figure.unwrap().parse().unwrap()
}

#[test]
fn a_guardian_that_floods_the_others_stops_no_epoch_and_is_named() {
    let dealt = Dealt::new(4);
    let giver = Giver::new(&dealt);
    let guardians: Vec<_> = (0..FLOODER).map(|i| start(&dealt, i)).collect();
    let given = giver.give(&guardians, 0);
    assert!(is_accepted(&guardians[0], &given));

    let is_over = AtomicBool::new(false);
    let before_kib = peak_kib();
    thread::scope(|scope| {
        let _dam = Dam(&is_over);
        scope.spawn(|| block_on(flood(&dealt, &is_over)));
        let begun = Instant::now();
        let is_slowed = |of| slowed(&dealt, 0, &guardians[0], of) > 1.0;
        let mut serial = 1;
        // All of them go on all the time that it takes.
        while serial < 20 || !is_slowed(FLOODER) {
            let given = giver.give(&guardians, serial);
            assert!(is_accepted(&guardians[0], &given));
            serial += 1;
            assert!(begun.elapsed() < Duration::from_secs(120), "{serial}");
        }
        let grown_kib = peak_kib() - before_kib;
        println!(
            "{serial} payments in {:?}; memory grew by {grown_kib} KiB",
            begun.elapsed()
        );
        assert!(grown_kib < MAX_GROWTH_KIB, "{grown_kib}");
        assert!(!is_slowed(1) && !is_slowed(2));
    });
    for stopped in block_on(join_all(guardians.into_iter().map(Guardian::stop))) {
        stopped.unwrap();
    }
}
