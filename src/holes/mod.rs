//! Values that differ from run to run without meaning: names bind, quantities match by type, constants are computed.

mod bindings;
mod clock;
mod dates;
mod lexer;
mod masks;
mod paths;
mod quantities;
mod rewrite;
mod rules;
mod surroundings;
mod token;
mod walk;

pub(crate) use bindings::Own;
pub use bindings::{Bindings, Contradiction};
pub use rewrite::Rewrite;
pub use rules::{Hole, HoleKind, Ignore, Place, RuleError, RuleField, Rules, Within};
pub use surroundings::{Side, Surroundings};

use crate::dialect::conversation::{Block, ModelAnswer};
use aho_corasick::{AhoCorasick, MatchKind};
use lexer::Lexer;
use serde_json::Value;
use std::collections::HashSet;
use token::{Kind, Token};

/// The stand-ins that a recording may hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct StandIns(Option<AhoCorasick>);

impl StandIns {
    /// Prepares the search.
    ///
    /// # Errors
    /// When there are more of them than can be searched for at once.
    fn new(texts: &HashSet<String>) -> Result<StandIns, String> {
        let mut texts: Vec<&str> = texts.iter().map(String::as_str).filter(|t| !t.is_empty()).collect();
        if texts.is_empty() {
            return Ok(StandIns(None));
        }
        texts.sort_unstable();
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts);
        finder
            .map(|f| StandIns(Some(f)))
            .map_err(|e| format!("the recording's stand-ins cannot be searched for: {e}"))
    }
}

/// Everything that is known about values that may differ.
#[derive(Debug, Clone, Default)]
pub struct Holes {
    pub(crate) stand_ins: StandIns,
    pub(crate) rules: Rules,
    recorded: Lexer,
    live: Lexer,
    /// For each directory the first one that it cannot be told from: on one of the sides both are the same.
    kinds_of_root: Vec<usize>,
    /// How many days later the live run is, in its own time zone and in UTC.
    shifts: Vec<i64>,
    /// Texts that mean something else today: directories that moved, days near the recorded one.
    suspects: Option<AhoCorasick>,
}

impl Holes {
    /// Prepares the comparison of a recording with today.
    ///
    /// # Errors
    /// A sentence when there are too many stand-ins.
    pub fn new(
        secrets: &HashSet<String>,
        surroundings: Option<&Surroundings>,
        rules: &Rules,
    ) -> Result<Holes, String> {
        let surroundings = surroundings.cloned().unwrap_or_default();
        let (recorded, live): (Vec<String>, Vec<String>) = lexer::moved(&surroundings).into_iter().unzip();
        let (then, now) = (&surroundings.recorded, &surroundings.live);
        let mut shifts = Vec::new();
        if then.started_us > 0 && now.started_us > 0 {
            let day = |side: &Side, zone| dates::day_at(side.started_us, zone);
            for shift in [day(now, now.zone_s) - day(then, then.zone_s), day(now, 0) - day(then, 0)] {
                if !shifts.contains(&shift) {
                    shifts.push(shift);
                }
            }
        }
        let mut suspects = recorded.clone();
        if shifts.iter().any(|shift| *shift != 0) {
            suspects.extend(dates::near(dates::day_at(then.started_us, then.zone_s)));
        }
        let suspects = (!suspects.is_empty()).then(|| AhoCorasick::new(suspects).ok()).flatten();
        Ok(Holes {
            suspects,
            kinds_of_root: masks::kinds_of_root(&recorded, &live),
            stand_ins: StandIns::new(secrets)?,
            rules: rules.clone(),
            recorded: Lexer::new(then, recorded),
            live: Lexer::new(now, live),
            shifts,
        })
    }

    /// The same without what a person declared.
    pub fn without_rules(&self) -> Holes {
        Holes { rules: Rules::default(), ..self.clone() }
    }

    /// True when equal texts mean the same: it is the same day, and the same directories are known.
    pub fn is_same_world(&self) -> bool {
        self.shifts.iter().all(|shift| *shift == 0) && !self.recorded.has_roots() && self.rules.is_empty()
    }

