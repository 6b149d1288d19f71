//! What the spans of a run say of its steps, as far as terms ask: read only where one does.

use crate::prices::Cost;
use crate::run::tree::{Node, NodeKind};
use crate::span::SpanKey;
use crate::span::sought::Sought;
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// What spans say of a run.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub(super) steps: HashMap<u32, OfStep>,
    pub(super) spans: Vec<FoundSpan>,
    pub(super) traced: Vec<(Sought, HashSet<u32>)>,
}

/// What they say of a step.
#[derive(Debug, Clone, Default)]
pub(super) struct OfStep {
    /// Names of its span and of all above it.
    pub names: Vec<String>,
    /// The innermost agent above it.
    pub agent: Option<String>,
    /// True when its span says that it failed.
    pub failed: bool,
}

/// A span that is no step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundSpan {
    /// What names it.
    pub span: SpanKey,
    /// What it is.
    pub kind: NodeKind,
    /// Its name: an agent's, a span's.
    pub name: String,
    /// The step that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<u32>,
    /// The steps below it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub around: Vec<u32>,
    /// Of a span with neither: the last step that began before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
    /// What went wrong; empty when nobody said what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// Tokens in of all model calls below it.
    pub input: u64,
    /// Tokens out.
    pub output: u64,
    #[serde(skip)]
    pub(super) cost: Option<Cost>,
    #[serde(skip)]
    pub(super) agent: Option<String>,
    /// Its names: of its agent or tool, and its own.
    #[serde(skip)]
    pub(super) names: Vec<String>,
}

impl Told {
    /// Reads the whole tree of a run, priced. `names`: what each span is called by its instrumentation.
    pub fn of(tree: &Node, names: &HashMap<SpanKey, &str>) -> Told {
        let mut told = Told::default();
        let mut begun: Vec<(u64, u32)> = Vec::new();
        let mut reading = Reading { told: &mut told, names, begun: &mut begun };
        reading.walk(tree, &mut Above::default());
        begun.sort_unstable();
        for (at, span) in told.spans.iter_mut().enumerate() {
            if span.within.is_none() && span.around.is_empty() {
                let start = reading_start(at, &span.after);
                let before = begun.partition_point(|(step_start, _)| u64::from(*step_start <= start) == 1);
                span.after = before.checked_sub(1).and_then(|at| begun.get(at)).map(|(_, step)| *step);
            }
        }
        told
    }
}
