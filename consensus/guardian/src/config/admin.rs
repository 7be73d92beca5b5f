//! Settings of the listeners, besides where they are.

use super::{parse::list, ConfigError, Key, Sources};

impl Key {
    /// Names of the operator's listener.
    pub const ADMIN_HOSTS: Self = Self {
        name: "admin_hosts",
        default: None,
        expected: "names under which your browser finds the operator's pages, such as guardian.example.org; several with commas between",
    };
    /// Whether metrics are open.
    pub const OPEN_METRICS: Self = Self {
        name: "open_metrics",
        default: Some("false"),
        expected: "true or false: whether /metrics needs no token",
    };
}

/// Who may see what is the operator's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdminSettings {
    /// Names under which the operator's pages may be asked for, besides `localhost` and IP addresses.
    pub hosts: Vec<String>,
    /// Whether `/metrics` needs no token.
    pub open_metrics: bool,
}

impl AdminSettings {
    pub(super) fn resolve(sources: &Sources) -> Result<Self, ConfigError> {
        let hosts = match sources.text(Key::ADMIN_HOSTS) {
            None => Vec::new(),
            Some(_) => sources.get(Key::ADMIN_HOSTS, |hosts| list(hosts, is_host_name))?,
        };
        Ok(Self {
            hosts,
            open_metrics: sources.get(Key::OPEN_METRICS, |open| open.parse().ok())?,
        })
    }
}

fn is_host_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name.bytes().all(is_part)
}
