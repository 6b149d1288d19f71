//! Traces of OpenTelemetry. What their spans tell of model calls, with what was said, becomes exchanges; the spans stay with
//! the run.

mod content;
mod files;
mod group;
#[cfg(test)]
mod tests;

use super::transcript::{Builder, Call, missing, no_bytes, put_in_order};
use super::{Foreign, Lack, Unreadable, Use};
use crate::exchange::canon::text_of_value;
use crate::otlp::Batch;
use crate::span::claims::{Claims, Role};
use crate::span::{self, Log, Span, SpanKey, TraceId};
use content::Content;
use group::Groups;
use std::collections::{BTreeMap, HashMap, HashSet};

/// See [`super::read`].
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Vec<Foreign>, Unreadable> {
    read_files(name, &[("", bytes)])
}

/// Reads several files of exports as one: exporters write the spans of a trace when they have ended, so that it may be
/// spread over files. A file is named where it cannot be read.
///
/// # Errors
/// When one of them is no file of exports, or there is no span in any.
pub fn read_files(name: &str, files: &[(&str, &[u8])]) -> Result<Vec<Foreign>, Unreadable> {
    let mut batches = Vec::new();
    for (file, bytes) in files {
        let place = |e: Unreadable| if file.is_empty() { e } else { Unreadable::new(format!("{file}: {e}")) };
        batches.extend(files::batches(bytes).map_err(place)?);
    }
    let mut nameless = 0;
    for batch in &mut batches {
        nameless += batch.drop_nameless();
    }
    let (mut spans, mut logs): (Vec<Span>, Vec<Log>) = Default::default();
    for batch in &batches {
        match batch {
            Batch::Traces(traces) => spans.extend(span::spans(traces)),
            Batch::Logs(of) => logs.extend(span::logs(of)),
            Batch::Metrics => {}
        }
    }
    if spans.is_empty() {
        return Err(Unreadable::new("it holds no span: what was said is told by spans of model calls"));
    }
    let claims: Vec<Claims> = spans.iter().map(Claims::of).collect();
    let groups = Groups::new(&claims);
    let mut runs: Vec<Run<'_>> = (0..groups.count).map(|_| Run::default()).collect();
    for (span, claims) in spans.iter().zip(&claims) {
        if let Some(run) = groups.of(Some(span.key.trace)).and_then(|at| runs.get_mut(at)) {
            run.spans.push((span, claims));
        }
    }
    let mut elsewhere = 0;
    for batch in batches {
        let of = |trace: Option<[u8; 16]>| groups.of(trace.and_then(|id| TraceId::of(&id)));
        let places: Vec<Option<usize>> = batch.moments().iter().map(|moment| of(moment.trace)).collect();
        for (place, part) in batch.divide(&places) {
            match place.and_then(|at| runs.get_mut(at)) {
                Some(run) => run.exports.push(part),
                None => elsewhere += part.len(),
            }
        }
    }
    let mut by_span: HashMap<SpanKey, Vec<&Log>> = HashMap::new();
    for log in &logs {
        if let (Some(trace), Some(span)) = (log.trace, log.span) {
            by_span.entry(SpanKey { trace, span }).or_default().push(log);
        }
    }
    let mut builder = Builder::default();
    let runs = runs.into_iter().map(|run| {
        let mut run = run.finish(name, &by_span, &mut builder).map_err(Unreadable::new)?;
        for (count, what) in
            [(nameless, "spans without ids"), (elsewhere, "log records without a trace that is here")]
        {
            run.lacks.extend(
                (count > 0).then(|| missing(format!("trace_id and span_id: {count} {what} were left out"))),
            );
        }
        Ok(run)
    });
    runs.collect()
}

/// The spans of a run.
#[derive(Default)]
struct Run<'a> {
    spans: Vec<(&'a Span, &'a Claims)>,
    exports: Vec<Batch>,
}

/// A call of a model with what was said in it.
struct Said<'a> {
    span: &'a Span,
    claims: &'a Claims,
    content: Content,
}

