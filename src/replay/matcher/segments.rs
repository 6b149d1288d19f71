//! Earlier answers and tool results that stand in later texts: votes joined into one line, summaries, transcripts.
//!
//! A text that quotes what siblings said differs from the recorded one when these came in another order. It is
//! compared with the quoted parts taken as one token each.

use super::{Matcher, Recording};
use crate::dialect::conversation::{Block, Role};
use crate::holes::Holes;
use crate::run::reading::{Reading, readings};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// Shorter texts are found everywhere by chance.
const SHORTEST: usize = 8;

/// What was said where, as the recording numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Said {
    /// The answer of a turn.
    Answer { lane: u32, turn: u32 },
    /// A tool result that the request of a turn brought.
    Result { lane: u32, turn: u32, call: usize },
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(Range<usize>),
    Quote(Said),
}

/// Texts of one side, found again inside others.
#[derive(Debug, Clone, Default)]
struct Quotes {
    texts: Vec<(String, Said)>,
    /// Texts by their first bytes, longest first.
    by_start: HashMap<[u8; SHORTEST], Vec<usize>>,
}

impl Quotes {
    /// Adds a text, unless it was said before.
    fn add(&mut self, text: &str, said: Said) {
        let text = text.trim();
        let Some(start) = text.as_bytes().first_chunk::<SHORTEST>() else { return };
        let same_start = self.by_start.entry(*start).or_default();
        if same_start.iter().any(|i| self.texts.get(*i).is_some_and(|(t, _)| t == text)) {
            return;
        }
        let length = |i: &usize| self.texts.get(*i).map_or(0, |(t, _)| t.len());
        let at = same_start.iter().position(|i| length(i) < text.len()).unwrap_or(same_start.len());
        same_start.insert(at, self.texts.len());
        self.texts.push((text.to_string(), said));
    }

    fn split(&self, text: &str) -> Vec<Part> {
        let bytes = text.as_bytes();
        let mut parts = Vec::new();
        let (mut done, mut at) = (0, 0);
        while let Some(start) = bytes.get(at..).and_then(|rest| rest.first_chunk::<SHORTEST>()) {
            let here = |i: &&usize| {
                let text = self.texts.get(**i).map_or("", |(t, _)| t.as_str());
                let word = |i: usize| bytes.get(i).is_some_and(|b| b.is_ascii_alphanumeric());
                let end = at + text.len();
                // Not in the middle of a longer word.
                bytes.get(at..).is_some_and(|rest| rest.starts_with(text.as_bytes()))
                    && !(end > 0 && word(end) && word(end - 1))
            };
            let found = self.by_start.get(start).and_then(|all| all.iter().find(here));
            match found.and_then(|i| self.texts.get(*i)) {
                Some((quoted, said)) => {
                    if at > done {
                        parts.push(Part::Text(done..at));
                    }
                    parts.push(Part::Quote(*said));
                    at += quoted.len();
                    done = at;
                }
                None => at += 1,
            }
        }
        if done < bytes.len() {
            parts.push(Part::Text(done..bytes.len()));
        }
        parts
    }
}

/// What has been said in this replay, as it was recorded and as it is today.
#[derive(Debug, Clone, Default)]
pub(super) struct Segments {
    recorded: Quotes,
    live: Quotes,
    /// Turns served and not yet read.
    unread: Vec<(u32, u32)>,
    /// Their answers where they were not the recorded ones.
    today: HashMap<(u32, u32), String>,
    /// Results that came out differently.
    results: HashMap<Said, String>,
}

impl Segments {
    /// An answer was handed out; `today`: its text where it is not the recorded one.
    pub fn note_answer(&mut self, lane: u32, turn: u32, today: Option<String>) {
        self.unread.push((lane, turn));
        if let Some(text) = today {
            self.today.insert((lane, turn), text);
        }
    }

    /// A tool result came out as another text than recorded.
    pub fn note_result(&mut self, said: Said, live: &str) {
        self.results.insert(said, live.to_string());
    }

