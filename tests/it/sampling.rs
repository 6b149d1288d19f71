//! Tail sampling: which runs `gc` keeps and `export --otlp` tells of, and that these are whole.

use crate::attach::{Attached, echo, place};
use crate::support::env::TestEnv;
use crate::support::exporting::SAID;
use crate::support::upstream::{FakeUpstream, Script};
use nix::sys::signal::Signal;
use prost::Message;
use retake::otlp::proto::{Span, Traces};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Asks once, and ends with the exit code that it is told.
const AGENT: &str = "import json, os, sys, urllib.request as u\n\
    body = json.dumps({'model': 'm', 'messages': [{'role': 'user', 'content': 'hi'}]}).encode()\n\
    url = os.environ['OPENAI_BASE_URL'] + '/chat/completions'\n\
    u.urlopen(u.Request(url, body, {'content-type': 'application/json'})).read()\n\
    sys.exit(int(sys.argv[1]))\n";

struct Room {
    env: TestEnv,
    _model: FakeUpstream,
}

impl Room {
    /// `x.1` is fine, `x.2` ends with 3, `x.3` is fine, `x.4` is a fork of `x.1`, `x.5` and `x.6` are fine.
    fn new() -> Room {
        let mut env = TestEnv::new();
        let model = FakeUpstream::always(Script::json(SAID));
        env.upstream(&model.origin());
        env.file("agent.py", AGENT);
        for code in [0, 3, 0] {
            let agent = code.to_string();
            env.retake(["run", "--name", "x", "--", "python3", "agent.py", &agent]).expect(code);
        }
        env.retake(["fork", "x.1", "--at", "0"]).expect(0);
        for _ in 0..2 {
            env.retake(["run", "--name", "x", "--", "python3", "agent.py", "0"]).expect(0);
        }
        Room { env, _model: model }
    }

    fn dry(&self, flags: &[&str]) -> Value {
        let flags = [&["gc", "--older-than", "0", "--dry-run", "--json"], flags].concat();
        self.env.retake(flags).expect(0).json()
    }

    /// Runs in the order of how long they took, the slowest last, each with that time in microseconds.
    fn by_time(&self) -> Vec<(u64, String)> {
        let runs = self.env.retake(["ls", "--json"]).expect(0).json();
        let took = |run: &Value| {
            let run = &run["manifest"];
            let ended = run["outcome"]["ended_us"].as_u64().expect("ended");
            (
                ended - run["started_us"].as_u64().expect("started"),
                run["id"].as_str().expect("an id").to_string(),
            )
        };
        let mut all: Vec<_> = runs.as_array().expect("a list").iter().map(took).collect();
        all.sort();
        all
    }
}

fn names(list: &Value) -> BTreeSet<String> {
    let name = |one: &Value| one["run"].as_str().or(one.as_str()).expect("a run").to_string();
    list.as_array().expect("a list").iter().map(name).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| name.to_string()).collect()
}

fn spans(body: &[u8]) -> Vec<Span> {
    let traces = Traces::decode(body).expect("protobuf");
    let scopes = traces.resource_spans.into_iter().flat_map(|of| of.scope_spans);
    scopes.flat_map(|of| of.spans).collect()
}

#[test]
fn what_is_special_stays_and_what_forks_need() {
    let room = Room::new();
    let env = &room.env;
    env.retake(["gc", "--sample", "10%"]).expect(64).says(&["--older-than"]);
    env.retake(["gc", "--older-than", "0", "--slow", "3s"]).expect(64).says(&["--sample"]);
    env.retake(["gc", "--older-than", "0", "--sample", "10"]).expect(64).says(&["10%"]);
    let dry = room.dry(&["--sample", "0%"]);
    assert_eq!(names(&dry["removed"]), set(&["x.3", "x.5", "x.6"]), "{dry}");
    let why = |dry: &Value, run: &str| {
        let kept = dry["kept"].as_array().expect("a list").iter();
        let found = kept.clone().find(|kept| kept["run"] == run);
        found.map(|kept| (kept["rule"].clone(), kept["why"].clone())).unwrap_or_default()
    };
    assert_eq!(why(&dry, "x.2"), (json!("error"), json!("error: exit 3")));
    assert_eq!(why(&dry, "x.4"), (json!("fork"), json!("fork of x.1")));
    assert_eq!(why(&dry, "x.1"), (json!("needed"), json!("x.4 was forked from it")));

    // One that is neither is slow when it took longer than another that is neither.
    let times = room.by_time();
    let plain: Vec<_> =
        times.iter().filter(|(_, run)| ["x.3", "x.5", "x.6"].contains(&run.as_str())).collect();
    let limit = format!("{}us", plain[1].0);
    let dry = room.dry(&["--sample", "0%", "--slow", &limit]);
    assert_eq!(why(&dry, &plain[2].1).0, json!("slow"), "{dry}");
    assert!(names(&dry["removed"]).contains(&plain[0].1), "{dry}");

    let done = env.retake(["gc", "--older-than", "0", "--sample", "0%"]).expect(0).out;
    for line in [
        "removing  x.3\n",
        "kept      x.2   error: exit 3\n",
        "kept      x.4   fork of x.1\n",
        "removed 3 runs",
    ] {
        assert!(done.contains(line), "no {line:?} in {done}");
    }
    assert_eq!(env.listed(), ["x.1", "x.2", "x.4"]);
    env.retake(["replay", "x.4"]).expect(0);
    env.retake(["diff", "x.1", "x.4"]).expect(0);
}

