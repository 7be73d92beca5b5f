use async_std::io::ReadExt as _;
use guildmint_core::api::Problem;
use tide::Request;

use crate::problem;

/// The body, if it is not larger than this.
///
/// # Errors
/// If it is, or cannot be read.
pub async fn body<S>(request: &mut Request<S>, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let mut bounded = request.take(limit as u64 + 1);
    bounded
        .read_to_end(&mut bytes)
        .await
        .map_err(problem::malformed)?;
    if bytes.len() > limit {
        return Err(problem::too_large(limit));
    }
    Ok(bytes)
}
