//! Which steps a person looks for: `tool=issue_refund status=error tokens>10000`. A pure parser, and its answer for a run.

mod meant;
mod spans;
mod terms;

pub use meant::Met;
pub use spans::{FoundSpan, Told};

use super::outline::{CallSite, Lane, Outline, StepKind, Turn};
use super::{Manifest, ToolCallRef};
use crate::prices::Cost;
use crate::span::sought::Sought;
use spans::OfStep;

/// Terms that must all hold: those about steps in one and the same step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq)]
struct Term {
    key: Key,
    op: Op,
    value: Value,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Number(f64),
    Trace(Sought),
    /// Nobody knows it.
    Unknown,
}

#[derive(Debug, Clone, PartialEq)]
enum Key {
    Tool,
    Model,
    Agent,
    Span,
    Trace,
    Status,
    Text,
    Tokens,
    Input,
    Output,
    Cost,
    Time,
    Name,
    Exit,
    Steps,
    Label(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Is,
    IsNot,
    More,
    Less,
    AtLeast,
    AtMost,
    Has,
}

/// What is wrong with a term: what, and what to do (empty when that is said).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear {
    /// In a sentence.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl Key {
    fn is_number(&self) -> bool {
        use Key::*;
        matches!(self, Tokens | Input | Output | Cost | Time | Exit | Steps)
    }

    fn is_of_run(&self) -> bool {
        matches!(self, Key::Name | Key::Exit | Key::Steps | Key::Label(_))
    }
}

/// A step, as far as terms go.
struct Facts<'a> {
    lane: &'a Lane,
    turn: &'a Turn,
    call: Option<&'a ToolCallRef>,
    cost: Option<Cost>,
    number: u32,
    /// What spans say of it.
    of_span: Option<&'a OfStep>,
    told: &'a Told,
}

impl Wanted {
    /// Reads terms, with spaces between them; a value with spaces stands in double quotes.
    ///
    /// # Errors
    /// The term that makes no sense, and why.
    pub fn parse(text: &str) -> Result<Wanted, Unclear> {
        Ok(Wanted { terms: terms::parse(text)? })
    }

    /// True when a term is about steps.
    pub fn is_about_steps(&self) -> bool {
        self.terms.iter().any(|term| !term.key.is_of_run())
    }

    /// True when what is said of the run itself holds. `steps`: how many it has.
    pub fn fits(&self, manifest: &Manifest, steps: Option<u32>) -> bool {
        self.terms.iter().filter(|term| term.key.is_of_run()).all(|term| match &term.key {
            Key::Name => {
                let (id, name) = (manifest.id.as_str(), manifest.id.name());
                // With `!=` it must be neither.
                let either = |op: Op| term.text_with(op, id) || term.text_with(op, name);
                if term.op == Op::IsNot { !either(Op::Is) } else { either(term.op) }
            }
            Key::Exit => {
                term.number(manifest.outcome.as_ref().and_then(|outcome| outcome.exit_code).map(f64::from))
            }
            Key::Steps => term.number(steps.map(f64::from)),
            Key::Label(name) => match manifest.labels.get(name) {
                Some(value) => term.text(value),
                None => term.op == Op::IsNot,
            },
            _ => true,
        })
    }

    /// True when a term is about what spans tell: of a run that has some, [`Told`] is needed then.
    pub fn needs_spans(&self) -> bool {
        self.terms.iter().any(|term| matches!(term.key, Key::Span | Key::Agent | Key::Status))
    }

    /// The ids that are looked for in traces.
    pub fn traces(&self) -> impl Iterator<Item = &Sought> {
        self.terms.iter().filter_map(|term| match &term.value {
            Value::Trace(sought) => Some(sought),
            _ => None,
        })
    }

    /// True for the names of a span that is to be found though it is no step.
    pub fn asks_for_span(&self, names: &[String]) -> bool {
        let mut asked = self.terms.iter().filter(|term| term.key == Key::Span).peekable();
        let is_asked = asked.peek().is_some() && !self.terms.iter().any(Term::is_of_calls);
        is_asked && asked.all(|term| term.op != Op::IsNot && term.any(names))
    }

    /// The spans that are no steps in which all terms about steps hold. Tokens and cost are those of all calls below.
    pub fn spans<'t>(&self, told: &'t Told) -> Vec<&'t FoundSpan> {
        let terms = || self.terms.iter().filter(|term| !term.key.is_of_run());
        let found = told.spans().iter().filter(|span| self.asks_for_span(&span.names));
        found.filter(|span| terms().all(|term| term.holds_of_span(span))).collect()
    }

    /// The numbers of the steps in which all terms about steps hold. `cost`: of a model call. Beside a term about a tool,
    /// those about models, tokens and cost are about the model call that asked for it. `told`: what spans say, where
    /// [`Wanted::needs_spans`] or [`Wanted::traces`] says so. A step has failed also when its span says so.
    pub fn steps(&self, outline: &Outline, cost: &dyn Fn(&Turn) -> Option<Cost>, told: &Told) -> Vec<u32> {
        let wants_tools = self.terms.iter().any(|term| term.key == Key::Tool);
        let wants_cost = self.terms.iter().any(|term| term.key == Key::Cost);
        let holds = |number: u32, kind: StepKind| -> Option<bool> {
            let (lane, turn, call) = match kind {
                StepKind::Model { .. } if wants_tools => return None,
                StepKind::Model { lane, turn } => (lane, turn, None),
                StepKind::Tool { site } => (site.lane, site.turn, Some(site)),
            };
            let turn = outline.turn(lane, turn)?;
            let facts = Facts {
                lane: outline.lanes.get(lane as usize)?,
                turn,
                call: call.and_then(|site: CallSite| outline.call(site)),
                cost: if wants_cost { cost(turn) } else { None },
                number,
                of_span: told.step(number),
                told,
            };
            let mut terms = self.terms.iter().filter(|term| !term.key.is_of_run());
            Some(terms.all(|term| term.holds(&facts, wants_tools)))
        };
        let numbered = (1u32..).zip(&outline.steps);
        numbered
            .filter(|(number, step)| holds(*number, step.kind) == Some(true))
            .map(|(number, _)| number)
            .collect()
    }
}

