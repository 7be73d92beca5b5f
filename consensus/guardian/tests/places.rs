//! Guardians that find each other, on real sockets (SPEC NET-4).

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use async_std::task::block_on;
use common::{gift::Gift, Dealt};
use futures::future::join_all;
use guildmint_core::{api::AnnouncementsAnswer, InviteCode, PeerId, Place};
use guildmintd::{config::Config, modules, Guardian};
use serde_json::Value as Json;

const LIMIT: Duration = Duration::from_secs(90);

fn start(config: Config) -> Guardian {
    block_on(Guardian::start(&modules().with::<Gift>(), config)).unwrap()
}

fn get(url: String) -> Json {
    let response = minreq::get(url).with_timeout(30).send().unwrap();
    serde_json::from_slice(response.as_bytes()).unwrap()
}

/// How many others it is connected to.
fn connected(guardian: &Guardian) -> String {
    let readiness = get(format!("http://{}/readyz", guardian.admin()));
    let checks = readiness["checks"].as_array().unwrap().clone();
    let network = checks.into_iter().find(|check| check["name"] == "network");
    network.unwrap()["detail"].as_str().unwrap().to_owned()
}

/// Where a guardian says that another is.
fn place(guardian: &Guardian, of: u16) -> Option<Place> {
    let answer = get(format!("http://{}/v1/announcements", guardian.api()));
    let answer: AnnouncementsAnswer = serde_json::from_value(answer).unwrap();
    let of = PeerId(of);
    let mut announcements = answer.announcements.into_iter();
    announcements
        .find(|one| one.guardian == of)
        .map(|one| one.place)
}

/// Looks again and again; each look takes a while, since it is a request.
fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
    }
}

fn all_connected(guardians: &[Guardian]) -> bool {
    let all = guardians.iter().map(connected);
    all.into_iter().all(|detail| detail.starts_with("3 of 3"))
}

/// A port that is free now, as an address to listen on.
fn free_address() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("/ip4/127.0.0.1/tcp/{}", socket.local_addr().unwrap().port())
}

/// Has a guardian listen elsewhere, and say so.
fn moved(mut config: Config, to: &str) -> Config {
    config.settings.p2p_listen = vec![to.to_owned()];
    config.settings.p2p_address = Some(vec![to.to_owned()]);
    config.settings.api_url = Some("https://moved.example".into());
    config
}

/// Scenario 33.
#[test]
fn one_that_can_be_reached_is_enough_to_find_the_others_and_who_moves_is_found_again() {
    let dealt = Dealt::new(4);
    // Nobody's config says where the last one is, and its own names nobody but the first.
    let strangers = |guardian: u16| {
        let mut config = dealt.config(guardian);
        let unknown = if guardian == 3 { 1..3 } else { 3..4 };
        for entry in &mut config.federation.guardians[unknown] {
            entry.p2p.clear();
        }
        config
    };
    let new = [(); 2].map(|()| free_address());
    let mut guardians: Vec<_> = (0..3).map(|i| start(strangers(i))).collect();
    guardians.push(start(moved(strangers(3), &new[0])));
    wait("all find each other", || all_connected(&guardians));
    let said = |to: &str| {
        Some(Place {
            p2p: vec![to.into()],
            api: "https://moved.example".into(),
        })
    };
    for guardian in &guardians {
        wait("all know where it is", || {
            place(guardian, 3) == said(&new[0])
        });
    }

    for guardian in &guardians[..3] {
        wait("the config that it gives names it there", || {
            let config = get(format!("http://{}/v1/config", guardian.api()));
            config["apis"]["3"] == "https://moved.example"
        });
    }
    let page = minreq::get(format!("http://{}/", guardians[3].api()));
    let page = page.with_timeout(30).send().unwrap();
    let invite = page.as_str().unwrap().split(['<', '>', ' ', '"']);
    let invite = invite
        .filter_map(|word| word.parse::<InviteCode>().ok())
        .next();
    assert_eq!(invite.unwrap().apis[&PeerId(3)], "https://moved.example");

    // It moves while one of the others is away, which hears of it later.
    let last = guardians.pop().unwrap();
    let away = guardians.pop().unwrap();
    block_on(join_all([last.stop(), away.stop()]));
    guardians.insert(2, start(moved(strangers(3), &new[1])));
    for guardian in &guardians[..2] {
        wait("those who are there follow", || {
            place(guardian, 3) == said(&new[1])
        });
    }
    guardians.push(start(strangers(2)));
    wait("all find each other again", || all_connected(&guardians));
    wait("it has caught up", || {
        place(&guardians[3], 3) == said(&new[1])
    });
    for stopped in block_on(join_all(guardians.into_iter().map(Guardian::stop))) {
        stopped.unwrap();
    }
}
