//! What the texts of settings mean.

/// Items with commas between, if all are read by `parse`.
pub fn list<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split(',').map(str::trim).map(parse).collect()
}

/// Whether this may be the name of a host.
#[must_use]
pub fn is_host_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name.bytes().all(is_part)
}

/// Whether this is a host, or an address, and a port.
#[must_use]
pub fn is_host_and_port(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// Whether this names one Electrum server.
#[must_use]
pub fn is_electrum_url(url: &str) -> bool {
    let address = url
        .strip_prefix("tcp://")
        .or_else(|| url.strip_prefix("ssl://"));
    address.is_some_and(|address| is_host_and_port(address) && !address.contains(','))
}

/// What people may see of a text that should be the URL of a database and is none: whatever it is, a password is not the first word.
#[must_use]
pub fn first_word(text: &str) -> String {
    match text.split_once(|c: char| !c.is_ascii_alphanumeric()) {
        Some((first, _)) => format!("{first}…"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn electrum_servers_have_a_scheme_a_host_and_a_port() {
        for url in [
            "tcp://127.0.0.1:50001",
            "ssl://[::1]:1",
            "ssl://a.example:50002",
        ] {
            assert!(is_electrum_url(url), "{url}");
        }
        for text in [
            "",
            "a:1",
            "http://a:1",
            "tcp://a",
            "tcp://:1",
            "tcp://a:x",
            "tcp://a:1,tcp://b:2",
        ] {
            assert!(!is_electrum_url(text), "{text}");
        }
    }

    #[test]
    fn of_what_is_no_url_the_first_word_is_seen() {
        for (text, shown) in [
            ("oracle", "oracle"),
            ("mysql://u:hunter2@h/d", "mysql…"),
            ("host=h password=hunter2", "host…"),
            ("://hunter2", "…"),
        ] {
            assert_eq!(first_word(text), shown);
        }
    }
}
