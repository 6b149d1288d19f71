//! Recorded responses to answers on the wire: the recorded bytes, except stand-ins, values that are others today, and
//! Retry-After.

use crate::dialect::Dialect;
use crate::exchange::{
    BodyEnd, ExchangeId, Fault, FrameMark, HeaderList, RecordedResponse, ResponseHead, Source, encoding,
    eventstream,
};
use crate::holes::Rewrite;
use crate::proxy::{Answer, Canned, CannedEnd};
use crate::redact;
use crate::run::edit::FaultKind;
use crate::run::spelling::nearest;
use bytes::Bytes;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::time::Duration;

/// How fast recorded answers come.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Timing {
    /// At once; recorded back-off is not slept again.
    #[default]
    Fast,
    /// As recorded, waits and back-off included.
    Recorded,
    /// As recorded, but this many times faster.
    Times(f64),
}

impl Timing {
    /// Reads `recorded`, `fast` or `xN`.
    ///
    /// # Errors
    /// What is allowed, in words.
    pub fn parse(text: &str) -> Result<Timing, String> {
        match text {
            "fast" => Ok(Timing::Fast),
            "recorded" => Ok(Timing::Recorded),
            _ => match text.strip_prefix('x').map(str::parse::<f64>) {
                Some(Ok(n)) if n > 0.0 && n.is_finite() => Ok(Timing::Times(n)),
                _ => {
                    let meant = nearest(text, ["recorded", "fast"]);
                    let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
                    Err(format!(
                        "--timing {text}: it is recorded, fast, or xN (x10: ten times faster){meant}"
                    ))
                }
            },
        }
    }

    pub(super) fn wait(self, microseconds: u64) -> Duration {
        match self {
            Timing::Fast => Duration::ZERO,
            Timing::Recorded => Duration::from_micros(microseconds),
            Timing::Times(n) => Duration::from_micros((microseconds as f64 / n) as u64),
        }
    }
}

/// What serving changed in the recorded bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Stand-ins that became today's secret.
    pub revealed: u32,
    /// Stand-ins that were served as they are.
    pub stand_ins: u32,
    /// Places where a value of today stands for the recorded one.
    pub values: u32,
    /// A Retry-After that became 0.
    pub retry_after: bool,
}

/// The answer that a recorded exchange gave. `reveal` knows today's secrets by stand-in, `rewrite` the other values
/// of today.
pub fn recorded(
    run: &str,
    id: ExchangeId,
    response: Option<&RecordedResponse>,
    timing: Timing,
    reveal: &dyn Fn(&crate::exchange::StandIn) -> Option<String>,
    rewrite: &Rewrite,
) -> (Answer, Rewritten) {
    let source = Source::Recorded { run: run.to_string(), exchange: id };
    let mut rewritten = Rewritten::default();
    let Some(response) = response else {
        return (Answer::Close(source, Fault::Interrupted), rewritten);
    };
    let Some(head) = &response.head else {
        let fault = response.fault.clone().unwrap_or(Fault::Interrupted);
        return (Answer::Close(source, fault), rewritten);
    };
    let mut head = ResponseHead { status: head.status, headers: head.headers.end_to_end() };
    if timing != Timing::Recorded {
        rewritten.retry_after = zero_retry_after(&mut head.headers);
    }
    let (mut body, mut frames) = with_secrets(response, &mut rewritten, reveal);
    if let Some(told) = with_values(&head, &body, &frames, rewrite) {
        rewritten.values += told.places;
        head.headers.remove("content-encoding");
        (body, frames) = (told.body, told.frames);
    }
    if body.len() != response.body.len() && head.headers.get("content-length").is_some() {
        head.headers.set("content-length", body.len().to_string());
    }
    let mut at = 0_usize;
    let mut before_us = 0;
    let mut out = Vec::with_capacity(frames.len());
    for (index, FrameMark(length, when)) in frames.iter().enumerate() {
        let end = (at + *length as usize).min(body.len());
        let since = if index == 0 { *when } else { when.saturating_sub(before_us) };
        before_us = *when;
        out.push((timing.wait(since), body.slice(at..end)));
        at = end;
    }
    let end = match &response.end {
        BodyEnd::Complete => CannedEnd::Complete,
        BodyEnd::Trailers { fields } => CannedEnd::Trailers(fields.clone()),
        BodyEnd::Error { .. } | BodyEnd::Cancelled | BodyEnd::Interrupted => CannedEnd::Broken,
    };
    (Answer::Serve(Canned { source, head, frames: out, end }), rewritten)
}

