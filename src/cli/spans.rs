//! The spans of a run, joined to its exchanges: what several verbs look at.

use super::error::CliError;
use super::traced;
use super::view::Opened;
use crate::exchange::ExchangeId;
use crate::run::StepKind;
use crate::run::tree::about::{About, Sources, Step};
use crate::run::tree::places::{Path, Places};
use crate::run::tree::{self, Node, Spans};
use crate::span::asked::Asked;
use crate::span::claims::Claims;
use crate::span::join::{Link, join};
use crate::span::settled::Settled;
use crate::span::{Log, Span, SpanKey, logs, spans};
use crate::store::{RunReader, SpanReader};
use std::collections::{HashMap, HashSet};
use std::io;
use std::thread::{Builder, JoinHandle};

/// The trace tree of a run: by its spans, where it has any. `whole`: with spans that lead to no step.
pub(super) fn tree(opened: &Opened, whole: bool) -> Result<Node, CliError> {
    let spans = SpanReader::open(opened.reader.directory())?;
    if spans.is_empty() {
        return Ok(tree_of(opened, &Settled::new([]), &[], whole));
    }
    let asking = asking(opened)?;
    let exports = spans.claims()?;
    let settled = Settled::new(exports.iter().flatten());
    let asked = asked(asking);
    let tree = tree_of(opened, &settled, &join(&asked, &settled), whole);
    // Of very many spans it takes a while to free what they claim: nobody has to wait for it.
    drop(settled);
    free((exports, asked));
    Ok(tree)
}

/// Frees something large beside what is done next, or here when there is no thread for it.
pub(super) fn free(large: impl Send + 'static) {
    let _ = Builder::new().spawn(move || drop(large));
}

/// True when a run has any; a cheap look.
pub(super) fn has_any(directory: &std::path::Path) -> bool {
    SpanReader::open(directory).is_ok_and(|spans| !spans.is_empty())
}

/// Reads what was asked, beside the spans.
fn asking(opened: &Opened) -> io::Result<JoinHandle<Vec<Asked>>> {
    let reader = opened.reader.clone();
    Builder::new().spawn(move || {
        let exchanges = reader.ids().into_iter().filter_map(|id| reader.exchange(id).ok());
        exchanges.map(|exchange| Asked::of(&exchange)).collect()
    })
}

fn asked(asking: JoinHandle<Vec<Asked>>) -> Vec<Asked> {
    asking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn tree_of(opened: &Opened, settled: &Settled<'_>, links: &[Link], whole: bool) -> Node {
    let name = opened.reader.manifest().id.to_string();
    // Where there is no step at all, spans are all there is.
    let whole = whole || opened.outline.steps.is_empty();
    match settled.claims().is_empty() {
        true => tree::derived(&opened.outline, &name),
        false => tree::spanned(&opened.outline, &name, Spans { settled, links }, whole),
    }
}

/// What spans claim, and which exchanges they are about.
pub(super) struct Joined {
    /// What the spans of each export claim; some may have come more than once.
    exports: Vec<Vec<Claims>>,
    /// Exchanges and their spans.
    links: Vec<Link>,
}

/// The spans of a run and what they are about; nothing of both where it has none.
pub(super) fn joined(opened: &Opened) -> Result<Joined, CliError> {
    let spans = SpanReader::open(opened.reader.directory())?;
    if spans.is_empty() {
        return Ok(Joined { exports: Vec::new(), links: Vec::new() });
    }
    let asking = asking(opened)?;
    let exports = spans.claims()?;
    let links = join(&asked(asking), &Settled::new(exports.iter().flatten()));
    Ok(Joined { exports, links })
}

/// Ids of the spans of a run.
pub(super) fn keys(reader: &RunReader) -> Result<Vec<SpanKey>, CliError> {
    let claims = SpanReader::open(reader.directory())?.claims()?;
    Ok(claims.iter().flatten().map(|claims| claims.key).collect())
}

/// How many spans a run has.
pub(super) fn count(reader: &RunReader) -> Result<usize, CliError> {
    Ok(keys(reader)?.into_iter().collect::<HashSet<_>>().len())
}

/// All that spans and log records say.
pub(super) fn all(opened: &Opened) -> Result<(Vec<Span>, Vec<Log>), CliError> {
    let (traces, records) = SpanReader::open(opened.reader.directory())?.all()?;
    Ok((spans(&traces), logs(&records)))
}

/// Hands on what spans and log records tell of a step, and what stands above it; none when they tell nothing.
pub(super) fn about<T>(
    opened: &Opened,
    step: u32,
    take: impl FnOnce(&About, Option<&Path>) -> T,
) -> Result<Option<T>, CliError> {
    let (spans, logs) = all(opened)?;
    if spans.is_empty() && logs.is_empty() {
        return Ok(None);
    }
    let joined = joined(opened)?;
    let tree = joined.tree(opened, true);
    let of_step = traced::steps_of_exchanges(opened).into_iter();
    let exchanges: Vec<ExchangeId> =
        of_step.filter(|(_, steps)| steps.contains(&step)).map(|(id, _)| id).collect();
    let parents: Vec<SpanKey> =
        exchanges.iter().flat_map(|id| traced::parents(&opened.reader, *id)).collect();
    let call_id = match opened.outline.step(step) {
        Some(StepKind::Tool { site }) => opened.outline.call(site).map(|call| call.id.as_str()),
        _ => None,
    };
    let asked = Step { number: step, exchanges: &exchanges, parents: &parents, call_id };
    let settled = joined.settled();
    let from =
        Sources { tree: &tree, claims: settled.claims(), links: &joined.links, spans: &spans, logs: &logs };
    let about = About::of(&asked, &from);
    let cut = joined.cut();
    let places = Places::of(&tree, &|span| cut.contains(&span));
    let path = places.as_ref().and_then(|places| places.path(step));
    Ok((!about.is_empty() || path.is_some()).then(|| take(&about, path)))
}

/// Where the steps stand among the spans; none where there are none, or they cannot be read.
pub(super) fn places(opened: &Opened) -> Option<Places> {
    let joined = joined(opened).ok().filter(|joined| !joined.is_empty())?;
    let cut = joined.cut();
    Places::of(&joined.tree(opened, false), &|span| cut.contains(&span))
}

impl Joined {
    /// True when there are no spans.
    pub(super) fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    fn all(&self) -> impl Iterator<Item = &Claims> {
        self.exports.iter().flatten()
    }

    /// Each span once.
    fn settled(&self) -> Settled<'_> {
        Settled::new(self.all())
    }

    /// See [`tree`].
    pub(super) fn tree(&self, opened: &Opened, whole: bool) -> Node {
        tree_of(opened, &self.settled(), &self.links, whole)
    }

    /// The name of each span, as its instrumentation gave it.
    pub(super) fn names(&self) -> HashMap<SpanKey, &str> {
        self.all().map(|claims| (claims.key, claims.name.as_str())).collect()
    }

    /// The spans whose parents never came.
    fn cut(&self) -> HashSet<SpanKey> {
        let keys: HashSet<SpanKey> = self.all().map(|claims| claims.key).collect();
        let above = |claims: &Claims| Some(SpanKey { trace: claims.key.trace, span: claims.parent? });
        let cut = self.all().filter(|claims| above(claims).is_some_and(|key| !keys.contains(&key)));
        cut.map(|claims| claims.key).collect()
    }
}
