//! `retake.toml`.

use retake::config::Config;
use std::path::Path;

/// Reads it; what is wrong is said in words.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(why) = Config::parse(text, Path::new("retake.toml")) {
        assert!(!why.to_string().is_empty());
        why.hint();
    }
}
