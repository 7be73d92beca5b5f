//! Rules on dependencies: which crate may name which library, whose licences we accept, where sources come from.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeSet, path::Path, process::Command, sync::OnceLock};

use serde::Deserialize;

/// Each of these libraries is named in these packages and nowhere else, so that it can be replaced there.
const OWNERS: &[(&str, &[&str])] = &[
    ("bdk_electrum", &["guildmint-gateway-ldk"]),
    // The latter in its tests.
    ("bdk_wallet", &["guildmint-gateway-ldk", "guildmint-wallet"]),
    (
        "electrum-client",
        &["guildmint-gateway-ldk", "guildmint-wallet-electrum"],
    ),
    // SPEC MIN-2: a denomination's key signs notes and nothing else; the Lightning module has a key of its own, which decrypts. The
    // first names itself in its tests, the fourth makes the keys, the gateway and its carrier have guardians in their tests, and the last two make keys for tests.
    (
        "guildmint-tbs",
        &[
            "guildmint-tbs",
            "guildmint-ln",
            "guildmint-mint",
            "guildmint-founding",
            "guildmint-gateway",
            "guildmint-gateway-federation",
            "guildmint-dealer",
            "guildmint-fuzz",
        ],
    ),
    ("async-native-tls", &["guildmint-client-http"]),
    ("hbbft", &["guildmint-engine"]),
    ("httparse", &["guildmint-client-http"]),
    ("libp2p", &["guildmint-net-p2p"]),
    (
        "lightning",
        &["guildmint-gateway-ldk", "guildmint-client-bolt12"],
    ),
    ("lightning-background-processor", &["guildmint-gateway-ldk"]),
    ("lightning-transaction-sync", &["guildmint-gateway-ldk"]),
    (
        "maud",
        &["guildmint-daemon", "guildmint-api", "guildmint-gatewayd"],
    ),
    ("sqlx", &["guildmint-store", "guildmint-client-store"]),
    (
        "tide",
        &["guildmint-daemon", "guildmint-api", "guildmint-gatewayd"],
    ),
];

/// Packages without clock, entropy, files, sockets and threads.
const PURE: &[&str] = &[
    "guildmint-client",
    "guildmint-core",
    "guildmint-engine",
    "guildmint-founding",
    "guildmint-gateway",
    "guildmint-kit",
    "guildmint-link",
    "guildmint-ln",
    "guildmint-mint",
    "guildmint-module-empty",
    "guildmint-sim",
    "guildmint-tbs",
    "guildmint-wallet",
];

/// What has no place in a pure package, except in its tests.
const IMPURE: &[&str] = &[
    "async-io",
    "async-std",
    "getrandom",
    "rustix",
    "signal-hook",
    "tempfile",
    "tokio",
];

/// The testbed's own package must build quickly with a C compiler alone.
const HEAVY: &[&str] = &[
    "async-std",
    "guildmint-core",
    "openssl-sys",
    "ring",
    "tokio",
];

/// Licences that ask for no more than to be named, and for nothing of our own work.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MITNFA",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages that carry their licence as a file, read by us: this one is under a BSD 3-clause licence.
const READ: &[&str] = &["fuchsia-cprng"];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    source: Option<String>,
    license: Option<String>,
    license_file: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

fn cargo(arguments: &[&str]) -> String {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .current_dir(workspace)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn metadata() -> &'static Metadata {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    let read = || {
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--locked"])).unwrap()
    };
    METADATA.get_or_init(read)
}

fn members() -> impl Iterator<Item = &'static Package> {
    metadata()
        .packages
        .iter()
        .filter(|package| metadata().workspace_members.contains(&package.id))
}

fn assert_none(what: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{what}:\n{}", offenders.join("\n"));
}

#[test]
fn each_library_is_named_in_its_own_crates_only() {
    let named = |package: &'static Package| {
        let offending = |dependency: &&Dependency| {
            let owners = OWNERS
                .iter()
                .find(|(library, _)| dependency.name == *library);
            owners.is_some_and(|(_, owners)| !owners.contains(&package.name.as_str()))
        };
        package
            .dependencies
            .iter()
            .filter(offending)
            .map(|d| format!("{} names {}", package.name, d.name))
    };
    assert_none(
        "libraries named outside their crates",
        members().flat_map(named).collect(),
    );
    // The rule must not be void: the names in it are those of crates that there are.
    assert!(members().any(|package| package.name == "guildmint-net-p2p"
        && package
            .dependencies
            .iter()
            .any(|dependency| dependency.name == "libp2p")));
}

