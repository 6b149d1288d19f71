//! The spans of a run, joined to its exchanges: what several verbs look at.

use super::error::CliError;
use super::view::Opened;
use crate::run::tree::{self, Node, Spans};
use crate::span::asked::Asked;
use crate::span::claims::{Claims, settled};
use crate::span::join::join;
use crate::store::SpanReader;

/// The trace tree of a run: by its spans, where it has any. `whole`: with spans that lead to no step.
pub(super) fn tree(opened: &Opened, whole: bool) -> Result<Node, CliError> {
    let name = opened.reader.manifest().id.to_string();
    let claims = SpanReader::open(opened.reader.directory())?.claims()?;
    if claims.is_empty() {
        return Ok(tree::derived(&opened.outline, &name));
    }
    let ids = opened.reader.ids().into_iter();
    let asked: Vec<Asked> =
        ids.filter_map(|id| opened.reader.exchange(id).ok()).map(|exchange| Asked::of(&exchange)).collect();
    let claims: Vec<&Claims> = settled(&claims);
    let links = join(&asked, claims.iter().copied());
    Ok(tree::spanned(&opened.outline, &name, Spans { claims: &claims, links: &links }, whole))
}
