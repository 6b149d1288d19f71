//! `retake demo`: a scripted model, a small refund agent that talks to it, and the scenes that show them.
//!
//! Nothing here is a fake of retake: the agent is a process like any other, the model a server like any other, and
//! each scene a real command. The model works its answers out of the conversation it is sent, so that any edit of
//! that conversation has the effect it should have.

pub mod agent;
mod http;
pub mod model;
pub mod scenes;
pub mod server;

pub use agent::agent_main;
pub use scenes::{Scene, scenes};
pub use server::ModelServer;

/// The key that the demo's agent sends, so that there is a secret to be replaced.
pub const KEY: &str = "sk-demo-4f1c09d27a6b4e58a3c2d1e0f9b8a7c6";

/// The variables that every scene is run with: the model server as the provider, and a key for it.
pub fn variables(server: &ModelServer) -> [(&'static str, String); 2] {
    [("OPENAI_BASE_URL", server.base_url()), ("OPENAI_API_KEY", KEY.to_string())]
}
