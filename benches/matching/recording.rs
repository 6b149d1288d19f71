//! Recordings of the made-up agent, in files, and how long the matcher spends reading them.

use crate::agent::{Conversation, Size, THEN, response};
use retake::dialect::conversation::{ModelAnswer, ModelRequest};
use retake::exchange::{
    BodyEnd, Exchange, ExchangeId, FrameMark, HeaderList, RecordedRequest, RecordedResponse, RequestHead,
    ResponseHead, Source, SpanContext, Upstream, parts,
};
use retake::replay::matcher::Recording;
use retake::replay::recording::RecordedRun;
use retake::run::Outline;
use retake::run::lanes::LaneBuilder;
use retake::store::{RequestRecord, ResponseRecord, RunWriter, Store};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const PATH: &str = "/v1/messages";

/// A recorded run in a directory of its own.
pub struct Recorded {
    _store: tempfile::TempDir,
    run: RecordedRun,
}

impl Recorded {
    /// Records lanes side by side: turn by turn, lane by lane.
    pub fn new(size: Size) -> Recorded {
        let directory = tempfile::tempdir().expect("store");
        let store = Store::find_or_create(Some(directory.path()), directory.path()).expect("store");
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
        let outline = outline.finish();
        assert_eq!(outline.lanes.len(), size.lanes);
        let manifest = writer.seal(None, |_| {}).expect("seal");
        let reader = store.open_run(&manifest.id).expect("reader");
        Recorded { _store: directory, run: RecordedRun::new(Arc::new(reader), Arc::new(outline)) }
    }

    /// The recording as a new process has it, and a watch on its reader.
    pub fn fresh(&self) -> (Timed, Watch) {
        let directory = self.run.reader().directory().to_path_buf();
        let reader = retake::store::RunReader::open(directory).expect("reader");
        let watch = Watch::default();
        (
            Timed {
                run: RecordedRun::new(Arc::new(reader), self.run.shared_outline()),
                watch: watch.clone(),
            },
            watch,
        )
    }
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
    let request = &exchange.request;
    let ranges = parts::split(&request.body);
    let cut: Vec<_> = ranges.ranges().map(|range| writer.put_part(&request.body[range])).collect();
    let body = writer.put_body(&cut);
    writer.put_request(&RequestRecord {
        id: request.id,
        started_us: request.started_us,
        upstream: request.upstream.clone(),
        head: request.head.clone(),
        body,
        end: request.end.clone(),
        sent: None,
        stand_ins: Vec::new(),
    });
    let response = exchange.response.as_ref().expect("response");
    let part = writer.put_part(&response.body);
    let body = writer.put_body(&[part]);
    writer.put_response(&ResponseRecord {
        id: request.id,
        source: response.source.clone(),
        head: response.head.clone(),
        fault: None,
        head_us: response.head_us,
        body,
        frames: response.frames.clone(),
        end: response.end.clone(),
        end_us: response.end_us,
        stand_ins: Vec::new(),
    });
    writer.commit().expect("commit");
}

/// How long a recording was read.
#[derive(Clone, Default)]
pub struct Watch(Rc<Cell<Duration>>);

impl Watch {
    /// What was spent since the last time.
    pub fn take(&self) -> Duration {
        self.0.take()
    }

    fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.0.set(self.0.get() + start.elapsed());
        done
    }
}

/// A recording that notes how long it is read.
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
    fn each_text(&self, look: &mut dyn FnMut(&str)) -> bool {
        // What is done with the texts counts as reading, too.
        self.watch.during(|| self.run.each_text(look))
    }
}
