//! Byte-exact parts of a body.
