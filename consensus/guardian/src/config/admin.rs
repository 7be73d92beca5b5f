//! Settings of the listeners, besides where they are.

use std::net::IpAddr;

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
    /// Proxies that say for whom they ask.
    pub const TRUSTED_PROXIES: Self = Self {
        name: "trusted_proxies",
        default: None,
        expected: "addresses of your own proxies, such as 127.0.0.1, which write X-Forwarded-For; several with commas between",
    };
}

/// Who is let in, to what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdminSettings {
    /// Names under which the operator's pages may be asked for, besides `localhost` and IP addresses.
    pub hosts: Vec<String>,
    /// Whether `/metrics` needs no token.
    pub open_metrics: bool,
    /// Proxies that are believed when they say for whom they ask, on both listeners.
    pub trusted_proxies: Vec<IpAddr>,
}

impl AdminSettings {
    pub(super) fn resolve(sources: &Sources) -> Result<Self, ConfigError> {
        let hosts = match sources.text(Key::ADMIN_HOSTS) {
            None => Vec::new(),
            Some(_) => sources.get(Key::ADMIN_HOSTS, |hosts| list(hosts, is_host_name))?,
        };
        let trusted_proxies = match sources.text(Key::TRUSTED_PROXIES) {
            None => Vec::new(),
            Some(_) => sources.get(Key::TRUSTED_PROXIES, |addresses| {
                addresses
                    .split(',')
                    .map(|address| address.trim().parse().ok())
                    .collect()
            })?,
        };
        Ok(Self {
            hosts,
            trusted_proxies,
            open_metrics: sources.get(Key::OPEN_METRICS, |open| open.parse().ok())?,
        })
    }
}

fn is_host_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name.bytes().all(is_part)
}
