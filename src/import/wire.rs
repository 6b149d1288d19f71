//! Requests and answers as a file tells them, put together to exchanges: what of the wire the file does not keep is put
//! right or named.

use super::{Foreign, Lack, Unreadable, Use};
use crate::dialect::websocket::Protocol;
use crate::dialect::{self, Endpoint};
use crate::exchange::messages::Message;
use crate::exchange::{
    BodyEnd, Exchange, ExchangeId, Fault, FrameMark, HeaderList, RecordedRequest, RecordedResponse,
    RequestHead, ResponseHead, Source, Upstream, encoding,
};
use bytes::Bytes;
use std::collections::BTreeMap;

/// A request and its answer, as they stand in a file.
pub(super) struct Told {
    pub method: String,
    /// All of it: `https://api.openai.com/v1/responses?x=1`.
    pub url: String,
    pub headers: HeaderList,
    pub body: Bytes,
    /// Microseconds since the Unix epoch.
    pub started_us: Option<u64>,
    pub answer: Option<ToldAnswer>,
}

/// An answer, as it stands in a file.
pub(super) struct ToldAnswer {
    /// None: there was no answer, for this reason.
    pub status: Result<u16, Fault>,
    pub headers: HeaderList,
    pub body: Bytes,
    /// Microseconds since the exchange started: head and end; none when they are not told, and an end of 0 is then
    /// what is written.
    pub times: Option<(u64, u64)>,
    /// The pieces that it came in; none: to be cut by its content type.
    pub frames: Option<Vec<FrameMark>>,
    pub end: BodyEnd,
}

/// A run in the making.
pub(super) struct Making {
    /// What the file calls what it holds: `interaction`.
    unit: &'static str,
    exchanges: Vec<Exchange>,
    /// When each request was made, where the file says it.
    started: Vec<Option<u64>>,
    lacks: Vec<(String, Vec<Use>, Vec<usize>)>,
}

/// Nothing but to look at.
pub(super) const NOT_SOUND: [Use; 3] = [Use::Diff, Use::Replay, Use::Fork];
/// Neither replay nor fork.
pub(super) const NOT_PLAYED: [Use; 2] = [Use::Replay, Use::Fork];

impl Making {
    pub(super) fn of(unit: &'static str) -> Making {
        Making { unit, exchanges: Vec::new(), started: Vec::new(), lacks: Vec::new() }
    }

    /// Notes that something is missing of the thing with this number, from 1; 0: of the run.
    pub(super) fn lacks(&mut self, what: &str, spoils: &[Use], number: usize) {
        match self.lacks.iter_mut().find(|(known, spoilt, _)| known == what && spoilt == spoils) {
            Some((_, _, numbers)) if numbers.last() == Some(&number) => {}
            Some((_, _, numbers)) => numbers.push(number),
            None => self.lacks.push((what.into(), spoils.to_vec(), vec![number])),
        }
    }

    /// Adds an exchange. `number`: that of the thing in the file, from 1.
    ///
    /// # Errors
    /// When it went nowhere that has an address.
    pub(super) fn add(&mut self, number: usize, told: Told) -> Result<(), Unreadable> {
        let unit = self.unit;
        let (upstream, target) = way(&told.url).ok_or_else(|| {
            Unreadable::new(format!("{unit} {number}: its URL is no http://HOST or https://HOST"))
        })?;
        let id = ExchangeId(self.exchanges.len() as u32 + 1);
        let mut head = RequestHead { method: told.method, target, headers: told.headers };
        fit(&mut head.headers, &told.body);
        self.check_request(number, &head, &told.body);
        let answer = match told.answer {
            Some(answer) => Some(self.answer(number, &head, answer)),
            None => {
                self.lacks("response", &NOT_PLAYED, number);
                None
            }
        };
        self.started.push(told.started_us.or_else(|| answer.as_ref().and_then(date)));
        self.exchanges.push(Exchange {
            request: RecordedRequest {
                id,
                started_us: 0,
                upstream,
                head,
                body: told.body,
                end: BodyEnd::Complete,
                sent: None,
                sent_target: None,
                stand_ins: Vec::new(),
            },
            response: answer,
        });
        Ok(())
    }

    /// A model call whose request cannot be read can be neither matched nor compared.
    fn check_request(&mut self, number: usize, head: &RequestHead, body: &[u8]) {
        let Some((dialect, Endpoint::Model)) = dialect::recognise(head) else { return };
        let line = || Message::of_line(Bytes::copy_from_slice(body));
        if head.is_websocket() && (body.is_empty() || !Protocol::of(head).asks(&line())) {
            return;
        }
        let decoded = encoding::decode_what_is_there(head.headers.get("content-encoding"), body).bytes;
        if let Err(why) = dialect.read_request(&head.target, &decoded) {
            let what =
                if body.is_empty() { "request body".into() } else { format!("request body ({})", why.what) };
            self.lacks(&what, &NOT_SOUND, number);
        }
    }

