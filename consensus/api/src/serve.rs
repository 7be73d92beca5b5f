use std::net::SocketAddr;

use guildmint_daemon::{serve, Access, Limits, ServeError, Serving};

use crate::{routes, setup, Backend, SetupBackend};

/// Serves the public API on an address; port 0 stands for any.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn serve_public(
    backend: impl Backend,
    address: SocketAddr,
    limits: Limits,
) -> Result<Serving, ServeError> {
    let (server, routes) = routes::public(backend);
    Ok(serve(server, address, limits).await?.with_routes(routes))
}

/// Serves what is for the operator alone. It is not encrypted: use the loopback, or put a proxy with TLS before it.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn serve_admin(
    backend: impl Backend,
    access: Access,
    address: SocketAddr,
    limits: Limits,
) -> Result<Serving, ServeError> {
    serve(routes::admin(backend, access), address, limits).await
}

/// Serves what is for the operator of a guardian that belongs to no federation yet.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn serve_setup(
    backend: impl SetupBackend,
    access: Access,
    address: SocketAddr,
    limits: Limits,
) -> Result<Serving, ServeError> {
    serve(setup::server(backend, access), address, limits).await
}