#[test]
fn a_larger_share_holds_a_smaller_one() {
    let room = Room::new();
    let mut before = BTreeSet::new();
    for share in ["0%", "25%", "50%", "75%", "100%"] {
        let kept = names(&room.dry(&["--sample", share])["kept"]);
        assert!(kept.is_superset(&before), "{share}: {kept:?}");
        assert_eq!(kept, names(&room.dry(&["--sample", share])["kept"]), "the same each time");
        before = kept;
    }
    assert_eq!(before.len(), 6);
}

#[test]
fn many_runs_are_exported_by_the_same_rules() {
    let room = Room::new();
    let env = &room.env;
    let collector = FakeUpstream::always(Script::body("200 OK", &[], b""));
    let url = collector.origin();
    let all = env.retake(["export", "--otlp", &url, "--all", "--json"]).expect(0).json();
    assert_eq!((names(&all["exported"]).len(), collector.received().len()), (6, 6), "{all}");

    env.file("retake.toml", "[sampling]\nshare = \"0%\"\n");
    let dry = env.retake(["export", "--otlp", &url, "--all", "--dry-run"]).expect(0).out;
    assert!(dry.contains("would export   x.2   error: exit 3\n"), "{dry}");
    assert!(dry.contains(&format!("would export 3 of 6 runs to {url}\n")), "{dry}");
    assert_eq!(collector.received().len(), 6, "it only said so");
    let told = env.retake(["export", "--otlp", &url, "--all", "--json"]).expect(0).json();
    assert_eq!(names(&told["exported"]), set(&["x.1", "x.2", "x.4"]), "{told}");
    assert_eq!(names(&told["left_out"]), set(&["x.3", "x.5", "x.6"]), "{told}");
    let flags = ["export", "--otlp", &url, "--all", "--json", "--sample", "100%"];
    let every = env.retake(flags).expect(0).json();
    assert_eq!(names(&every["exported"]).len(), 6, "flags win: {every}");
    let every = env.retake(["export", "--otlp", &url, "--all", "--json", "--no-sample"]).expect(0).json();
    assert_eq!(names(&every["exported"]).len(), 6, "{every}");
    let named = env.retake(["export", "x.3", "x.5", "--otlp", &url, "--json"]).expect(0).json();
    assert_eq!(names(&named["exported"]), set(&["x.3", "x.5"]), "who names runs means these: {named}");
    let failed = ["export", "--otlp", &url, "--where", "exit=3", "--json"];
    assert_eq!(names(&env.retake(failed).expect(0).json()["exported"]), set(&["x.2"]));

    env.retake(["export", "x.1", "x.4", "--otlp", "both.pb"]).expect(0);
    let both = spans(&std::fs::read(env.work().join("both.pb")).expect("a file"));
    let roots: Vec<&Span> = both.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    assert_eq!(roots.len(), 2);
    let link = &roots[1].links[0];
    assert_eq!(
        (&link.trace_id, &link.span_id),
        (&roots[0].trace_id, &roots[0].span_id),
        "the fork's root to its parent"
    );
    env.retake(["export", "x.1", "x.4", "one.retake"]).expect(64).says(&["one run"]);
    env.retake(["export", "--all", "one.retake"]).expect(64);
    env.retake(["export", "x.1", "one.retake", "--sample", "1%"]).expect(64).says(&["--otlp"]);

    // A run that cannot be read hides no other, unless it is named.
    std::fs::remove_file(env.store().join("runs/x.3/exchanges.seg")).expect("a file");
    std::fs::remove_file(env.store().join("runs/x.3/outline")).expect("a file");
    let rest = env.retake(["export", "--otlp", &url, "--all", "--no-sample", "--json"]).expect(0);
    rest.says(&["x.3 is left out"]);
    assert_eq!(names(&rest.json()["left_out"]), set(&["x.3"]));
    env.retake(["export", "x.3", "--otlp", &url]).expect(3);

    env.file("retake.toml", "[sampling]\nshare = \"10\"\n");
    env.retake(["export", "--otlp", &url, "--all"]).expect(3).says(&["retake.toml line 2", "10%"]);
    env.retake(["gc", "--older-than", "0"]).expect(3).says(&["line 2"]);
}

