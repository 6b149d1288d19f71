//! What spans and log records tell of a step: a part of what `retake show RUN STEP` prints.

use super::structure::of_kind;
use super::style::{Ink, Style};
use super::words::{self, clip, line};
use crate::diff::tree::Tree;
use crate::run::tree::about::{About, How, OfStep};
use crate::run::tree::places::Path;
use crate::span::join::Part;
use crate::span::{Attributes, Event, Log, Span, SpanKey, Status};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Spans, events or log records that are shown unless all are asked for.
const LINES: usize = 20;

/// Names of attributes are aligned up to this width.
const NAME: usize = 32;

/// Spans of a step with their events, and log records in them. `path`: what stands above it. `full`: with all attributes,
/// and nothing cut. Spans that were asked for themselves have their attributes in any case, cut.
pub fn about(about: &About, path: Option<&Path>, full: bool, style: Style) -> String {
    let detail = full || about.spans.iter().any(|of| of.how == How::Asked);
    let mut page = Page { full, detail, style, out: String::new(), label: "" };
    let levels = path.iter().flat_map(|path| &path.levels);
    let names: Vec<String> = levels.map(|level| of_kind(level, full)).collect();
    if !names.is_empty() {
        page.label = "under";
        page.text(&names.join(" › "));
    }
    let start = about.spans.first().map(|of| of.span.start_ns);
    let start = start.or_else(|| about.logs.first().map(|log| log.time_ns)).unwrap_or_default();
    page.label = "spans";
    for of in about.spans.iter().take(page.most()) {
        page.span(of, start);
    }
    page.rest(about.spans.len());
    page.label = "logs";
    for log in about.logs.iter().take(page.most()) {
        page.log(log, start);
    }
    page.rest(about.logs.len());
    page.out
}

struct Page {
    full: bool,
    /// With attributes.
    detail: bool,
    style: Style,
    out: String,
    /// What the next line is called.
    label: &'static str,
}

impl Page {
    fn most(&self) -> usize {
        if self.full { usize::MAX } else { LINES }
    }

    fn text(&mut self, text: &str) {
        let label = words::pad(std::mem::take(&mut self.label), 10);
        let room = if self.full { usize::MAX } else { self.style.columns().saturating_sub(11) };
        self.out.push_str(format!("{} {}", self.style.paint(Ink::Dim, &label), clip(text, room)).trim_end());
        self.out.push('\n');
    }

    fn rest(&mut self, count: usize) {
        if let Some(more) = count.checked_sub(self.most()).filter(|more| *more > 0) {
            self.text(&format!("… {} more (--full shows them)", words::count(more as u64)));
        }
    }

    fn span(&mut self, of: &OfStep, start: u64) {
        let span = of.span;
        let indent = "  ".repeat(of.depth.min(10));
        let took = words::duration(span.end_ns.saturating_sub(span.start_ns) / 1000);
        let origin = line(&span.origin.scope);
        let facts = [line(&span.name), by(of.how), took, origin];
        let mut facts: Vec<String> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
        if let Status::Error(message) = &span.status {
            let told = if message.is_empty() { String::new() } else { format!(": {}", line(message)) };
            facts.push(format!("failed{told}"));
        }
        self.text(&format!("{indent}{}", facts.join("   ")));
        if self.detail {
            self.text(&format!("{indent}    {}", ids(span.key)));
            self.attributes(&span.attributes, &indent);
        }
        let events = span.events.iter().take(self.most());
        for event in events {
            let message = event.attributes.first_text(&["exception.message", "message", "event.name"]);
            let message = message.map(|text| format!(": {}", line(text))).unwrap_or_default();
            self.text(&format!(
                "{indent}  {} event {}{message}",
                offset(event.time_ns, start),
                line(&event.name)
            ));
            if self.detail {
                self.attributes(&event.attributes, &format!("{indent}  "));
            }
        }
        self.rest(span.events.len());
    }

    fn log(&mut self, log: &Log, start: u64) {
        let says = [line(&log.event), said(&log.body)];
        let says: Vec<String> = says.into_iter().filter(|part| !part.is_empty()).collect();
        let severity = words::pad(&line(&log.severity), 5);
        self.text(&format!("{} {severity} {}", offset(log.time_ns, start), says.join("  ")));
        if self.detail {
            self.attributes(&log.attributes, "");
        }
    }

    fn attributes(&mut self, attributes: &Attributes, indent: &str) {
        let names: Vec<String> = attributes.0.iter().map(|(name, _)| line(name)).collect();
        let width = names.iter().map(|name| words::width(name)).max().unwrap_or_default().min(NAME);
        for (name, (_, value)) in names.iter().zip(&attributes.0).take(self.most()) {
            self.text(&format!("{indent}    {}  {}", words::pad(name, width), said(value)));
        }
        self.rest(names.len());
    }
}

