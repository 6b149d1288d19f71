//! Secrets on every way in: nothing that is written or printed holds one, in any coding.

use crate::support::env::TestEnv;
use crate::support::upstream::{Act, FakeUpstream, Script, head};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use retake::exchange::encoding;
use retake::run::RunId;
use retake::store::{PartId, Store};
use serde_json::json;
use std::io::Write;
use std::path::Path;

/// In the environment, with no known shape.
const IN_ENVIRONMENT: &str = "vQ7rT2mX9pLw4ZcK8dNs";
const API_KEY: &str = "sk-proj-Hy4kQ9wLm2Xc7Vb5Nz8Rt3Pd6Jf1Gs0A";
const IN_AUTHORIZATION: &str = "tok-Zk81hQmW02xYpR77bLdC5nVe";
const IN_HEADER: &str = "8c1f0e7d2b6a4935a7f1";
const IN_ARGV: &str = "ghp_Rb6Tz1Yk8Wm3Xp5Qc9Lv2Nd7Jh4Fg0SaUeIo";
const IN_QUERY: &str = "qK3vB8nM1zX6cL9wP4tR";
const IN_BODY: &str = "sk-ant-api03-Wd5Yh8Kt2Rz9Pm4Xc7Vn1Lb6Qf3Gj0Se";
const IN_DELTAS: &str = "ghp_Mx4Vc7Bn1Zq9Wl2Kr5Tp8Yd3Hg6Js0FaOiEu";
const IN_GZIP: &str = "glpat-Qw3Er6Ty9Ui2Op5As8Df";
const IN_PASSWORD: &str = "Tr0ub4dor&3-horse";
/// Of no known shape, in options that name a secret; one is too short to be looked for in codings.
const IN_OPTION: &str = "abc123secret";
const SHORT: &str = "q7!x";
const HOOK: &str = "T00/B00/XXXX";

const SECRETS: [&str; 12] = [
    IN_ENVIRONMENT,
    API_KEY,
    IN_AUTHORIZATION,
    IN_HEADER,
    IN_ARGV,
    IN_QUERY,
    IN_BODY,
    IN_DELTAS,
    IN_GZIP,
    IN_PASSWORD,
    IN_OPTION,
    HOOK,
];

/// No secret: it goes the same ways, and is found in every coding, or the search is blind.
const CANARY: &str = "cautious-canary-bird-song";

const AGENT: &str = r#"
import base64, json, os, sys, urllib.error, urllib.parse, urllib.request

plain = os.environ["FOO_API_KEY"]
shaped = os.environ["AGENT_TASK"]
argument = sys.argv[sys.argv.index("--token") + 1]
base = os.environ["OPENAI_BASE_URL"]

def ask(text, path="/chat/completions", stream=False, raw=None, authorization=None):
    body = raw or json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]})
    request = urllib.request.Request(base + path, body.encode(), {
        "content-type": "application/json",
        "authorization": "Bearer " + (authorization or os.environ["OPENAI_API_KEY"]),
        "x-api-key": "HEADER"})
    with urllib.request.urlopen(request) as response:
        response.read()

def escaped(secret):
    return "".join("\\u%04x" % ord(c) for c in secret)

def percent(secret):
    return "".join("%%%02X" % ord(c) for c in secret)

for secret in ["CANARY", plain, shaped, argument, os.environ["OPENAI_API_KEY"]]:
    ask("my key is " + secret + " keep it")
    ask(None, raw='{"model":"m","messages":[{"role":"user","content":"a ' + escaped(secret) + ' b"}]}')
    ask("see https://example.com/?k=" + percent(secret) + "&x=1")
    ask("see https://example.com/?k=" + urllib.parse.quote(secret, safe="") + "&x=1")
    for before in ["", "a", "ab"]:
        ask("blob " + base64.b64encode((before + "key=" + secret + ";end").encode()).decode())
    ask(json.dumps({"inner": json.dumps({"config": {"value": secret}})}))
