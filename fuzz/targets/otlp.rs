//! What exporters send: protobuf, JSON, frames of gRPC, JSON of the OpenAI Agents SDK, runs of LangSmith.

use retake::otlp::{Batch, Encoding, Signal, grpc, json, langsmith, openai_agents};
use retake::span;

/// Nothing panics; what was read is read again as the same from what is written of it, in both encodings.
pub fn run(data: &[u8]) {
    for signal in [Signal::Traces, Signal::Logs, Signal::Metrics] {
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            let Ok(mut batch) = Batch::read(signal, encoding, data) else { continue };
            same_again(&batch);
            divided(&batch);
            let before = batch.len();
            assert_eq!(batch.drop_nameless() + batch.len(), before);
            match &batch {
                Batch::Traces(traces) => assert_eq!(span::spans(traces).len(), batch.len()),
                Batch::Logs(logs) => assert_eq!(span::logs(logs).len(), batch.len()),
                Batch::Metrics => {}
            }
        }
    }
    if let Ok((_, message)) = grpc::message(data) {
        assert!(message.len() + 5 <= data.len());
        drop(Batch::read(Signal::Traces, Encoding::Protobuf, message));
    }
    let boundary = String::from_utf8_lossy(data.split(|byte| *byte == b'\r').next().unwrap_or_default());
    let boundary = boundary.trim_start_matches('-').to_string();
    for form in [langsmith::Form::Batch, langsmith::Form::One(None), langsmith::Form::Multipart(boundary)] {
        let Ok(traces) = langsmith::read(&form, data) else { continue };
        let traces = Batch::Traces(traces);
        assert_eq!(traces.clone().drop_nameless(), 0);
        same_again(&traces);
    }
    if let Ok((traces, logs)) = openai_agents::read(data) {
        let (traces, logs) = (Batch::Traces(traces), Batch::Logs(logs));
        assert_eq!(traces.clone().drop_nameless(), 0);
        same_again(&traces);
        same_again(&logs);
    }
}

/// Taken apart, nothing is lost.
fn divided(batch: &Batch) {
    let places: Vec<usize> = (0..batch.moments().len()).map(|at| at % 3).collect();
    let parts = batch.clone().divide(&places);
    assert_eq!(parts.iter().map(|(_, part)| part.len()).sum::<usize>(), batch.len());
}

fn same_again(batch: &Batch) {
    let signal = match batch {
        Batch::Traces(_) => Signal::Traces,
        Batch::Logs(_) => Signal::Logs,
        Batch::Metrics => return,
    };
    let again = Batch::read(signal, Encoding::Protobuf, &batch.to_protobuf()).expect("it was written");
    // A number that is none is not equal to itself.
    assert_eq!(format!("{again:?}"), format!("{batch:?}"));
    match batch {
        Batch::Traces(traces) => drop(json::of_traces(traces)),
        Batch::Logs(logs) => drop(json::of_logs(logs)),
        Batch::Metrics => {}
    }
}
