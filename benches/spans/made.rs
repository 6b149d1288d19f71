//! A run that is made up: agents below one root, model calls below the agents, some of them on the wire.

use prost::Message;
use retake::exchange::{
    BodyEnd, Exchange, ExchangeId, HeaderList, RecordedRequest, RecordedResponse, RequestHead, ResponseHead,
    Source, Upstream,
};
use retake::otlp::proto::{
    AnyValue, KeyValue, Resource, ResourceSpans, Scope, ScopeSpans, Span, Traces, Value,
};
use retake::run::lanes::LaneBuilder;
use retake::store::{RunWriter, Store};
use std::path::{Path, PathBuf};

/// What SDKs put into one export.
const BATCH: usize = 512;
const AGENTS: usize = 1_000;
/// Nanoseconds since the Unix epoch.
const BEGINNING: u64 = 1_795_290_000_000_000_000;
/// How long a model call takes, in nanoseconds; the next one begins a hundredth of it later.
const CALL: u64 = 5_000_000;

/// Exports, and the calls that some of their spans are about.
pub struct Made {
    /// Bodies in protobuf.
    pub exports: Vec<Vec<u8>>,
    /// How many spans are on the wire.
    pub calls: usize,
    exchanges: Vec<Exchange>,
}

impl Made {
    /// `fan`: all spans are children of the root.
    pub fn new(count: usize, calls: usize, fan: bool) -> Made {
        let spans: Vec<Span> = (0..count).map(|at| span(at, fan)).collect();
        let exports = spans.chunks(BATCH).map(|of| export(of.to_vec())).collect();
        let models = count.saturating_sub(AGENTS + 1);
        let calls = calls.min(models);
        let on_wire = (0..calls).map(|call| AGENTS + 1 + call * models / calls);
        let exchanges = (1u32..).zip(on_wire).map(|(id, at)| exchange(id, at)).collect();
        Made { exports, calls, exchanges }
    }

    /// Size of all exports.
    pub fn bytes(&self) -> usize {
        self.exports.iter().map(Vec::len).sum()
    }

    /// Records the calls as a sealed run: its directory.
    pub fn record(&self, store: &Path) -> PathBuf {
        let store = Store::find_or_create(Some(store), store).expect("a store");
        let manifest = |id| {
            let fields = serde_json::json!({"id": id, "uuid": "019aa000-0000-7000-8000-000000000000",
                "recorder": "0.1.0", "started_us": BEGINNING / 1000});
            serde_json::from_value(fields).expect("a manifest")
        };
        let mut writer = store.create_run("bench", manifest).expect("a run");
        let mut outline = LaneBuilder::default();
        for exchange in &self.exchanges {
            outline.add(exchange);
            write(&mut writer, exchange);
        }
        let directory = writer.directory().to_path_buf();
        writer.seal(Some(&outline.finish()), |_| {}).expect("a sealed run");
        directory
    }
}

fn words(seed: usize, count: usize) -> String {
    let of = ["order", "refund", "laptop", "status", "please", "check", "window", "answer", "maybe"];
    let word = |at: usize| of[(seed.wrapping_mul(31) + at * (seed % 7 + 3)) % of.len()];
    (0..count).map(word).collect::<Vec<_>>().join(" ")
}

fn asked(at: usize) -> String {
    format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{} {at}"}}]}}"#, words(at, 60))
}

fn answered(at: usize) -> String {
    format!(
        r#"{{"id":"chatcmpl-{at:06}","model":"gpt-4o","choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"{}"}}}}],"usage":{{"prompt_tokens":{},"completion_tokens":40}}}}"#,
        words(at + 1, 40),
        at % 900
    )
}

fn id(at: usize) -> [u8; 8] {
    (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

const TRACE: [u8; 16] = *b"a trace of spans";

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(Value::String(value.into())) }) }
}

fn span(at: usize, fan: bool) -> Span {
    let start = BEGINNING + at as u64 * CALL / 100;
    let made = |name: String, parent: Option<usize>, attributes| Span {
        trace_id: TRACE.to_vec(),
        span_id: id(at).to_vec(),
        parent_span_id: parent.map(|parent| id(parent).to_vec()).unwrap_or_default(),
        name,
        kind: 1,
        start_time_unix_nano: start,
        end_time_unix_nano: start + CALL,
        attributes,
        ..Span::default()
    };
    match at {
        0 => made("main".into(), None, Vec::new()),
        1..=AGENTS => {
            let told = vec![
                text("gen_ai.operation.name", "invoke_agent"),
                text("gen_ai.agent.name", format!("agent {at}")),
            ];
            made(format!("invoke_agent agent {at}"), Some(0), told)
        }
        _ => {
            let told = vec![
                text("openinference.span.kind", "LLM"),
                text("llm.model_name", "gpt-4o"),
                text("input.value", asked(at)),
                text("input.mime_type", "application/json"),
                text("output.value", answered(at)),
                text("llm.output_messages.0.message.role", "assistant"),
                text("llm.output_messages.0.message.content", words(at + 1, 40)),
            ];
            made("ChatCompletion".into(), Some(if fan { 0 } else { 1 + at % AGENTS }), told)
        }
    }
}

fn export(spans: Vec<Span>) -> Vec<u8> {
    let scope = Scope {
        name: "openinference.instrumentation.openai".into(),
        version: "1".into(),
        ..Scope::default()
    };
    let resource = Resource { attributes: vec![text("service.name", "shop")], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let of = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    Traces { resource_spans: vec![of] }.encode_to_vec()
}

fn exchange(number: u32, at: usize) -> Exchange {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let json = ("content-type".to_string(), "application/json".to_string());
    let parent = ("traceparent".to_string(), format!("00-{}-{}-01", hex(&TRACE), hex(&id(at))));
    let target = "/v1/chat/completions".to_string();
    Exchange {
        request: RecordedRequest {
            id: ExchangeId(number),
            started_us: (BEGINNING + at as u64 * CALL / 100) / 1000 + 500,
            upstream: Upstream { provider: "openai".into(), origin: "https://api.example.com".into() },
            head: RequestHead {
                method: "POST".into(),
                target,
                headers: HeaderList(vec![json.clone(), parent]),
            },
            body: asked(at).into(),
            end: BodyEnd::Complete,
            sent: None,
            sent_target: None,
            stand_ins: Vec::new(),
        },
        response: Some(RecordedResponse {
            source: Source::Live,
            head: Some(ResponseHead { status: 200, headers: HeaderList(vec![json]) }),
            fault: None,
            head_us: 3_000,
            body: answered(at).into(),
            frames: Vec::new(),
            end: BodyEnd::Complete,
            end_us: 4_000,
            stand_ins: Vec::new(),
        }),
    }
}

fn write(writer: &mut RunWriter, exchange: &Exchange) {
    writer.put_exchange(exchange);
    writer.commit().expect("what was written");
}
