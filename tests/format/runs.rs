//! The runs behind the golden files, built from code.

use crate::draft::{Draft, START, answer, none, stream};
use retake::exchange::{
    BodyEnd, ExchangeId, Fault, FrameMark, HeaderList, RecordedResponse, Source, StandIn,
};
use retake::otlp::proto::{AnyValue, ArrayValue, LogRecord, Logs, ResourceLogs, ScopeLogs, Value};
use retake::otlp::{Batch, Encoding, Signal};
use retake::run::manifest::GitState;
use retake::run::{Outcome, Parent};
use retake::store::bundle::{ExportSource, ImportedRun};
use std::io::Write;

/// Every golden run, by the name of its file.
pub fn all() -> Vec<(&'static str, ImportedRun)> {
    vec![
        ("example", example()),
        ("openai-tools", openai_tools()),
        ("anthropic-stream", anthropic_stream()),
        ("faults", faults()),
        ("binary", binary()),
        ("fork", fork()),
        ("replay", replay()),
        ("lanes", lanes()),
        ("spans", spans()),
    ]
}

/// The run that `replay-format.md` goes through line by line.
fn example() -> ImportedRun {
    let mut draft = Draft::new("weather.7", "openai", "https://api.openai.com");
    let system = r#"{"role":"system","content":"Be brief."}"#;
    let asked = r#"{"role":"user","content":"What is the weather in Oslo?"}"#;
    let call = r#"{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Oslo\"}"}}]}"#;
    let result = r#"{"role":"tool","tool_call_id":"c1","content":"-7 °C, snow"}"#;
    let body = |messages: &[&str]| {
        format!(r#"{{"model":"gpt-4o-mini","messages":[{}],"stream":true}}"#, messages.join(","))
    };
    let usage = |asked: u32, answered: u32| {
        format!(
            "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":{asked},\"completion_tokens\":{answered}}}}}\n\ndata: [DONE]\n\n"
        )
    };
    let first = format!(
        "data: {{\"choices\":[{{\"delta\":{},\"finish_reason\":\"tool_calls\"}}]}}\n\n{}",
        call.replace(r#"{"id""#, r#"{"index":0,"id""#),
        usage(31, 9)
    );
    draft.ask("/v1/chat/completions", body(&[system, asked]), Some(stream(&first)));
    let second = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"Snow,\"}}}}]}}\n\ndata: {{\"choices\":[{{\"delta\":{{\"content\":\" -7.\"}},\"finish_reason\":\"stop\"}}]}}\n\n{}",
        usage(58, 6)
    );
    draft.ask("/v1/chat/completions", body(&[system, asked, call, result]), Some(stream(&second)));
    draft.done()
}

const LOOKUP: &str = r#"{"type":"function","function":{"name":"lookup_order","description":"Find an order","parameters":{"type":"object","properties":{"order_id":{"type":"string"}},"required":["order_id"]}}}"#;
const REFUND: &str = r#"{"type":"function","function":{"name":"issue_refund","description":"Pay money back. Cannot be undone.","parameters":{"type":"object","properties":{"order_id":{"type":"string"},"amount_usd":{"type":"number"}}}}}"#;

/// A request as the OpenAI SDK writes it.
fn chat(messages: &[&str], stream: bool) -> String {
    let stream = if stream { ",\"stream\":true" } else { "" };
    format!(
        r#"{{"messages":[{}],"model":"gpt-4o-mini"{stream},"temperature":0,"tools":[{LOOKUP},{REFUND}]}}"#,
        messages.join(",")
    )
}

/// A plain reply of Chat Completions.
fn completion(message: &str, reason: &str, usage: (u64, u64)) -> RecordedResponse {
    let body = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1768469400,"model":"gpt-4o-mini-2024-07-18","choices":[{{"index":0,"message":{message},"logprobs":null,"finish_reason":"{reason}"}}],"usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}}}}"#,
        usage.0,
        usage.1,
        usage.0 + usage.1
    );
    answer(200, "application/json", body)
}

