//! The span context that a request carries: W3C trace context and baggage, lane and agent headers, retry count.

use super::HeaderList;
use super::headers::latin1_bytes;
use percent_encoding::percent_decode;

/// What the headers of a request say about who sent it. All hints: none is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanContext {
    /// W3C trace id, 32 lower-case hex digits.
    pub trace_id: Option<String>,
    /// W3C span id of the caller, 16 lower-case hex digits.
    pub span_id: Option<String>,
    /// The user's own name for the lane (`x-retake-lane`).
    pub lane: Option<String>,
    /// Agent id: new in every run, so it glues requests of one run and is never a key between runs.
    pub agent_id: Option<String>,
    /// Agent id of the parent agent.
    pub parent_agent_id: Option<String>,
    /// How often this request was tried before; above 0 it is a retry.
    pub retry_count: u32,
}

/// A valid `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent<'a> {
    /// 32 lower-case hex digits, not all zero.
    pub trace: &'a str,
    /// 16 lower-case hex digits, not all zero.
    pub span: &'a str,
    /// A bit field.
    pub flags: u8,
}

const AGENT_ID: [&str; 2] = ["x-claude-code-agent-id", "x-agent-id"];
const PARENT_AGENT_ID: [&str; 3] =
    ["x-claude-code-parent-agent-id", "x-parent-agent-id", "x-codex-parent-thread-id"];

impl SpanContext {
    /// Reads the context out of request headers. Of several `traceparent` headers it is the first valid one.
    pub fn from_headers(headers: &HeaderList) -> SpanContext {
        let first = |names: &[&str]| names.iter().find_map(|n| headers.get(n)).map(str::to_string);
        let parent = traceparents(headers).next();
        SpanContext {
            trace_id: parent.map(|p| p.trace.to_string()),
            span_id: parent.map(|p| p.span.to_string()),
            lane: first(&["x-retake-lane"]),
            agent_id: first(&AGENT_ID),
            parent_agent_id: first(&PARENT_AGENT_ID),
            retry_count: headers
                .get("x-stainless-retry-count")
                .and_then(|v| v.trim().parse().ok())
                .or_else(|| headers.get("amz-sdk-request").and_then(amazon_retries))
                .unwrap_or_default(),
        }
    }
}

impl TraceParent<'_> {
    /// True when the caller records the trace. Nothing here depends on it.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

/// How often Amazon's SDKs tried before: `attempt=2; max=3` is once.
fn amazon_retries(value: &str) -> Option<u32> {
    let attempt = value.split(';').find_map(|field| field.trim().strip_prefix("attempt="))?;
    Some(attempt.parse::<u32>().ok()?.saturating_sub(1))
}

/// Every valid `traceparent` header, in wire order: an SDK and the HTTP client below it may each have put one.
pub fn traceparents(headers: &HeaderList) -> impl Iterator<Item = TraceParent<'_>> {
    headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("traceparent"))
        .filter_map(|(_, value)| parse_traceparent(value))
}

/// Reads a `traceparent` value (W3C Trace Context, section 3.2): lower-case hex, ids not zero. Version 00 ends behind
/// the flags; a later one may go on with a dash, and `ff` is none.
pub fn parse_traceparent(value: &str) -> Option<TraceParent<'_>> {
    let value = value.trim_matches([' ', '\t']);
    let hex = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let set = |s: &str| s.bytes().any(|b| b != b'0');
    let (version, trace, span, flags) =
        (value.get(..2)?, value.get(3..35)?, value.get(36..52)?, value.get(53..55)?);
    let rest = value.get(55..)?;
    let dashes = [2, 35, 52].iter().all(|&at| value.as_bytes().get(at) == Some(&b'-'));
    let ends_well = rest.is_empty() || (version != "00" && rest.starts_with('-'));
    let valid = dashes
        && ends_well
        && version != "ff"
        && [version, trace, span, flags].into_iter().all(hex)
        && set(trace)
        && set(span);
    valid.then_some(TraceParent { trace, span, flags: u8::from_str_radix(flags, 16).ok()? })
}

