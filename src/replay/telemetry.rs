//! Requests by which a program tells others how it fares: metrics, traces, logs, crash reports. They come at moments of
//! their own and nothing follows from their answers, so that a replay which has none recorded goes on.
//!
//! Known by their path, and by their content type or host where a path alone could be a tool's. What is not in this list
//! is a request like any other.

use crate::exchange::{HeaderList, RequestHead};

/// True for telemetry. `origin`: where it is sent, `https://host`.
pub fn is_telemetry(head: &RequestHead, origin: &str, body: &[u8]) -> bool {
    let path = head.path().trim_end_matches('/');
    head.method == "POST"
        && (is_otlp(path, &head.headers, body) || is_sentry(path) || is_of_a_service(path, origin))
}

/// OpenTelemetry's OTLP over HTTP: `/v1/metrics`, under any prefix, with a body that says so.
fn is_otlp(path: &str, headers: &HeaderList, body: &[u8]) -> bool {
    let signals =
        [("/v1/metrics", "resourceMetrics"), ("/v1/traces", "resourceSpans"), ("/v1/logs", "resourceLogs")];
    let Some((_, member)) = signals.iter().find(|(end, _)| path.ends_with(end)) else { return false };
    let kind = headers.get("content-type").unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-protobuf" => true,
        "application/json" => {
            let packed = headers.get("content-encoding").is_some_and(|coding| coding != "identity");
            packed || memchr::memmem::find(body, member.as_bytes()).is_some()
        }
        _ => false,
    }
}

/// Sentry: `/api/PROJECT/envelope/`, and what came before envelopes.
fn is_sentry(path: &str) -> bool {
    let project = path.split_once("/api/").and_then(|(_, rest)| rest.split_once('/'));
    project.is_some_and(|(project, what)| {
        !project.is_empty()
            && project.bytes().all(|b| b.is_ascii_digit())
            && matches!(what, "envelope" | "store")
    })
}

/// Services with hosts of their own.
fn is_of_a_service(path: &str, origin: &str) -> bool {
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    // Datadog has an MCP server too, at another of its hosts.
    let datadog = host.contains("datadoghq") && host.contains("-intake");
    let statsig = host.split('.').any(|label| label.starts_with("statsig"))
        && ["/v1/rgstr", "/v1/log_event", "/v1/sdk_exception"].iter().any(|end| path.ends_with(end));
    let of_a_model = match host {
        "api.openai.com" => path == "/v1/traces/ingest",
        "api.anthropic.com" => path.starts_with("/api/event_logging/") || path == "/api/claude_code/metrics",
        _ => false,
    };
    datadog || statsig || of_a_model
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tells(method: &str, url: &str, kind: &str, body: &str) -> bool {
        let host = "https://".len();
        let (origin, target) = url.split_at(url[host..].find('/').unwrap() + host);
        let headers = HeaderList(vec![("Content-Type".into(), kind.into())]);
        let head = RequestHead { method: method.into(), target: target.into(), headers };
        is_telemetry(&head, origin, body.as_bytes())
    }

    #[test]
    fn telemetry_is_told_from_tools_with_like_paths() {
        let (json, proto) = ("application/json; charset=utf-8", "application/x-protobuf");
        for (url, kind, body) in [
            ("https://ab.test/otlp/v1/metrics", json, r#"{"resourceMetrics":[]}"#),
            ("https://ab.test/v1/traces?x=1", proto, ""),
            ("https://ab.test/v1/logs", json, r#"{"resourceLogs":[]}"#),
            ("https://o1.test/api/42/envelope/", "application/x-sentry-envelope", "{}"),
            ("https://http-intake.logs.us5.datadoghq.test/api/v2/logs", json, "[]"),
            ("https://browser-intake-us5-datadoghq.com/api/v2/logs", json, "[]"),
            ("https://statsig.test:8443/v1/rgstr", json, "{}"),
            ("https://api.openai.com/v1/traces/ingest", json, "{}"),
            ("https://api.anthropic.com/api/event_logging/v2/batch", json, "{}"),
        ] {
            assert!(tells("POST", url, kind, body), "{url}");
            assert!(!tells("GET", url, kind, body), "{url}");
        }
        for (url, kind, body) in [
            ("https://shop.test/v1/logs", json, r#"{"of":"yesterday"}"#),
            ("https://shop.test/v1/logs", "text/plain", "resourceLogs"),
            ("https://shop.test/v1/metrics/widgets", proto, ""),
            ("https://shop.test/api/items/envelope", json, "{}"),
            ("https://shop.test/api//envelope", json, "{}"),
            ("https://shop.test/api/v2/logs", json, "[]"),
            ("https://api.datadoghq.com/mcp", json, "{}"),
            ("https://shop.test/v1/traces/ingest", json, "{}"),
            ("https://api.anthropic.com/api/claude_code/settings", json, "{}"),
            ("https://shop.test/v1/rgstr", json, "{}"),
            ("https://statsig.test/v1/initialize", json, "{}"),
        ] {
            assert!(!tells("POST", url, kind, body), "{url}");
        }
    }
}
