//! What comes by the way of exporters and is no export: how it is answered where nobody else is there to answer it.

use super::Canned;
use super::beside::is_exporter;
use super::route::Way;
use super::telemetry::{
    Form, OTLP, answered, first_segment, form, framed, grpc_answer, path_behind_run, signal_of_route,
};
use crate::exchange::HeaderList;
use crate::otlp::{Reply, Signal};
use http::{Method, Request};

/// Codes of gRPC.
const INVALID: i32 = 3;
const NOT_FOUND: i32 = 5;
const UNIMPLEMENTED: i32 = 12;
const UNAVAILABLE: i32 = 14;

/// Where the calls of gRPC for exporters begin.
const COLLECTOR: &str = "/opentelemetry.proto.collector.";

/// A request that is none, in words of its own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoExport {
    form: Option<Form>,
    status: u16,
    code: i32,
    why: String,
}

impl NoExport {
    /// Looks at a request that is no export and no known vendor's; none where it is not for an exporter's way.
    pub(super) fn of<B>(way: Option<&Way>, request: &Request<B>) -> Option<NoExport> {
        let form = form(request.headers());
        let whole = request.uri().path();
        let (path, signal) = match way {
            Some(way) if is_exporter(way) => {
                let path = way.target.split('?').next().unwrap_or_default();
                let of_way = way.upstream.provider.strip_prefix(OTLP).and_then(signal_of_route).flatten();
                (path, of_way.or_else(|| Signal::of_path(path)))
            }
            Some(_) => return None,
            None => {
                let (first, rest) = first_segment(whole);
                let path = path_behind_run(whole);
                match first.strip_prefix(OTLP).and_then(signal_of_route) {
                    Some(of_way) => (rest, of_way.or_else(|| Signal::of_path(rest))),
                    None if form == Some(Form::Grpc) && path.starts_with(COLLECTOR) => (path, None),
                    None if path.starts_with("/v1development/") => (path, None),
                    None => (path, Some(Signal::of_path(path).filter(|signal| signal.path() == path)?)),
                }
            }
        };
        let (status, code, why) = match (&form, signal) {
            (Some(Form::Grpc), _) => (
                404,
                UNIMPLEMENTED,
                format!("traces, logs and metrics are exported here, and {path} is none of them"),
            ),
            (_, None) => {
                let why = format!(
                    "exports go to /v1/traces, /v1/logs and /v1/metrics, and there is nothing at {path}"
                );
                (404, NOT_FOUND, why)
            }
            (_, Some(_)) if request.method() != Method::POST => {
                (405, UNIMPLEMENTED, format!("{path} takes exports, by POST alone"))
            }
            (_, Some(_)) => {
                let why = "an export is application/x-protobuf, application/json or application/grpc";
                (415, INVALID, why.to_string())
            }
        };
        Some(NoExport { form, status, code, why })
    }

    /// The same, where its collector was to answer it and is away.
    pub(super) fn away(self, why: String) -> NoExport {
        NoExport { status: 503, code: UNAVAILABLE, why, ..self }
    }

    /// The answer.
    pub(super) fn canned(&self) -> Canned {
        let mut canned = match &self.form {
            Some(Form::Grpc) => return grpc_answer(self.code, &self.why, None),
            Some(Form::Http(encoding)) => {
                framed(Reply::refused(*encoding, self.status, self.code, &self.why))
            }
            _ => {
                let body = format!("{}\n", self.why).into_bytes();
                let headers = HeaderList(vec![
                    ("content-type".into(), "text/plain; charset=utf-8".into()),
                    ("content-length".into(), body.len().to_string()),
                ]);
                answered(self.status, headers, body)
            }
        };
        if self.status == 405 {
            canned.head.headers.push("allow", "POST");
        }
        canned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Upstream;
    use crate::proxy::{Routes, route};

    #[test]
    fn each_is_told_what_is_wrong_with_it() {
        let to =
            |provider: &str| Upstream { provider: provider.into(), origin: format!("http://{provider}") };
        let routes = Routes::to(["otlp", "otlp-logs", "openai"].map(to).to_vec());
        let (post, get) = (Method::POST, Method::GET);
        let (json, text) = ("application/json", "text/plain");
        for (method, path, kind, wanted) in [
            (&post, "/otlp/v1/nope", json, Some((404, NOT_FOUND))),
            (&post, "/otlp/v1development/profiles", json, Some((404, NOT_FOUND))),
            (&post, "/r/fix/v1development/profiles", json, Some((404, NOT_FOUND))),
            (&get, "/otlp/v1/traces?a", text, Some((405, UNIMPLEMENTED))),
            (&Method::OPTIONS, "/r/fix/v1/traces", text, Some((405, UNIMPLEMENTED))),
            (&post, "/v1/traces", text, Some((415, INVALID))),
            (&post, "/otlp/v1/traces", text, Some((415, INVALID))),
            (&post, "/otlp-logs/custom", text, Some((415, INVALID))),
            (&post, "/otlp-traces/custom", text, Some((415, INVALID))),
            (
                &post,
                "/opentelemetry.proto.collector.x.v1/Export",
                "application/grpc",
                Some((404, UNIMPLEMENTED)),
            ),
            (&get, "/v1/models", json, None),
            (&post, "/openai/v1/traces", text, None),
            (&get, "/other/v1/traces", text, None),
        ] {
            let request =
                Request::builder().method(method).uri(path).header("content-type", kind).body(()).unwrap();
            let way = route::resolve(&routes, request.uri());
            let found = NoExport::of(way.as_ref(), &request).map(|found| (found.status, found.code));
            assert_eq!(found, wanted, "{method} {path}");
        }
    }
}