    fn answer(&mut self, number: usize, asked: &RequestHead, told: ToldAnswer) -> RecordedResponse {
        let mut headers = told.headers;
        fit(&mut headers, &told.body);
        let (head, fault) = match told.status {
            Ok(status) => (Some(ResponseHead { status, headers }), None),
            Err(fault) => (None, Some(fault)),
        };
        let is_cut = told.frames.is_some();
        let lengths = head.as_ref().filter(|_| !is_cut).map_or(Vec::new(), |head| cut(head, &told.body));
        let is_call = matches!(dialect::recognise(asked), Some((_, Endpoint::Model)));
        if let Some(head) = &head {
            let may_be_empty = matches!(head.status, 101 | 204 | 304) || asked.method == "HEAD";
            if told.body.is_empty() && is_call && !may_be_empty {
                self.lacks("response body", &NOT_SOUND, number);
            }
            if lengths.len() > 1 {
                self.lacks("the times of a stream's events", &[], 0);
            }
        }
        let is_nothing = head.as_ref().is_some_and(|head| head.is_websocket()) && told.body.is_empty();
        if told.times.is_none() && !is_nothing {
            self.lacks("how long answers took", &[], 0);
        }
        let (head_us, end_us) = told.times.unwrap_or_default();
        let frames = told
            .frames
            .unwrap_or_else(|| lengths.into_iter().map(|len| FrameMark(len as u32, end_us)).collect());
        RecordedResponse {
            source: Source::Live,
            head,
            fault,
            head_us,
            frames,
            body: told.body,
            end: told.end,
            end_us,
            stand_ins: Vec::new(),
        }
    }

    /// The run. Where the file does not say when a request was made, it was made after the one before it.
    pub(super) fn finish(mut self, name: &str) -> Foreign {
        let began = self.started.iter().flatten().min().copied();
        let mut last = began.unwrap_or_default();
        for (exchange, started) in self.exchanges.iter_mut().zip(&self.started) {
            last = started.unwrap_or(last.saturating_add(1));
            exchange.request.started_us = last;
        }
        if began.is_none() && !self.exchanges.is_empty() {
            self.lacks("when it was recorded", &[], 0);
        }
        let unit = self.unit;
        let lack = |(what, spoils, numbers): (String, Vec<Use>, Vec<usize>)| Lack {
            what: of(&what, unit, &numbers),
            spoils,
        };
        Foreign {
            name: name.to_string(),
            started_us: began,
            lacks: self.lacks.into_iter().map(lack).collect(),
            exchanges: self.exchanges,
            exports: Vec::new(),
            labels: BTreeMap::new(),
            succeeded: None,
        }
    }
}

/// Puts exchanges in the order of their requests. One whose time is not told stays behind the one that it stands behind.
pub(super) fn in_order(told: Vec<(usize, Told)>) -> Vec<(usize, Told)> {
    let mut last = None;
    let told = told.into_iter().map(|(number, told)| {
        last = told.started_us.or(last);
        (last, number, told)
    });
    let mut told: Vec<(Option<u64>, usize, Told)> = told.collect();
    told.sort_by_key(|(at, ..)| *at);
    told.into_iter().map(|(_, number, told)| (number, told)).collect()
}

/// `response body of interactions 1, 2 and 7`; of many the first ones.
fn of(what: &str, unit: &str, numbers: &[usize]) -> String {
    const SHOWN: usize = 5;
    match numbers {
        [] | [0, ..] => what.to_string(),
        [one] => format!("{what} of {unit} {one}"),
        many => {
            let shown: Vec<String> = many.iter().take(SHOWN).map(usize::to_string).collect();
            let more = many.len().saturating_sub(SHOWN);
            match (shown.split_last(), more) {
                (Some((last, first)), 0) => format!("{what} of {unit}s {} and {last}", first.join(", ")),
                _ => format!("{what} of {unit}s {} and {more} more", shown.join(", ")),
            }
        }
    }
}

/// Where a URL leads, by its host, and path and query there. A user in it was never on the wire as such.
pub(super) fn way(url: &str) -> Option<(Upstream, String)> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let port = match scheme.as_str() {
        "http" | "ws" => ":80",
        "https" | "wss" => ":443",
        _ => return None,
    };
    let scheme = scheme.replace("ws", "http");
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let host = host.strip_suffix(port).unwrap_or(&host);
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(is_host) {
        return None;
    }
    let target = target.split('#').next().unwrap_or_default();
    let target = if target.starts_with('/') { target.to_string() } else { format!("/{target}") };
    Some((Upstream { provider: host.to_string(), origin: format!("{scheme}://{host}") }, target))
}