ask("the config", path="/chat/completions?api_key=QUERY&v=1", authorization="AUTHORIZATION")
ask('{"db_password": "PASSWORD", "url": "postgres://app:PASSWORD@db.local/x"}')
ask("stream it", stream=True)
ask("call a tool please", stream=True)
try:
    ask("fail")
except urllib.error.HTTPError as error:
    error.read()
ask("zip it")
print("done")
"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn reply(text: &str) -> String {
    json!({"id": "c", "object": "chat.completion", "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]})
    .to_string()
}

/// Two letters of the text in every delta.
fn deltas(text: &str) -> Script {
    let mut acts = vec![Script::stream_head()];
    for place in (0..text.len()).step_by(2) {
        let piece = &text[place..(place + 2).min(text.len())];
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "model": "m",
            "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": null}]});
        acts.push(Act::Chunk(format!("data: {chunk}\n\n").into_bytes()));
    }
    acts.push(Act::Chunk(b"data: [DONE]\n\n".to_vec()));
    acts.push(Act::Raw(b"0\r\n\r\n".to_vec()));
    Script::new(acts)
}

/// The arguments of a tool call, three letters at a time.
fn arguments() -> Script {
    let text = json!({"config": format!("use {IN_DELTAS} or {IN_ENVIRONMENT}")}).to_string();
    let mut acts = vec![Script::stream_head()];
    for (place, piece) in text.as_bytes().chunks(3).enumerate() {
        let mut call = json!({"index": 0, "function": {"arguments": String::from_utf8_lossy(piece)}});
        if place == 0 {
            call["id"] = json!("call_1");
            call["function"]["name"] = json!("configure");
        }
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "model": "m",
            "choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null}]});
        acts.push(Act::Chunk(format!("data: {chunk}\n\n").into_bytes()));
    }
    acts.push(Act::Chunk(b"data: [DONE]\n\n".to_vec()));
    acts.push(Act::Raw(b"0\r\n\r\n".to_vec()));
    Script::new(acts)
}

fn zipped(text: &str) -> Script {
    let body = gzip(reply(text).as_bytes());
    let length = body.len().to_string();
    let fields =
        [("Content-Type", "application/json"), ("Content-Encoding", "gzip"), ("Content-Length", &length)];
    Script::new(vec![head("200 OK", &fields), Act::Raw(body)])
}

/// The codings of a secret that are looked for.
fn forms(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let percent = |all: bool| -> String {
        let one =
            |c: char| if all || !c.is_ascii_alphanumeric() { format!("%{:02X}", c as u8) } else { c.into() };
        secret.chars().map(one).collect()
    };
    let mut forms = vec![
        ("plain", secret.to_string()),
        ("escaped", secret.chars().map(|c| format!("\\u{:04x}", c as u32)).collect()),
        ("percent", percent(true)),
        ("percent", percent(false)),
        ("hex", secret.bytes().map(|b| format!("{b:02x}")).collect()),
    ];
    // The middle of the secret's base64 at each of the three places a byte can have in it.
    for before in ["", "a", "ab"] {
        let text = STANDARD.encode(format!("{before}{secret}"));
        forms.push(("base64", text[4..text.len() - 4].to_string()));
    }
    forms.into_iter().map(|(form, text)| (form, text.into_bytes())).collect()
}

struct Search {
    secrets: &'static [&'static str],
    needles: Vec<(&'static str, &'static str, Vec<u8>)>,
    found: Vec<String>,
}