/// `retry-after` and `retry-after-ms` become 0; true when there was one.
fn zero_retry_after(headers: &mut HeaderList) -> bool {
    let mut changed = false;
    for (name, value) in &mut headers.0 {
        let is_wait = name.eq_ignore_ascii_case("retry-after") || name.eq_ignore_ascii_case("retry-after-ms");
        if is_wait && value != "0" {
            *value = "0".into();
            changed = true;
        }
    }
    changed
}

/// The body with today's secrets in the place of stand-ins, and its frames.
fn with_secrets(
    response: &RecordedResponse,
    rewritten: &mut Rewritten,
    reveal: &dyn Fn(&crate::exchange::StandIn) -> Option<String>,
) -> (Bytes, Vec<FrameMark>) {
    let mut body = response.body.clone();
    let mut frames = response.frames.clone();
    let is_stream = response.head.as_ref().is_some_and(ResponseHead::is_stream);
    let of_messages = response.head.as_ref().is_some_and(ResponseHead::is_message_stream);
    let mut seen: HashSet<&str> = HashSet::new();
    for stand_in in &response.stand_ins {
        // One entry a place, and all places of a text are filled at once.
        if !seen.insert(&stand_in.text) {
            continue;
        }
        let places = response.stand_ins.iter().filter(|s| s.text == stand_in.text).count() as u32;
        let secret = reveal(stand_in);
        let told = secret.and_then(|secret| match of_messages {
            true => redact::reveal_in_messages(&body, &stand_in.text, &secret),
            false => redact::reveal(&body, is_stream, &stand_in.text, &secret),
        });
        let Some(told) = told else {
            rewritten.stand_ins += places;
            continue;
        };
        rewritten.revealed += places;
        if told.len() != body.len() {
            let last = frames.last().map_or(0, |f| f.1);
            frames = vec![FrameMark(told.len() as u32, last)];
        }
        body = Bytes::from(told);
    }
    (body, frames)
}

/// A body with today's values.
struct Told {
    body: Bytes,
    frames: Vec<FrameMark>,
    places: u32,
}

/// The body with today's values in the place of the recorded ones, not encoded; none when there is nothing to change.
fn with_values(head: &ResponseHead, body: &Bytes, frames: &[FrameMark], rewrite: &Rewrite) -> Option<Told> {
    if rewrite.is_empty() {
        return None;
    }
    let plain = encoding::decode(head.headers.get("content-encoding"), body).ok()?;
    let places = Cell::new(0u32);
    let edits = |text: &str| {
        let edits: Vec<_> =
            rewrite.edits(text).into_iter().map(|(at, live)| (at, live.to_string())).collect();
        places.set(places.get() + edits.len() as u32);
        edits
    };
    let (told, list) = match head.is_message_stream() {
        true => redact::replace_in_messages(&plain, &edits)?,
        false => redact::replace(&plain, head.is_stream(), &edits)?,
    };
    let last = frames.last().map_or(0, |f| f.1);
    let frames = match plain {
        Cow::Borrowed(_) => moved_frames(frames, &list),
        // Frames of an encoded body say nothing of the text in it.
        Cow::Owned(_) => vec![FrameMark(told.len() as u32, last)],
    };
    Some(Told { body: told.into(), frames, places: places.get() })
}

/// Frames of a body in which some parts are now longer or shorter.
fn moved_frames(frames: &[FrameMark], list: &[redact::Replaced]) -> Vec<FrameMark> {
    let now = |end: usize| {
        list.iter().take_while(|part| part.was.start < end).fold(end as i64, |at, part| {
            let covered = part.was.end.min(end) - part.was.start;
            let new = if part.was.end <= end { part.now } else { part.now.min(covered) };
            at + new as i64 - covered as i64
        })
    };
    let (mut end, mut before) = (0usize, 0i64);
    let mut out = Vec::with_capacity(frames.len());
    for FrameMark(length, when) in frames {
        end += *length as usize;
        let at = now(end);
        out.push(FrameMark((at - before).max(0) as u32, *when));
        before = at.max(before);
    }
    out
}

/// A plain answer of retake's own, with a JSON body.
pub fn own(status: u16, body: Bytes, source: Source) -> Canned {
    let headers = HeaderList(vec![
        ("content-type".into(), "application/json".into()),
        ("content-length".into(), body.len().to_string()),
        // No SDK is to try again what cannot succeed.
        ("x-should-retry".into(), "false".into()),
        ("x-retake".into(), "refused".into()),
    ]);
    let frames = vec![(Duration::ZERO, body)];
    Canned { source, head: ResponseHead { status, headers }, frames, end: CannedEnd::Complete }
}

