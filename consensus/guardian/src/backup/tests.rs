use std::os::unix::fs::PermissionsExt as _;

use bitcoin::{
    hashes::{sha256, Hash as _},
    BlockHash, Network,
};
use guildmint_dealer::{
    deal, deal_mint, deal_wallet,
    files::{write as write_dealt, Place},
    Parameters,
};
use guildmint_mint::Denomination;
use guildmint_wallet::Block;
use tempfile::TempDir;

use super::*;
use crate::{
    files::{LOCAL_FILE, SECRETS_FILE},
    modules,
    secrets::{self, Secrets},
};

/// A federation in a directory, and the passphrase.
struct Dealt {
    folder: TempDir,
    passphrase: String,
}

impl Dealt {
    fn new(guardians: u16, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let names = (0..guardians).map(|i| format!("guardian-{i}"));
        let parameters = Parameters {
            name: "kept".into(),
            network: Network::Regtest,
            guardians: names.clone().collect(),
            epoch_floor_ms: 10,
        };
        let quorum = parameters.quorum().unwrap();
        let start = Block {
            height: 1,
            hash: BlockHash::all_zeros(),
        };
        let modules = vec![
            deal_mint(quorum, Denomination::all().take(1), &mut rng).unwrap(),
            deal_wallet(quorum, Network::Regtest, start, |_| {}, &mut rng),
        ];
        let (genesis, secrets) = deal(&parameters, modules, &mut rng).unwrap();
        let places: Vec<_> = names
            .map(|name| Place {
                name,
                api_url: "http://127.0.0.1:1".into(),
                api_listen: "127.0.0.1:1".into(),
                admin_listen: "127.0.0.1:2".into(),
                p2p_listen: "/ip4/127.0.0.1/tcp/3".into(),
            })
            .collect();
        let electrum = ["tcp://127.0.0.1:4".to_owned()];
        let path = folder.path();
        write_dealt(path, &genesis, &secrets, &places, &electrum, &mut rng).unwrap();
        let passphrase = fs::read_to_string(path.join("password")).unwrap();
        Self {
            passphrase: passphrase.trim().into(),
            folder,
        }
    }