impl Term {
    fn holds(&self, facts: &Facts, wants_tools: bool) -> bool {
        let turn = facts.turn;
        let usage = turn.usage.filter(|_| facts.call.is_none() || wants_tools);
        match self.key {
            Key::Tool => facts.call.is_some_and(|call| self.text(&call.name)),
            Key::Model => (facts.call.is_none() || wants_tools) && self.text(&turn.model),
            Key::Agent => {
                let told = facts.of_span.and_then(|told| told.agent.as_ref());
                let names = [Some(&facts.lane.key), facts.lane.named.as_ref(), told];
                self.any(names.into_iter().flatten())
            }
            Key::Span => {
                let names = facts.of_span.map(|told| told.names.as_slice()).unwrap_or_default();
                self.any(names)
            }
            Key::Trace => match &self.value {
                Value::Trace(sought) => facts.told.is_traced(sought, facts.number) == (self.op == Op::Is),
                _ => false,
            },
            Key::Status => {
                let failed = match facts.call {
                    Some(call) => call.result.as_ref().is_some_and(|result| result.is_error),
                    None => turn.error.is_some(),
                };
                let says = facts.of_span.is_some_and(|told| told.failed);
                self.text(if failed || says { "error" } else { "ok" })
            }
            Key::Text => match facts.call {
                Some(call) => call.result.as_ref().is_some_and(|result| self.text(&result.text)),
                None => self.text(&turn.text) || turn.error.as_ref().is_some_and(|error| self.text(error)),
            },
            Key::Tokens => self.number(usage.map(|usage| usage.input.saturating_add(usage.output) as f64)),
            Key::Input => self.number(usage.map(|usage| usage.input as f64)),
            Key::Output => self.number(usage.map(|usage| usage.output as f64)),
            Key::Cost => (facts.call.is_none() || wants_tools) && self.cost(facts.cost),
            Key::Time => {
                let took_us = match facts.call {
                    Some(call) => turn.call_took_us(call),
                    None => turn.took_us(),
                };
                self.number(took_us.map(|us| us as f64 / 1e6))
            }
            Key::Name | Key::Exit | Key::Steps | Key::Label(_) => true,
        }
    }

    /// True for a term that nothing but a call of a model or of a tool can fit.
    fn is_of_calls(&self) -> bool {
        matches!(self.key, Key::Tool | Key::Model | Key::Trace)
    }

    fn holds_of_span(&self, span: &FoundSpan) -> bool {
        match self.key {
            Key::Span => self.any(&span.names),
            Key::Agent => self.any(&span.agent),
            Key::Status => self.text(if span.error.is_some() { "error" } else { "ok" }),
            Key::Text => span.error.as_ref().is_some_and(|error| self.text(error)),
            Key::Tokens => self.number(Some(span.input.saturating_add(span.output) as f64)),
            Key::Input => self.number(Some(span.input as f64)),
            Key::Output => self.number(Some(span.output as f64)),
            Key::Cost => self.cost(span.cost),
            Key::Time => self.number(span.took_us.map(|us| us as f64 / 1e6)),
            Key::Tool | Key::Model | Key::Trace => false,
            Key::Name | Key::Exit | Key::Steps | Key::Label(_) => true,
        }
    }

    /// With `!=` it must be none of these.
    fn any<'t>(&self, names: impl IntoIterator<Item = &'t String>) -> bool {
        let mut names = names.into_iter();
        match self.op {
            Op::IsNot => names.all(|name| self.text(name)),
            _ => names.any(|name| self.text(name)),
        }
    }

    fn text(&self, is: &str) -> bool {
        self.text_with(self.op, is)
    }

    fn text_with(&self, op: Op, is: &str) -> bool {
        let Value::Text(asked) = &self.value else { return false };
        match op {
            Op::Is => is == asked,
            Op::IsNot => is != asked,
            Op::Has => is.to_lowercase().contains(&asked.to_lowercase()),
            _ => false,
        }
    }

    /// Dollars, or that nobody knows how many.
    fn cost(&self, is: Option<Cost>) -> bool {
        match self.value {
            Value::Unknown => is.is_none() == (self.op == Op::Is),
            _ => self.number(is.map(Cost::dollars)),
        }
    }

    /// What is not known is no number: nothing holds of it.
    fn number(&self, is: Option<f64>) -> bool {
        let (Some(is), Value::Number(asked)) = (is, &self.value) else { return false };
        match self.op {
            Op::Is => is == *asked,
            Op::IsNot => is != *asked,
            Op::More => is > *asked,
            Op::Less => is < *asked,
            Op::AtLeast => is >= *asked,
            Op::AtMost => is <= *asked,
            Op::Has => false,
        }
    }
}

#[cfg(test)]
mod tests;
