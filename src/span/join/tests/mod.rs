//! Joins: made-up cases, a large run, and what real instrumentations sent.

mod captures;
mod cases;
mod large;

use super::{Link, Method};
use crate::span::asked::Asked;
use crate::span::claims::Claims;
use crate::span::settled::Settled;

/// Joins spans as they came.
fn join(asked: &[Asked], spans: &[Claims]) -> Vec<Link> {
    super::join(asked, &Settled::new(spans))
}

fn join_by(asked: &[Asked], spans: &[Claims], methods: &[Method]) -> Vec<Link> {
    super::join_by(asked, &Settled::new(spans), methods)
}
