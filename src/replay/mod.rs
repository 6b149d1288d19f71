//! Out again: which recorded answer is the right one, and serving it.

pub mod matcher;