/// An edited answer, in the dress of the recorded one.
pub fn edited(
    run: &str,
    exchange: ExchangeId,
    recorded: Option<&ResponseHead>,
    rendered: crate::dialect::RenderedAnswer,
) -> Answer {
    let mut headers = recorded.map(|h| h.headers.end_to_end()).unwrap_or_default();
    headers.remove("content-encoding");
    headers.remove("content-length");
    headers.set("content-type", rendered.content_type);
    let whole = rendered.body.len();
    let mut head = ResponseHead { status: 200, headers };
    if !head.is_stream() && !head.is_message_stream() {
        head.headers.push("content-length", whole.to_string());
    }
    let mut at = 0;
    let mut frames = Vec::new();
    for cut in rendered.cuts.iter().copied().chain([whole]) {
        let cut = cut.min(whole);
        if cut > at {
            frames.push((Duration::ZERO, rendered.body.slice(at..cut)));
            at = cut;
        }
    }
    let source = Source::Edited { run: run.to_string(), exchange };
    Answer::Serve(Canned { source, head, frames, end: CannedEnd::Complete })
}

/// A recorded answer that breaks off after so many frames.
fn cut(answer: Answer, run: &str, exchange: ExchangeId, events: u32) -> Answer {
    match answer {
        Answer::Serve(mut canned) => {
            canned.source = Source::Edited { run: run.to_string(), exchange };
            let whole: Vec<u8> = canned.frames.iter().flat_map(|(_, b)| b.iter().copied()).collect();
            let end = if canned.head.is_stream() {
                let gap: &[u8] = if canned.head.is_event_stream() { b"\n\n" } else { b"\n" };
                let ends = memchr::memmem::find_iter(&whole, gap).map(|i| i + gap.len());
                ends.take(events as usize).last().unwrap_or_default()
            } else if canned.head.is_message_stream() {
                let messages = eventstream::read(&whole).0;
                messages.iter().take(events as usize).next_back().map_or(0, |message| message.span.end)
            } else {
                (events as usize).saturating_mul(1024).min(whole.len() / 2)
            };
            canned.frames = vec![(Duration::ZERO, Bytes::from(whole[..end].to_vec()))];
            canned.end = CannedEnd::Broken;
            Answer::Serve(canned)
        }
        other => other,
    }
}

/// A fault that an edit asks for, in the place of a recorded answer.
pub fn injected(
    kind: FaultKind,
    recorded: Answer,
    source: Source,
    (run, id): (&str, ExchangeId),
    dialect: &dyn Dialect,
) -> Answer {
    match kind {
        FaultKind::Status(status) => {
            let body = dialect.render_error(status, "injected by retake");
            let mut canned = own(status, body, source);
            // An injected fault is to be handled as a real one would be: the agent may retry.
            canned.head.headers.remove("x-should-retry");
            canned.head.headers.push("retry-after", "0");
            Answer::Serve(canned)
        }
        FaultKind::Timeout => Answer::Close(source, Fault::Abandoned),
        FaultKind::Cut(events) => cut(recorded, run, id, events),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Replaced;

    #[test]
    fn frames_go_along_with_what_is_replaced() {
        let list =
            [Replaced { was: 2..6, now: 7 }, Replaced { was: 6..8, now: 0 }, Replaced { was: 9..10, now: 1 }];
        let lengths = |frames: &[u32]| -> Vec<u32> {
            let frames: Vec<FrameMark> = frames.iter().map(|l| FrameMark(*l, 5)).collect();
            moved_frames(&frames, &list).iter().map(|f| f.0).collect()
        };
        assert_eq!(lengths(&[12]), [13]);
        assert_eq!(lengths(&[2, 4, 2, 4]), [2, 7, 0, 4]);
        assert_eq!(lengths(&[4, 3, 5]), [4, 5, 4], "a frame that ends inside of it");
        assert_eq!(lengths(&[1; 12]).iter().sum::<u32>(), 13);
    }

    #[test]
    fn timing_is_read() {
        assert_eq!(Timing::parse("fast"), Ok(Timing::Fast));
        assert_eq!(Timing::parse("x10"), Ok(Timing::Times(10.0)));
        for bad in ["x0", "xinf", "x", "slow", "x-1"] {
            assert!(Timing::parse(bad).is_err(), "{bad}");
        }
    }
}
