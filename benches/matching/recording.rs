//! Recordings of the made-up agent, in files, and how long the matcher spends reading them.

use crate::agent::{Conversation, Size, THEN, response};
use retake::dialect::conversation::{ModelAnswer, ModelRequest};
use retake::exchange::{
    BodyEnd, Exchange, ExchangeId, FrameMark, HeaderList, RecordedRequest, RecordedResponse, RequestHead,
    ResponseHead, Source, SpanContext, Upstream,
};
use retake::replay::matcher::Recording;
use retake::replay::recording::RecordedRun;
use retake::run::lanes::LaneBuilder;
use retake::run::{Outline, RunId};
use retake::store::{RunReader, RunWriter, Store};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub const PATH: &str = "/v1/messages";

/// A recorded run in a directory of its own.
pub struct Recorded {
    store: tempfile::TempDir,
    outline: Arc<Outline>,
}

/// With this as its first argument the bench records, into the directory that is the second.
const RECORD: &str = "record-into";

impl Recorded {
    /// Records in another process: the heap of this one is to be that of a replay, not that of a recorder.
    pub fn new(size: Size) -> Recorded {
        let store = tempfile::tempdir().expect("store");
        let numbers = [size.lanes, size.turns, size.system, size.tools, size.result];
        let done = Command::new(std::env::current_exe().expect("own name"))
            .arg(RECORD)
            .arg(store.path())
            .args(numbers.map(|n| n.to_string()))
            .status()
            .expect("recorder");
        assert!(done.success());
        let reader = open(store.path());
        let outline = reader.outline().expect("outline");
        assert_eq!(outline.lanes.len(), size.lanes);
        Recorded { store, outline }
    }

    /// The recording as a new process has it, and a watch on its reader.
    pub fn fresh(&self) -> (Timed, Watch) {
        let watch = Watch::default();
        let run = RecordedRun::new(Arc::new(open(self.store.path())), self.outline.clone());
        (Timed { run, watch: watch.clone() }, watch)
    }
}

fn open(store: &Path) -> RunReader {
    let store = Store::find_or_create(Some(store), store).expect("store");
    store.open_run(&RunId::parse("bench.1").expect("name")).expect("reader")
}

/// Records if these are the arguments of a process that is to; false when they are not.
pub fn records(args: &[String]) -> bool {
    let [what, store, numbers @ ..] = args else { return false };
    let numbers: Vec<usize> = numbers.iter().filter_map(|n| n.parse().ok()).collect();
    let (RECORD, &[lanes, turns, system, tools, result]) = (what.as_str(), numbers.as_slice()) else {
        return false;
    };
    record(Path::new(store), Size { lanes, turns, system, tools, result });
    true
}

/// Records lanes side by side: turn by turn, lane by lane.
fn record(directory: &Path, size: Size) {
    let store = Store::find_or_create(Some(directory), directory).expect("store");
    let manifest = |id| {
        let fields = serde_json::json!({"id": id, "uuid": "019aa000-0000-7000-8000-000000000000",
            "recorder": "0.1.0", "started_us": THEN.noon * 1_000_000});
        serde_json::from_value(fields).expect("manifest")
    };
    let mut writer = store.create_run("bench", manifest).expect("run");
    let mut outline = LaneBuilder::default();
    let mut lanes: Vec<Conversation<'_>> =
        (0..size.lanes).map(|lane| Conversation::new(&THEN, lane, size)).collect();
    let mut id = 0;
    for turn in 0..size.turns {
        for (lane, conversation) in lanes.iter_mut().enumerate() {
            let body = conversation.next().expect("turn");
            id += 1;
            let exchange = exchange(id, body, response(&THEN, lane, turn));
            outline.add(&exchange);
            write(&mut writer, &exchange);
        }
    }
    writer.seal(Some(&outline.finish()), |_| {}).expect("seal");
}

fn exchange(id: u32, body: Vec<u8>, answer: Vec<u8>) -> Exchange {
    let headers = HeaderList(vec![("content-type".into(), "application/json".into())]);
    let request = RecordedRequest {
        id: ExchangeId(id),
        // Inside of one hour, whatever their number.
        started_us: THEN.noon * 1_000_000 + u64::from(id) * 100_000,
        upstream: Upstream { provider: "anthropic".into(), origin: "https://api.example.com".into() },
        head: RequestHead { method: "POST".into(), target: PATH.into(), headers: headers.clone() },
        body: body.into(),
        end: BodyEnd::Complete,
        sent: None,
        sent_target: None,
        stand_ins: Vec::new(),
    };
    let response = RecordedResponse {
        source: Source::Live,
        head: Some(ResponseHead { status: 200, headers }),
        fault: None,
        head_us: 40_000,
        frames: vec![FrameMark(answer.len() as u32, 40_000)],
        body: answer.into(),
        end: BodyEnd::Complete,
        end_us: 50_000,
        stand_ins: Vec::new(),
    };
    Exchange { request, response: Some(response) }
}

fn write(writer: &mut RunWriter, exchange: &Exchange) {
    writer.put_exchange(exchange);
    writer.commit().expect("commit");
}

/// How long a recording was read.
#[derive(Clone, Default)]
pub struct Watch(Arc<AtomicU64>);

impl Watch {
    /// What was spent since the last time.
    pub fn take(&self) -> Duration {
        Duration::from_nanos(self.0.swap(0, Ordering::Relaxed))
    }

    fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.0.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        done
    }
}

/// A recording that notes how long it is read.
#[derive(Clone)]
pub struct Timed {
    run: RecordedRun,
    watch: Watch,
}

impl Recording for Timed {
    fn outline(&self) -> &Outline {
        self.run.outline()
    }
    fn request(&self, lane: u32, turn: u32) -> Result<Arc<ModelRequest>, String> {
        self.watch.during(|| self.run.request(lane, turn))
    }
    fn answer(&self, lane: u32, turn: u32) -> Result<Arc<ModelAnswer>, String> {
        self.watch.during(|| self.run.answer(lane, turn))
    }
    fn path(&self, lane: u32, turn: u32) -> Result<String, String> {
        self.watch.during(|| self.run.path(lane, turn))
    }
    fn context(&self, lane: u32, turn: u32) -> Result<SpanContext, String> {
        self.watch.during(|| self.run.context(lane, turn))
    }
}
