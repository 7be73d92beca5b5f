//! What the commands of `guildmintd backup` do, and print.

use std::path::Path;

use guildmintd::{
    backup::{self, Contained, CreateError, OpenError, RestoreError},
    cli::{data_dir, BackupCommand},
    modules,
    secrets::Cost,
};
use serde_json::{json, Value as Json};

/// What the operator must know, and do, when a backup was restored.
const NEXT: &str = "Be sure that the old guardian is gone for good: two with the same secrets must never run. Look at the addresses in \
    local.toml: another machine may have others. Then start it, with guildmintd run: it takes over everything from the others, and \
    takes part again when it can contradict nothing that it has said before. guildmintd status shows how far it is.";

/// The same for a federation that has no other guardians.
const NEXT_ALONE: &str = "This is the only guardian of its federation: what its database knew is in no other place. Put that database, as it \
    was last, into the directory before you start it. Without it, notes that were spent could be spent again.";

/// Does it, and says what was done.
pub(crate) fn run(command: BackupCommand) -> anyhow::Result<Json> {
    let registry = modules();
    match command {
        BackupCommand::Create {
            to,
            data_dir: flag,
            passphrase,
        } => {
            let (data_dir, passphrase) = (data_dir(flag)?, passphrase.read()?);
            let made = backup::create(&data_dir, &to, &passphrase, Cost::STRONG, &registry)?;
            Ok(document("backup", &to, &made))
        }
        BackupCommand::Verify { from, passphrase } => {
            let opened = backup::read(&from, &passphrase.read()?, &registry)?;
            Ok(document("backup", &from, opened.contained()))
        }
        BackupCommand::Restore {
            from,
            data_dir: flag,
            passphrase,
        } => {
            let (data_dir, passphrase) = (data_dir(flag)?, passphrase.read()?);
            let opened = backup::read(&from, &passphrase, &registry)?;
            backup::restore(&opened, &data_dir)?;
            let mut done = document("data_dir", &data_dir, opened.contained());
            done["next"] = match opened.contained().guardians {
                1 => NEXT_ALONE.into(),
                _ => NEXT.into(),
            };
            Ok(done)
        }
    }
}

fn document(key: &str, path: &Path, contained: &Contained) -> Json {
    let mut document = json!(contained);
    document[key] = json!(path.to_string_lossy());
    document
}

/// What the process exits with, if a backup is the reason.
pub(crate) fn exit_code(error: &anyhow::Error) -> Option<u8> {
    let create = error.downcast_ref().map(CreateError::exit_code);
    let open = error.downcast_ref().map(OpenError::exit_code);
    let restore = error.downcast_ref().map(RestoreError::exit_code);
    create.or(open).or(restore)
}
