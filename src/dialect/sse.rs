//! Server-sent events, with byte offsets.
