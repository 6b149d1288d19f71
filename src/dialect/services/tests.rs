use super::*;
use crate::exchange::HeaderList;
use proptest::prelude::*;

fn head(method: &str, target: &str, kind: &str) -> RequestHead {
    let headers = HeaderList(vec![("Content-Type".into(), kind.into())]);
    RequestHead { method: method.into(), target: target.into(), headers }
}

fn said(method: &str, target: &str, body: &[u8], kind: &str, answer: &[u8]) -> Option<String> {
    let form = "multipart/form-data; boundary=bb";
    let head = head(method, target, if body.starts_with(b"--bb") { form } else { "application/json" });
    let came = ResponseHead { status: 200, headers: HeaderList(vec![("content-type".into(), kind.into())]) };
    line(&Call { head: &head, body, answer: Some((&came, answer)) }, 120)
}

fn json(method: &str, target: &str, body: &str, answer: &str) -> String {
    said(method, target, body.as_bytes(), "application/json", answer.as_bytes()).unwrap()
}

fn form(fields: &[(&str, &str)], file: (&str, &str)) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        body += &format!("--bb\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    let (name, content) = file;
    let disposition = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
    body + &format!("--bb\r\n{disposition}\r\nContent-Type: audio/mpeg\r\n\r\n{content}\r\n--bb--\r\n")
}

