use tide::http::Url;

use super::*;

fn limits() -> Limits {
    Limits {
        connections: 3,
        connections_per_address: 2,
        requests_per_second: 10,
        burst: 3,
        streams: 3,
        streams_per_client: 2,
        ..Limits::default()
    }
}

fn admission() -> Arc<Admission> {
    Admission::new(limits())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A request, which a proxy may have passed on for somebody.
fn request(forwarded: Option<&str>) -> Request {
    let mut request = Request::get(Url::parse("http://guardian/").unwrap());
    if let Some(forwarded) = forwarded {
        request.insert_header("x-forwarded-for", forwarded);
    }
    request
}

#[test]
fn connections_are_counted_for_all_and_per_network() {
    let (admission, now) = (admission(), Instant::now());
    let first = admission.connect(ip("2001:db8::1"), now).unwrap();
    let second = admission.connect(ip("2001:db8::2:0:0:1"), now).unwrap();
    let refused = admission.connect(ip("2001:db8::3"), now).unwrap_err();
    assert_eq!(refused.status, 429);
    let third = admission.connect(ip("192.0.2.1"), now).unwrap();
    let refused = admission.connect(ip("192.0.2.2"), now).unwrap_err();
    assert_eq!((refused.status, refused.retryable), (503, true));
    drop((first, second, third));
    assert_eq!(admission.connections(), 0);
    admission.connect(ip("2001:db8::3"), now).unwrap();
}

#[test]
fn requests_have_a_rate_and_a_burst() {
    let (admission, now) = (admission(), Instant::now());
    let permit = admission.connect(ip("192.0.2.1"), now).unwrap();
    let origin = permit.origin(&request(None));
    let at = |ms| origin.admit(now + Duration::from_millis(ms)).is_ok();
    assert_eq!([at(0), at(0), at(0), at(0)], [true, true, true, false]);
    assert_eq!([at(99), at(100), at(100)], [false, true, false]);
    assert_eq!(
        [at(9_000), at(9_000), at(9_000), at(9_000)],
        [true, true, true, false]
    );
}

#[test]
fn this_machine_is_not_limited_unless_asked_for() {
    let (admission, now) = (admission(), Instant::now());
    let local = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];
    let permits: Vec<_> = local
        .iter()
        .map(|address| admission.connect(ip(address), now).unwrap())
        .collect();
    let origin = permits[0].origin(&request(None));
    assert!((0..100).all(|_| origin.admit(now).is_ok()));
    assert_ne!(
        origin.client(),
        permits[1].origin(&request(None)).client(),
        "each connection has turns of its own"
    );
    assert!(admission.connect(ip("127.0.0.1"), now).is_err());
}

#[test]
fn addresses_are_forgotten_when_calm() {
    let (admission, now) = (admission(), Instant::now());
    for number in 0..=MAX_ADDRESSES as u32 {
        let from = IpAddr::V4((0x0a00_0000 + number).into());
        drop(admission.connect(from, now).unwrap());
    }
    assert!(admission.counts().addresses.len() <= MAX_ADDRESSES);
}

/// ⚠ SPEC API-2: whoever has many networks fills no memory, and takes nothing from those that are known.
#[test]
fn too_many_networks_at_once_share_one_allowance() {
    let (admission, now) = (admission(), Instant::now());
    let ask = |number: u32, at| {
        let from = IpAddr::V4((0x0a00_0000 + number).into());
        let permit = admission.connect(from, at).unwrap();
        permit.origin(&request(None)).admit(at).is_ok()
    };
    let many = MAX_ADDRESSES as u32;
    assert!((0..many).all(|number| ask(number, now)));
    let crowd: Vec<_> = (many..many + 5).map(|number| ask(number, now)).collect();
    assert_eq!(crowd, [true, true, true, false, false]);
    assert!(ask(7, now), "one that is known");
    assert_eq!(admission.counts().addresses.len(), MAX_ADDRESSES + 1);
    let later = now + Duration::from_secs(60);
    assert!((many..many + 5).all(|number| ask(number, later)));
}

/// ⚠ SPEC API-2: a header that anybody can write is believed of a proxy that was named, and of it alone the last word.
#[test]
fn only_a_trusted_proxy_says_for_whom_it_asks() {
    let limits = Limits {
        trusted_proxies: vec![ip("192.0.2.9"), ip("127.0.0.1")],
        ..limits()
    };
    let (admission, now) = (Admission::new(limits), Instant::now());
    let client = |from: &str, forwarded| {
        let permit = admission.connect(ip(from), now).unwrap();
        permit.origin(&request(forwarded)).client()
    };
    let network = |text: &str| Client::Network(ip(text));
    assert_eq!(
        client("198.51.100.1", Some("203.0.113.5")),
        network("198.51.100.1")
    );
    assert_eq!(
        client("192.0.2.9", Some("203.0.113.5")),
        network("203.0.113.5")
    );
    assert_eq!(
        client("127.0.0.1", Some("10.0.0.1, 203.0.113.6:4711")),
        network("203.0.113.6")
    );
    assert_eq!(
        client("192.0.2.9", Some("2001:db8::5:6:7:8")),
        network("2001:db8::")
    );
    for nonsense in [None, Some(""), Some("me"), Some("203.0.113.5, unknown")] {
        assert!(
            matches!(client("192.0.2.9", nonsense), Client::Connection(_)),
            "{nonsense:?}"
        );
    }
    let permit = admission.connect(ip("127.0.0.1"), now).unwrap();
    let origin = permit.origin(&request(Some("203.0.113.9")));
    let admitted = (0..5).filter(|_| origin.admit(now).is_ok()).count();
    assert_eq!(
        admitted, 3,
        "whom a proxy on this machine asks for is limited"
    );
}

#[test]
fn streams_are_counted_for_all_and_per_client() {
    let limits = Limits {
        connections: 9,
        connections_per_address: 9,
        ..limits()
    };
    let (admission, now) = (Admission::new(limits), Instant::now());
    let stream = |from: &str| {
        let permit = admission.connect(ip(from), now).unwrap();
        permit.origin(&request(None)).stream(now)
    };
    let (first, second) = (stream("192.0.2.1").unwrap(), stream("192.0.2.1").unwrap());
    assert_eq!(stream("192.0.2.1").unwrap_err().status, 429);
    let third = stream("192.0.2.2").unwrap();
    assert_eq!(stream("192.0.2.3").unwrap_err().status, 503);
    drop(first);
    let fourth = stream("127.0.0.1").unwrap();
    drop((second, third, fourth));
    assert_eq!(admission.counts().streams, 0);
}
