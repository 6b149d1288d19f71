//! `retake export --otlp`: a run as spans, for whatever shows traces.

use super::args::ExportArgs;
use super::error::{CliError, exit};
use super::portable::{refuse_to_replace, write_whole};
use super::view::Opened;
use super::{Context, print, spans};
use crate::agent::base_url::BaseUrl;
use crate::exchange::{HeaderList, Upstream};
use crate::otlp::json;
use crate::otlp::proto::Traces;
use crate::proxy::Outbound;
use crate::report::{genai, words};
use crate::run::StepKind;
use crate::run::tree::{Convention, Telling, told};
use crate::store::SpanReader;
use bytes::Bytes;
use prost::Message;
use std::path::Path;
use std::time::Duration;

/// So many spans go in one request; receivers take a few megabytes at once.
const BATCH: usize = 512;
/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a batch is sent, when the receiver says that it may try again.
const TRIES: u32 = 4;

pub(super) fn export(context: &Context, args: &ExportArgs, to: &str) -> Result<i32, CliError> {
    let is_url = to.starts_with("http://") || to.starts_with("https://");
    let file = Path::new(to);
    if !is_url {
        refuse_to_replace(file, args.force)?;
    }
    let store = context.store()?;
    let opened = Opened::open(&store, &args.run)?;
    let traces = traces(&opened, args)?;
    let count = count(&traces);
    let name = &opened.reader.manifest().id;
    if is_url {
        send(to, &headers(args)?, &traces)?;
    } else if to == "-" {
        print(&format!("{}\n", json::of_traces(&traces)))?;
        return Ok(exit::OK);
    } else if file.extension().is_some_and(|kind| kind == "json") {
        write_whole(file, format!("{}\n", json::of_traces(&traces)).as_bytes())?;
    } else {
        write_whole(file, &traces.encode_to_vec())?;
    }
    if context.json {
        context.print_json(&serde_json::json!({ "run": name, "to": to, "spans": count }))?;
    } else {
        let without = if args.content { "" } else { ", without what was said (--content tells it)" };
        print(&format!("exported  {name}   {} to {to}{without}\n", words::many(count as u64, "span")))?;
    }
    Ok(exit::OK)
}

fn traces(opened: &Opened, args: &ExportArgs) -> Result<Traces, CliError> {
    let (came, _) = SpanReader::open(opened.reader.directory())?.all()?;
    let tree = spans::tree(opened, true)?;
    let view = opened.view();
    let manifest = opened.reader.manifest();
    let server = |step: u32| {
        let StepKind::Model { lane, turn } = opened.outline.step(step)? else { return None };
        let id = opened.outline.turn(lane, turn)?.attempts.last()?;
        let upstream = opened.reader.request(*id).ok()?.upstream;
        let host = upstream.origin.split_once("://").map_or(upstream.origin.as_str(), |(_, host)| host);
        Some((upstream.provider.clone(), host.split(['/', ':']).next().unwrap_or(host).to_string()))
    };
    let said = |step: u32| genai::said(&view, step);
    let convention = if args.openinference { Convention::OpenInference } else { Convention::GenAi };
    let uuid = uuid::Uuid::parse_str(&manifest.uuid).unwrap_or_default().into_bytes();
    let run = manifest.id.to_string();
    let of = Telling { uuid, run: &run, convention, content: args.content, server: &server, said: &said };
    Ok(told(&tree, &came, &of))
}

fn count(traces: &Traces) -> usize {
    traces.resource_spans.iter().flat_map(|of| &of.scope_spans).map(|of| of.spans.len()).sum()
}

/// The fields of the request: the flags', else those of the environment.
fn headers(args: &ExportArgs) -> Result<HeaderList, CliError> {
    let mut headers = HeaderList(vec![("content-type".into(), "application/x-protobuf".into())]);
    let said = std::env::var("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
    let pairs: Vec<(String, String)> = match args.headers.as_slice() {
        [] => {
            let pairs = said.split(',').filter_map(|pair| pair.split_once('='));
            let decoded = |text: &str| {
                percent_encoding::percent_decode_str(text.trim()).decode_utf8_lossy().into_owned()
            };
            pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
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

/// Sends all spans, in batches.
fn send(to: &str, headers: &HeaderList, traces: &Traces) -> Result<(), CliError> {
    let url = BaseUrl::parse(to).map_err(|error| CliError::usage(format!("--otlp: {error}")))?;
    let path = url.path.trim_end_matches('/');
    let target = if path.ends_with("/traces") { path.to_string() } else { format!("{path}/v1/traces") };
    let upstream = Upstream { provider: "otlp".into(), origin: url.origin };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outbound = Outbound::default();
    for batch in batches(traces) {
        let body = Bytes::from(batch.encode_to_vec());
        let sent = async {
            tokio::time::timeout(PATIENCE, put(&outbound, &upstream, &target, headers, body))
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
        };
        runtime.block_on(sent).map_err(|why| {
            CliError::broken(format!("{}{target} did not take the spans: {why}", upstream.origin))
                .hint("is it an endpoint of OTLP over HTTP with protobuf? --otlp FILE writes them instead")
        })?;
    }
    Ok(())
}

/// Sends one batch, again where the receiver says so.
async fn put(
    outbound: &Outbound,
    to: &Upstream,
    target: &str,
    headers: &HeaderList,
    body: Bytes,
) -> Result<(), String> {
    let mut wait = Duration::from_millis(500);
    for tried in 1.. {
        let mut reply = outbound.send(to, target, headers, Some(body.clone())).await?;
        let status = reply.head.status;
        if (200..300).contains(&status) {
            return Ok(());
        }
        if ![429, 502, 503, 504].contains(&status) || tried == TRIES {
            let said = reply.next().await.ok().flatten().unwrap_or_default();
            let said = words::clip(&words::line(&String::from_utf8_lossy(&said)), 200);
            return Err(format!("it answered {status} {said}"));
        }
        let asked = reply.head.headers.get("retry-after").and_then(|after| after.trim().parse().ok());
        tokio::time::sleep(asked.map_or(wait, Duration::from_secs).min(PATIENCE / 4)).await;
        wait *= 2;
    }
    Ok(())
}

/// The same spans in parts of a size that every receiver takes.
fn batches(traces: &Traces) -> Vec<Traces> {
    let mut batches = Vec::new();
    for of_resource in &traces.resource_spans {
        for of_scope in &of_resource.scope_spans {
            for spans in of_scope.spans.chunks(BATCH) {
                let scope = crate::otlp::proto::ScopeSpans { spans: spans.to_vec(), ..scope_of(of_scope) };
                let resource = crate::otlp::proto::ResourceSpans {
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
fn scope_of(of: &crate::otlp::proto::ScopeSpans) -> crate::otlp::proto::ScopeSpans {
    crate::otlp::proto::ScopeSpans {
        scope: of.scope.clone(),
        schema_url: of.schema_url.clone(),
        spans: Vec::new(),
    }
}