#[test]
fn embeddings_of_every_provider() {
    let body = r#"{"model":"text-embedding-3-small","input":["a","b"]}"#;
    let answer = r#"{"data":[{"embedding":[0.1,0.2,0.3]},{"embedding":[1,2,3]}]}"#;
    let wanted = "embeds 2 texts (text-embedding-3-small) -> 2 x 3";
    assert_eq!(json("POST", "/v1/embeddings", body, answer), wanted);
    let one =
        json("POST", "/api/embeddings", r#"{"model":"m","prompt":"Hi there"}"#, r#"{"embedding":[1,2]}"#);
    assert_eq!(one, "embeds \"Hi there\" (m) -> 1 x 2");
    let ollama = json("POST", "/api/embed", r#"{"model":"m","input":["x"]}"#, r#"{"embeddings":[[1,2]]}"#);
    assert_eq!(ollama, "embeds \"x\" (m) -> 1 x 2");
    let cohere = json(
        "POST",
        "/v2/embed",
        r#"{"model":"e","texts":["x","y"]}"#,
        r#"{"embeddings":{"float":[[1],[2]]}}"#,
    );
    assert_eq!(cohere, "embeds 2 texts (e) -> 2 x 1");
    let gemini = json(
        "POST",
        "/v1beta/models/gemini-embedding-001:embedContent",
        r#"{"content":{"parts":[{"text":"x y"}]}}"#,
        r#"{"embedding":{"values":[1,2,3,4]}}"#,
    );
    assert_eq!(gemini, "embeds \"x y\" (gemini-embedding-001) -> 1 x 4");
    // Three numbers in Base64, at a deployment of Azure.
    let azure = json(
        "POST",
        "/openai/deployments/ada/embeddings?api-version=1",
        r#"{"input":[1,2,3]}"#,
        r#"{"data":[{"embedding":"AAAAAAAAAAAAAAAA"}]}"#,
    );
    assert_eq!(azure, "embeds 3 tokens (ada) -> 1 x 3");
}

#[test]
fn moderation_images_and_ranking() {
    let moderate = |answer: &str| json("POST", "/v1/moderations", r#"{"input":"x"}"#, answer);
    let clean = r#"{"results":[{"flagged":false,"categories":{"hate":false}}]}"#;
    assert_eq!(moderate(clean), "moderates 1 text -> not flagged");
    let bad = r#"{"results":[{"flagged":true,"categories":{"hate":true,"violence":true,"sexual":false}}]}"#;
    assert_eq!(moderate(bad), "moderates 1 text -> flagged: hate, violence");
    let draw = json(
        "POST",
        "/v1/images/generations",
        r#"{"prompt":"a cat","model":"gpt-image-1"}"#,
        r#"{"data":[{"b64_json":""}]}"#,
    );
    assert_eq!(draw, "draws \"a cat\" (gpt-image-1) -> 1 image");
    let edit = form(&[("model", "dall-e-2"), ("prompt", "blue")], ("cat.png", "\u{89}PNG"));
    let edit = json("POST", "/v1/images/edits", &edit, r#"{"data":[{},{}]}"#);
    assert_eq!(edit, "edits cat.png: \"blue\" (dall-e-2) -> 2 images");
    let rank = json(
        "POST",
        "/v2/rerank",
        r#"{"model":"r","query":"capital?","documents":["a","b","c","d"]}"#,
        r#"{"results":[{"index":3,"relevance_score":0.999071},{"index":0,"relevance_score":0.5}]}"#,
    );
    assert_eq!(rank, "ranks 4 documents for \"capital?\" (r) -> 3 (0.999), 0 (0.500)");
}

#[test]
fn audio_in_and_out() {
    let heard = form(&[("model", "whisper-1")], ("audio.mp3", "ID3"));
    let heard = |kind: &str, answer: &str| {
        said("POST", "/v1/audio/transcriptions", heard.as_bytes(), kind, answer.as_bytes()).unwrap()
    };
    let wanted = "transcribes audio.mp3 (whisper-1) -> \"Hello you\"";
    assert_eq!(heard("application/json", r#"{"text":"Hello you"}"#), wanted);
    assert_eq!(heard("text/plain", "Hello\nyou\n"), wanted);
    let speech = br#"{"model":"tts-1","input":"Hi","voice":"alloy"}"#;
    let spoken = said("POST", "/v1/audio/speech", speech, "audio/mpeg", &[0xff; 12_345]).unwrap();
    assert_eq!(spoken, "speaks \"Hi\" (tts-1) -> audio/mpeg, 13 kB");
}

#[test]
fn files_and_batches() {
    let upload = form(&[("purpose", "batch")], ("in.jsonl", "{}"));
    let upload = json("POST", "/v1/files", &upload, r#"{"id":"file-1","filename":"in.jsonl","bytes":2}"#);
    assert_eq!(upload, "uploads in.jsonl, 2 bytes for batch -> file-1, in.jsonl, 2 bytes");
    let start = r#"{"input_file_id":"file-1","endpoint":"/v1/chat/completions"}"#;
    let start = json("POST", "/v1/batches", start, r#"{"id":"batch_1","status":"validating"}"#);
    assert_eq!(start, "sends file-1 as a batch to /v1/chat/completions -> batch_1: validating");
    let look = r#"{"id":"batch_1","status":"completed","request_counts":{"total":3,"completed":3}}"#;
    let look = json("GET", "/v1/batches/batch_1", "", look);
    assert_eq!(look, "looks at batch_1 -> batch_1: completed, 3 of 3 done");
    assert_eq!(json("GET", "/v1/files?limit=2", "", r#"{"data":[{},{}]}"#), "lists files -> 2 entries");
    let content = said("GET", "/v1/files/file-1/content", b"", "", b"{}\n").unwrap();
    assert_eq!(content, "downloads file-1 -> 3 bytes");
}

#[test]
fn failures_are_told_and_strangers_are_not() {
    let head = head("POST", "/v1/embeddings", "application/json");
    let failed = ResponseHead { status: 429, headers: HeaderList::default() };
    let body = br#"{"model":"m","input":"x"}"#;
    let answer = Some((&failed, &br#"{"error":{"message":"slow down"}}"#[..]));
    assert_eq!(line(&Call { head: &head, body, answer }, 80).unwrap(), "embeds \"x\" (m) -> 429 slow down");
    assert_eq!(line(&Call { head: &head, body, answer: None }, 80).unwrap(), "embeds \"x\" (m) -> no answer");
    assert_eq!(said("POST", "/v1/orders", b"{}", "application/json", b"{}"), None);
    assert_eq!(said("GET", "/v1/embeddings", b"", "application/json", b"{}"), None);
}

proptest! {
    #[test]
    fn junk_never_panics_and_no_line_is_too_long(
        path in prop::sample::select(vec!["/v1/embeddings", "/v1/moderations", "/v1/files", "/v1/batches", "/v1/audio/transcriptions", "/v1/images/edits", "/rerank", "/m:embedContent"]),
        body in prop::collection::vec(any::<u8>(), 0..60), answer in "(\\{\"(data|results|embeddings|id|text)\":(\\[\\{\\}\\]|\\{\\}|1|\"\u{e9}{0,50}\")\\}|.{0,80})", width in 0usize..60,
    ) {
        let form = [&b"--bb\r\n"[..], &body].concat();
        for (body, kind) in [(&body, "application/json"), (&form, "multipart/form-data; boundary=bb")] {
            let head = head("POST", path, kind);
            let came = ResponseHead { status: 200, headers: HeaderList::default() };
            let line = line(&Call { head: &head, body, answer: Some((&came, answer.as_bytes())) }, width);
            prop_assert!(line.unwrap().chars().count() <= width);
        }
    }
}
