//! What a person reads.

mod difference;
mod show;
