//! A conversation as it is compared: freed of the ways in which agents write the same history differently.
//!
//! Reasoning and empty texts are gone, consecutive assistant messages are one, consecutive tool messages are one, and
//! tool results stand in the order of the calls they answer (agents send them in order of completion).

use crate::dialect::conversation::{Block, Message, Role};

/// A block that counts, and where it stands in the request.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// The block itself.
    pub block: &'a Block,
    /// Index of its message in the request.
    pub message: usize,
    /// Its index among that message's blocks.
    pub index: usize,
    /// For a tool result: which call of the assistant's last reading it answers.
    pub answers: Option<usize>,
    /// And the name of the tool.
    pub tool: Option<&'a str>,
}

/// One or several messages that are compared as one.
#[derive(Debug, Clone)]
pub struct Reading<'a> {
    /// Who it is from.
    pub role: Role,
    /// Its blocks, tool results first and in the order of their calls.
    pub pieces: Vec<Piece<'a>>,
}

/// Reads the messages of a request.
pub fn readings(messages: &[Message]) -> Vec<Reading<'_>> {
    let mut out: Vec<Reading<'_>> = Vec::with_capacity(messages.len());
    for (at, message) in messages.iter().enumerate() {
        let pieces = message
            .blocks
            .iter()
            .enumerate()
            .filter(|(_, b)| counts(b))
            .map(|(index, block)| Piece { block, message: at, index, answers: None, tool: None });
        match out.last_mut() {
            Some(last) if last.role == message.role && matches!(last.role, Role::Assistant | Role::Tool) => {
                last.pieces.extend(pieces);
            }
            _ => out.push(Reading { role: message.role, pieces: pieces.collect() }),
        }
    }
    let mut calls: Vec<Call<'_>> = Vec::new();
    for reading in &mut out {
        if reading.role == Role::Assistant {
            calls = reading.pieces.iter().filter_map(call).collect();
        } else {
            pair(reading, &mut calls);
        }
    }
    out
}

/// Index of the last assistant reading.
pub fn last_assistant(readings: &[Reading<'_>]) -> Option<usize> {
    readings.iter().rposition(|r| r.role == Role::Assistant)
}

fn counts(block: &Block) -> bool {
    match block {
        Block::Reasoning { .. } => false,
        Block::Text { text } => !text.is_empty(),
        _ => true,
    }
}

/// A call that results may answer.
struct Call<'a> {
    id: &'a str,
    tool: &'a str,
    /// True when one does.
    used: bool,
}

fn call<'a>(piece: &Piece<'a>) -> Option<Call<'a>> {
    match piece.block {
        Block::ToolCall { id, name, .. } => Some(Call { id, tool: name, used: false }),
        _ => None,
    }
}

/// Pairs results with calls: by id where the id is that of a call not yet answered (ids occur twice: the first is taken
/// first), else by place.
fn pair<'a>(reading: &mut Reading<'a>, calls: &mut [Call<'a>]) {
    let mut take = |piece: &mut Piece<'a>, is_it: &dyn Fn(&Call<'a>) -> bool| {
        let found = calls.iter_mut().enumerate().find(|(_, call)| !call.used && is_it(call));
        if let Some((at, call)) = found {
            call.used = true;
            piece.answers = Some(at);
            piece.tool = Some(call.tool);
        }
    };
    for piece in &mut reading.pieces {
        if let Block::ToolResult { call_id, .. } = piece.block {
            take(piece, &|call| call.id == call_id);
        }
    }
    for piece in &mut reading.pieces {
        if matches!(piece.block, Block::ToolResult { .. }) && piece.answers.is_none() {
            take(piece, &|_| true);
        }
    }
    reading.pieces.sort_by_key(|p| p.answers.unwrap_or(usize::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(id: &str) -> Block {
        Block::ToolCall { id: id.into(), name: "t".into(), args: serde_json::json!({}) }
    }
    fn result(id: &str, text: &str) -> Block {
        Block::ToolResult { call_id: id.into(), text: text.into(), other: vec![], is_error: false }
    }
    fn message(role: Role, blocks: Vec<Block>) -> Message {
        Message { role, blocks }
    }
    fn texts(reading: &Reading<'_>) -> Vec<(String, Option<usize>)> {
        reading
            .pieces
            .iter()
            .map(|p| match p.block {
                Block::ToolResult { text, .. } | Block::Text { text } => (text.clone(), p.answers),
                _ => ("?".into(), p.answers),
            })
            .collect()
    }

    #[test]
    fn results_stand_in_call_order_in_both_dialects() {
        let one_message = [
            message(Role::Assistant, vec![asks("a"), asks("b")]),
            message(Role::User, vec![result("b", "B"), result("a", "A"), Block::Text { text: "go".into() }]),
        ];
        let expected = vec![("A".to_string(), Some(0)), ("B".into(), Some(1)), ("go".into(), None)];
        assert_eq!(texts(&readings(&one_message)[1]), expected);
        let several = [
            message(Role::Assistant, vec![asks("a"), asks("b")]),
            message(Role::Tool, vec![result("b", "B")]),
            message(Role::Tool, vec![result("a", "A")]),
        ];
        let read = readings(&several);
        assert_eq!(read.len(), 2);
        assert_eq!(texts(&read[1]), expected[..2]);
        assert_eq!(read[1].pieces[0].message, 2, "the place in the request is kept");
        assert_eq!(read[1].pieces[0].tool, Some("t"));
    }

    #[test]
    fn repeated_and_unknown_ids_pair_by_place() {
        let twice = [
            message(Role::Assistant, vec![asks("x"), asks("x"), asks("y")]),
            message(Role::User, vec![result("x", "1"), result("?", "3"), result("x", "2")]),
        ];
        assert_eq!(
            texts(&readings(&twice)[1]),
            vec![("1".to_string(), Some(0)), ("2".into(), Some(1)), ("3".into(), Some(2))]
        );
    }
}
