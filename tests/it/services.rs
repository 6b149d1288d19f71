//! Calls that are no model calls: forms with random boundaries, bodies that are no text, and the lines that tell of them.

use crate::support::env::{TestEnv, project};
use crate::support::upstream::{FakeUpstream, Received, Script};

fn serve(asked: &Received) -> Script {
    let json = |body: &str| Script::body("200 OK", &[("Content-Type", "application/json")], body.as_bytes());
    match asked.target.rsplit('/').next().unwrap_or_default() {
        "transcriptions" => json(r#"{"text":"Hello you"}"#),
        "speech" => {
            let sound: Vec<u8> = (0..=255u8).cycle().take(70_000).collect();
            Script::body("200 OK", &[("Content-Type", "audio/mpeg")], &sound)
        }
        "moderations" => json(r#"{"results":[{"flagged":false,"categories":{"hate":false}}]}"#),
        _ => Script::body("404 Not Found", &[], b""),
    }
}

#[test]
fn sound_and_forms_replay_whatever_boundary_the_client_draws() {
    let upstream = FakeUpstream::reading(|_, asked| serve(asked));
    let mut env = TestEnv::new();
    env.upstream(&upstream.origin());
    let script = project().join("tests/it/agents/voices.py").display().to_string();
    let agent = ["python3", script.as_str()];
    let ran = env.retake(["run", "--name", "voice", "--"].into_iter().chain(agent)).expect(0);
    assert!(ran.out.starts_with("Hello you 70000 "), "{}", ran.all());
    let lines = [
        "transcribes audio.mp3 (whisper-1) -> \"Hello you\"",
        "speaks \"Hello you\" (tts-1) -> audio/mpeg, 70 kB",
        "moderates 1 text -> not flagged",
    ];
    ran.says(&lines);
    let shown = env.retake(["show", "voice.1"]).expect(0).out;
    assert!(lines.iter().all(|line| shown.contains(line)), "{shown}");

    let before = upstream.connections();
    let again = env.retake(["replay", "voice.1"]).expect(0);
    assert_eq!((again.out.as_str(), upstream.connections()), (ran.out.as_str(), before), "{}", again.all());

    // Another file in the form is another request.
    env.set("SOUND", "goodbye");
    let other = env.retake(["replay", "voice.1", "--"].into_iter().chain(agent)).expect(4);
    assert!(other.err.contains("the recording holds no such request"), "{}", other.all());
    assert_eq!(upstream.connections(), before);
}
