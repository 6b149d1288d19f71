//! Real bytes of a coding agent with sub-agents of sub-agents: one recording's requests against another recording.
//! `fixtures/agents/claude-code` says how they were made. Agent ids in headers tell which lane is which.

use super::tape::{Tape, Taped};
use crate::dialect;
use crate::dialect::conversation::{ModelRequest, Role};
use crate::exchange::{Exchange, SpanContext};
use crate::holes::{Side, Surroundings};
use crate::replay::matcher::{Ask, Decision, MatchClass, Options};
use crate::replay::recording::read_answer;
use crate::run::{Manifest, likeness};
use crate::store::bundle::{ImportOptions, import};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A recording, and which lane and turn each exchange is.
struct Session {
    manifest: Manifest,
    exchanges: Vec<Exchange>,
    truth: HashMap<u32, (String, u32)>,
}

fn context(exchange: &Exchange) -> SpanContext {
    SpanContext::from_headers(&exchange.request.head.headers)
}

fn read(exchange: &Exchange) -> ModelRequest {
    let (dialect, _) = dialect::recognise(&exchange.request.head).expect("a model call");
    dialect.read_request(&exchange.request.head.target, &exchange.request.body).expect("a request")
}

/// What an agent was asked to look into.
fn task(request: &ModelRequest) -> &'static str {
    let users = request.messages.iter().filter(|m| m.role == Role::User);
    let text: String = users.take(2).map(|m| m.text()).collect();
    match (text.contains("Investigate alpha"), text.contains("Investigate beta")) {
        (true, false) => "alpha",
        (false, true) => "beta",
        other => panic!("{other:?}: {text}"),
    }
}

/// What the agent at the end of a path was asked, and how deep it is.
fn task_of(path: &str) -> (usize, Option<&str>) {
    (path.matches('/').count(), path.rsplit('/').next())
}

fn session(name: &str) -> Session {
    let path = format!("{}/fixtures/agents/claude-code/{name}.retake", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read(path).expect("a fixture");
    let run = import(&mut file.as_slice(), ImportOptions::default()).expect("a run");
    let mut paths: HashMap<String, String> = HashMap::new();
    let mut turns: BTreeMap<String, u32> = BTreeMap::new();
    let mut truth = HashMap::new();
    for exchange in &run.exchanges {
        let context = context(exchange);
        let path = match context.agent_id {
            None => "main".to_string(),
            Some(agent) => {
                let above = context.parent_agent_id.map_or("main".to_string(), |p| paths[&p].clone());
                paths.entry(agent).or_insert_with(|| format!("{above}/{}", task(&read(exchange)))).clone()
            }
        };
        let turn = turns.entry(path.clone()).or_default();
        truth.insert(exchange.request.id.0, (path, *turn));
        *turn += 1;
    }
    assert_eq!((turns.len(), truth.len()), (15, 38));
    Session { manifest: run.manifest, exchanges: run.exchanges, truth }
}

fn side(manifest: &Manifest) -> Side {
    Side {
        directory: manifest.directory.clone(),
        home: manifest.home.clone(),
        temp: manifest.temp.clone(),
        started_us: manifest.started_us,
        ended_us: manifest.outcome.as_ref().map_or(0, |o| o.ended_us),
        zone_s: manifest.zone_s,
    }
}

/// The recording as a tape; without agent ids unless `named`.
fn tape(session: &Session, named: bool) -> Tape {
    let taped = session.exchanges.iter().map(|exchange| Taped {
        id: exchange.request.id.0,
        started: exchange.request.started_us,
        ended: exchange.request.started_us + exchange.response.as_ref().map_or(0, |r| r.end_us),
        path: exchange.request.head.path().to_string(),
        context: if named { context(exchange) } else { SpanContext::default() },
        request: Arc::new(read(exchange)),
        answer: Arc::new(read_answer(exchange).expect("an answer")),
    });
    Tape::new(taped.collect())
}

/// Plays the requests of one recording, as they came, through the matcher of another: how many were of which class.
fn play(recorded: &Session, live: &Session, named: bool) -> BTreeMap<String, u32> {
    let tape = tape(recorded, named);
    let surroundings = Surroundings { recorded: side(&recorded.manifest), live: side(&live.manifest) };
    let options = Options { surroundings: Some(surroundings), ..Options::default() };
    let mut matcher = tape.matcher(options);
    // What happened, in order: a request came (and which), or its answer had been read.
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (at, exchange) in live.exchanges.iter().enumerate() {
        let started = exchange.request.started_us;
        events.push((started, true, at));
        events.push((started + exchange.response.as_ref().map_or(0, |r| r.end_us), false, at));
    }
    events.sort_unstable();
    let mut classes: BTreeMap<String, u32> = BTreeMap::new();
    let mut served = 0;
    let mut take = |decisions: Vec<Decision>| {
        for decision in decisions {
            let Decision::Serve { id, lane, turn, attempt, class, .. } = decision else {
                panic!("not served: {decision:#?}");
            };
            let (path, at) = &recorded.truth[&tape.exchange(lane, turn, attempt)];
            let (own, now) = &live.truth[&id.0];
            assert_eq!(at, now, "another turn of {path} for {own}");
            // First requests of twins without names are the same to the byte. From then on the calls that a request
            // answers tell the lane: these requests are not made by what was served, they are as they were.
            let twins = !named && *now == 0 && task_of(own) == task_of(path);
            assert!(own == path || twins, "{own} turn {now} got the answer of {path}");
            *classes.entry(format!("{class:?}")).or_default() += 1;
            let fine = [MatchClass::Exact, MatchClass::Renamed, MatchClass::Reordered].contains(&class);
            assert!(fine, "{own} turn {now}: {class:?}");
            served += 1;
        }
    };
    for (_, came, at) in events {
        let exchange = &live.exchanges[at];
        let id = exchange.request.id;
        if !came {
            take(matcher.delivered(id));
            continue;
        }
        let context = if named { context(exchange) } else { SpanContext::default() };
        let path = exchange.request.head.path().to_string();
        let key = likeness::body_key(&path, &exchange.request.body);
        let told = matcher.on_bytes(id, &key, &exchange.request.body, &context);
        let ask = || Ask {
            id,
            dialect: "anthropic-messages",
            path,
            context: context.clone(),
            request: read(exchange),
        };
        let told = told.unwrap_or_else(|| matcher.on_request(ask()));
        take(told);
    }
    take(matcher.idle());
    assert_eq!(served, live.exchanges.len());
    assert_eq!(matcher.unasked(), []);
    classes
}

#[test]
fn each_request_gets_the_answer_of_its_lane_and_turn() {
    let (one, two) = (session("one"), session("two"));
    for (recorded, live) in [(&one, &two), (&two, &one), (&one, &one)] {
        for named in [true, false] {
            let classes = play(recorded, live, named);
            println!("{} against {}, named {named}: {classes:?}", live.manifest.id, recorded.manifest.id);
        }
    }
}