/// The members of every `baggage` header, in order; see [`parse_baggage`].
pub fn baggage(headers: &HeaderList) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("baggage"))
        .flat_map(|(_, value)| parse_baggage(value))
        .collect()
}

/// Reads a `baggage` value (W3C Baggage, section 3): keys and decoded values, in order, a key may come twice. Properties
/// are left out, and members without a key or a value; what is no UTF-8 becomes U+FFFD.
pub fn parse_baggage(value: &str) -> Vec<(String, String)> {
    value
        .split(',')
        .filter_map(|member| {
            let (key, value) = member.split(';').next()?.split_once('=')?;
            let key = key.trim_matches([' ', '\t']);
            let bytes = latin1_bytes(value.trim_matches([' ', '\t']));
            let decoded = percent_decode(&bytes).decode_utf8_lossy().into_owned();
            (!key.is_empty()).then(|| (key.to_string(), decoded))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazons_attempts_are_counted_from_one() {
        let retries = |value: &str| {
            let headers = HeaderList(vec![("amz-sdk-request".into(), value.into())]);
            SpanContext::from_headers(&headers).retry_count
        };
        assert_eq!(
            ["attempt=1", "attempt=3; max=5", "max=5", "attempt=x", "attempt=0"].map(retries),
            [0, 2, 0, 0, 0]
        );
    }

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn traceparent_is_read_as_w3c_says() {
        let good = |value: &str, flags: u8| {
            let read = parse_traceparent(value);
            assert_eq!(read, Some(TraceParent { trace: TRACE, span: SPAN, flags }), "{value}");
        };
        for flags in [0, 1, 2, 3, 0xff] {
            good(&format!("00-{TRACE}-{SPAN}-{flags:02x}"), flags);
        }
        good(&format!(" \t00-{TRACE}-{SPAN}-01 "), 1);
        good(&format!("01-{TRACE}-{SPAN}-01"), 1);
        good(&format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"), 1);
        good(&format!("cc-{TRACE}-{SPAN}-01-"), 1);
        for bad in [
            String::new(),
            "00-0-0-01".into(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-extra"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-011"),
            format!("cc-{TRACE}-{SPAN}-01.what"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-0G"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("0X-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{TRACE}-{SPAN}-ü1"),
            "é".repeat(40),
        ] {
            assert_eq!(parse_traceparent(&bad), None, "{bad}");
        }
        assert!(parse_traceparent(&format!("00-{TRACE}-{SPAN}-03")).unwrap().is_sampled());
        assert!(!parse_traceparent(&format!("00-{TRACE}-{SPAN}-02")).unwrap().is_sampled());
    }

    #[test]
    fn several_traceparents_are_kept_in_order_and_a_bad_tracestate_spoils_none() {
        let second = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
        let headers = HeaderList(vec![
            ("traceparent".into(), "00-nonsense".into()),
            ("TraceParent".into(), format!("00-{TRACE}-{SPAN}-00")),
            ("tracestate".into(), String::new()),
            ("tracestate".into(), "=,=".into()),
            ("traceparent".into(), second.into()),
        ]);
        let spans: Vec<&str> = traceparents(&headers).map(|p| p.span).collect();
        assert_eq!(spans, [SPAN, "00f067aa0ba902b7"]);
        let context = SpanContext::from_headers(&headers);
        assert_eq!((context.trace_id.as_deref(), context.span_id.as_deref()), (Some(TRACE), Some(SPAN)));
    }

    #[test]
    fn baggage_is_decoded() {
        let headers = HeaderList(vec![
            ("baggage".into(), "a=1;prop=x;flag , b = two%20words%2C%20too ,a=3".into()),
            ("Baggage".into(), "url=x=y=z,,none,=5,bad=%ff%zz,uml=%C3%BC,end=".into()),
        ]);
        let pairs = baggage(&headers);
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("a", "1"),
                ("b", "two words, too"),
                ("a", "3"),
                ("url", "x=y=z"),
                ("bad", "\u{fffd}%zz"),
                ("uml", "ü"),
                ("end", "")
            ]
        );
    }
}