impl Search {
    fn new(secrets: &'static [&'static str]) -> Search {
        let needles =
            secrets.iter().flat_map(|s| forms(s).into_iter().map(move |(form, text)| (*s, form, text)));
        Search { secrets, needles: needles.collect(), found: Vec::new() }
    }

    fn look(&mut self, place: &str, bytes: &[u8]) {
        for (secret, form, needle) in &self.needles {
            if memchr::memmem::find(bytes, needle).is_some() {
                self.found.push(format!("{place}: {secret} ({form})"));
            }
        }
        // A stream is read as what it spells.
        let text = String::from_utf8_lossy(bytes);
        let spelled: String = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line.strip_prefix("data: ")?).ok())
            .filter_map(|event| {
                let delta = &event["choices"][0]["delta"];
                let spelled = delta["content"].as_str();
                spelled.or(delta["tool_calls"][0]["function"]["arguments"].as_str()).map(str::to_string)
            })
            .collect();
        for secret in self.secrets.iter().filter(|s| spelled.contains(**s)) {
            self.found.push(format!("{place}: {secret} (deltas)"));
        }
    }

    fn files(&mut self, path: &Path) {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.files(&path);
            } else {
                self.look(&path.display().to_string(), &std::fs::read(&path).unwrap());
            }
        }
    }

    /// Every part and every record, decompressed, and every body without its content encoding.
    fn run(&mut self, env: &TestEnv, run: &str) -> usize {
        let store = Store::find(Some(&env.store()), &env.work()).unwrap();
        let reader = store.open_run(&RunId::parse(run).unwrap()).unwrap();
        let mut parts = 0;
        while let Ok(bytes) = reader.part(PartId(parts)) {
            self.look(&format!("{run} part {parts}"), &bytes);
            parts += 1;
        }
        assert!(parts > 0);
        for id in reader.ids() {
            let (asked, answered) = (reader.request(id).unwrap(), reader.response(id).unwrap().unwrap());
            self.look(&format!("{run} {id} request"), &serde_json::to_vec(&asked).unwrap());
            self.look(&format!("{run} {id} response"), &serde_json::to_vec(&answered).unwrap());
            let exchange = reader.exchange(id).unwrap();
            let response = exchange.response.unwrap();
            let coding = response.head.as_ref().and_then(|head| head.headers.get("content-encoding"));
            let body = encoding::decode(coding, &response.body).unwrap();
            self.look(&format!("{run} {id} answer"), &body);
            self.look(&format!("{run} {id} question"), &exchange.request.body);
        }
        reader.ids().len()
    }
}

