//! Nested, byte-identical sub-agents at once, over sockets: every request gets the answer of its own lane and turn,
//! whatever comes first and wherever it runs.

use crate::support::coder::{Coder, Got, Place};
use crate::support::coder_model::{Manner, PLAIN};
use retake::dialect;
use retake::dialect::conversation::{Block, ModelAnswer};
use retake::exchange::{HeaderList, ResponseHead};
use serde_json::Value;

type Kind = &'static [(&'static str, &'static str)];

const ANTHROPIC: Kind = &[("PROVIDER", "anthropic"), ("STREAM", "1")];
const NAMED: Kind = &[("PROVIDER", "anthropic"), ("STREAM", "1"), ("NAMES", "1"), ("THINK", "1")];
const OPENAI: Kind = &[("PROVIDER", "openai")];
const OPENAI_STREAM: Kind = &[("PROVIDER", "openai"), ("STREAM", "1"), ("GZIP", "1")];
const WHOLE: Kind = &[("PROVIDER", "anthropic"), ("GZIP", "1"), ("THINK", "1")];

/// One recorded answer, and the one that was served for it.
struct Pair<'a> {
    who: &'a (String, u64),
    then: &'a [u8],
    now: &'a [u8],
    changed: &'a [(String, String)],
}

impl Pair<'_> {
    fn is_stream(&self) -> bool {
        self.then.starts_with(b"event:") || self.then.starts_with(b"data:")
    }

    fn today(&self, text: &str) -> String {
        // All at once, the longest first: a value of today may look like a recorded one.
        let mut out = String::new();
        let mut rest = text;
        'next: while !rest.is_empty() {
            for (then, now) in self.changed {
                if let Some(tail) = rest.strip_prefix(then.as_str()) {
                    out.push_str(now);
                    rest = tail;
                    continue 'next;
                }
            }
            let first = rest.chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..first]);
            rest = &rest[first..];
        }
        out
    }

    /// Reads both and compares what they say: calls and texts with today's values, reasoning to the byte.
    fn check(&self) {
        let who = self.who;
        let (then, now) = (self.read(self.then), self.read(self.now));
        assert_eq!(then.blocks.len(), now.blocks.len(), "{who:?}");
        for (a, b) in then.blocks.iter().zip(&now.blocks) {
            match (a, b) {
                (Block::Text { text }, Block::Text { text: said }) => {
                    assert_eq!(self.today(text), *said, "{who:?}")
                }
                (Block::ToolCall { id, name, args }, Block::ToolCall { id: i, name: n, args: given }) => {
                    assert_eq!((id, name), (i, n), "{who:?}");
                    assert_eq!(self.with_today(args), *given, "{who:?}");
                }
                (a, b) => assert_eq!(a, b, "{who:?}"),
            }
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        if !self.is_stream() {
            assert_eq!(sealed(&text(self.then)), sealed(&text(self.now)), "{who:?}");
        } else {
            assert_eq!(skeleton(&text(self.then)), skeleton(&text(self.now)), "{who:?}");
        }
    }

    fn with_today(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.today(text)),
            Value::Object(fields) => fields.iter().map(|(k, v)| (k.clone(), self.with_today(v))).collect(),
            other => other.clone(),
        }
    }

    fn read(&self, body: &[u8]) -> ModelAnswer {
        let openai = memchr::memmem::find(self.then, b"chat.completion").is_some();
        let kind = if self.is_stream() { "text/event-stream" } else { "application/json" };
        let head =
            ResponseHead { status: 200, headers: HeaderList(vec![("content-type".into(), kind.into())]) };
        let dialect = dialect::by_name(if openai { "openai-chat" } else { "anthropic-messages" });
        dialect.expect("a dialect").read_answer(&head, body)
    }
}

/// A stream without the texts that may be rewritten; reasoning stays.
fn skeleton(stream: &str) -> Vec<String> {
    let event = |line: &str| {
        let Some(Ok(mut event)) = line.strip_prefix("data: ").map(serde_json::from_str::<Value>) else {
            return line.to_string();
        };
        for path in [
            "/delta/text",
            "/delta/partial_json",
            "/choices/0/delta/content",
            "/choices/0/delta/tool_calls/0/function/arguments",
        ] {
            if let Some(text) = event.pointer_mut(path) {
                *text = Value::Null;
            }
        }
        event.to_string()
    };
    stream.lines().map(event).collect()
}

/// The reasoning in an answer that came whole, signatures and all.
fn sealed(answer: &str) -> Vec<Value> {
    let answer: Value = serde_json::from_str(answer).expect("JSON");
    let blocks = answer["content"].as_array().into_iter().flatten();
    blocks.filter(|b| b["type"].as_str().is_some_and(|t| t.contains("thinking"))).cloned().collect()
}

/// What was got in another run is what was recorded, with the values of that run.
#[track_caller]
fn same_but_for_values(first: &Got, here: &Place, got: &Got, there: &Place) {
    assert_eq!(got.answers.keys().collect::<Vec<_>>(), first.answers.keys().collect::<Vec<_>>());
    let changed = first.changed(here, got, there);
    for ((who, (_, then)), (_, now)) in first.answers.iter().zip(got.answers.values()) {
        Pair { who, then, now, changed: &changed }.check();
    }
}

fn nested(kind: Kind, replays: usize) {
    let coder = Coder::new(PLAIN, kind);
    let here = Place::new("work");
    let (ran, first) = coder.record(&here);
    assert_eq!(first.answers.len(), 2 + 2 * 2 + 4 * 3, "{}", ran.all());
    for _ in 0..replays {
        let (_, said, got) = coder.replay("c.1", &here);
        assert!(said.contains(&ran.out), "{said}");
        same_but_for_values(&first, &here, &got, &here);
    }
}

