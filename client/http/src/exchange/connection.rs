//! Connections, with TLS or without.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use async_std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::TcpStream,
};
use futures::task::noop_waker_ref;
use guildmint_client::RequestError;
use url::{Host, Url};

/// Where a connection leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    tls: bool,
    host: Host<String>,
    port: u16,
}

impl Place {
    pub(super) fn of(url: &Url) -> Result<Self, RequestError> {
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(no_address()),
        };
        let place = url.host().zip(url.port_or_known_default());
        let (host, port) = place.ok_or_else(no_address)?;
        let host = host.to_owned();
        Ok(Self { tls, host, port })
    }
}

fn no_address() -> RequestError {
    RequestError::Unreachable("its address is no http:// or https://".to_owned())
}

/// Bytes in both directions.
pub(super) trait Stream: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Stream for T {}

/// A connection.
pub(super) struct Connection(BufReader<Box<dyn Stream>>);

impl Connection {
    pub(super) async fn open(place: &Place) -> Result<Self, RequestError> {
        let port = place.port;
        let opened = match &place.host {
            Host::Domain(name) => TcpStream::connect((name.as_str(), port)).await,
            Host::Ipv4(address) => TcpStream::connect((*address, port)).await,
            Host::Ipv6(address) => TcpStream::connect((*address, port)).await,
        };
        let unreachable = |error: String| RequestError::Unreachable(error);
        let tcp = opened.map_err(|error| unreachable(error.to_string()))?;
        // Requests are single packets that nobody should wait for.
        let set = tcp.set_nodelay(true);
        set.map_err(|error| unreachable(error.to_string()))?;
        let stream: Box<dyn Stream> = match place.tls {
            false => Box::new(tcp),
            true => {
                let name = match &place.host {
                    Host::Domain(name) => name.clone(),
                    Host::Ipv4(address) => address.to_string(),
                    Host::Ipv6(address) => address.to_string(),
                };
                let safe = async_native_tls::connect(name, tcp).await;
                Box::new(safe.map_err(|error| unreachable(error.to_string()))?)
            }
        };
        Ok(Self(BufReader::new(stream)))
    }

    pub(super) fn stream(&mut self) -> &mut (impl Write + Unpin) {
        self.0.get_mut()
    }

    pub(super) fn reader(&mut self) -> &mut (impl async_std::io::BufRead + Unpin) {
        &mut self.0
    }

    /// Whether it is open, and nothing came that nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut context = Context::from_waker(noop_waker_ref());
        let waiting = Pin::new(&mut self.0).poll_fill_buf(&mut context);
        matches!(waiting, Poll::Pending)
    }
}
