//! What exporters send: protobuf, JSON, and JSON of the OpenAI Agents SDK.

use retake::otlp::{Batch, Encoding, Signal, json, openai_agents};
use retake::span;

/// Nothing panics; what was read is read again as the same from what is written of it, in both encodings.
pub fn run(data: &[u8]) {
    for signal in [Signal::Traces, Signal::Logs, Signal::Metrics] {
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            let Ok(mut batch) = Batch::read(signal, encoding, data) else { continue };
            same_again(&batch);
            let before = batch.len();
            assert_eq!(batch.drop_nameless() + batch.len(), before);
            match &batch {
                Batch::Traces(traces) => assert_eq!(span::spans(traces).len(), batch.len()),
                Batch::Logs(logs) => assert_eq!(span::logs(logs).len(), batch.len()),
                Batch::Metrics => {}
            }
        }
    }
    if let Ok((traces, logs)) = openai_agents::read(data) {
        let (traces, logs) = (Batch::Traces(traces), Batch::Logs(logs));
        assert_eq!(traces.clone().drop_nameless(), 0);
        same_again(&traces);
        same_again(&logs);
    }
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
