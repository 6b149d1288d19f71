//! The spans of a run, joined to its exchanges: what several verbs look at.

use super::error::CliError;
use super::view::Opened;
use crate::otlp::proto::Traces;
use crate::run::tree::{self, Node, Spans};
use crate::span::asked::Asked;
use crate::span::claims::Claims;
use crate::span::join::join;
use crate::span::spans;
use crate::store::SpanReader;

/// The trace tree of a run: by its spans, where it has any. `whole`: with spans that lead to no step.
pub(super) fn tree(opened: &Opened, whole: bool) -> Result<Node, CliError> {
    let (traces, _) = SpanReader::open(opened.reader.directory())?.all()?;
    Ok(tree_of(opened, &traces, whole))
}

/// The same, by these spans.
pub(super) fn tree_of(opened: &Opened, traces: &Traces, whole: bool) -> Node {
    let name = opened.reader.manifest().id.to_string();
    let spans = spans(traces);
    if spans.is_empty() {
        return tree::derived(&opened.outline, &name);
    }
    let claims: Vec<Claims> = spans.iter().map(Claims::of).collect();
    let ids = opened.reader.ids().into_iter();
    let asked: Vec<Asked> =
        ids.filter_map(|id| opened.reader.exchange(id).ok()).map(|exchange| Asked::of(&exchange)).collect();
    let links = join(&asked, &claims);
    // Where there is no step at all, spans are all there is.
    let whole = whole || opened.outline.steps.is_empty();
    tree::spanned(&opened.outline, &name, Spans { spans: &spans, claims: &claims, links: &links }, whole)
}
