use super::*;

fn sources() -> Sources {
    Sources {
        file: LocalFile {
            api_listen: Some("127.0.0.1:1".into()),
            electrum: Some(vec!["tcp://a:1".into(), "ssl://b:2".into()]),
            ..LocalFile::default()
        }
        .settings(),
        file_name: LOCAL_FILE,
        ..Sources::default()
    }
}

#[test]
fn flags_beat_the_environment_beats_the_file_beats_defaults() {
    let mut sources = sources();
    let port = |sources: &Sources| Settings::resolve(sources).unwrap().api_listen.port();
    assert_eq!(port(&Sources::default()), 8174);
    assert_eq!(port(&sources), 1);
    let environment = ("GUILDMINT_API_LISTEN".into(), "127.0.0.1:2".into());
    sources.environment.extend([environment]);
    assert_eq!(port(&sources), 2);
    sources.flags.insert("api_listen", "127.0.0.1:3".into());
    assert_eq!(port(&sources), 3);
    let explained = Settings::explain(&sources);
    assert_eq!(
        explained["api_listen"],
        json!({"value": "127.0.0.1:3", "source": "flag"})
    );
    assert_eq!(explained["electrum"]["source"], "file");
    assert_eq!(explained["p2p_listen"]["source"], "default");
}

#[test]
fn lists_have_commas() {
    let mut sources = sources();
    assert_eq!(
        Settings::resolve(&sources).unwrap().electrum,
        ["tcp://a:1", "ssl://b:2"]
    );
    sources.flags.insert("electrum", "tcp://c:3".into());
    assert_eq!(Settings::resolve(&sources).unwrap().electrum, ["tcp://c:3"]);
}

#[test]
fn a_wrong_value_is_named_with_its_source_and_the_remedy() {
    let wrong = [
        ("api_listen", "localhost", "an address and a port"),
        ("p2p_listen", "0.0.0.0:8173", "a multiaddress"),
        ("p2p_address", "mint.example:8173", "other guardians reach"),
        ("api_url", "mint.example", "the URL at which clients"),
        ("electrum", "http://a:1", "tcp://"),
        ("electrum", "tcp://a", "tcp://"),
        ("log_format", "xml", "text or json"),
        ("log", "a=b=c", "levels of detail"),
        ("database", "oracle", "sqlite"),
    ];
    for (name, value, expected) in wrong {
        let mut sources = sources();
        sources.flags.insert(name, value.into());
        let error = Settings::resolve(&sources).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        let variable = format!("GUILDMINT_{}", name.to_uppercase());
        for part in [name, value, expected, "the command line", &variable] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
}

#[test]
fn passwords_of_databases_are_in_no_text() {
    let mut sources = sources();
    sources.environment.insert(
        "GUILDMINT_DATABASE".into(),
        "postgres://mint:hunter2@db:5433/guild".into(),
    );
    let settings = Settings::resolve(&sources).unwrap();
    let shown = "postgres://mint@db:5433/guild";
    assert!(matches!(&settings.database, Database::Postgres(url) if url.to_string() == shown));
    let explained = Settings::explain(&sources);
    assert_eq!(
        explained["database"],
        json!({"value": shown, "source": "environment"})
    );
    sources
        .flags
        .insert("database", "postgres://mint:hunter2@db:port/guild".into());
    let error = Settings::resolve(&sources).unwrap_err();
    for text in [
        error.to_string(),
        format!("{error:?} {settings:?} {sources:?}"),
        Settings::explain(&sources).to_string(),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_missing_value_is_named_with_the_remedy() {
    let error = Sources::default().get(keys::DATA_DIR, |path| Some(path.to_owned()));
    let text = error.unwrap_err().to_string();
    for part in [
        "data_dir",
        "--data-dir",
        "GUILDMINT_DATA_DIR",
        "consensus.toml",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[test]
fn the_passphrase_is_the_first_line_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "correct horse\nbattery").unwrap();
    let mut sources = Sources::default();
    sources
        .flags
        .insert("password_file", path.display().to_string());
    assert_eq!(*read_passphrase(&sources).unwrap(), "correct horse");
    sources.flags.insert("password_file", "/nowhere".into());
    let error = read_passphrase(&sources).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("/nowhere"));
}

fn local(text: &str) -> Result<LocalFile, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(LOCAL_FILE), text).unwrap();
    read_local(folder.path())
}

#[test]
fn a_list_of_one_may_be_text_and_what_is_neither_is_told_with_an_example() {
    for text in ["\"tcp://a:1\"", "[\"tcp://a:1\"]"] {
        let file = local(&format!("electrum = {text}")).unwrap();
        assert_eq!(file.electrum, Some(vec!["tcp://a:1".to_owned()]), "{text}");
    }
    let file = local("electrum = \"tcp://a:1, ssl://b:2\"\nadmin_hosts = \"mint.lan\"").unwrap();
    assert_eq!(file.electrum.unwrap(), ["tcp://a:1", "ssl://b:2"]);
    assert_eq!(file.admin_hosts.unwrap(), ["mint.lan"]);
    let error = local("\nelectrum = 7").unwrap_err().to_string();
    assert!(
        error.contains("line 2") && error.contains("[\"tcp://"),
        "{error}"
    );
    // The file is there: where files come from is no help.
    assert!(!error.contains("data directory"), "{error}");
}

/// The example in the README, with the name of its file in its first line.
#[test]
fn the_example_in_the_documentation_is_a_file_with_which_a_guardian_runs() {
    let readme = include_str!("../../README.md");
    let example = readme.split("# local.toml\n").nth(1).unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let file = local(example).unwrap();
    let sources = Sources {
        file: file.settings(),
        ..Sources::default()
    };
    let settings = Settings::resolve(&sources).unwrap();
    assert!(settings.p2p_address.is_some() && settings.api_url.is_some());
    assert!(!settings.electrum.is_empty());
}
