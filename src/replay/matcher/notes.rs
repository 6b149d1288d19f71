//! Notes that an agent's harness hangs on whichever tool result comes last: `<system-reminder>…</system-reminder>`.
//! They move from result to result with the order of completion.

use crate::dialect::conversation::Block;
use crate::run::reading::Reading;
use std::borrow::Cow;

const OPEN: &str = "<system-reminder>";
const CLOSE: &str = "</system-reminder>";

/// A text without the notes at its end, and these, in order.
fn split(text: &str) -> (&str, Vec<&str>) {
    let mut notes = Vec::new();
    let mut rest = text;
    while let Some(inside) = rest.trim_end().strip_suffix(CLOSE)
        && let Some(at) = inside.rfind(OPEN)
    {
        notes.push(rest.get(at..).unwrap_or_default().trim_end());
        rest = rest.get(..at).unwrap_or_default();
    }
    notes.reverse();
    (rest, notes)
}

/// True when a result of this reading carries a note.
pub(super) fn has_any(reading: &Reading<'_>) -> bool {
    let carries = |b: &Block| matches!(b, Block::ToolResult { text, .. } if text.trim_end().ends_with(CLOSE));
    reading.pieces.iter().any(|p| carries(p.block))
}

/// The notes of a reading's results, each with the index of its piece, in order.
pub(super) fn of<'a>(reading: &Reading<'a>) -> Vec<(usize, &'a str)> {
    let notes = reading.pieces.iter().enumerate().flat_map(|(at, piece)| match piece.block {
        Block::ToolResult { text, .. } => split(text).1.into_iter().map(|note| (at, note)).collect(),
        _ => Vec::new(),
    });
    notes.collect()
}

/// A block without notes, and without the white space that comes and goes with them.
pub(super) fn without(block: &Block) -> Cow<'_, Block> {
    match block {
        Block::ToolResult { call_id, text, other, is_error } => {
            let body = split(text).0.trim_end();
            if body.len() == text.len() {
                return Cow::Borrowed(block);
            }
            let (call_id, other) = (call_id.clone(), other.clone());
            Cow::Owned(Block::ToolResult { call_id, text: body.to_string(), other, is_error: *is_error })
        }
        _ => Cow::Borrowed(block),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_notes_at_the_end_are_split_off() {
        let a = "<system-reminder>\n5 tokens left\n</system-reminder>";
        let b = "<system-reminder>agents</system-reminder>";
        assert_eq!(split("report"), ("report", vec![]));
        assert_eq!(split(&format!("report\n\n{b}\n\n{a}\n")), ("report\n\n", vec![b, a]));
        let inside = format!("a file that quotes {a} inside");
        assert_eq!(split(&inside), (inside.as_str(), vec![]));
        assert_eq!(split(CLOSE), (CLOSE, vec![]));
    }
}
