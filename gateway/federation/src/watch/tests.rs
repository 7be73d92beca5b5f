use guildmint_core::{Epoch, PeerId};
use serde_json::json;

use super::*;

fn status(peer: u16, height: u32, epoch: u64, pool: usize) -> StatusAnswer {
    StatusAnswer {
        peer: PeerId(peer),
        version: "test".into(),
        committed: Some(Epoch(epoch)),
        height,
        pool,
        not_ready: None,
        catching_up: None,
        runs_twice: Vec::new(),
        versions: BTreeMap::new(),
        revision: 0,
        halted: None,
    }
}

fn told(watch: &mut Watch, now: u64, statuses: &[StatusAnswer]) -> Option<String> {
    let answers = statuses
        .iter()
        .map(|one| (one.peer.0.to_string(), json!(one)));
    let answers = Json::Object(answers.collect());
    watch.answered(Some(&answers), Millis(now));
    watch.trouble().map(str::to_owned)
}

fn watch(network: Network) -> Watch {
    Watch::new(Quorum::new(4).unwrap(), network)
}

#[test]
fn the_clock_is_what_honest_guardians_have_seen_and_never_goes_back() {
    let mut watch = watch(Network::Regtest);
    assert!(watch.trouble().is_some());
    let heights = |heights: [u32; 4]| {
        let peers = (0..).zip(heights);
        peers
            .map(|(peer, height)| status(peer, height, 1, 0))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&mut watch, 1, &heights([100, 9_000, 101, 100])), None);
    assert_eq!(watch.height(), Some(101));
    assert_eq!(told(&mut watch, 2, &heights([100, 0, 100, 100])), None);
    assert_eq!(watch.height(), Some(101));
    // Two of four say nothing about it.
    let trouble = told(&mut watch, 3, &heights([200; 4])[..2]);
    assert!(trouble.unwrap().starts_with("2 of its 4 guardians"));
    assert_eq!(watch.height(), Some(101));
}

#[test]
fn guardians_that_have_halted_or_cannot_serve_do_not_count() {
    let mut watch = watch(Network::Regtest);
    let mut all: Vec<_> = (0..4).map(|peer| status(peer, 100, 1, 0)).collect();
    all[0].halted = Some("more owed than owned".into());
    assert_eq!(told(&mut watch, 1, &all), None);
    all[1].not_ready = Some("it catches up".into());
    assert!(told(&mut watch, 2, &all).is_some());
}

#[test]
fn transactions_that_wait_too_long_are_trouble_and_one_liar_makes_none() {
    let mut watch = watch(Network::Regtest);
    let all = |pools: [usize; 4], epoch| {
        let peers = (0..).zip(pools);
        peers
            .map(|(peer, pool)| status(peer, 100, epoch, pool))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&mut watch, 1, &all([1; 4], 5)), None);
    assert_eq!(told(&mut watch, STALL_MS, &all([1; 4], 5)), None);
    assert!(told(&mut watch, STALL_MS + 1, &all([1; 4], 5)).is_some());
    assert_eq!(told(&mut watch, STALL_MS + 2, &all([1; 4], 6)), None);
    // Nothing waits but what one of them has made up.
    let later = 3 * STALL_MS;
    assert_eq!(told(&mut watch, later, &all([9, 0, 0, 0], 6)), None);
}

#[test]
fn a_clock_that_stands_still_is_trouble_where_blocks_come_by_themselves() {
    for (network, is_trouble) in [(Network::Regtest, false), (Network::Bitcoin, true)] {
        let mut watch = watch(network);
        let all: Vec<_> = (0..4).map(|peer| status(peer, 100, 1, 0)).collect();
        assert_eq!(told(&mut watch, 1, &all), None);
        assert_eq!(told(&mut watch, CLOCK_MS, &all), None);
        assert_eq!(told(&mut watch, CLOCK_MS + 1, &all).is_some(), is_trouble);
    }
}
