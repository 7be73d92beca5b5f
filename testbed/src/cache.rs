//! Where everything that outlives one run is kept, outside the checkout.

use std::{
    env, fs,
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{flock, FlockOperation};
use thiserror::Error;

use crate::{
    programs::workspace,
    stop::{Stop, WaitError},
};

/// The variable that moves the cache.
pub const CACHE_VARIABLE: &str = "GUILDMINT_CACHE";

/// The cache folder: `$GUILDMINT_CACHE`, else `$XDG_CACHE_HOME/guildmint`, else `~/.cache/guildmint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

/// Why the cache cannot be used.
#[derive(Debug, Error)]
pub enum CacheError {
    /// No variable says where a cache may be.
    #[error("no place for the cache: set {CACHE_VARIABLE} to a folder")]
    Nowhere,
    /// A folder or file of the cache could not be made.
    #[error("{}: {error} (set {CACHE_VARIABLE} to move the cache)", .path.display())]
    Unusable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Waiting for another process was cut short.
    #[error("interrupted while another process held {}", .0.display())]
    Interrupted(PathBuf),
}

/// An exclusive right to something in the cache; given back when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the exclusive right that the file `path` stands for, if nobody has it.
    pub fn try_take(path: &Path) -> Result<Option<Self>, CacheError> {
        let unusable = |error| CacheError::Unusable {
            path: path.into(),
            error,
        };
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(unusable)?;
        let file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .map_err(unusable)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(unusable(error.into())),
        }
    }
}

/// A path as the name of one folder.
fn folder_name(path: &Path) -> String {
    const LONGEST: usize = 100;
    let plain = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => character,
        _ => '-',
    };
    let name: Vec<char> = path.display().to_string().chars().map(plain).collect();
    // The end of a path says more than its beginning.
    let name: String = name[name.len().saturating_sub(LONGEST)..].iter().collect();
    name.trim_start_matches(['-', '.']).to_owned()
}

impl Cache {
    /// The cache that the environment names.
    pub fn from_env() -> Result<Self, CacheError> {
        Self::choose(|name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        })
    }

    /// A cache in a given folder.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn choose(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, CacheError> {
        variable(CACHE_VARIABLE)
            .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("guildmint")))
            .or_else(|| Some(variable("HOME")?.join(".cache").join("guildmint")))
            .map(Self::at)
            .ok_or(CacheError::Nowhere)
    }

    /// The cache folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo builds: `$CARGO_TARGET_DIR` if set, else a folder of the cache's for this checkout. ⚠ Cargo does not tell two
    /// checkouts apart that build into one folder, and takes what is older in one for what it has built of the other.
    pub fn target(&self) -> PathBuf {
        let ours = || self.root.join("target").join(folder_name(workspace()));
        env::var_os("CARGO_TARGET_DIR").map_or_else(ours, PathBuf::from)
    }

    /// Where bitcoind and electrs are kept once built.
    pub fn servers(&self) -> PathBuf {
        self.root.join("servers")
    }

    /// The test network's folder unless a command names another.
    pub fn testbed(&self) -> PathBuf {
        self.root.join("testbed")
    }

    /// Makes `folder`, which is one of the cache's, and those above it.
    pub fn make(&self, folder: &Path) -> Result<(), CacheError> {
        fs::create_dir_all(folder).map_err(|error| CacheError::Unusable {
            path: folder.into(),
            error,
        })
    }

    /// Waits, however long it takes, for the exclusive right named `name`.
    pub fn lock(&self, name: &str, stop: &Stop) -> Result<Lock, CacheError> {
        let interrupted = || CacheError::Interrupted(self.lock_path(name));
        stop.wait(Duration::MAX, || self.try_lock(name))
            .map_err(|error| match error {
                WaitError::Failed(error) => error,
                WaitError::Interrupted | WaitError::TimedOut(_) => interrupted(),
            })
    }

    /// Takes the exclusive right named `name` if nobody has it.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>, CacheError> {
        Lock::try_take(&self.lock_path(name))
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(name)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)]) -> Option<PathBuf> {
        let look_up = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        };
        Cache::choose(look_up).ok().map(|cache| cache.root)
    }

    #[test]
    fn our_own_variable_comes_first_then_the_desktop_standard_then_home() {
        let all = [
            ("HOME", "/home/a"),
            ("XDG_CACHE_HOME", "/x"),
            (CACHE_VARIABLE, "/own"),
        ];
        assert_eq!(chosen(&all), Some("/own".into()));
        assert_eq!(chosen(&all[..2]), Some("/x/guildmint".into()));
        assert_eq!(chosen(&all[..1]), Some("/home/a/.cache/guildmint".into()));
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn a_checkout_has_a_folder_of_its_own() {
        assert_eq!(
            folder_name(Path::new("/home/a/guild mint")),
            "home-a-guild-mint"
        );
        assert_ne!(
            folder_name(Path::new("/a/b")),
            folder_name(Path::new("/b/a"))
        );
        let long = "x/".repeat(500);
        assert!(folder_name(Path::new(&long)).len() <= 100);
    }

    #[test]
    fn a_lock_is_held_by_one_and_returns_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let held = cache.lock("build", &Stop::default()).unwrap();
        assert!(cache.try_lock("build").unwrap().is_none());
        assert!(cache.try_lock("another").unwrap().is_some());
        drop(held);
        assert!(cache.try_lock("build").unwrap().is_some());
    }

    #[test]
    fn an_unusable_cache_is_named_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::at(file).try_lock("x").unwrap_err().to_string();
        assert!(
            error.contains("file") && error.contains(CACHE_VARIABLE),
            "{error}"
        );
    }
}
