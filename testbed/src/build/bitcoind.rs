//! Bitcoin Core, whose source is part of a crate that wraps its validation library.

use std::{io, path::Path, process::Command, thread, time::Duration};

use super::{carrier, Recipe};
use crate::packages;

/// The crate that carries the source. Its version, not Core's, decides what is built.
const CRATE: &str = "libbitcoinkernel-sys";
const CRATE_VERSION: &str = "0.4.1";

/// A server without wallet, graphics or tests. The testbed has a key of its own.
const OPTIONS: &[&str] = &[
    "-DBUILD_DAEMON=ON",
    "-DBUILD_CLI=ON",
    "-DENABLE_WALLET=OFF",
    "-DENABLE_IPC=OFF",
    "-DBUILD_TESTS=OFF",
    "-DBUILD_BENCH=OFF",
    "-DBUILD_BITCOIN_BIN=OFF",
    "-DBUILD_TX=OFF",
    "-DBUILD_UTIL=OFF",
    "-DENABLE_EXTERNAL_SIGNER=OFF",
    "-DWITH_EMBEDDED_ASMAP=OFF",
    "-DCMAKE_BUILD_TYPE=Release",
];

/// How to build `bitcoind` and `bitcoin-cli`.
pub const RECIPE: Recipe = Recipe {
    name: "bitcoind",
    version: "31.99",
    programs: &["bitcoind", "bitcoin-cli"],
    packages: packages::BITCOIND,
    usual: Duration::from_secs(8 * 60),
    percent: cmake_percent,
    commands,
};

fn commands(work: &Path) -> io::Result<Vec<Command>> {
    carrier(
        &work.join("carrier"),
        &format!("{CRATE} = \"={CRATE_VERSION}\""),
    )?;
    let mut fetch = Command::new("cargo");
    fetch
        .args(["vendor", "--versioned-dirs"])
        .arg(work.join("vendor"))
        .current_dir(work.join("carrier"));

    let source = work
        .join("vendor")
        .join(format!("{CRATE}-{CRATE_VERSION}"))
        .join("bitcoin");
    let build = work.join("build");
    let mut configure = Command::new("cmake");
    configure
        .arg("-S")
        .arg(source)
        .arg("-B")
        .arg(&build)
        .args(OPTIONS);

    let jobs = thread::available_parallelism()
        .map_or(1, |n| n.get())
        .to_string();
    let mut compile = Command::new("cmake");
    compile.arg("--build").arg(&build).args([
        "--parallel",
        &jobs,
        "--target",
        "bitcoind",
        "bitcoin-cli",
    ]);

    let mut install = Command::new("install");
    install
        .args(["--strip", "-D", "--target-directory"])
        .arg(work.join("programs/bin"));
    install.args(
        RECIPE
            .programs
            .iter()
            .map(|name| build.join("bin").join(name)),
    );
    Ok(vec![fetch, configure, compile, install])
}

/// CMake's makefiles begin each line with `[ 42%]`.
fn cmake_percent(line: &str) -> Option<u8> {
    line.strip_prefix('[')?
        .split_once("%]")?
        .0
        .trim()
        .parse()
        .ok()
        .filter(|percent| *percent <= 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentage_is_read_from_the_build() {
        assert_eq!(cmake_percent("[  7%] Building CXX object"), Some(7));
        assert_eq!(cmake_percent("[100%] Built target bitcoind"), Some(100));
        assert_eq!(cmake_percent("[x%]"), None);
        assert_eq!(cmake_percent("warning: [ 7%]"), None);
    }
}
