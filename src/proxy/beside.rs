//! What clients of observability vendors ask beside exports: batches in Langfuse's own form, feedback in LangSmith's, and
//! probes of what a server can do. They pass through, and are no part of the run: nothing follows from their answers.

use super::answer::{self, Going, serve};
use super::listen::Shared;
use super::no_export::NoExport;
use super::route::Way;
use super::sent::SentBody;
use super::tee::{AnswerBody, BrokenOff};
use super::telemetry::is_implied;
use super::{Canned, CannedEnd};
use crate::exchange::{HeaderList, ResponseHead, Source};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use std::time::Duration;

/// A request that is no part of the run.
pub(super) struct Beside {
    way: Way,
    /// What is answered when nobody may be asked.
    else_status: u16,
}

impl Beside {
    /// Looks whether a request is one.
    pub(super) fn of<B>(way: &Way, request: &Request<B>) -> Option<Beside> {
        let vendor = vendor(way)?;
        let path = path_of(way, vendor);
        let else_status = match (request.method(), vendor, path) {
            (&Method::POST, "langsmith", "/runs" | "/runs/batch" | "/runs/multipart") => 202,
            (&Method::PATCH, "langsmith", path) if path.starts_with("/runs/") => 202,
            (&Method::POST, "langfuse", "/api/public/ingestion") => 207,
            // Whatever comes by a way for exporters: what is no export either is in a form that is not known.
            (&Method::POST, "exporter", _) => 415,
            (_, "exporter", _) | (&Method::GET, _, "/info" | "/v1/info") => 404,
            _ => return None,
        };
        Some(Beside { way: way.clone(), else_status })
    }
}

/// True for a way that leads exporters to their collector.
pub(super) fn is_exporter(way: &Way) -> bool {
    vendor(way) == Some("exporter")
}

/// The path of a request of a client of LangSmith, without what its API may have in front.
pub(super) fn langsmith_path(way: &Way) -> Option<&str> {
    (vendor(way)? == "langsmith").then(|| path_of(way, "langsmith"))
}

fn path_of<'a>(way: &'a Way, vendor: &str) -> &'a str {
    let path = way.target.split('?').next().unwrap_or_default().trim_end_matches('/');
    path.strip_prefix("/api/v1").filter(|_| vendor == "langsmith").unwrap_or(path)
}

/// Whose client it is, by the way or by the host.
fn vendor(way: &Way) -> Option<&'static str> {
    let host = way.upstream.origin.split_once("://").map_or("", |(_, host)| host);
    let within =
        |domain: &str| host.strip_suffix(domain).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'));
    match way.upstream.provider.as_str() {
        "langsmith" => Some("langsmith"),
        "langfuse" => Some("langfuse"),
        "otlp" | "otlp-traces" | "otlp-logs" | "otlp-metrics" => Some("exporter"),
        "traceloop" | "phoenix" | "logfire" => Some("other"),
        _ if within("smith.langchain.com") => Some("langsmith"),
        _ if within("cloud.langfuse.com") => Some("langfuse"),
        _ if host.starts_with("logfire-") && within("pydantic.dev") => Some("other"),
        _ => None,
    }
}

/// Passes it on, as it comes; where nobody may be asked, says so in words that its clients know.
pub(super) async fn pass(
    shared: &Shared,
    going: impl Fn() -> Going,
    Beside { way, else_status }: Beside,
    no_export: Option<NoExport>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, BrokenOff> {
    if shared.client.is_some() {
        let (parts, body) = request.into_parts();
        let sending = going();
        let body = SentBody::tee(body, sending.ledger.clone());
        let passed = answer::pass_unseen(shared, sending, parts, &way.upstream, &way.target, body).await;
        return match (passed, no_export) {
            (Err(_), Some(no_export)) if is_implied(&way) => {
                Ok(serve(shared, going(), no_export.canned(), Vec::new()).await)
            }
            (Err(broken), Some(no_export)) => {
                let why = format!("{} cannot be reached: {}", way.upstream.origin, broken.0);
                Ok(serve(shared, going(), no_export.away(why).canned(), Vec::new()).await)
            }
            (passed, _) => passed,
        };
    }
    if let Some(no_export) = no_export {
        return Ok(serve(shared, going(), no_export.canned(), Vec::new()).await);
    }
    let body = if else_status == 207 { r#"{"successes":[],"errors":[]}"# } else { "{}" };
    let headers = HeaderList(vec![
        ("content-type".into(), "application/json".into()),
        ("content-length".into(), body.len().to_string()),
    ]);
    let canned = Canned {
        source: Source::Live,
        head: ResponseHead { status: else_status, headers },
        frames: vec![(Duration::ZERO, body.into())],
        end: CannedEnd::Complete,
    };
    Ok(serve(shared, going(), canned, Vec::new()).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Upstream;
    use crate::proxy::{Routes, route};

    #[test]
    fn they_are_known_by_vendor_method_and_path() {
        let to =
            |provider: &str| Upstream { provider: provider.into(), origin: format!("http://{provider}") };
        let routes = Routes::to(["otlp", "langsmith", "langfuse", "openai"].map(to).to_vec());
        let status = |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            let way = route::resolve(&routes, request.uri())?;
            Beside::of(&way, &request).map(|beside| beside.else_status)
        };
        let (get, post) = (Method::GET, Method::POST);
        for (method, path, wanted) in [
            (&post, "/langsmith/runs/multipart", Some(202)),
            (&post, "/r/fix/langsmith/api/v1/runs/batch", Some(202)),
            (&Method::PATCH, "/langsmith/runs/7", Some(202)),
            (&post, "/langfuse/api/public/ingestion", Some(207)),
            (&get, "/langsmith/info", Some(404)),
            (&get, "/otlp/v1/info", Some(404)),
            (&post, "/otlp/v1/traces", Some(415)),
            // What these answer, an agent may go by.
            (&post, "/langsmith/runs/query", None),
            (&get, "/langsmith/prompts", None),
            (&get, "/langfuse/api/public/v2/prompts/x", None),
            (&get, "/openai/v1/info", None),
            (&post, "/openai/runs/batch", None),
        ] {
            assert_eq!(status(method.clone(), path), wanted, "{method} {path}");
        }
        let way = |origin: &str| route::outside(&routes, origin, &"/info".parse().unwrap());
        assert_eq!(vendor(&way("https://eu.api.smith.langchain.com")), Some("langsmith"));
        assert_eq!(vendor(&way("https://logfire-us.pydantic.dev")), Some("other"));
        assert_eq!(vendor(&way("https://evilsmith.langchain.com")), None);
    }
}
