//! Whole tokens of a text that may differ from run to run.

use super::dates::Form;
use std::ops::Range;

/// What kind of value a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Made up for one run: binds one to one.
    Name(Shape),
    /// Any value of its kind will do.
    Quantity(Quantity),
    /// A day near the run's own.
    Date(Form, i64),
    /// A directory that retake knows; index of its text among the lexer's.
    Root(usize),
    /// The port of a server on this machine.
    Port,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    Uuid,
    /// So many hex digits.
    Hex(usize),
    /// So many letters of both cases and digits.
    Mixed(usize),
    /// Ends in `_<milliseconds>_<number>`, as ids that clients make.
    Stamped,
    /// A directory or file that was made up below the temporary directory.
    Temporary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Quantity {
    Duration,
    Process,
    /// An instant as a number of so many digits.
    Epoch(usize),
    TimeOfDay,
    /// The day of an instant, in universal time or in any other.
    Day(Form),
    /// Short ids in a known context.
    Chunk,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub range: Range<usize>,
    pub kind: Kind,
}
