//! The span context that a request carries: W3C trace context, lane and agent headers, retry count.

use super::HeaderList;

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

const AGENT_ID: [&str; 2] = ["x-claude-code-agent-id", "x-agent-id"];
const PARENT_AGENT_ID: [&str; 3] =
    ["x-claude-code-parent-agent-id", "x-parent-agent-id", "x-codex-parent-thread-id"];

impl SpanContext {
    /// Reads the context out of request headers.
    pub fn from_headers(headers: &HeaderList) -> SpanContext {
        let first = |names: &[&str]| names.iter().find_map(|n| headers.get(n)).map(str::to_string);
        let (trace_id, span_id) = match headers.get("traceparent").and_then(parse_traceparent) {
            Some((trace, span)) => (Some(trace), Some(span)),
            None => (None, None),
        };
        SpanContext {
            trace_id,
            span_id,
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

/// How often Amazon's SDKs tried before: `attempt=2; max=3` is once.
fn amazon_retries(value: &str) -> Option<u32> {
    let attempt = value.split(';').find_map(|field| field.trim().strip_prefix("attempt="))?;
    Some(attempt.parse::<u32>().ok()?.saturating_sub(1))
}

/// Trace id and span id of a `traceparent` value (W3C Trace Context, section 3.2); none when it is malformed.
fn parse_traceparent(value: &str) -> Option<(String, String)> {
    let mut fields = value.trim().split('-');
    let (version, trace, span) = (fields.next()?, fields.next()?, fields.next()?);
    fields.next()?;
    let hex = |s: &str, n: usize| {
        s.len() == n && s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let set = |s: &str| s.bytes().any(|b| b != b'0');
    (hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && set(trace) && set(span))
        .then(|| (trace.to_string(), span.to_string()))
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

    #[test]
    fn traceparent_is_read_or_left() {
        let ok = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(
            parse_traceparent(ok),
            Some(("0af7651916cd43dd8448eb211c80319c".into(), "b7ad6b7169203331".into()))
        );
        for bad in ["", "00-0-0-01", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] {
            assert_eq!(parse_traceparent(bad), None, "{bad}");
        }
    }
}
