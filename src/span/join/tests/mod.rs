//! Joins: made-up cases, and what real instrumentations sent.

mod captures;
