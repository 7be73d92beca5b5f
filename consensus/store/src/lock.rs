use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use crate::StoreError;

/// A lock on a data directory, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DirectoryLock(#[allow(dead_code, reason = "held, not read")] File);

impl DirectoryLock {
    /// Locks a guardian's directory, which is made if it does not exist. Stores lock theirs themselves.
    ///
    /// # Errors
    /// If another process holds the lock, or the system refuses.
    pub fn take(directory: &Path) -> Result<Self, StoreError> {
        Self::take_as(directory, "guardian")
    }

    /// The same for a program of this name.
    pub(crate) fn take_as(directory: &Path, program: &str) -> Result<Self, StoreError> {
        let unusable = |path: &Path, source| StoreError::Directory {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(directory).map_err(|source| unusable(directory, source))?;
        let path = directory.join(format!("{program}.lock"));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| unusable(&path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(path, file)),
            Err(TryLockError::Error(source)) => return Err(unusable(&path, source)),
        }
        // For people only: the lock is the file system's, and holds on a full disk too.
        let _ = file
            .set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self(file))
    }
}

fn locked(path: PathBuf, file: File) -> StoreError {
    let mut text = String::new();
    let _ = file.take(20).read_to_string(&mut text);
    let holder = match text.trim().parse::<u32>() {
        Ok(process) => format!(" (process {process})"),
        Err(_) => String::new(),
    };
    StoreError::Locked { path, holder }
}
