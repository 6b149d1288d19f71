//! Joins: made-up cases, a large run, and what real instrumentations sent.

mod captures;
mod cases;
mod large;
