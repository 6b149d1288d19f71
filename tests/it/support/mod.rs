//! What the tests stand on: a scripted upstream, a raw agent, a tape in memory.

pub mod agent;
pub mod certificate;
pub mod tape;
pub mod upstream;

use std::future::Future;
use std::time::Duration;

/// Fails a test that would hang. Never an assertion about speed.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for: {what}"),
    }
}
pub mod coder;
pub mod coder_model;
pub mod env;
pub mod exporting;
pub mod lamp_model;
pub mod raw;
pub mod refund;
pub mod refund_model;
pub mod socket_model;
pub mod venv;
pub mod worker;