const ASK: &str = r#"{"role":"user","content":"My laptop from order A123 is broken, refund me"}"#;
const SYSTEM: &str = r#"{"role":"system","content":"You are the refund desk. Naïve answers cost money."}"#;
const CALL: &str = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"lookup_order","arguments":"{\"order_id\": \"A123\"}"}}]}"#;
const ORDER: &str =
    r#"{"role":"tool","tool_call_id":"call_1","content":"{\"amount\": 4999, \"sku\": \"LAP-1\"}"}"#;
const PAY: &str = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"call_2","type":"function","function":{"name":"issue_refund","arguments":"{\"order_id\": \"A123\", \"amount_usd\": 4999}"}}]}"#;
const PAID: &str =
    r#"{"role":"tool","tool_call_id":"call_2","content":"{\"ok\": true, \"refunded\": 4999}"}"#;
const DONE: &str = r#"{"role":"assistant","content":"Done. I refunded $4,999.00 for order A123."}"#;

fn openai_tools() -> ImportedRun {
    let mut draft = Draft::new("refund.1", "openai", "https://api.openai.com");
    draft.run.manifest.labels.insert("case".into(), "A123".into());
    draft.ask(
        "/v1/chat/completions",
        chat(&[SYSTEM, ASK], false),
        Some(completion(CALL, "tool_calls", (48, 10))),
    );
    let second = chat(&[SYSTEM, ASK, CALL, ORDER], false);
    draft.ask("/v1/chat/completions", second, Some(completion(PAY, "tool_calls", (132, 18))));
    let third = chat(&[SYSTEM, ASK, CALL, ORDER, PAY, PAID], false);
    let exchange = draft.ask("/v1/chat/completions", third, Some(completion(DONE, "stop", (269, 13))));
    exchange
        .request
        .head
        .headers
        .push("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    draft.done()
}

/// A streamed reply of Anthropic Messages: name and data of each event.
fn events(list: &[(&str, &str)]) -> String {
    list.iter().map(|(name, data)| format!("event: {name}\ndata: {data}\n\n")).collect()
}

fn anthropic_stream() -> ImportedRun {
    let mut draft = Draft::new("weather.1", "anthropic", "https://api.anthropic.com");
    let body = |messages: &[&str]| {
        format!(
            r#"{{"max_tokens": 1024, "messages": [{}], "model": "claude-sonnet-4-5", "stream": true, "system": [{{"type": "text", "text": "You tell the weather, briefly.", "cache_control": {{"type": "ephemeral"}}}}], "tools": [{{"name": "weather", "input_schema": {{"type": "object", "properties": {{"city": {{"type": "string"}}}}}}}}]}}"#,
            messages.join(", ")
        )
    };
    let start = |input: u32| {
        format!(
            r#"{{"type":"message_start","message":{{"id":"msg_01","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"usage":{{"input_tokens":{input},"output_tokens":1}}}}}}"#
        )
    };
    let first = events(&[
        ("message_start", &start(60)),
        (
            "content_block_start",
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
        ),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Oslo, then."}}"#,
        ),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h"}}"#,
        ),
        ("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
        (
            "content_block_start",
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_01","name":"weather","input":{}}}"#,
        ),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\": "}}"#,
        ),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"\"Oslo\"}"}}"#,
        ),
        ("content_block_stop", r#"{"type":"content_block_stop","index":1}"#),
        (
            "message_delta",
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":31}}"#,
        ),
        ("message_stop", r#"{"type":"message_stop"}"#),
    ]);
    // The mark for the cache moves to the newest message, so that the older one changes by a few bytes.
    let asked = r#"{"role": "user", "content": [{"type": "text", "text": "Weather in Oslo?", "cache_control": {"type": "ephemeral"}}]}"#;
    let asked_before = r#"{"role": "user", "content": [{"type": "text", "text": "Weather in Oslo?"}]}"#;
    let call = r#"{"role": "assistant", "content": [{"type": "thinking", "thinking": "Oslo, then.", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"}, {"type": "tool_use", "id": "toolu_01", "name": "weather", "input": {"city": "Oslo"}}]}"#;
    let result = r#"{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_01", "content": "-7 °C, snow", "cache_control": {"type": "ephemeral"}}]}"#;
    draft.ask("/v1/messages?beta=true", body(&[asked]), Some(stream(&first)));
    let second = events(&[
        ("message_start", &start(104)),
        (
            "content_block_start",
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        ),
        ("ping", r#"{"type": "ping"}"#),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Snow at −7 °C; "}}"#,
        ),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"dress warm."}}"#,
        ),
        ("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
        (
            "message_delta",
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":14}}"#,
        ),
        ("message_stop", r#"{"type":"message_stop"}"#),
    ]);
    let mut response = stream(&second);
    // One read that ends in the middle of an event.
    response.frames[2].0 += 20;
    response.frames[3].0 -= 20;
    draft.ask("/v1/messages?beta=true", body(&[asked_before, call, result]), Some(response));
    draft.done()
}