#[test]
fn pure_crates_name_nothing_impure() {
    let named = |package: &'static Package| {
        let offending =
            |d: &&Dependency| d.kind.as_deref() != Some("dev") && IMPURE.contains(&d.name.as_str());
        package
            .dependencies
            .iter()
            .filter(offending)
            .map(|d| format!("{} names {}", package.name, d.name))
    };
    let pure = members().filter(|package| PURE.contains(&package.name.as_str()));
    assert_none(
        "impure libraries in pure crates",
        pure.flat_map(named).collect(),
    );
    assert!(members().any(|package| package.name == "guildmint-core"));
}

#[test]
fn the_testbed_itself_stays_light() {
    let tree = cargo(&[
        "tree",
        "--locked",
        "--package",
        "guildmint-testbed",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ]);
    let names: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(names.contains("secp256k1-sys"));
    let heavy = HEAVY
        .iter()
        .filter(|name| names.contains(**name))
        .map(ToString::to_string);
    assert_none("heavy dependencies of the testbed", heavy.collect());
}

#[test]
fn guardians_are_built_without_the_dealer() {
    // What the wallet's and the dealer's builds switch on does not count: the guardian is built alone.
    let features = |package: &str| {
        cargo(&[
            "tree",
            "--locked",
            "--package",
            package,
            "--edges",
            "normal,features",
            "--prefix",
            "none",
        ])
    };
    let dealer = r#"guildmint-engine feature "dealer""#;
    assert!(
        !features("guildmintd").contains(dealer),
        "guildmintd enables the engine's feature `dealer`"
    );
    assert!(
        features("guildmint-dealer").contains(dealer),
        "the feature that this test looks for is gone"
    );
}

#[test]
fn licences_are_on_the_list_and_sources_in_the_registry() {
    let mut offenders = Vec::new();
    for package in &metadata().packages {
        let name = &package.name;
        match package.license.as_deref() {
            Some(licence) if allowed(licence) => {}
            Some(licence) => offenders.push(format!("{name}: {licence}")),
            None if READ.contains(&name.as_str()) => {}
            None => offenders.push(format!("{name}: a file, {:?}", package.license_file)),
        }
        if !matches!(package.source.as_deref(), None | Some(CRATES_IO)) {
            offenders.push(format!("{name}: from {:?}", package.source));
        }
    }
    assert_none("packages with other licences or from elsewhere", offenders);
}

/// Whether an expression can be met with licences on the list. `a/b` is an old way to write `a OR b`.
fn allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (met, rest) = any(&words);
    met && rest.is_empty()
}

fn any<'a, 'b>(words: &'b [&'a str]) -> (bool, &'b [&'a str]) {
    let (mut met, mut rest) = all(words);
    while let [first, tail @ ..] = rest {
        if *first != "OR" {
            break;
        }
        let (other, after) = all(tail);
        (met, rest) = (met | other, after);
    }
    (met, rest)
}

fn all<'a, 'b>(words: &'b [&'a str]) -> (bool, &'b [&'a str]) {
    let (mut met, mut rest) = one(words);
    while let [first, tail @ ..] = rest {
        if *first != "AND" {
            break;
        }
        let (other, after) = one(tail);
        (met, rest) = (met & other, after);
    }
    (met, rest)
}

fn one<'a, 'b>(words: &'b [&'a str]) -> (bool, &'b [&'a str]) {
    match words {
        ["(", tail @ ..] => match any(tail) {
            (met, [")", rest @ ..]) => (met, rest),
            (_, rest) => (false, rest),
        },
        [name, "WITH", exception, rest @ ..] => (
            LICENCES.contains(&format!("{name} WITH {exception}").as_str()),
            rest,
        ),
        [name, rest @ ..] => (LICENCES.contains(name), rest),
        [] => (false, words),
    }
}

#[test]
fn licence_expressions_are_understood() {
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "(GPL-3.0 OR MIT) AND ISC",
        "MIT/Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(allowed(good), "{good}");
    }
    for bad in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT",
        "",
        "Apache-2.0 WITH other",
        "MIT GPL-3.0",
        "ISC AND (GPL-3.0 OR X)",
    ] {
        assert!(!allowed(bad), "{bad}");
    }
}
