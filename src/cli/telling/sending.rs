//! Sending spans to a collector.

use crate::agent::base_url::BaseUrl;
use crate::cli::error::CliError;
use crate::cli::warn;
use crate::exchange::{HeaderList, Upstream};
use crate::otlp::proto::{ResourceSpans, Response, ScopeSpans, Traces};
use crate::proxy::{Outbound, RUN_HEADER};
use crate::report::words;
use bytes::Bytes;
use prost::Message;
use std::time::Duration;

/// So many spans go in one request; receivers take a few megabytes at once.
const BATCH: usize = 512;
/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a batch is sent, when the receiver says that it may try again.
const TRIES: u32 = 4;

/// Where spans are sent.
pub(super) struct Collector {
    upstream: Upstream,
    target: String,
    headers: HeaderList,
    outbound: Outbound,
    runtime: tokio::runtime::Runtime,
}

impl Collector {
    /// The collector at an address. `headers`: fields of the request, as they are typed.
    pub(super) fn at(to: &str, headers: &[String]) -> Result<Collector, CliError> {
        let url = BaseUrl::parse(to).map_err(|error| CliError::usage(format!("--otlp: {error}")))?;
        let path = url.path.trim_end_matches('/');
        let target = if path.ends_with("/traces") { path.to_string() } else { format!("{path}/v1/traces") };
        Ok(Collector {
            upstream: Upstream { provider: "otlp".into(), origin: url.origin },
            target,
            headers: self::headers(headers)?,
            outbound: Outbound::default(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// Sends all spans, in batches.
    pub(super) fn send(&mut self, traces: &Traces) -> Result<(), CliError> {
        for batch in batches(traces) {
            let body = Bytes::from(batch.encode_to_vec());
            let sent = async {
                tokio::time::timeout(PATIENCE, self.put(body))
                    .await
                    .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
            };
            let answer = self.runtime.block_on(sent).map_err(|why| {
                let Collector { upstream, target, .. } = &self;
                CliError::broken(format!("{}{target} did not take the spans: {why}", upstream.origin)).hint(
                    "is it an endpoint of OTLP over HTTP with protobuf? --otlp FILE writes them instead",
                )
            })?;
            // What is no such message says nothing.
            let partly = Response::decode(answer.as_slice()).ok().and_then(|answer| answer.partial_success);
            if let Some(partly) = partly.filter(|partly| partly.rejected > 0) {
                let spans = words::many(u64::try_from(partly.rejected).unwrap_or_default(), "span");
                let why = words::clip(&words::line(&partly.error_message), 200);
                warn(&format!("{} did not take {spans}: {why}", self.upstream.origin));
            }
        }
        Ok(())
    }

    /// Sends one batch, again where the receiver says so; what it answers, as far as it came at once.
    async fn put(&self, body: Bytes) -> Result<Vec<u8>, String> {
        let mut wait = Duration::from_millis(500);
        for tried in 1.. {
            let mut reply =
                self.outbound.send(&self.upstream, &self.target, &self.headers, Some(body.clone())).await?;
            let status = reply.head.status;
            if (200..300).contains(&status) {
                let said = reply.next().await.ok().flatten().unwrap_or_default();
                return Ok(said.to_vec());
            }
            if ![429, 502, 503, 504].contains(&status) || tried == TRIES {
                let said = reply.next().await.ok().flatten().unwrap_or_default();
                let said = words::clip(&words::line(&String::from_utf8_lossy(&said)), 200);
                return Err(format!("it answered {status} {said}").trim_end().to_string());
            }
            let asked = reply.head.headers.get("retry-after").and_then(|after| after.trim().parse().ok());
            tokio::time::sleep(asked.map_or(wait, Duration::from_secs).min(PATIENCE / 4)).await;
            wait *= 2;
        }
        Err("it was not asked".into())
    }
}

/// The fields of the request: the flags', else those of the environment.
fn headers(typed: &[String]) -> Result<HeaderList, CliError> {
    let mut headers = HeaderList(vec![("content-type".into(), "application/x-protobuf".into())]);
    let said = std::env::var("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
    let pairs: Vec<(String, String)> = match typed {
        [] => {
            let pairs = said.split(',').filter_map(|pair| pair.split_once('='));
            let decoded = |text: &str| {
                percent_encoding::percent_decode_str(text.trim()).decode_utf8_lossy().into_owned()
            };
            // A shell that was led to a proxy has the name of its run there, which is nobody else's.
            let pairs = pairs.map(|(name, value)| (decoded(name), decoded(value)));
            pairs.filter(|(name, _)| !name.eq_ignore_ascii_case(RUN_HEADER)).collect()
        }
        flags => {
            let wrong = |flag: &str| {
                CliError::usage(format!("--header {flag:?} is no field of a request"))
                    .hint("--header 'Authorization: Bearer …'")
            };
            let pair = |flag: &String| {
                let (name, value) = flag.split_once(':').ok_or_else(|| wrong(flag))?;
                Ok((name.trim().to_string(), value.trim().to_string()))
            };
            flags.iter().map(pair).collect::<Result<_, CliError>>()?
        }
    };
    pairs.into_iter().for_each(|(name, value)| headers.push(name, value));
    Ok(headers)
}

/// The same spans in parts of a size that every receiver takes.
fn batches(traces: &Traces) -> Vec<Traces> {
    let mut batches = Vec::new();
    for of_resource in &traces.resource_spans {
        for of_scope in &of_resource.scope_spans {
            for spans in of_scope.spans.chunks(BATCH) {
                let scope = ScopeSpans { spans: spans.to_vec(), ..scope_of(of_scope) };
                let resource = ResourceSpans {
                    scope_spans: vec![scope],
                    resource: of_resource.resource.clone(),
                    schema_url: of_resource.schema_url.clone(),
                };
                batches.push(Traces { resource_spans: vec![resource] });
            }
        }
    }
    batches
}

/// A scope without its spans.
fn scope_of(of: &ScopeSpans) -> ScopeSpans {
    ScopeSpans { scope: of.scope.clone(), schema_url: of.schema_url.clone(), spans: Vec::new() }
}
