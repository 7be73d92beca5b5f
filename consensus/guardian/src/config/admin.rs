//! Settings of the listeners, besides where they are.

use std::net::IpAddr;

use super::{keys, parse::list, SettingError, Sources};

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
    pub(super) fn resolve(sources: &Sources) -> Result<Self, SettingError> {
        let hosts = match sources.text(keys::ADMIN_HOSTS) {
            None => Vec::new(),
            Some(_) => sources.get(keys::ADMIN_HOSTS, |hosts| list(hosts, is_host_name))?,
        };
        let trusted_proxies = match sources.text(keys::TRUSTED_PROXIES) {
            None => Vec::new(),
            Some(_) => sources.get(keys::TRUSTED_PROXIES, |addresses| {
                addresses
                    .split(',')
                    .map(|address| address.trim().parse().ok())
                    .collect()
            })?,
        };
        Ok(Self {
            hosts,
            trusted_proxies,
            open_metrics: sources.get(keys::OPEN_METRICS, |open| open.parse().ok())?,
        })
    }
}

fn is_host_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name.bytes().all(is_part)
}