/// How a span was found, in a few words.
fn by(how: How) -> String {
    match how {
        How::Joined(part, method) => {
            let part = match part {
                Part::Http => "request, ",
                Part::Mcp => "message, ",
                Part::Caller => "caller, ",
                Part::Model | Part::Tool | Part::Ancestor => "",
            };
            format!("{part}by {}", method.name())
        }
        How::CallId => "by call id".into(),
        How::NameAndTime => "by name and time".into(),
        How::Below | How::Asked => String::new(),
    }
}

fn said(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => line(text),
        other => line(&Tree::from(other).to_string()),
    }
}

/// `+   5 ms`: since the first span began.
fn offset(time_ns: u64, start_ns: u64) -> String {
    let (sign, ns) = match time_ns.checked_sub(start_ns) {
        Some(ns) => ('+', ns),
        None => ('-', start_ns - time_ns),
    };
    format!("{sign}{:>6}", words::duration(ns / 1000))
}

fn ids(key: SpanKey) -> String {
    format!("trace {} span {}", key.trace, key.span)
}

/// Puts attributes, and those of events, at the spans of a tree.
pub fn complete(tree: &mut Value, spans: &HashMap<String, &Span>) {
    let id = |tree: &Value| {
        Some(format!("{}{}", tree["span"]["trace_id"].as_str()?, tree["span"]["span_id"].as_str()?))
    };
    if let Some(span) = id(tree).and_then(|id| spans.get(&id)) {
        tree["attributes"] = fields(&span.attributes);
        tree["events"] = span.events.iter().map(event_data).collect();
    }
    let children = tree.get_mut("children").and_then(Value::as_array_mut);
    children.into_iter().flatten().for_each(|child| complete(child, spans));
}

fn event_data(event: &Event) -> Value {
    json!({ "time_us": event.time_ns / 1000, "name": event.name, "attributes": fields(&event.attributes) })
}

/// The same as data: `(spans, logs)`.
pub fn data(about: &About) -> (Value, Value) {
    (about.spans.iter().map(span_data).collect(), about.logs.iter().map(|log| log_data(log)).collect())
}

fn span_data(of: &OfStep) -> Value {
    let span = of.span;
    let (how, confidence) = match of.how {
        How::Joined(_, method) => (method.name(), Some(method.confidence())),
        How::CallId => ("call id", None),
        How::NameAndTime => ("name and time", None),
        How::Below => ("below", None),
        How::Asked => ("id", None),
    };
    let (status, message) = match &span.status {
        Status::Unset => ("unset", None),
        Status::Ok => ("ok", None),
        Status::Error(message) => ("error", Some(message)),
    };
    json!({
        "span": span.key, "parent": span.parent.map(|parent| parent.to_string()), "name": span.name, "kind": span.side,
        "found_by": how, "confidence": confidence, "depth": of.depth, "start_us": span.start_ns / 1000,
        "end_us": span.end_ns / 1000, "status": status, "message": message, "links": span.links,
        "instrumentation": { "name": &*span.origin.scope, "version": span.origin.version },
        "resource": fields(&span.origin.resource), "attributes": fields(&span.attributes),
        "events": span.events.iter().map(event_data).collect::<Vec<_>>(),
    })
}

fn log_data(log: &Log) -> Value {
    json!({
        "time_us": log.time_ns / 1000, "trace_id": log.trace.map(|id| id.to_string()),
        "span_id": log.span.map(|id| id.to_string()), "severity": log.severity, "event": log.event, "body": log.body,
        "attributes": fields(&log.attributes), "instrumentation": { "name": &*log.origin.scope },
    })
}

fn fields(attributes: &Attributes) -> Value {
    Value::Object(attributes.0.iter().cloned().collect())
}

/// Where the spans of a run are seen that has no step.
pub fn elsewhere(run: &str, count: usize) -> String {
    format!("{} of it: retake show {run} --tree\n", words::many(count as u64, "span"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::json::traces;
    use crate::span::spans;

    #[test]
    fn a_span_that_was_asked_for_has_its_attributes_cut() {
        let attribute =
            |n: usize| json!({"key": format!("k{n}"), "value": {"stringValue": "long ".repeat(2000)}});
        let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "0af7651916cd43dd8448eb211c80319c",
            "spanId": "00f067aa0ba902b7", "name": "validate", "startTimeUnixNano": 1, "endTimeUnixNano": 2,
            "attributes": (0..30).map(attribute).collect::<Vec<_>>()}]}]}]});
        let spans = spans(&traces(body.to_string().as_bytes()).unwrap());
        let asked = About::spans(&|_| true, &spans, &[]);
        let cut = about(&asked, None, false, Style::plain(80));
        assert!(cut.lines().all(|line| words::width(line) <= 80), "{cut}");
        assert!(
            cut.contains("k19  long") && !cut.contains("k20") && cut.contains("… 10 more (--full"),
            "{cut}"
        );
        let whole = about(&asked, None, true, Style::plain(80));
        assert!(whole.contains("k29") && whole.len() > 30 * 9_000 && !whole.contains('…'));
    }
}
