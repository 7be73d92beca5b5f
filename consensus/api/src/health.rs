//! `/livez` and `/readyz`, on both listeners.

use guildmint_daemon::health::{alive, readiness};
use tide::{Request, Server};

use crate::Backend;

pub(crate) fn add<B: Backend>(server: &mut Server<B>) {
    server.at("/livez").get(alive);
    server.at("/readyz").get(ready::<B>);
}

pub(crate) async fn ready<B: Backend>(request: Request<B>) -> tide::Result {
    readiness(request.state().ready().await)
}