    fn catch_up(&mut self, recording: &impl Recording) {
        let unread = std::mem::take(&mut self.unread);
        let mut turns_of: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (lane, turn) in &unread {
            turns_of.entry(*lane).or_default().push(*turn);
        }
        let mut brought: HashMap<(u32, u32), Vec<(Said, String)>> = HashMap::new();
        for (lane, turns) in turns_of {
            brought.extend(results(recording, lane, &turns));
        }
        for (lane, turn) in unread {
            let today = self.today.remove(&(lane, turn));
            let answer = recording.answer(lane, turn).map(|a| a.text()).unwrap_or_default();
            let said = Said::Answer { lane, turn };
            self.recorded.add(&answer, said);
            self.live.add(today.as_ref().unwrap_or(&answer), said);
            for (said, text) in brought.remove(&(lane, turn)).unwrap_or_default() {
                self.recorded.add(&text, said);
                self.live.add(self.results.get(&said).unwrap_or(&text), said);
            }
        }
    }
}

/// The results that the requests of some turns brought. The last of these requests holds them all.
fn results(recording: &impl Recording, lane: u32, turns: &[u32]) -> HashMap<(u32, u32), Vec<(Said, String)>> {
    let last = turns.iter().max().copied().unwrap_or_default();
    let Ok(request) = recording.request(lane, last) else { return HashMap::new() };
    let all = readings(&request.messages);
    let begins = |r: &Reading<'_>| r.pieces.first().map_or(usize::MAX, |p| p.message);
    let brought = |turn: u32| {
        let messages = recording.outline().turn(lane, turn).map_or(0, |t| t.messages as usize);
        let sent = |r: &&Reading<'_>| begins(r) < messages;
        let new: Vec<&Reading<'_>> =
            all.iter().rev().skip_while(|r| !sent(r)).take_while(|r| r.role != Role::Assistant).collect();
        let results = new.into_iter().rev().flat_map(|r| &r.pieces).filter_map(|piece| {
            let (Block::ToolResult { text, .. }, Some(call)) = (piece.block, piece.answers) else {
                return None;
            };
            Some((Said::Result { lane, turn, call }, text.clone()))
        });
        ((lane, turn), results.collect())
    };
    turns.iter().map(|turn| brought(*turn)).collect()
}

/// What a comparison has to ask the matcher.
pub(super) trait Backdrop {
    fn holes(&self) -> &Holes;
    /// Whether a recorded name can have become a live one.
    fn may_bind(&self, recorded: &str, live: &str) -> bool;
    /// A recorded and a live text with what they quote; empty where the live one quotes nothing.
    fn split(&self, recorded: &str, live: &str) -> (Vec<Part>, Vec<Part>);
    /// Whether one can stand where the other was recorded: answers of lanes that begin alike, results of one message.
    fn may_swap(&self, recorded: Said, live: Said) -> bool;
}

impl<R: Recording> Backdrop for Matcher<R> {
    fn holes(&self) -> &Holes {
        &self.holes
    }

    fn may_bind(&self, recorded: &str, live: &str) -> bool {
        self.may_become(recorded, live)
    }

    fn split(&self, recorded: &str, live: &str) -> (Vec<Part>, Vec<Part>) {
        let mut segments = self.segments.borrow_mut();
        segments.catch_up(&self.recording);
        let here = segments.live.split(live);
        // Where nothing is quoted, there is nothing to find.
        if !here.iter().any(|part| matches!(part, Part::Quote(_))) {
            return Default::default();
        }
        (segments.recorded.split(recorded), here)
    }

    fn may_swap(&self, recorded: Said, live: Said) -> bool {
        match (recorded, live) {
            (Said::Answer { lane: a, .. }, Said::Answer { lane: b, .. }) => {
                a == b || self.twins(a).any(|t| t == b)
            }
            (Said::Result { lane: a, turn: t, .. }, Said::Result { lane: b, turn: u, .. }) => {
                (a, t) == (b, u)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_quote_counts() {
        let said = |turn| Said::Answer { lane: 0, turn };
        let mut quotes = Quotes::default();
        quotes.add("yes, do it", said(0));
        quotes.add("yes, do it now", said(1));
        quotes.add("yes, do it now ", said(2));
        quotes.add("short", said(3));
        let text = "Votes: yes, do it | yes, do it now | short é";
        assert_eq!(
            quotes.split(text),
            [
                Part::Text(0..7),
                Part::Quote(said(0)),
                Part::Text(17..20),
                Part::Quote(said(1)),
                Part::Text(34..text.len()),
            ]
        );
        assert_eq!(quotes.split(""), []);
    }
}