/// Values are one character a byte; those that hold more are in UTF-8 on the wire.
pub(super) fn in_latin1(value: &str) -> String {
    match value.chars().all(|c| u32::from(c) < 256) {
        true => value.to_string(),
        false => crate::exchange::headers::latin1(value.as_bytes()),
    }
}

/// Headers that say how long the body is, and how it is encoded, are made to fit the body that the file holds: many
/// files hold it decoded.
fn fit(headers: &mut HeaderList, body: &[u8]) {
    if let Some(coding) = headers.get("content-encoding")
        && (std::str::from_utf8(body).is_ok() || encoding::decode(Some(coding), body).is_err())
    {
        headers.remove("content-encoding");
    }
    // A length beside an empty body is what a HEAD or a 304 says of another.
    if headers.get("content-length").is_some() && !body.is_empty() {
        headers.set("content-length", body.len().to_string());
    }
}

/// The lengths of the pieces of a stream: events, lines, messages. Nothing of an empty body.
fn cut(head: &ResponseHead, body: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let end = if head.is_message_stream() {
            let prefix = rest.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize);
            prefix.filter(|length| *length >= 16)
        } else if head.is_event_stream() {
            event_end(rest)
        } else if head.is_json_lines() {
            memchr::memchr(b'\n', rest).map(|at| at + 1)
        } else {
            None
        };
        let (piece, behind) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, b""));
        lengths.push(piece.len());
        rest = behind;
    }
    lengths
}

/// Where the first event of a stream ends, its empty line included.
fn event_end(stream: &[u8]) -> Option<usize> {
    let find = |end: &[u8]| memchr::memmem::find(stream, end).map(|at| at + end.len());
    let (unix, network) = (find(b"\n\n"), find(b"\r\n\r\n"));
    match (unix, network) {
        (Some(unix), Some(network)) => Some(unix.min(network)),
        (unix, network) => unix.or(network),
    }
}

/// When an answer was made, by its own header.
fn date(answer: &RecordedResponse) -> Option<u64> {
    let date = answer.head.as_ref()?.headers.get("date")?;
    let at = jiff::fmt::rfc2822::parse(date).ok()?;
    u64::try_from(at.timestamp().as_microsecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_to_a_host() {
        for (url, wanted) in [
            (
                "https://api.openai.com/v1/x?a=b#c",
                Some(("api.openai.com", "https://api.openai.com", "/v1/x?a=b")),
            ),
            ("HTTPS://API.openai.com:443", Some(("api.openai.com", "https://api.openai.com", "/"))),
            ("http://u:p@h:8080?x", Some(("h:8080", "http://h:8080", "/?x"))),
            ("wss://h/v1/realtime", Some(("h", "https://h", "/v1/realtime"))),
            ("ftp://h/x", None),
            ("https:///x", None),
            ("https://a b/x", None),
            ("/v1/x", None),
        ] {
            let wanted =
                wanted.map(|(p, o, t)| (Upstream { provider: p.into(), origin: o.into() }, t.to_string()));
            assert_eq!(way(url), wanted, "{url}");
        }
    }

    #[test]
    fn streams_are_cut_where_their_events_end() {
        let cut = |kind: &str, body: &[u8]| {
            let headers = HeaderList(vec![("Content-Type".into(), kind.into())]);
            cut(&ResponseHead { status: 200, headers }, body)
        };
        assert_eq!(cut("text/event-stream; charset=utf-8", b"data: a\n\ndata: b\r\n\r\ndata"), [9, 11, 4]);
        assert_eq!(cut("application/x-ndjson", b"{}\n{}\n"), [3, 3]);
        assert_eq!(cut("application/json", b"{}\n\n{}"), [6]);
        let messages = [&20u32.to_be_bytes()[..], &[7; 16], &3u32.to_be_bytes(), b"end"].concat();
        assert_eq!(cut("application/vnd.amazon.eventstream", &messages), [20, 7]);
        assert_eq!(cut("text/event-stream", b""), [0usize; 0]);
    }

    #[test]
    fn headers_fit_the_body() {
        let mut headers = HeaderList(vec![
            ("Content-Length".into(), "7".into()),
            ("Content-Encoding".into(), "gzip".into()),
        ]);
        fit(&mut headers, b"{\"a\":\"decoded\"}");
        assert_eq!((headers.get("content-length"), headers.get("content-encoding")), (Some("15"), None));
    }

    #[test]
    fn many_numbers_are_told_shortly() {
        assert_eq!(of("x", "flow", &[3]), "x of flow 3");
        assert_eq!(of("x", "flow", &[1, 2, 7]), "x of flows 1, 2 and 7");
        assert_eq!(of("x", "flow", &[1, 2, 3, 4, 5, 6, 7]), "x of flows 1, 2, 3, 4, 5 and 2 more");
    }
}