#[test]
fn a_collector_that_refuses_is_told_of() {
    let room = Room::new();
    let env = &room.env;
    let collector = FakeUpstream::start(|number, _| match number {
        // Field 1, partial success: field 1, 7 spans, and field 2, why.
        0 => Script::body("200 OK", &[], b"\x0a\x06\x08\x07\x12\x02no"),
        _ => Script::body("400 Bad Request", &[], b"not today"),
    });
    let ran = env.retake(["export", "--otlp", &collector.origin(), "--all"]).expect(3);
    ran.says(&["did not take 7 spans: no", "x.2", "400 not today", "1 run sent before"]);
}

#[test]
fn a_collector_that_says_nothing_is_quoted_with_nothing() {
    let room = Room::new();
    let mut env = room.env;
    let collector = FakeUpstream::always(Script::body("400 Bad Request", &[], b""));
    env.set("OTEL_EXPORTER_OTLP_HEADERS", "x-team=7,x-retake-run=pg");
    let ran = env.retake(["export", "--otlp", &collector.origin(), "--all"]).expect(3);
    assert!(ran.err.contains("did not take the spans: it answered 400\n"), "{}", ran.err);
    let got = &collector.received()[0];
    assert_eq!((got.header("x-team"), got.header("x-retake-run")), (Some("7"), None));
}

/// A run goes as soon as it has ended, unless something is special about it.
#[test]
fn a_proxy_keeps_what_is_special() {
    let upstream = echo();
    let env = place(&upstream);
    let attached = Attached::start(&env, &["--sample", "0%"]);
    let ask = |name: &str| assert_eq!(attached.ask(&format!("/r/{name}"), "", "hi"), 200);
    let end = |name: &str, code: u32| attached.post(&format!("/r/{name}/end?exit={code}"), "").1;
    ask("fine");
    let told = end("fine", 0);
    assert_eq!((&told["run"], &told["dropped"]), (&json!("fine.1"), &json!(true)), "{told}");
    assert!(env.listed().is_empty(), "{:?}", env.listed());
    ask("bad");
    let told = end("bad", 3);
    assert_eq!((&told["run"], told.get("dropped")), (&json!("bad.1"), None), "{told}");
    assert_eq!(env.listed(), ["bad.1"]);
    ask("late");
    let ran = attached.end(Signal::SIGTERM);
    assert!(ran.err.contains("dropped    fine.1   nothing special, and not in the 0%"), "{}", ran.err);
    assert!(ran.err.contains("recorded  bad.1") && ran.err.contains("dropped    late.1"), "{}", ran.err);
    assert_eq!(env.listed(), ["bad.1"]);
    let slow = Attached::start(&env, &["--sample", "0%", "--slow", "1us"]);
    assert_eq!(slow.ask("/r/slow", "", "hi"), 200);
    assert_eq!(slow.ask("/r/slow", "", "hi again"), 200);
    assert_eq!(slow.post("/r/slow/end?exit=0", "").1.get("dropped"), None);
    slow.end(Signal::SIGTERM);
    let all = Attached::start(&env, &["--sample", "100%"]);
    assert_eq!(all.ask("/r/any", "", "hi"), 200);
    assert_eq!(all.post("/r/any/end?exit=0", "").1.get("dropped"), None);
    all.end(Signal::SIGTERM);
    assert_eq!(env.listed(), ["bad.1", "slow.1", "any.1"]);
    env.retake(["proxy", "--sample", "5%", "--slow", "p95"]).expect(64);
    env.retake(["proxy", "--slow", "5s"]).expect(64);
}