impl Run<'_> {
    fn finish(
        self,
        name: &str,
        logs: &HashMap<SpanKey, Vec<&Log>>,
        builder: &mut Builder,
    ) -> Result<Foreign, String> {
        let mut lacks = Vec::new();
        let mut silent = Vec::new();
        let mut calls = Vec::new();
        for said in self.calls(logs) {
            match said.content.asked.is_empty() && said.content.answered.is_none() {
                true => silent.push(said),
                false => calls.push(said),
            }
        }
        let mut exchanges = Vec::new();
        let mut times = Vec::new();
        for (number, said) in (1..).zip(&calls) {
            let texts = texts(said);
            let call = call(said, &texts);
            times.push(call.times);
            exchanges.push(builder.exchange(number, &call)?);
        }
        put_in_order(&mut exchanges, &times);
        let spoilt = vec![Use::Diff, Use::Replay, Use::Fork];
        if calls.is_empty() && silent.is_empty() {
            let what = "gen_ai.input.messages: no span tells of a model call".to_string();
            lacks.push(Lack { what, spoils: spoilt.clone() });
        }
        lacks.extend(of_spans("gen_ai.input.messages", &silent.iter().collect::<Vec<_>>(), &spoilt));
        let unasked: Vec<&Said> = calls.iter().filter(|said| said.content.asked.is_empty()).collect();
        lacks.extend(of_spans("gen_ai.input.messages", &unasked, &spoilt));
        let is_open = |said: &&Said| said.content.answered.is_none() && said.claims.error.is_none();
        let open: Vec<&Said> = calls.iter().filter(is_open).collect();
        lacks.extend(of_spans("gen_ai.output.messages", &open, &spoilt));
        let uncounted = |said: &&Said| said.claims.told.as_ref().is_none_or(|told| told.usage.is_none());
        lacks.extend(of_spans("gen_ai.usage", &calls.iter().filter(uncounted).collect::<Vec<_>>(), &[]));
        let untimed = |said: &&Said| said.span.start_ns == 0 || said.span.end_ns <= said.span.start_ns;
        let untimed: Vec<&Said> = calls.iter().filter(untimed).collect();
        lacks.extend(of_spans("start_time_unix_nano and end_time_unix_nano", &untimed, &[]));
        let failed: Vec<&Said> = calls.iter().filter(|said| said.claims.error.is_some()).collect();
        lacks.extend(of_spans("status and body of the failed answer", &failed, &[]));
        if !calls.is_empty() {
            lacks.push(no_bytes());
        }
        let first = self
            .spans
            .iter()
            .map(|(span, _)| *span)
            .filter(|span| span.start_ns > 0)
            .min_by_key(|s| s.start_ns);
        let labels = self.labels();
        Ok(Foreign {
            name: labels.get("service.name").map_or(name, String::as_str).to_string(),
            started_us: first.map(|span| span.start_ns / 1000),
            exchanges,
            exports: self.exports,
            labels,
            succeeded: None,
            lacks,
        })
    }

    /// Calls of models in the order in which they began, each once: several instrumentations may tell of one. Of those
    /// that stand inside of each other the inner one is nearer to the wire, if it says what was said.
    fn calls(&self, logs: &HashMap<SpanKey, Vec<&Log>>) -> Vec<Said<'_>> {
        let mut models: HashMap<SpanKey, Said<'_>> = HashMap::new();
        let is_call = |claims: &Claims| claims.role == Role::Model && !claims.open && !claims.log;
        for (span, claims) in self.spans.iter().filter(|(_, claims)| is_call(claims)) {
            let of_span = logs.get(&span.key).map(Vec::as_slice).unwrap_or_default();
            let said = Said { span, claims, content: content::of(span, of_span) };
            let weight =
                |said: &Said| (said.span.end_ns, said.content.answered.is_some(), said.content.asked.len());
            match models.get(&span.key) {
                Some(before) if weight(before) >= weight(&said) => {}
                _ => drop(models.insert(span.key, said)),
            }
        }
        let parents: HashMap<SpanKey, SpanKey> = self
            .spans
            .iter()
            .filter_map(|(_, of)| Some((of.key, SpanKey { trace: of.key.trace, span: of.parent? })))
            .collect();
        let tells = |said: &Said| !said.content.asked.is_empty() && said.content.answered.is_some();
        let above = |key: SpanKey| {
            let mut seen = HashSet::from([key]);
            std::iter::successors(parents.get(&key).copied(), |at| parents.get(at).copied())
                .take_while(move |at| seen.insert(*at))
        };
        let answer = |said: &Said| said.claims.response_id.clone().map(|id| (said.span.key.trace, id));
        let mut telling: Vec<&Said> = models.values().filter(|said| tells(said)).collect();
        telling.sort_by_key(|said| (said.span.start_ns, said.span.key));
        let told: HashSet<SpanKey> = telling.iter().map(|said| said.span.key).collect();
        let mut doubled: HashSet<SpanKey> = telling.iter().flat_map(|said| above(said.span.key)).collect();
        let mut answers = HashSet::new();
        for said in telling.iter().filter(|said| !doubled.contains(&said.span.key)).collect::<Vec<_>>() {
            if answer(said).is_some_and(|answer| !answers.insert(answer)) {
                doubled.insert(said.span.key);
            }
        }
        for said in models.values().filter(|said| !tells(said)) {
            let is_inside = above(said.span.key).any(|at| told.contains(&at));
            if is_inside || answer(said).is_some_and(|answer| answers.contains(&answer)) {
                doubled.insert(said.span.key);
            }
        }
        let mut calls: Vec<Said<'_>> =
            models.into_values().filter(|said| !doubled.contains(&said.span.key)).collect();
        calls.sort_by_key(|said| (said.span.start_ns, said.span.key));
        calls
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        let mut put = |name: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|value| !value.is_empty() && value.len() <= 200) {
                labels.entry(name.to_string()).or_insert_with(|| value.to_string());
            }
        };
        for (span, claims) in &self.spans {
            put("service.name", span.origin.resource.text("service.name"));
            put("session", claims.session.as_deref());
            put("conversation", claims.conversation.as_deref());
        }
        let traces: HashSet<TraceId> = self.spans.iter().map(|(span, _)| span.key.trace).collect();
        if let (1, Some(trace)) = (traces.len(), traces.iter().next()) {
            put("trace", Some(&trace.to_string()));
        }
        labels
    }
}

