//! What a program runs with: flags, environment and a file, and which of them a value came from.

mod admin;
pub mod texts;

use std::{collections::BTreeMap, env, fmt, path::Path};

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::files::{read_toml, FileError};

pub use admin::{admin_hosts, open_metrics, trusted_proxies, AdminSettings};

/// A setting: its name, from which its flag (`--api-listen`) and its variable (`GUILDMINT_API_LISTEN`) follow, and what it may be.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The name, as in the file.
    pub name: &'static str,
    /// What it is if nobody says anything.
    pub default: Option<&'static str>,
    /// What it may be, for people.
    pub expected: &'static str,
    /// Environment variables of its program start with this.
    pub prefix: &'static str,
    /// What people may see of its value, if that is not all of it.
    pub shown: Option<fn(&str) -> String>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Key {}

impl Key {
    /// A setting of the program whose environment variables start with the prefix. All of its value may be seen.
    #[must_use]
    pub const fn new(
        prefix: &'static str,
        name: &'static str,
        default: Option<&'static str>,
        expected: &'static str,
    ) -> Self {
        Self {
            name,
            default,
            expected,
            prefix,
            shown: None,
        }
    }

    /// Its flag.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// Its environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{}{}", self.prefix, self.name.to_uppercase())
    }

    /// What people may see of its value.
    #[must_use]
    pub fn show(&self, value: String) -> String {
        match self.shown {
            Some(shown) => shown(value.trim()),
            None => value,
        }
    }
}

/// Where a value came from, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The file of this name.
    File(&'static str),
    /// Nobody said otherwise.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "the command line",
            Self::Environment => "the environment",
            Self::File(name) => name,
            Self::Default => "the defaults",
        })
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File(_) => "file",
            Self::Default => "default",
        })
    }
}

/// Why a setting is of no use: somebody has to change something.
#[derive(Debug, Error)]
pub enum SettingError {
    /// A setting that nobody gave.
    #[error("`{}` is missing: give {flag} or {variable}: {expected}", .0.name, flag = .0.flag(), variable = .0.variable(), expected = .0.expected)]
    Missing(Key),
    /// A setting that means nothing.
    #[error("`{}` is `{value}`, from {from}: it must be {expected}. Change it, or give {flag} or {variable}", key.name,
        expected = key.expected, flag = key.flag(), variable = key.variable())]
    Invalid {
        /// Which.
        key: Key,
        /// What it is.
        value: String,
        /// Who says so.
        from: Source,
    },
}

/// What a setting is, and who says so; nothing if nobody does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// What people may see of it.
    pub value: Option<String>,
    /// Where it came from.
    pub source: Option<Source>,
}

/// Everything that says what a setting is.
#[derive(Clone, Default)]
pub struct Sources {
    /// Flags that were given, by the names of settings.
    pub flags: BTreeMap<&'static str, String>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// The file, by the names of settings.
    pub file: BTreeMap<String, String>,
    /// What the file is called.
    pub file_name: &'static str,
}

/// Without values: passwords may be among them.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Sources {
    /// The strongest word on a setting, as it was written.
    #[must_use]
    pub fn text(&self, key: Key) -> Option<(String, Source)> {
        let flag = self.flags.get(key.name).cloned();
        let variable = self.environment.get(&key.variable()).cloned();
        // An empty variable is how compose files and units leave one out.
        let variable = variable.filter(|value| !value.is_empty());
        let candidates = [
            (flag, Source::Flag),
            (variable, Source::Environment),
            (
                self.file.get(key.name).cloned(),
                Source::File(self.file_name),
            ),
            (key.default.map(str::to_owned), Source::Default),
        ];
        let mut given = candidates
            .into_iter()
            .filter_map(|(text, source)| Some((text?, source)));
        given.next()
    }

    /// A setting that need not be there, read by `parse`.
    ///
    /// # Errors
    /// If `parse` makes nothing of it.
    pub fn find<T>(
        &self,
        key: Key,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, SettingError> {
        match self.text(key) {
            None => Ok(None),
            Some(_) => self.get(key, parse).map(Some),
        }
    }

    /// A setting that is a list with commas between, each item read by `parse`. Empty if nobody says anything.
    ///
    /// # Errors
    /// If `parse` makes nothing of an item.
    pub fn list<T>(
        &self,
        key: Key,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, SettingError> {
        let items = self.find(key, |text| texts::list(text, &parse))?;
        Ok(items.unwrap_or_default())
    }

    /// Settings by their names, for people who wonder where they came from.
    #[must_use]
    pub fn explain(&self, keys: &[Key]) -> BTreeMap<&'static str, Explained> {
        let explained = keys.iter().map(|key| {
            let (value, source) = self.text(*key).unzip();
            let value = value.map(|value| key.show(value));
            (key.name, Explained { value, source })
        });
        explained.collect()
    }

    /// A setting, read by `parse`.
    ///
    /// # Errors
    /// If it is missing, or `parse` makes nothing of it.
    pub fn get<T>(&self, key: Key, parse: impl Fn(&str) -> Option<T>) -> Result<T, SettingError> {
        let (value, source) = self.text(key).ok_or(SettingError::Missing(key))?;
        parse(value.trim()).ok_or(SettingError::Invalid {
            key,
            value: key.show(value),
            from: source,
        })
    }
}

