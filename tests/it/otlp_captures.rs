//! Exports that real instrumentations sent. `RETAKE_OTLP_CAPTURES` names a folder with more of them, in folders of their
//! own: `NAME-traces.pb` with `NAME-traces.json` beside it, `NAME-traces.raw.json` as it came.

use crate::support::env::project;
use retake::otlp::{Batch, Encoding, Signal, openai_agents};
use retake::span::{self, Span};
use std::path::{Path, PathBuf};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn read(path: &Path, encoding: Encoding) -> Vec<Span> {
    let bytes = std::fs::read(path).expect("a capture");
    match Batch::read(Signal::Traces, encoding, &bytes) {
        Ok(Batch::Traces(traces)) => span::spans(&traces),
        other => panic!("{}: {other:?}", path.display()),
    }
}

/// Every span is read, and the same from protobuf and from JSON.
#[test]
fn protobuf_and_json_of_an_export_are_the_same_spans() {
    let mut all = Vec::new();
    files(&project().join("fixtures/otlp/bodies"), &mut all);
    if let Ok(more) = std::env::var("RETAKE_OTLP_CAPTURES") {
        files(Path::new(&more), &mut all);
    }
    let (mut exports, mut raw, mut spans) = (0, 0, 0);
    for path in &all {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        if name.ends_with("traces.raw.json") {
            let read = read(path, Encoding::Json);
            assert!(!read.is_empty(), "{}", path.display());
            (raw, spans) = (raw + 1, spans + read.len());
        }
        let of_spans = path.parent().is_some_and(|folder| folder.ends_with("fixtures/otlp/bodies"));
        if !name.ends_with(".pb") || !(of_spans || name.ends_with("traces.pb")) {
            continue;
        }
        let read_here = read(path, Encoding::Protobuf);
        assert!(!read_here.is_empty(), "{}", path.display());
        assert_eq!(read_here, read(&path.with_extension("json"), Encoding::Json), "{}", path.display());
        (exports, spans) = (exports + 1, spans + read_here.len());
    }
    println!("{exports} exports in protobuf, {raw} in JSON as they came: {spans} spans");
    assert!(exports >= 3);
}

#[test]
fn an_export_of_the_agents_sdk_is_a_tree_of_spans() {
    let (mut spans, mut wanted) = (Vec::new(), 0);
    for name in ["agents-1.ingest.json", "agents-2.ingest.json"] {
        let body = std::fs::read(project().join("fixtures/otlp/bodies").join(name)).expect("a capture");
        spans.extend(span::spans(&openai_agents::read(&body).expect("readable").0));
        let told: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let items = told["data"].as_array().expect("a list").iter();
        wanted += items.filter(|item| item["object"] == "trace.span").count();
    }
    assert_eq!(spans.len(), wanted);
    let parents = |span: &Span| match span.parent {
        None => true,
        Some(parent) => spans.iter().any(|other| other.key.span == parent && other.start_ns <= span.start_ns),
    };
    assert!(spans.iter().all(parents));
    let named = |name: &str| spans.iter().any(|span| span.name == name);
    assert!(named("execute_tool get_weather") && named("invoke_agent Main"), "{spans:#?}");
}