fn faults() -> ImportedRun {
    let mut draft = Draft::new("faults.1", "openai", "https://api.openai.com");
    draft.run.manifest.outcome =
        Some(Outcome { exit_code: None, signal: Some(2), ended_us: START + 9_000_000, stopped: None });
    let path = "/v1/chat/completions";
    let mut limited = answer(
        429,
        "application/json",
        r#"{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#,
    );
    if let Some(head) = &mut limited.head {
        head.headers.push("retry-after", "2");
    }
    draft.ask(path, chat(&[SYSTEM, ASK], true), Some(limited));
    let mut broken = stream(
        "data: {\"id\":\"chatcmpl-2\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\ndata: {\"id\":\"chatcmpl-2\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Do",
    );
    broken.end = BodyEnd::Error { what: "connection reset by peer".into() };
    let retry = draft.ask(path, chat(&[SYSTEM, ASK], true), Some(broken));
    retry.request.head.headers.push("x-stainless-retry-count", "1");
    let called = stream(&format!(
        "data: {{\"id\":\"chatcmpl-3\",\"choices\":[{{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}}]}}\n\ndata: [DONE]\n\n",
        CALL.replace(r#"{"id""#, r#"{"index":0,"id""#)
    ));
    let retry = draft.ask(path, chat(&[SYSTEM, ASK], true), Some(called));
    retry.request.head.headers.push("x-stainless-retry-count", "2");
    let refused = Fault::Connect { what: "tcp connect error: Connection refused (os error 111)".into() };
    draft.ask(path, chat(&[SYSTEM, ASK, CALL, ORDER], true), Some(none(refused)));
    let mut hung = stream("data: {\"id\":\"chatcmpl-4\",\"choices\":[]}\n\n");
    hung.end = BodyEnd::Cancelled;
    draft.ask(path, chat(&[SYSTEM], true), Some(hung));
    draft.ask(
        path,
        chat(&[ASK], true),
        Some(none(Fault::Reset { what: "connection closed before message completed".into() })),
    );
    let retry = draft.ask(path, chat(&[ASK], true), Some(none(Fault::Abandoned)));
    retry.request.head.headers.push("x-stainless-retry-count", "1");
    draft.ask(path, r#"{"messages":[{"role":"us"#, None).request.end = BodyEnd::Interrupted;
    draft.done()
}

fn binary() -> ImportedRun {
    let mut draft = Draft::new("binary.1", "openai", "https://api.openai.com");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(r#"{"text":"Grüß Gott"}"#.as_bytes()).unwrap();
    let mut zipped = answer(200, "application/json", encoder.finish().unwrap());
    if let Some(head) = &mut zipped.head {
        head.headers.push("content-encoding", "gzip");
    }
    let mut form =
        b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\n".to_vec();
    form.extend([0xff, 0xfb, 0x90, 0x00, 0x0a, 0x0d, 0x00]);
    form.extend(b"\r\n--b--\r\n");
    draft.ask("/v1/audio/transcriptions", form, Some(zipped));
    let mut speech = answer(200, "audio/mpeg", (0u8..=255).collect::<Vec<u8>>());
    speech.frames = vec![FrameMark(100, 71_000), FrameMark(156, 72_500)];
    speech.end = BodyEnd::Trailers { fields: HeaderList(vec![("x-checksum".into(), "caf\u{e9}".into())]) };
    draft.ask("/v1/audio/speech", "{\n  \"input\": \"Good morning. This is a body that was written with line feeds, so that it cannot stand in a line as it is; it is text.\",\n  \"model\": \"tts-1\"\n}\n", Some(speech));
    let models = draft.ask("/v1/models", "", Some(answer(200, "application/json", "{\"data\":[]}\n")));
    models.request.head.method = "GET".into();
    draft.done()
}

fn fork() -> ImportedRun {
    let parent = openai_tools();
    let mut draft = Draft::new("refund.2", "openai", "https://api.openai.com");
    draft.run.manifest.note = Some("does a smaller amount go through?".into());
    draft.run.manifest.parent = Some(Parent {
        run: parent.manifest.id.clone(),
        uuid: parent.manifest.uuid.clone(),
        at_step: 2,
        edits: ["2:result.amount=49.99", "3..:temperature=0.2", "3..:raw:trace_level=2"]
            .map(String::from)
            .to_vec(),
        replay: false,
    });
    let mut served = completion(CALL, "tool_calls", (48, 10));
    served.source = Source::Recorded { run: "refund.1".into(), exchange: ExchangeId(1) };
    draft.ask("/v1/chat/completions", chat(&[SYSTEM, ASK], false), Some(served));
    let asked = chat(&[SYSTEM, ASK, CALL, ORDER], false);
    let sent = asked.replace("4999", "49.99").replace("\"temperature\":0", "\"temperature\":0.2");
    let sent = format!("{},\"trace_level\":2}}", sent.strip_suffix('}').unwrap());
    let done = r#"{"role":"assistant","content":"Done. I refunded $49.99 for order A123."}"#;
    draft.ask("/v1/chat/completions", asked, Some(completion(done, "stop", (131, 12)))).request.sent =
        Some(sent.into());
    draft.done()
}

/// A replay that was kept, of a run whose command held a secret.
fn replay() -> ImportedRun {
    let parent = openai_tools();
    let mut draft = Draft::new("refund.3", "openai", "https://api.openai.com");
    let steps = parent.outline().map_or(0, |outline| outline.steps.len() as u32);
    let manifest = &mut draft.run.manifest;
    manifest.labels.clone_from(&parent.manifest.labels);
    manifest.command.push("--db=postgres://ada:xxretakexx@db/shop".into());
    manifest.command_redacted = true;
    manifest.own_stand_ins = vec![StandIn { label: "url-password".into(), text: "xxretakexx".into() }];
    manifest.stand_ins = 2;
    manifest.replaced.insert("url-password".into(), 1);
    manifest.stdin = Some("order A123\n".into());
    manifest.git = Some(GitState { commit: "9fceb02d0ae598e95dc970b74767f19372d61af8".into(), dirty: true });
    manifest.incomplete = Some("the run could not be written: No space left on device (os error 28)".into());
    manifest.parent = Some(Parent {
        run: parent.manifest.id.clone(),
        uuid: parent.manifest.uuid.clone(),
        at_step: steps,
        edits: Vec::new(),
        replay: true,
    });
    for exchange in parent.exchanges.into_iter().take(2) {
        let mut response = exchange.response.unwrap();
        response.source = Source::Recorded { run: "refund.1".into(), exchange: exchange.request.id };
        draft.ask("/v1/chat/completions", exchange.request.body, Some(response));
    }
    draft.done()
}

/// A sub-agent, and a conversation that its user gave a name.
fn lanes() -> ImportedRun {
    let mut draft = Draft::new("desk.1", "openai", "https://api.openai.com");
    let path = "/v1/chat/completions";
    let question = "Can a laptop of order A123 be sent back within 30 days?";
    let asks = format!(
        r#"{{"role":"assistant","content":null,"tool_calls":[{{"id":"call_1","type":"function","function":{{"name":"ask_expert","arguments":"{{\"question\": \"{question}\"}}"}}}}]}}"#
    );
    draft.ask(path, chat(&[SYSTEM, ASK], false), Some(completion(&asks, "tool_calls", (48, 22))));
    let expert = format!(
        r#"{{"messages":[{{"role":"system","content":"You know the policy."}},{{"role":"user","content":"{question}"}}],"model":"gpt-4o"}}"#
    );
    let says = "Yes, for 30 days after it was delivered.";
    let answer = format!(r#"{{"role":"assistant","content":"{says}"}}"#);
    let child = draft.ask(path, expert, Some(completion(&answer, "stop", (31, 11))));
    child.request.head.headers.push("x-agent-id", "expert-5f2c");
    child.request.head.headers.push("x-parent-agent-id", "desk-77a1");
    let result = format!(r#"{{"role":"tool","tool_call_id":"call_1","content":"{says}"}}"#);
    let done = r#"{"role":"assistant","content":"Send it back: you have 30 days."}"#;
    draft.ask(path, chat(&[SYSTEM, ASK, &asks, &result], false), Some(completion(done, "stop", (96, 12))));
    let audit =
        r#"{"messages":[{"role":"user","content":"Was the customer treated politely?"}],"model":"gpt-4o"}"#;
    let polite = completion(r#"{"role":"assistant","content":"Yes."}"#, "stop", (14, 2));
    draft.ask(path, audit, Some(polite)).request.head.headers.push("x-retake-lane", "audit");
    draft.done()
}

/// A model call, the spans around it, a line of a log, and an export that no JSON can hold.
fn spans() -> ImportedRun {
    let mut draft = Draft::new("traced.1", "openai", "https://api.openai.com");
    let said = r#"{"role":"assistant","content":"Snow."}"#;
    let body = chat(&[r#"{"role":"user","content":"What is the weather in Oslo?"}"#], false);
    draft.ask("/v1/chat/completions", body, Some(completion(said, "stop", (11, 2))));
    let mut run = draft.done();
    let traces = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"agent"}}]},"scopeSpans":[{"scope":{"name":"openinference.instrumentation.openai","version":"0.1.66"},"spans":[
        {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","parentSpanId":"00f067aa0ba902b7","name":"ChatCompletion","kind":1,"startTimeUnixNano":"1768469400040000000","endTimeUnixNano":"1768469400120340000","attributes":[{"key":"openinference.span.kind","value":{"stringValue":"LLM"}},{"key":"llm.token_count.prompt","value":{"intValue":"11"}}],"status":{"code":1}},
        {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7","name":"weather agent","startTimeUnixNano":"1768469400010000000","endTimeUnixNano":"1768469400200000000","events":[{"timeUnixNano":"1768469400190000000","name":"done"}]}]}]}]}"#;
    let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1768469400150000000","severityNumber":9,"severityText":"INFO","body":{"stringValue":"it snows"},"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7"}]}]}]}"#;
    let read = |signal, text: &str| Batch::read(signal, Encoding::Json, text.as_bytes()).unwrap();
    let deep = (0..44).fold(AnyValue::default(), |inner, _| AnyValue {
        value: Some(Value::Array(ArrayValue { values: vec![inner] })),
    });
    let record = LogRecord { body: Some(deep), ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    let deep = Logs { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] };
    run.exports = vec![read(Signal::Traces, traces), read(Signal::Logs, logs), Batch::Logs(deep)];
    run
}
