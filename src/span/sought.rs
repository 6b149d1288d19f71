//! What a person looks for in traces: ids, or a line of some log that has them in it.

use super::{SpanId, SpanKey, TraceId};
use crate::exchange::span::parse_traceparent;

/// Ids of traces and spans, as far as a text names any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sought {
    /// Traces; of several, one is meant.
    pub traces: Vec<TraceId>,
    /// Spans; of several, one is meant.
    pub spans: Vec<SpanId>,
    /// The first hex digits of a trace id, where that is all.
    pub begins: Option<String>,
}

/// Fewer digits than this begin too many traces.
const FEWEST: usize = 6;

impl Sought {
    /// Reads ids, or a line with ids in it: `traceparent: 00-…`, `trace_id=… span_id=…`, `{"traceId":"…"}`,
    /// `Root=1-…-…;Parent=…` as AWS writes it. None when there are no ids in it.
    ///
    /// Where ids have labels these tell what they are; else 32 hex digits are a trace's, 16 a span's.
    pub fn parse(text: &str) -> Option<Sought> {
        let text = text.trim();
        let parents: Vec<_> = text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .filter_map(parse_traceparent)
            .filter_map(|parent| Some((TraceId::parse(parent.trace)?, SpanId::parse(parent.span)?)))
            .collect();
        let mut sought = Sought::default();
        if !parents.is_empty() {
            (sought.traces, sought.spans) = parents.into_iter().unzip();
            return Some(sought);
        }
        let words: Vec<(&str, String)> = words(text).collect();
        let labelled = |has: &dyn Fn(&str) -> bool| -> Vec<&str> {
            words.iter().filter(|(_, label)| has(label)).map(|(word, _)| *word).collect()
        };
        let traces = |of: Vec<&str>| of.into_iter().filter_map(TraceId::parse).collect::<Vec<_>>();
        let spans = |of: Vec<&str>| of.into_iter().filter_map(SpanId::parse).collect::<Vec<_>>();
        sought.traces = traces(labelled(&|label| label.contains("trace")));
        sought.traces.extend(amazon(text));
        if sought.traces.is_empty() {
            sought.traces = traces(labelled(&|_| true));
        }
        sought.spans = spans(labelled(&|label| label.contains("span") && !label.contains("parent")));
        if sought.spans.is_empty() {
            sought.spans = spans(labelled(&|label| label.contains("parent")));
        }
        if sought.spans.is_empty() {
            // Sixteen decimal digits among other things are microseconds rather than a span.
            let is_clock = |word: &&str| word.len() < text.len() && word.bytes().all(|b| b.is_ascii_digit());
            sought.spans = spans(labelled(&|_| true).into_iter().filter(|word| !is_clock(word)).collect());
        }
        let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hex && (FEWEST..32).contains(&text.len()) {
            sought.begins = Some(text.to_ascii_lowercase());
        }
        (sought != Sought::default()).then_some(sought)
    }

    /// True when a trace is, or may be, one that is meant.
    pub fn is_trace(&self, trace: TraceId) -> bool {
        self.is_span_alone() || self.names_trace(trace)
    }

    /// True for a trace that is named, by all of its id or its first digits.
    pub fn names_trace(&self, trace: TraceId) -> bool {
        let begins = self.begins.as_ref().is_some_and(|begins| trace.to_string().starts_with(begins));
        self.traces.contains(&trace) || begins
    }

    /// True for a span that is named, in a trace that may be meant.
    pub fn names_span(&self, span: SpanKey) -> bool {
        self.spans.contains(&span.span) && self.is_trace(span.trace)
    }

    /// True when nothing is said of traces.
    fn is_span_alone(&self) -> bool {
        self.traces.is_empty() && !self.spans.is_empty()
    }
}

/// `1-5759e988-bd862e3fe1be46a994272793`: a version, seconds, and the rest of the id.
fn amazon(text: &str) -> Option<TraceId> {
    let rest = text.get(text.find("1-")? + 2..)?;
    let (seconds, own) = (rest.get(..8)?, rest.get(9..33)?);
    (rest.get(8..9) == Some("-")).then(|| TraceId::parse(&format!("{seconds}{own}"))).flatten()
}

