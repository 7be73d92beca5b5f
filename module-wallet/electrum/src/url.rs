//! Names of servers.

use std::fmt;

use crate::error::UrlError;

/// A server, as `tcp://host:port` or `ssl://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    pub secure: bool,
    pub host: String,
    pub port: u16,
}

impl std::str::FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (secure, address) = match (text.strip_prefix("tcp://"), text.strip_prefix("ssl://")) {
            (Some(address), _) => (false, address),
            (_, Some(address)) => (true, address),
            _ => return Err(UrlError::Scheme(text.to_owned())),
        };
        let bad = || UrlError::Address(text.to_owned());
        let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(bad());
        }
        Ok(Self {
            secure,
            host: host.to_owned(),
            port: port.parse().map_err(|_| bad())?,
        })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "ssl" } else { "tcp" };
        if self.host.contains(':') {
            return write!(f, "{scheme}://[{}]:{}", self.host, self.port);
        }
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "tcp://127.0.0.1:50001",
            "ssl://e.example.org:50002",
            "tcp://[::1]:1",
        ] {
            assert_eq!(text.parse::<ServerUrl>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let parse = |text: &str| text.parse::<ServerUrl>();
        assert!(matches!(parse("http://x:1"), Err(UrlError::Scheme(_))));
        assert!(matches!(parse("x:1"), Err(UrlError::Scheme(_))));
        for text in ["tcp://x", "tcp://:1", "tcp://x:70000", "ssl://x:y"] {
            assert!(matches!(parse(text), Err(UrlError::Address(_))), "{text}");
        }
    }
}