    /// True when a body that is the recorded one to the byte may mean something else today.
    pub fn may_mean_another(&self, body: &[u8]) -> bool {
        self.suspects.as_ref().is_some_and(|finder| finder.is_match(body))
    }

    /// The names of two texts, in pairs, where both have as many.
    pub fn name_pairs(&self, recorded: &str, live: &str) -> Vec<(String, String)> {
        let names = |lexer: &Lexer, text: &str| -> Vec<String> {
            let found = lexer.tokens(text).into_iter().filter(|t| matches!(t.kind, Kind::Name(_)));
            found.filter_map(|t| text.get(t.range)).map(str::to_string).collect()
        };
        let (then, now) = (names(&self.recorded, recorded), names(&self.live, live));
        if then.len() == now.len() { then.into_iter().zip(now).collect() } else { Vec::new() }
    }

    /// What is to be changed in a recorded answer before it is served.
    pub fn rewrite(&self, answer: &ModelAnswer, bound: &Bindings, below: &Bindings) -> Rewrite {
        let mut rewrite = Rewrite::default();
        let mut look = |text: &str| {
            for (recorded, live) in bound.declared().chain(below.declared()) {
                if text.contains(recorded) {
                    rewrite.put(recorded.to_string(), live.to_string());
                }
            }
            for token in self.recorded.tokens(text) {
                if let Some((recorded, live)) = self.today(text, &token, bound, below) {
                    rewrite.put(recorded, live);
                }
            }
        };
        visit_answer(answer, &mut look);
        rewrite
    }

    /// What stands for a token of a recorded text today: both, where they differ.
    fn today(
        &self,
        text: &str,
        token: &Token,
        bound: &Bindings,
        below: &Bindings,
    ) -> Option<(String, String)> {
        let said = text.get(token.range.clone())?;
        let live = match token.kind {
            Kind::Root(index) if bound.is_moved(below, index) => self.live.root(index).to_string(),
            Kind::Date(form, day) => dates::written(form, day + bound.later(below, day)?, said),
            Kind::Port => {
                // A port alone is a number like others: it goes with its host.
                let host = text
                    .get(..token.range.start)?
                    .rsplit(|c: char| !c.is_ascii_alphanumeric() && !".:[]".contains(c))
                    .next()?;
                let live = bound.today(below, token.kind, said)?;
                return Some((format!("{host}{said}"), format!("{host}{live}")));
            }
            kind => bound.today(below, kind, said)?,
        };
        (live != said).then(|| (said.to_string(), live))
    }

    fn lexer(&self, is_recorded: bool) -> &Lexer {
        if is_recorded { &self.recorded } else { &self.live }
    }

    /// The names in recorded blocks and tools.
    pub fn names<'b>(
        &self,
        blocks: impl Iterator<Item = &'b Block>,
        tools: &[Value],
        names: &mut HashSet<String>,
    ) {
        self.names_on(true, blocks, tools, names);
    }

    /// The names in blocks and tools of the recorded or of the live side.
    pub fn names_on<'b>(
        &self,
        is_recorded: bool,
        blocks: impl Iterator<Item = &'b Block>,
        tools: &[Value],
        names: &mut HashSet<String>,
    ) {
        let mut look = |text: &str| self.lexer(is_recorded).names(text, names);
        blocks.for_each(|b| visit_block(b, &mut look));
        tools.iter().for_each(|t| visit_value(t, &mut look));
    }
}

fn visit_answer(answer: &ModelAnswer, look: &mut dyn FnMut(&str)) {
    answer.blocks.iter().for_each(|b| visit_block(b, look));
}

fn visit_block(block: &Block, look: &mut dyn FnMut(&str)) {
    match block {
        Block::Text { text } => look(text),
        Block::ToolCall { args, .. } => visit_value(args, look),
        Block::ToolResult { text, other, .. } => {
            look(text);
            other.iter().for_each(|v| visit_value(v, look));
        }
        Block::Other { value } => visit_value(value, look),
        Block::Reasoning { .. } => {}
    }
}

fn visit_value(value: &Value, look: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().for_each(|v| visit_value(v, look)),
        Value::Object(fields) => fields.values().for_each(|v| visit_value(v, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