/// Runs of letters and digits, each with the label whose value it is: `trace_id`; empty without one.
fn words(text: &str) -> impl Iterator<Item = (&str, String)> {
    let mut end = 0;
    text.split(|c: char| !c.is_ascii_alphanumeric()).map(move |word| {
        let start = end;
        end = start
            + word.len()
            + text.get(start + word.len()..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let quotes = |c: char| matches!(c, ' ' | '"' | '\'' | '\\');
        let before = text.get(..start).unwrap_or_default().trim_end_matches(quotes);
        let label = before.strip_suffix(['=', ':']).map_or("", |before| {
            let before = before.trim_end_matches(quotes);
            let is_label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
            before.rsplit(|c| !is_label(c)).next().unwrap_or_default()
        });
        (word, label.to_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    /// Traces, spans and the beginning that a text names.
    fn read(text: &str) -> (Vec<String>, Vec<String>, Option<String>) {
        let sought = Sought::parse(text).unwrap_or_default();
        let traces = sought.traces.iter().map(ToString::to_string).collect();
        (traces, sought.spans.iter().map(ToString::to_string).collect(), sought.begins)
    }

    #[test]
    fn ids_are_found_in_what_people_paste() {
        let (trace, span) = (vec![TRACE.to_string()], vec![SPAN.to_string()]);
        let both = [
            format!("00-{TRACE}-{SPAN}-01"),
            format!("curl -H 'traceparent: 00-{TRACE}-{SPAN}-03' http://x"),
            format!("{{\"msg\":\"sold\",\"traceId\":\"{TRACE}\",\"spanId\":\"{SPAN}\"}}"),
            format!("2026-11-21T10:00:00Z INFO sold trace_id={TRACE} span_id={SPAN} trace_flags=01"),
            format!("ts=1795224754600123 trace.id = {} span.id = {SPAN}", TRACE.to_uppercase()),
            format!("order 5f2b8c1d9e3a4f6071829304a5b6c7d8 done [trace_id={TRACE} span_id={SPAN}]"),
            format!("b3: {TRACE}-{SPAN}-1"),
            format!("{TRACE} {SPAN}"),
            format!("{{\\\"trace_id\\\": \\\"{TRACE}\\\", \\\"span_id\\\": \\\"{SPAN}\\\"}}"),
            format!("Root=1-{}-{};Parent={SPAN};Sampled=1", &TRACE[..8], &TRACE[8..]),
            format!("trace_id={TRACE} parent_span_id=00f067aa0ba902b7 span_id={SPAN}"),
        ];
        for text in both {
            assert_eq!(read(&text), (trace.clone(), span.clone(), None), "{text}");
        }
        assert_eq!(read(TRACE), (trace.clone(), vec![], None));
        assert_eq!(read(&format!("trace_{TRACE}")), (trace.clone(), vec![], None));
        assert_eq!(read(&format!("at 1795224754600123 in {TRACE}")), (trace, vec![], None));
        assert_eq!(read(SPAN).1, span);
        assert_eq!(read("0AF7651").2.as_deref(), Some("0af7651"));
        for none in ["", "sold two lamps", "0af7", "ünïcode: =:\"", &"0".repeat(32)] {
            assert_eq!(Sought::parse(none), None, "{none}");
        }
    }

    #[test]
    fn a_beginning_is_enough() {
        let trace = TraceId::parse(TRACE).unwrap();
        let is = |text: &str| Sought::parse(text).unwrap().is_trace(trace);
        assert!(is("0af7651916") && is(TRACE) && !is("0af7651917") && !is(&TRACE.replace('0', "1")));
        assert!(is(SPAN), "a span alone may be in any trace");
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_odd(text in ".{0,120}") {
            let _ = Sought::parse(&text);
        }
    }
}