/// The variables that start with a program's prefix.
#[must_use]
pub fn environment(prefix: &str) -> BTreeMap<String, String> {
    let variables = env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        name.starts_with(prefix)
            .then(|| (name, value.to_string_lossy().into_owned()))
    });
    variables.collect()
}

/// The settings in a file of `name = value` lines, as text; lists become one with commas between. None if there is no file.
///
/// # Errors
/// If it cannot be read, or something in it is none of these settings.
pub fn read_file(path: &Path, keys: &[Key]) -> Result<BTreeMap<String, String>, FileError> {
    let table: BTreeMap<String, toml::Value> = match read_toml(path) {
        Err(FileError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            BTreeMap::new()
        }
        read => read?,
    };
    let wrong = |problem| FileError::Contents {
        path: path.to_owned(),
        problem,
    };
    let mut settings = BTreeMap::new();
    for (name, value) in table {
        if !keys.iter().any(|key| key.name == name) {
            let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
            let known = known.join(", ");
            return Err(wrong(format!(
                "`{name}` is no setting; the settings are {known}"
            )));
        }
        let text = text(&value).ok_or_else(|| wrong(format!("`{name}` is no text")))?;
        settings.insert(name, text);
    }
    Ok(settings)
}

fn text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(is) => Some(is.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(text).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: Key = Key {
        name: "port",
        default: Some("1"),
        expected: "a number",
        prefix: "TEST_",
        shown: None,
    };
    const NAMES: Key = Key {
        name: "names",
        default: None,
        expected: "names",
        prefix: "TEST_",
        shown: Some(|_| "…".to_owned()),
    };

    #[test]
    fn flags_beat_the_environment_beats_the_file_beats_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.toml");
        let read = |path: &Path| read_file(path, &[PORT, NAMES]);
        let mut sources = Sources {
            file: read(&path).unwrap(),
            file_name: "test.toml",
            ..Sources::default()
        };
        let port = |sources: &Sources| sources.get(PORT, |text| text.parse::<u16>().ok()).unwrap();
        assert_eq!(port(&sources), 1);
        std::fs::write(&path, "port = 2\nnames = [\"a\", \"b\"]").unwrap();
        sources.file = read(&path).unwrap();
        assert_eq!(port(&sources), 2);
        assert_eq!(sources.text(NAMES).unwrap().0, "a,b");
        sources.environment = BTreeMap::from([("TEST_PORT".to_owned(), "3".to_owned())]);
        assert_eq!(port(&sources), 3);
        sources.flags.insert("port", "4".to_owned());
        assert_eq!(port(&sources), 4);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_source_and_secrets_are_not() {
        let mut sources = Sources {
            file_name: "test.toml",
            ..Sources::default()
        };
        let missing = sources.get(NAMES, |_| Some(())).unwrap_err().to_string();
        assert!(
            missing.contains("--names") && missing.contains("TEST_NAMES"),
            "{missing}"
        );
        sources.file.insert("names".into(), "hunter2".into());
        let wrong = sources.get(NAMES, |_| None::<()>).unwrap_err().to_string();
        assert!(
            wrong.contains("test.toml") && !wrong.contains("hunter2"),
            "{wrong}"
        );
    }

    #[test]
    fn a_misspelt_setting_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.toml");
        std::fs::write(&path, "prt = 2").unwrap();
        let error = read_file(&path, &[PORT]).unwrap_err().to_string();
        assert!(error.contains("prt") && error.contains("port"), "{error}");
        std::fs::write(&path, "port = { a = 1 }").unwrap();
        assert!(read_file(&path, &[PORT]).is_err());
    }
}
