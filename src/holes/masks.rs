//! Texts without what may differ, for finding their like: as keys, never as proof.

use super::Holes;
use super::lexer::Lexer;
use super::token::Kind;
use crate::dialect::conversation::{Block, ModelRequest};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;

/// For each directory the first one that it is connected with by being the same on one side.
pub(super) fn kinds_of_root(recorded: &[String], live: &[String]) -> Vec<usize> {
    let mut kinds: Vec<usize> = (0..recorded.len()).collect();
    for (at, (then, now)) in recorded.iter().zip(live).enumerate() {
        let first = recorded.iter().zip(live).position(|(r, l)| r == then || l == now).unwrap_or(at);
        let (own, other) = (kinds.get(at).copied(), kinds.get(first).copied());
        if let (Some(own), Some(other)) = (own, other) {
            kinds.iter_mut().filter(|kind| **kind == own).for_each(|kind| *kind = other.min(own));
            kinds.iter_mut().filter(|kind| **kind == other).for_each(|kind| *kind = other.min(own));
        }
    }
    kinds
}

impl Holes {
    fn kind_of_root(&self, index: usize) -> usize {
        self.kinds_of_root.get(index).copied().unwrap_or(index)
    }

    /// A text of the recorded or of the live side with one sign for each directory that moved, the same on both sides.
    pub fn without_roots<'t>(&self, is_recorded: bool, text: &'t str) -> Cow<'t, str> {
        let lexer = self.lexer(is_recorded);
        let mut out = String::new();
        let mut done = 0;
        for (range, index) in lexer.roots_in(text) {
            out.push_str(text.get(done..range.start).unwrap_or_default());
            out.push_str(&format!("\u{0}root{}\u{0}", self.kind_of_root(index)));
            done = range.end;
        }
        if done == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(out)
    }

    /// A text of the recorded or of the live side without what may differ, but for names that `stays` takes.
    pub fn masked_text(&self, is_recorded: bool, text: &str, stays: &dyn Fn(&str) -> bool) -> String {
        self.masked(self.lexer(is_recorded), text, &mut HashMap::new(), stays)
    }

    /// A text without what may differ, for finding its like; names are numbered by `seen`, those that `stays` takes
    /// stay.
    fn masked(
        &self,
        lexer: &Lexer,
        text: &str,
        seen: &mut HashMap<String, usize>,
        stays: &dyn Fn(&str) -> bool,
    ) -> String {
        let text = &*self.rules.masked(text);
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for token in lexer.tokens(text) {
            out.push_str(text.get(done..token.range.start).unwrap_or_default());
            let said = text.get(token.range.clone()).unwrap_or_default();
            let next = seen.len();
            match token.kind {
                Kind::Name(_) if stays(said) => out.push_str(said),
                Kind::Name(shape) => {
                    let number = *seen.entry(said.to_string()).or_insert(next);
                    out.push_str(&format!("\u{0}{shape:?}{number}\u{0}"));
                }
                Kind::Date(form, day) => {
                    let today = lexer.day().unwrap_or_default();
                    out.push_str(&format!("\u{0}{form:?}{}\u{0}", day - today));
                }
                Kind::Root(index) => {
                    out.push_str(&format!("\u{0}{:?}\u{0}", Kind::Root(self.kind_of_root(index))));
                }
                kind => out.push_str(&format!("\u{0}{kind:?}\u{0}")),
            }
            done = token.range.end;
        }
        out.push_str(text.get(done..).unwrap_or_default());
        out
    }

    /// A request without what may differ, of the recorded or of the live side.
    pub fn masked_request(&self, request: &ModelRequest, is_recorded: bool) -> ModelRequest {
        let lexer = self.lexer(is_recorded);
        let mut seen = HashMap::new();
        let mut request = request.clone();
        visit_request(&mut request, &mut |text| *text = self.masked(lexer, text, &mut seen, &|_| false));
        // Calls are numbered, whatever they are named.
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for block in request.messages.iter_mut().flat_map(|m| &mut m.blocks) {
            if let Block::ToolCall { id, .. } | Block::ToolResult { call_id: id, .. } = block {
                let next = numbers.len();
                *id = numbers.entry(std::mem::take(id)).or_insert(next).to_string();
            }
        }
        request
    }
}

/// Every text of a request that a comparison looks into.
fn visit_request(request: &mut ModelRequest, change: &mut dyn FnMut(&mut String)) {
    let messages = request.messages.iter_mut().flat_map(|m| &mut m.blocks);
    for block in request.system.iter_mut().chain(messages) {
        match block {
            Block::Text { text } => change(text),
            Block::ToolCall { args, .. } => change_value(args, change),
            Block::ToolResult { text, other, .. } => {
                change(text);
                other.iter_mut().for_each(|v| change_value(v, change));
            }
            Block::Other { value } => change_value(value, change),
            Block::Reasoning { .. } => {}
        }
    }
    request.tools.iter_mut().for_each(|t| change_value(t, change));
    request.params.values_mut().for_each(|v| change_value(v, change));
}

fn change_value(value: &mut Value, change: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().for_each(|v| change_value(v, change)),
        Value::Object(fields) => fields.values_mut().for_each(|v| change_value(v, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::holes::{Rules, Side, Surroundings};

    fn holes(recorded: [&str; 2], live: [&str; 2]) -> Holes {
        let side = |[directory, home]: [&str; 2]| Side {
            directory: directory.into(),
            home: home.into(),
            ..Side::default()
        };
        let surroundings = Surroundings { recorded: side(recorded), live: side(live) };
        Holes::new(&Default::default(), Some(&surroundings), &Rules::default()).unwrap()
    }

    #[test]
    fn directories_that_moved_are_one_sign_on_both_sides() {
        let holes = holes(["/home/a/x", "/home/a"], ["/w", "/root"]);
        let (then, now) = ("cd /home/a/x/src && ls /home/a/.x/-home-a-x", "cd /w/src && ls /root/.x/-w");
        assert_eq!(holes.without_roots(true, then), holes.without_roots(false, now));
        assert_ne!(holes.without_roots(true, "ls /home/a/x"), holes.without_roots(false, "ls /root"));
        assert_eq!(holes.without_roots(false, then), then, "today they are like others");
    }

    #[test]
    fn directories_that_one_side_does_not_tell_apart_are_one() {
        let holes = holes(["/home/a", "/home/a"], ["/w", "/root"]);
        for now in ["ls /w", "ls /root"] {
            assert_eq!(holes.without_roots(true, "ls /home/a"), holes.without_roots(false, now));
        }
    }

    #[test]
    fn names_that_stay_are_not_masked() {
        let holes = Holes::default();
        let masked = |text: &str, stays: bool| holes.masked_text(true, text, &|_| stays);
        assert_eq!(masked("see 0643afbe", false), masked("see 99ab41ce", false));
        assert_ne!(masked("see 0643afbe", true), masked("see 99ab41ce", true));
        assert_ne!(masked("0643afbe 0643afbe", false), masked("99ab41ce 77ab41ce", false));
    }
}
