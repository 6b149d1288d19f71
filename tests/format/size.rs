//! History is not repeated: a file grows with what is new.

use crate::{draft, runs};
use retake::exchange::Exchange;
use retake::run::{Manifest, Outline};
use retake::store::StoreError;
use retake::store::bundle::{ExportSource, ImportOptions, ImportedRun, export, import};
use serde_json::Value;

/// A conversation that is made as it is exported: one turn in memory at a time.
struct Long {
    run: ImportedRun,
    turns: usize,
}

/// Text that does not repeat.
fn words(seed: usize, count: usize) -> String {
    let mut state = seed as u64 * 2 + 1;
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:05x}", state >> 44)
    };
    (0..count).map(|_| word()).collect::<Vec<_>>().join(" ")
}

impl ExportSource for Long {
    fn manifest(&self) -> &Manifest {
        &self.run.manifest
    }

    fn outline(&self) -> Option<&Outline> {
        None
    }

    fn exchanges(&self) -> Box<dyn Iterator<Item = Result<Exchange, StoreError>> + '_> {
        let mut messages = format!(r#"{{"role":"system","content":"{}"}}"#, words(0, 3_000));
        Box::new((1..=self.turns).map(move |turn| {
            let body = format!(r#"{{"messages":[{messages}],"model":"gpt-4o","tools":[{}]}}"#, self.tools());
            let answer = format!(r#"{{"role":"assistant","content":"{}"}}"#, words(turn, 30));
            let result = format!(
                r#"{{"role":"tool","tool_call_id":"c{turn}","content":"{}"}}"#,
                words(turn + 10_000, 200)
            );
            messages.push_str(&format!(",{answer},{result}"));
            let mut run = draft::Draft::new("long.1", "openai", "https://api.openai.com");
            let reply =
                draft::answer(200, "application/json", format!(r#"{{"choices":[{{"message":{answer}}}]}}"#));
            let mut exchange = run.ask("/v1/chat/completions", body, Some(reply)).clone();
            exchange.request.id.0 = turn as u32;
            Ok(exchange)
        }))
    }

    fn checkpoints(&self) -> Vec<Value> {
        Vec::new()
    }
}

impl Long {
    fn new(turns: usize) -> Long {
        Long { run: runs::all().remove(1).1, turns }
    }

    fn tools(&self) -> String {
        let tool = |n: usize| {
            format!(
                r#"{{"type":"function","function":{{"name":"tool_{n}","description":"{}"}}}}"#,
                words(n + 50_000, 50)
            )
        };
        (0..20).map(tool).collect::<Vec<_>>().join(",")
    }

    /// Bytes of all bodies, and of the file.
    fn sizes(&self) -> (usize, Vec<u8>) {
        let wire = self
            .exchanges()
            .map(|exchange| {
                let exchange = exchange.unwrap();
                exchange.request.body.len() + exchange.response.map_or(0, |response| response.body.len())
            })
            .sum();
        let mut file = Vec::new();
        export(self, &mut file).unwrap();
        (wire, file)
    }
}

#[test]
fn two_hundred_turns_of_31_mb_are_less_than_2_mb() {
    let (wire, file) = Long::new(200).sizes();
    assert!(wire > 31_000_000, "{wire}");
    assert!(file.len() < 2_000_000, "{}", file.len());
    let run = import(&mut &file[..], ImportOptions::default()).unwrap();
    let last = Long::new(200).exchanges().last().unwrap().unwrap();
    assert_eq!(run.exchanges.last(), Some(&last));
}

#[test]
fn twice_the_turns_are_twice_the_bytes() {
    let (half, whole) = (Long::new(40).sizes().1.len(), Long::new(80).sizes().1.len());
    assert!(whole < half * 21 / 10, "{half} {whole}");
}
