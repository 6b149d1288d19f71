//! The independent reader: `replay-format.md` suffices to read a run, and to see that a file is damaged.

use crate::{draft, exported, golden, path, runs};
use retake::store::bundle::ExportSource;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

fn read(arguments: &[&str], file: &Path) -> Output {
    Command::new("python3")
        .arg(path("examples/read_bundle.py"))
        .args(arguments)
        .arg(file)
        .env("PYTHONUTF8", "1")
        .output()
        .expect("python3 runs")
}

/// The reader's exit code and message for these bytes.
fn refused(bytes: &[u8]) -> (Option<i32>, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let output = read(&[], file.path());
    assert!(output.stdout.is_empty());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!message.contains("Traceback"), "{message}");
    (output.status.code(), message)
}

#[test]
fn it_has_less_than_a_hundred_lines() {
    let text = std::fs::read_to_string(path("examples/read_bundle.py")).unwrap();
    assert!(text.lines().count() < 100);
}

#[test]
fn it_reads_every_golden_file() {
    for (name, run) in runs::all() {
        let output = read(&["--json"], &golden::file(name));
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(seen["run"]["id"], json!(run.manifest.id), "{name}");
        assert_eq!(seen["steps"].as_array().map(Vec::len), run.outline().map(|outline| outline.steps.len()));
        let mut bodies = Vec::new();
        for exchange in &run.exchanges {
            let id = exchange.request.id;
            let response = exchange.response.as_ref().map(|response| &response.body);
            for (what, body) in [
                ("request", Some(&exchange.request.body)),
                ("sent", exchange.request.sent.as_ref()),
                ("response", response),
            ] {
                if let Some(body) = body.filter(|body| !body.is_empty()) {
                    bodies.push(json!([id, what, body.len()]));
                }
            }
        }
        assert_eq!(seen["bodies"], json!(bodies), "{name}");
        let parts = seen["records"]["part"].as_u64().unwrap();
        assert_eq!(seen["hashes"], json!(parts + bodies.len() as u64), "{name}");
    }
}

#[test]
fn it_prints_a_summary() {
    let output = read(&[], &golden::file("fork"));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "refund.2: 2 exchanges, 3 steps, 14 hashes verified, 3087 bytes of bodies\n   1 model gpt-4o-mini\n   2 tool  lookup_order\n   3 model gpt-4o-mini\n"
    );
}

#[test]
fn it_refuses_what_is_cut_flipped_or_newer() {
    let whole = std::fs::read(golden::file("openai-tools")).unwrap();
    let (code, message) = refused(&whole[..whole.len() / 2]);
    assert!(
        code == Some(3) && message.contains("cut off after line") && message.contains("footer"),
        "{message}"
    );

    let mut flipped = whole.clone();
    let at = flipped.windows(4).position(|w| w == b"4999").unwrap();
    flipped[at] ^= 1;
    let line = flipped[..at].iter().filter(|b| **b == b'\n').count() + 1;
    let (code, message) = refused(&flipped);
    assert!(code == Some(3) && message.contains(&format!("line {line}: it was changed")), "{message}");

    let newer = String::from_utf8(whole.clone()).unwrap().replacen("\"major\":1", "\"major\":2", 1);
    let (code, message) = refused(newer.as_bytes());
    assert!(code == Some(3) && message.contains("format 2.0 is newer"), "{message}");

    for bytes in [&b""[..], b"{}\n", b"GIF89a", b"{\"kind\":\"header\"}\n"] {
        let (code, message) = refused(bytes);
        assert!(code == Some(3) && message.contains("not a retake run file"), "{message}");
    }
}

#[test]
fn it_reads_a_file_with_bodies_of_every_form() {
    let mut run = draft::Draft::new("forms.1", "openai", "https://api.openai.com");
    for body in [
        "{\"a\":1.50e+3,\"b\":\"\\ud800\\u00e9 \u{2028}\",\"messages\":[{\"content\":\"x,\\\"json\\\":,\\\"sha256\\\":\\\"\"}]}",
        "data: {\"text\": \"\\\"sha256\\\":\\\"\"}\n\ndata: [DONE]\n\n",
        "{\"a\":1}\r\n{\"b\":[\"]\"]}\r\n",
        "\u{feff}plain \u{1f600}",
    ] {
        run.ask("/x", body.to_string(), Some(draft::answer(200, "text/plain", body.to_string())));
    }
    run.ask("/x", vec![0xff, 0x0a], Some(draft::answer(200, "text/plain", vec![0x80])));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&exported(&run.done())).unwrap();
    let output = read(&[], file.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
