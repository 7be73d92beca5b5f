//! electrs, linked against Debian's RocksDB.

use std::{io, path::Path, process::Command, time::Duration};

use super::Recipe;
use crate::packages;

const CRATE: &str = "electrs@0.10.10";

/// How to build `electrs`.
pub const RECIPE: Recipe = Recipe {
    name: "electrs",
    version: "0.10.10",
    programs: &["electrs"],
    packages: packages::ELECTRS,
    usual: Duration::from_secs(3 * 60),
    percent: |_| None,
    commands,
};

fn commands(work: &Path) -> io::Result<Vec<Command>> {
    let mut install = Command::new("cargo");
    install
        .args(["install", "--locked", CRATE, "--root"])
        .arg(work.join("programs"));
    install
        .env("CARGO_TARGET_DIR", work.join("target"))
        .current_dir(work);
    // Later versions of the crate compile their own RocksDB, which takes ten minutes.
    install
        .env("ROCKSDB_INCLUDE_DIR", "/usr/include")
        .env("ROCKSDB_LIB_DIR", "/usr/lib");
    Ok(vec![install])
}