#[test]
fn nested_twins_in_any_order() {
    nested(ANTHROPIC, 5);
    nested(NAMED, 4);
    nested(OPENAI, 5);
    nested(OPENAI_STREAM, 4);
}

/// Two of the sub-agents are asked the same by the same parent: who is who is free, but each is one of them throughout.
#[test]
fn twins_of_one_parent_may_be_exchanged() {
    const TWINS: Manner =
        Manner { prompts: &["Investigate alpha", "Investigate beta", "Investigate alpha"], ..PLAIN };
    for kind in [ANTHROPIC, OPENAI] {
        let coder = Coder::new(TWINS, kind);
        let here = Place::new("work");
        let (ran, _) = coder.record(&here);
        for _ in 0..4 {
            let (told, said, got) = coder.replay("c.1", &here);
            assert_eq!(told["matching"]["gate_timeouts"], 0, "{told:#}");
            assert!(said.contains(&ran.out), "{said}");
            assert_eq!(got.answers.len(), 2 + 3 * 2 + 6 * 3);
        }
    }
}

/// The number of a lane's first step with a tool.
fn step(coder: &Coder, run: &str, lane: &str, tool: &str) -> u64 {
    let shown = coder.env.retake(["show", run, "--json"]).expect(0).json();
    let steps = shown["steps"].as_array().expect("steps").iter();
    let mut found =
        steps.filter(|s| s["lane"] == lane && s["tool"] == tool).filter_map(|s| s["step"].as_u64());
    found.next().unwrap_or_else(|| panic!("no {tool} in {lane}: {shown:#}"))
}

#[test]
fn an_edit_reaches_one_branch_of_the_tree() {
    for kind in [ANTHROPIC, OPENAI] {
        let coder = Coder::new(PLAIN, kind);
        let (here, there) = (Place::new("work"), Place::new("elsewhere"));
        let (_, first) = coder.record(&here);
        let read = step(&coder, "c.1", "main/0.0/0.1", "Read");
        let before = coder.model.asked();
        let edit = format!("{read}:result=\"Another note.\"");
        let (ran, got) = coder.run(&there, &["fork", "c.1", "--set", &edit, "--yes"]);
        let ran = ran.expect(0);
        let live = coder.model.since(before);
        assert_eq!(live.len(), 2 + 1 + 1, "{}", ran.all());
        for body in &live {
            let body = body.to_string();
            assert!(!body.contains(&here.roots()[0]) && body.contains(&there.roots()[0]), "{body}");
        }
        // What the edit does not reach is as it was.
        let reached = |(agent, turn): &(String, u64)| *turn > 0 && "main/0/1".starts_with(agent.as_str());
        let changed = first.changed(&here, &got, &there);
        for ((who, (_, then)), (_, now)) in first.answers.iter().zip(got.answers.values()) {
            if !reached(who) {
                Pair { who, then, now, changed: &changed }.check();
            }
        }
        coder.env.retake(["export", "c.2", "c.retake"]).expect(0);
        let file = std::fs::read_to_string(coder.env.work().join("c.retake")).expect("a file");
        for root in here.roots() {
            let old = file.lines().find(|line| line.contains(&root));
            assert_eq!(old, None, "the fork holds today's values alone");
        }
        coder.env.retake(["show", "c.2"]).expect(0);
        let diff = coder.env.retake(["diff", "c.1", "c.2"]).expect(1).out;
        assert!(diff.contains(&format!("why: the edit {edit}")), "{diff}");
        let (_, said, again) = coder.replay("c.2", &there);
        same_but_for_values(&got, &there, &again, &there);
        assert!(said.contains(&ran.out));
    }
}

/// Where directories have names that JSON escapes, as the model writes them.
const ODD: Manner = Manner { escapes: true, ..PLAIN };

fn moved(kind: Kind, manner: Manner, names: [&'static str; 2]) {
    let coder = Coder::new(manner, kind);
    let (here, there) = (Place::new(names[0]), Place::new(names[1]));
    let (ran, first) = coder.record(&here);
    let (_, said, got) = coder.replay("c.1", &there);
    let final_line = ran.out.replace(&here.roots()[0], &there.roots()[0]);
    assert!(said.contains(&final_line), "{said}");
    same_but_for_values(&first, &here, &got, &there);
    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    for ((_, (coding, then)), (now_coding, now)) in first.answers.iter().zip(got.answers.values()) {
        // What was encoded goes out as it is unless something in it is another today.
        assert_eq!(now_coding, if text(then) == text(now) { coding } else { &None });
    }
}

#[test]
fn in_another_directory_and_home() {
    moved(NAMED, PLAIN, ["work", "elsewhere"]);
    moved(ANTHROPIC, ODD, ["work", "elsewhere"]);
    moved(WHOLE, PLAIN, ["work", "elsewhere"]);
    moved(OPENAI, PLAIN, ["work", "elsewhere"]);
    moved(OPENAI_STREAM, PLAIN, ["work", "elsewhere"]);
}

#[test]
fn in_directories_with_odd_names() {
    moved(ANTHROPIC, ODD, ["w\u{f6}rk (1) \"a\"", "other"]);
    moved(OPENAI_STREAM, PLAIN, ["work", "caf\u{e9} \"b\" c"]);
    moved(OPENAI, ODD, ["w\u{f6}rk", "caf\u{e9}"]);
    moved(WHOLE, ODD, ["w\u{f6}rk", "caf\u{e9}"]);
}