/// What some spans lack, with the name of the first.
fn of_spans(what: &str, spans: &[&Said<'_>], spoils: &[Use]) -> Option<Lack> {
    let first = spans.first()?;
    let more = match spans.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let name: String = first.span.name.chars().take(80).collect();
    let what = format!("{what} of span {} ({name}){more}", first.span.key.span);
    Some(Lack { what, spoils: spoils.to_vec() })
}

/// Texts of the messages of a call, the answer last.
fn texts(said: &Said<'_>) -> (Vec<String>, Option<String>) {
    let asked = said.content.asked.iter().map(text_of_value).collect();
    (asked, said.content.answered.as_ref().map(text_of_value))
}

fn call<'t>(said: &Said<'_>, (asked, answered): &'t (Vec<String>, Option<String>)) -> Call<'t> {
    let (span, claims) = (said.span, said.claims);
    let told = claims.told.as_deref();
    let times = (span.start_ns > 0).then(|| (span.start_ns / 1000, span.end_ns.max(span.start_ns) / 1000));
    Call {
        asked,
        answered: answered.as_deref(),
        model: claims.request_model.clone().or_else(|| claims.response_model.clone()),
        answering: claims.response_model.clone(),
        tools: said.content.tools.clone(),
        parameters: said.content.parameters.clone(),
        id: claims.response_id.clone(),
        finish: told.and_then(|told| told.finish_reasons.first().cloned()),
        usage: told.and_then(|told| told.usage),
        error: claims.error.as_ref().map(|what| match what.is_empty() {
            true => "the span failed and does not say why".to_string(),
            false => what.clone(),
        }),
        times,
        span: Some(format!("00-{}-{}-01", span.key.trace, span.key.span)),
    }
}