    fn data_dir(&self, guardian: u16) -> PathBuf {
        self.folder.path().join(format!("guardian-{guardian}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn create(&self, to: &Path) -> Result<Contained, CreateError> {
        let data_dir = self.data_dir(0);
        create(&data_dir, to, &self.passphrase, Cost::CHEAP, &modules())
    }

    fn backup(&self) -> Vec<u8> {
        let path = self.path("backup");
        self.create(&path).unwrap();
        fs::read(path).unwrap()
    }

    fn open(&self, bytes: &[u8]) -> Result<Backup, OpenError> {
        Backup::open(bytes, &self.passphrase, &modules())
    }

    /// The guardian's secrets with something else in them, in their place.
    fn change_secrets(&self, change: impl FnOnce(Secrets) -> Secrets) {
        let path = self.data_dir(0).join(SECRETS_FILE);
        let toml = fs::read_to_string(self.data_dir(0).join(CONSENSUS_FILE)).unwrap();
        let file = crate::files::parse_toml::<crate::files::ConsensusFile>(&path, &toml).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let opened = secrets::open(&text, file.federation, &self.passphrase).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let changed = change(opened);
        let text = secrets::seal(
            &changed,
            file.federation,
            &self.passphrase,
            Cost::CHEAP,
            &mut rng,
        );
        fs::write(path, text.unwrap()).unwrap();
    }

    fn secrets_of(&self, guardian: u16) -> Secrets {
        let toml = fs::read_to_string(self.data_dir(guardian).join(CONSENSUS_FILE)).unwrap();
        let file: crate::files::ConsensusFile =
            crate::files::parse_toml(Path::new(""), &toml).unwrap();
        let text = fs::read_to_string(self.data_dir(guardian).join(SECRETS_FILE)).unwrap();
        secrets::open(&text, file.federation, &self.passphrase).unwrap()
    }
}

/// With a last line that fits.
fn with_checksum(document: &str) -> Vec<u8> {
    let checksum = sha256::Hash::hash(document.as_bytes());
    format!("{document}sha256: {checksum}\n").into_bytes()
}

fn document(backup: &[u8]) -> String {
    let text = std::str::from_utf8(backup).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let (_, document) = lines.split_last().unwrap();
    document.join("\n") + "\n"
}

#[test]
fn what_is_backed_up_is_restored_byte_for_byte() {
    let dealt = Dealt::new(4, 1);
    let (file, old, new) = (dealt.path("backup"), dealt.data_dir(0), dealt.path("new"));
    let made = dealt.create(&file).unwrap();
    assert_eq!(
        (made.guardian.0, made.name.as_str(), made.settings),
        (0, "guardian-0", true)
    );
    assert_eq!(
        (made.guardians, made.threshold, made.federation.as_str()),
        (4, 3, "kept")
    );
    assert_eq!(made.modules, ["mint", "wallet"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert!(old.join(BACKUP_STAMP).exists());

    let backup = read(&file, &dealt.passphrase, &modules()).unwrap();
    assert_eq!(backup.contained(), &made);
    restore(&backup, &new).unwrap();
    for name in [CONSENSUS_FILE, LOCAL_FILE, SECRETS_FILE] {
        assert_eq!(
            fs::read(new.join(name)).unwrap(),
            fs::read(old.join(name)).unwrap(),
            "{name}"
        );
    }
    assert_eq!(mode(&new.join(SECRETS_FILE)), 0o600);
    assert_eq!(mode(&new.join(LOCAL_FILE)), 0o600);
    assert!(!new.join(BACKUP_STAMP).exists(), "no backup was made there");
}

#[test]
fn a_guardian_without_local_settings_is_backed_up_too() {
    let dealt = Dealt::new(1, 2);
    fs::remove_file(dealt.data_dir(0).join(LOCAL_FILE)).unwrap();
    let backup = dealt.open(&dealt.backup()).unwrap();
    assert!(!backup.contained().settings);
    restore(&backup, &dealt.path("new")).unwrap();
    assert!(!dealt.path("new").join(LOCAL_FILE).exists());
}

#[test]
fn damage_of_any_byte_is_noticed_and_taken_for_nothing_else() {
    let dealt = Dealt::new(1, 3);
    let backup = dealt.backup();
    assert!(dealt.open(&backup).is_ok());
    for place in 0..backup.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut damaged = backup.clone();
            damaged[place] ^= flip;
            let opened = dealt.open(&damaged).err();
            // Whoever damages the first word leaves nothing to know it by.
            let known = matches!(opened, Some(OpenError::Damaged))
                || place < 24 && matches!(opened, Some(OpenError::NotABackup));
            assert!(known, "place {place}: {opened:?}");
        }
    }
    for length in 0..backup.len() {
        let opened = dealt.open(&backup[..length]).err();
        let known = matches!(opened, Some(OpenError::Damaged | OpenError::NotABackup));
        assert!(known, "the first {length} bytes: {opened:?}");
    }
    let longer = [&backup[..], b"\n"].concat();
    assert!(matches!(dealt.open(&longer), Err(OpenError::Damaged)));
}

#[test]
fn a_wrong_passphrase_is_told_apart() {
    let dealt = Dealt::new(1, 4);
    let backup = dealt.backup();
    for (passphrase, expected) in [
        ("another", SecretsError::Passphrase),
        ("", SecretsError::EmptyPassphrase),
    ] {
        let error = Backup::open(&backup, passphrase, &modules()).err().unwrap();
        assert_eq!(error.exit_code(), 3);
        assert!(matches!(error, OpenError::Sealed(problem) if problem == expected));
    }
    let to = dealt.path("second");
    let error = create(&dealt.data_dir(0), &to, "another", Cost::CHEAP, &modules()).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(!to.exists());
}

#[test]
fn a_later_layout_is_named() {
    let dealt = Dealt::new(1, 5);
    let document = document(&dealt.backup());
    let later = document.replace("\"guildmint_backup\": 1", "\"guildmint_backup\": 7");
    assert_ne!(later, document);
    let opened = dealt.open(&with_checksum(&later));
    assert!(matches!(opened, Err(OpenError::Newer(7))));
    // Whatever else is in it.
    let opened = dealt.open(&with_checksum("{\"guildmint_backup\": 2, \"more\": []}\n"));
    assert!(matches!(opened, Err(OpenError::Newer(2))));
}

/// Nobody can pass off a backup as another guardian's, even with a checksum that fits.
#[test]
fn what_is_readable_cannot_be_changed() {
    let dealt = Dealt::new(1, 6);
    let document = document(&dealt.backup());
    assert!(dealt.open(&with_checksum(&document)).is_ok());
    let other = document.replace("\"guardian\": 0", "\"guardian\": 1");
    assert_ne!(other, document);
    let opened = dealt.open(&with_checksum(&other));
    assert!(matches!(opened, Err(OpenError::Damaged)));
    let line = document
        .lines()
        .find(|line| line.contains("\"federation\""));
    let other = document.replacen(line.unwrap(), &changed_digit(line.unwrap()), 1);
    let opened = dealt.open(&with_checksum(&other));
    assert!(matches!(opened, Err(OpenError::Damaged)));
}

fn changed_digit(line: &str) -> String {
    let place = line.rfind(|c: char| c.is_ascii_hexdigit()).unwrap();
    let digit = if line.ends_with("0\",") { "1" } else { "0" };
    [&line[..place], digit, &line[place + 1..]].concat()
}

#[test]
fn other_files_are_no_backups() {
    let dealt = Dealt::new(1, 7);
    let secrets = fs::read(dealt.data_dir(0).join(SECRETS_FILE)).unwrap();
    let foreign = with_checksum("{\"version\": 1}\n");
    for bytes in [&secrets[..], b"", &[0xff; 100], &foreign] {
        assert!(matches!(dealt.open(bytes), Err(OpenError::NotABackup)));
    }
    let long = dealt.path("long");
    let file = fs::File::create(&long).unwrap();
    file.set_len(MAX_FILE_BYTES + 1).unwrap();
    let opened = read(&long, &dealt.passphrase, &modules());
    assert!(matches!(opened, Err(OpenError::TooLong)));
}

#[test]
fn nothing_is_overwritten() {
    let dealt = Dealt::new(1, 8);
    let backup = dealt.backup();
    let file = dealt.path("backup");
    let again = dealt.create(&file).unwrap_err();
    assert!(matches!(again, CreateError::Exists(_)) && again.exit_code() == 2);
    assert_eq!(fs::read(&file).unwrap(), backup);

    let backup = dealt.open(&backup).unwrap();
    for name in [
        CONSENSUS_FILE,
        LOCAL_FILE,
        SECRETS_FILE,
        "guardian.sqlite",
        "guardian.sqlite-wal",
        "founding",
    ] {
        let new = dealt.path(&format!("with-{name}"));
        fs::create_dir(&new).unwrap();
        match name {
            "founding" => {
                fs::create_dir(new.join(name)).unwrap();
                fs::write(new.join(name).join("seed"), "mine").unwrap();
            }
            name => fs::write(new.join(name), "mine").unwrap(),
        }
        let restored = restore(&backup, &new).unwrap_err();
        let RestoreError::Occupied(path) = restored else {
            panic!("{name}: {restored}");
        };
        assert!(path.ends_with(name));
        let names = fs::read_dir(&new)
            .unwrap()
            .map(|it| it.unwrap().file_name());
        let names: std::collections::BTreeSet<_> = names.collect();
        let expected = [OsStr::new(name), OsStr::new("guardian.lock")];
        assert_eq!(names, expected.map(OsStr::to_owned).into());
    }
}

#[test]
fn a_directory_in_use_is_left_alone() {
    let dealt = Dealt::new(1, 9);
    let backup = dealt.open(&dealt.backup()).unwrap();
    let new = dealt.path("new");
    let held = guildmint_store::DirectoryLock::take(&new).unwrap();
    let restored = restore(&backup, &new).unwrap_err();
    assert!(matches!(restored, RestoreError::Directory(_)));
    drop(held);
    restore(&backup, &new).unwrap();
}

#[test]
fn a_restore_that_fails_leaves_nothing() {
    let dealt = Dealt::new(1, 10);
    let backup = dealt.open(&dealt.backup()).unwrap();
    let new = dealt.path("new");
    // The last file that is written cannot be.
    fs::create_dir_all(new.join("consensus.new")).unwrap();
    let restored = restore(&backup, &new).unwrap_err();
    assert!(matches!(restored, RestoreError::File(_)), "{restored}");
    assert!(!new.join(SECRETS_FILE).exists() && !new.join(LOCAL_FILE).exists());
    fs::remove_dir(new.join("consensus.new")).unwrap();
    restore(&backup, &new).unwrap();
}

/// ⚠ SPEC SET-6
#[test]
fn what_would_be_no_guardian_is_not_backed_up() {
    let dealt = Dealt::new(4, 11);
    let secrets = || (dealt.secrets_of(0), dealt.secrets_of(1));
    let to = dealt.path("backup");
    let refused = |what: &str| {
        let error = dealt.create(&to).unwrap_err();
        assert!(matches!(error, CreateError::Contents(_)), "{what}: {error}");
        assert!(!to.exists() && !dealt.data_dir(0).join(BACKUP_STAMP).exists());
    };
    let (mine, other) = secrets();
    let modules = other.modules().clone();
    let coin = mine.coin().to_vec();
    dealt.change_secrets(|mine| Secrets::new(&mine.identity(), coin, modules));
    refused("another guardian's keys for the modules");
    let modules = mine.modules().clone();
    let coin = other.coin().to_vec();
    dealt.change_secrets(|mine| Secrets::new(&mine.identity(), coin, modules));
    refused("another guardian's coin");
    let stranger = guildmint_core::IdentityKey::from_seed(&[7; 32]);
    let modules = mine.modules().clone();
    dealt.change_secrets(|mine| Secrets::new(&stranger, mine.coin().to_vec(), modules));
    refused("nobody's identity");
    dealt.change_secrets(|_| mine);
    let local = dealt.data_dir(0).join(LOCAL_FILE);
    let text = fs::read_to_string(&local).unwrap();
    fs::write(&local, "log_levle = \"info\"").unwrap();
    refused("a setting that is none");
    fs::write(&local, text).unwrap();
    let foreign = Dealt::new(4, 12);
    let consensus = dealt.data_dir(0).join(CONSENSUS_FILE);
    fs::copy(foreign.data_dir(0).join(CONSENSUS_FILE), &consensus).unwrap();
    refused("another federation");
    fs::copy(dealt.data_dir(1).join(CONSENSUS_FILE), &consensus).unwrap();
    dealt.create(&to).unwrap();
}

#[test]
fn backups_are_made_where_they_help_and_of_guardians() {
    let dealt = Dealt::new(1, 13);
    let inside = dealt.data_dir(0).join("backup");
    let error = dealt.create(&inside).unwrap_err();
    assert!(matches!(error, CreateError::Inside(_)));
    let error = dealt.create(Path::new("-")).unwrap_err();
    assert!(matches!(error, CreateError::Output));
    let nowhere = dealt.path("no/such/folder");
    let error = dealt.create(&nowhere).unwrap_err();
    assert!(matches!(error, CreateError::File(_)) && error.exit_code() == 1);

    let to = dealt.path("backup");
    let empty = dealt.path("empty");
    fs::create_dir(&empty).unwrap();
    let of_nobody = create(&empty, &to, &dealt.passphrase, Cost::CHEAP, &modules());
    assert!(matches!(of_nobody, Err(CreateError::NoGuardian(_))));
    // Also when all but the last step of the founding is done.
    for data_dir in [empty, dealt.data_dir(0)] {
        fs::create_dir(data_dir.join("founding")).unwrap();
        fs::write(data_dir.join("founding/seed"), "").unwrap();
        let founding = create(&data_dir, &to, &dealt.passphrase, Cost::CHEAP, &modules());
        assert!(matches!(founding, Err(CreateError::Founding(_))));
    }
    assert!(!to.exists());
}

#[test]
fn nothing_secret_is_shown() {
    let dealt = Dealt::new(1, 14);
    let local = dealt.data_dir(0).join(LOCAL_FILE);
    let text = fs::read_to_string(&local).unwrap() + "database = \"postgres://u:hunter2@h/d\"\n";
    fs::write(&local, text).unwrap();
    let backup = dealt.backup();
    let opened = dealt.open(&backup).unwrap();
    let shown = [
        String::from_utf8(backup).unwrap(),
        serde_json::to_string(opened.contained()).unwrap(),
        format!("{:?}", opened.contained()),
    ];
    let identity = hex::encode(dealt.secrets_of(0).identity().seed());
    let secrets = dealt.secrets_of(0);
    let shares = secrets.modules().values().map(hex::encode);
    let secrets: Vec<_> = [identity, hex::encode(secrets.coin()), "hunter2".into()]
        .into_iter()
        .chain(shares)
        .collect();
    for text in shown {
        assert!(secrets.iter().all(|secret| !text.contains(secret)));
    }
}
