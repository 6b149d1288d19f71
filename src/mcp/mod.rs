//! The Model Context Protocol as bytes: JSON-RPC messages, and what servers say of their tools. Pure.

pub mod message;
pub mod stamp;
pub mod tools;