#[test]
fn nothing_that_is_written_or_printed_holds_a_secret() {
    let mut env = TestEnv::new();
    let upstream = FakeUpstream::start(|_, request| {
        // The script is chosen before the body is read: the length tells the two apart from the others.
        match request.header("content-length").and_then(|n| n.parse::<usize>().ok()) {
            Some(n) if n == question_length("stream it", true) => {
                deltas(&format!("Here: {IN_DELTAS} is the token, {IN_ENVIRONMENT} too, {CANARY}."))
            }
            Some(n) if n == question_length("zip it", false) => {
                zipped(&format!("Here: {IN_GZIP} and {IN_ENVIRONMENT} and {IN_BODY}, zipped {CANARY}."))
            }
            Some(n) if n == question_length("call a tool please", true) => arguments(),
            Some(n) if n == question_length("fail", false) => {
                let body = json!({"error": {"message": format!("Incorrect API key provided: {API_KEY}")}});
                let fields = [("Content-Type", "application/json"), ("X-Debug-Key", IN_BODY)];
                Script::body("401 Unauthorized", &fields, body.to_string().as_bytes())
            }
            _ => Script::json(&reply(&format!("You said {IN_BODY} and {IN_ENVIRONMENT}"))),
        }
    });
    env.upstream(&upstream.origin());
    let address = upstream.origin().replace("http://", "");
    env.set("ANTHROPIC_BASE_URL", format!("http://agent:{IN_PASSWORD}@{address}"));
    env.set("DATABASE_URL", format!("postgres://app:{IN_PASSWORD}@db.local/x"));
    env.set("OPENAI_API_KEY", API_KEY);
    env.set("FOO_API_KEY", IN_ENVIRONMENT);
    env.set("AGENT_TASK", IN_BODY);
    env.set("NOTIFY", format!("https://hooks.slack.com/services/{HOOK}"));
    let agent = AGENT
        .replace("CANARY", CANARY)
        .replace("HEADER", IN_HEADER)
        .replace("QUERY", IN_QUERY)
        .replace("AUTHORIZATION", IN_AUTHORIZATION)
        .replace("PASSWORD", IN_PASSWORD);
    env.file("agent.py", &agent);
    let token = format!("--extra={IN_BODY}");
    let (note, label) = (format!("try with {IN_DELTAS}"), format!("key={IN_ENVIRONMENT}"));
    let args = ["run", "--name", "s", "--note", &note, "--label", &label, "--json", "--"];
    let args = [&args[..], &["python3", "agent.py", "--token", IN_ARGV, &token]].concat();
    let option = format!("--db-token={IN_OPTION}");
    let args = [&args[..], &[&option, "--password", SHORT]].concat();
    let mut search = Search::new(&SECRETS);
    let recorded = env.retake(args).expect(0);
    search.look("run", recorded.all().as_bytes());
    // The upstream got what the agent sent, not what is kept of it.
    let received = upstream.received();
    let first = &received[0];
    assert_eq!(first.header("authorization"), Some(format!("Bearer {API_KEY}").as_str()));
    assert_eq!(first.header("x-api-key"), Some(IN_HEADER));
    assert!(received.iter().any(|r| String::from_utf8_lossy(&r.body).contains(IN_ENVIRONMENT)));

    let exchanges = search.run(&env, "s.1");
    assert_eq!(exchanges, upstream.received().len());
    let mut control = Search::new(&[CANARY]);
    control.run(&env, "s.1");
    for form in ["plain", "escaped", "percent", "base64", "deltas"] {
        let form = format!("({form})");
        assert!(control.found.iter().any(|line| line.ends_with(&form)), "{form}: {:?}", control.found);
    }
    let last = format!("s.1 x{exchanges} answer: {CANARY} (plain)");
    assert!(control.found.contains(&last), "the zipped one: {:?}", control.found);

    let shown = env.retake(["show", "s.1", "--json"]).expect(0);
    let steps = shown.json()["steps"].as_array().map_or(0, Vec::len);
    assert!(steps >= exchanges);
    search.look("show --json", shown.all().as_bytes());
    search.look("show", env.retake(["show", "s.1"]).expect(0).all().as_bytes());
    search.look("ls", env.retake(["ls", "--json"]).expect(0).all().as_bytes());
    for step in [1, 2, 3, 5, steps - 2, steps - 1, steps] {
        let step = step.to_string();
        for flags in [
            &["--full"][..],
            &["--json"],
            &["--context", "--full"],
            &["--context", "--json"],
            &["--checkpoint"],
        ] {
            let args = [&["show", "s.1", &step][..], flags].concat();
            let shown = env.retake(&args);
            // A tool call has no context.
            assert!(
                shown.code == 0 || (shown.code == 3 && args.contains(&"--context")),
                "{args:?}: {shown:?}"
            );
            search.look(&args.join(" "), shown.all().as_bytes());
        }
    }
    let exported = env.retake(["export", "s.1", "s.retake"]).expect(0);
    search.look("export", exported.all().as_bytes());
    search.look("the export", &std::fs::read(env.work().join("s.retake")).unwrap());
    let exported = std::fs::read_to_string(env.work().join("s.retake")).unwrap();
    assert!(exported.contains("--password") && !exported.contains(SHORT), "{exported}");
    env.retake(["import", "s.retake", "--name", "again"]).expect(0);
    search.run(&env, "again.1");
    env.retake(["index", "rebuild"]).expect(0);
    search.files(&env.store());
    search.found.sort();
    search.found.dedup();
    assert!(search.found.is_empty(), "{} places:\n{}", search.found.len(), search.found.join("\n"));
}

/// The length of the body that the agent makes of a text.
fn question_length(text: &str, stream: bool) -> usize {
    format!(r#"{{"model": "m", "stream": {stream}, "messages": [{{"role": "user", "content": "{text}"}}]}}"#)
        .len()
}
