//! Settings of the operator's listener, besides where it is.

use std::net::IpAddr;

use super::{texts::is_host_name, Key, SettingError, Sources};

/// Names of the operator's listener.
#[must_use]
pub const fn admin_hosts(prefix: &'static str) -> Key {
    let expected = "names under which your browser finds the operator's pages, such as guardian.example.org; several with commas between";
    Key::new(prefix, "admin_hosts", None, expected)
}

/// Whether metrics are open.
#[must_use]
pub const fn open_metrics(prefix: &'static str) -> Key {
    let expected = "true or false: whether /metrics needs no token";
    Key::new(prefix, "open_metrics", Some("false"), expected)
}

/// Proxies that say for whom they ask.
#[must_use]
pub const fn trusted_proxies(prefix: &'static str) -> Key {
    let expected = "addresses of your own proxies, such as 127.0.0.1, which write X-Forwarded-For; several with commas between";
    Key::new(prefix, "trusted_proxies", None, expected)
}

/// Who is let in, to what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdminSettings {
    /// Names under which the operator's pages may be asked for, besides `localhost` and IP addresses.
    pub hosts: Vec<String>,
    /// Whether `/metrics` needs no token.
    pub open_metrics: bool,
    /// Proxies that are believed when they say for whom they ask, on all listeners.
    pub trusted_proxies: Vec<IpAddr>,
}

impl AdminSettings {
    /// Reads them, of the program whose environment variables start with the prefix.
    ///
    /// # Errors
    /// Names the first that is wrong.
    pub fn resolve(sources: &Sources, prefix: &'static str) -> Result<Self, SettingError> {
        Ok(Self {
            hosts: sources.list(admin_hosts(prefix), |name| {
                is_host_name(name).then(|| name.to_owned())
            })?,
            open_metrics: sources.get(open_metrics(prefix), |open| open.parse().ok())?,
            trusted_proxies: sources.list(trusted_proxies(prefix), |proxy| proxy.parse().ok())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_what_is_no_part_of_them_is_named() {
        let with = |name, value: &str| Sources {
            flags: [(name, value.to_owned())].into(),
            ..Sources::default()
        };
        let resolve = |name, value| AdminSettings::resolve(&with(name, value), "TEST_");
        let none = AdminSettings::resolve(&Sources::default(), "TEST_").unwrap();
        assert_eq!(none, AdminSettings::default());
        let hosts = resolve("admin_hosts", "a.example, b_2").unwrap().hosts;
        assert_eq!(hosts, ["a.example", "b_2"]);
        let proxies = resolve("trusted_proxies", "127.0.0.1,::1").unwrap();
        assert_eq!(proxies.trusted_proxies.len(), 2);
        assert!(resolve("open_metrics", "true").unwrap().open_metrics);
        for (name, value) in [
            ("admin_hosts", "a.example,"),
            ("admin_hosts", "a/b"),
            ("trusted_proxies", "127.0.0.1,proxy"),
            ("open_metrics", "yes"),
        ] {
            let error = resolve(name, value).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("TEST_"), "{error}");
        }
    }
}
