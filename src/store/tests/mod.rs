//! A store in a temporary directory, exchanges to put into it, and the behaviours that need both.

mod damage;
mod full_disk;
mod index;
mod layout;
mod roundtrip;
mod sharing;
mod size;

use super::{BodyRef, RunReader, RunWriter, Store};
use crate::exchange::{
    BodyEnd, Exchange, ExchangeId, FrameMark, HeaderList, RecordedRequest, RecordedResponse, RequestHead,
    ResponseHead, Source, StandIn, Upstream,
};
use crate::run::{Manifest, Parent, RunId};
use bytes::Bytes;
use tempfile::TempDir;

/// A store that goes away.
pub struct Room {
    pub place: TempDir,
    pub store: Store,
}

pub fn room() -> Room {
    let place = tempfile::tempdir().unwrap();
    let store = Store::find_or_create(None, place.path()).unwrap();
    Room { place, store }
}

/// SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }
}

/// Text of 2,000 different words, rarer ones rarer, so that it packs as badly as prose.
pub fn words(dice: &mut Dice, bytes: usize) -> String {
    const SYLLABLES: [&str; 40] = [
        "the", "in", "er", "an", "re", "on", "at", "en", "nd", "ti", "es", "or", "te", "of", "ed", "is",
        "it", "al", "ar", "st", "to", "nt", "ng", "se", "ha", "as", "ou", "io", "le", "ve", "co", "me", "de",
        "hi", "ri", "ro", "ic", "ne", "ea", "ra",
    ];
    let mut text = String::new();
    while text.len() < bytes {
        let rank = dice.below(1 << 20) as f64 / f64::from(1 << 20);
        let mut word = Dice((2000f64.powf(rank) as u64).wrapping_mul(77));
        for _ in 0..1 + word.below(4) {
            text.push_str(SYLLABLES[word.below(40) as usize]);
        }
        text.push(' ');
    }
    text.truncate(bytes);
    text
}

pub fn manifest(id: RunId) -> Manifest {
    Manifest {
        uuid: uuid::Uuid::now_v7().to_string(),
        id,
        recorder: "0.1.0".into(),
        started_us: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros()
            as u64,
        home: String::new(),
        temp: String::new(),
        zone_s: 0,
        labels: [("suite".to_string(), "refunds".to_string())].into(),
        note: None,
        command: vec!["python".into(), "agent.py".into()],
        command_redacted: false,
        directory: "/home/dev/agent".into(),
        environment: Default::default(),
        secret_variables: vec!["OPENAI_API_KEY".into()],
        stdin: None,
        git: None,
        upstreams: vec![upstream()],
        parent: None,
        imported: false,
        lacks: Vec::new(),
        stale: Vec::new(),
        intercepted: None,
        shell: false,
        outcome: None,
        incomplete: None,
        stand_ins: 0,
        replaced: Default::default(),
        own_stand_ins: Vec::new(),
    }
}

pub fn fork_of(parent: &Manifest, id: RunId) -> Manifest {
    let parent = Parent {
        run: parent.id.clone(),
        uuid: parent.uuid.clone(),
        at_step: 7,
        edits: vec!["7:result.risk=\"high\"".into()],
        replay: false,
    };
    Manifest { parent: Some(parent), ..manifest(id) }
}

fn upstream() -> Upstream {
    Upstream { provider: "openai".into(), origin: "https://api.openai.com".into() }
}

fn headers(fields: &[(&str, &str)]) -> HeaderList {
    HeaderList(fields.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect())
}

/// An exchange with these bodies.
pub fn exchange(id: u32, request: &[u8], response: Option<&[u8]>) -> Exchange {
    let request = RecordedRequest {
        id: ExchangeId(id),
        started_us: 1_790_000_000_000_000 + u64::from(id) * 1_234_567,
        upstream: upstream(),
        head: RequestHead {
            method: "POST".into(),
            target: "/v1/chat/completions".into(),
            headers: headers(&[
                ("Host", "127.0.0.1:40123"),
                ("Accept-Encoding", "gzip, deflate"),
                ("Accept", "application/json"),
                ("Content-Type", "application/json"),
                ("User-Agent", "OpenAI/Python 2.8.0"),
                ("X-Stainless-Runtime-Version", "3.12.1"),
                ("Authorization", "Bearer sk-proj-Zk3d9a"),
                ("Content-Length", &request.len().to_string()),
            ]),
        },
        body: Bytes::copy_from_slice(request),
        end: BodyEnd::Complete,
        sent: None,
        sent_target: None,
        stand_ins: vec![StandIn { label: "OPENAI_API_KEY".into(), text: "sk-proj-Zk3d9a".into() }],
    };
    let response = response.map(|body| RecordedResponse {
        source: Source::Live,
        head: Some(ResponseHead {
            status: 200,
            headers: headers(&[
                ("content-type", "application/json"),
                ("x-request-id", &format!("req_{id}")),
                ("openai-processing-ms", "412"),
                ("content-length", &body.len().to_string()),
            ]),
        }),
        fault: None,
        head_us: 410_000 + u64::from(id),
        body: Bytes::copy_from_slice(body),
        frames: vec![FrameMark(body.len() as u32, 412_345)],
        end: BodyEnd::Complete,
        end_us: 412_400,
        stand_ins: Vec::new(),
    });
    Exchange { request, response }
}

/// Puts a body in, split at these lengths.
pub fn put_body(writer: &mut RunWriter, body: &[u8], cuts: &[usize]) -> BodyRef {
    let mut parts = Vec::new();
    let mut rest = body;
    for &cut in cuts {
        let (now, later) = rest.split_at(cut.min(rest.len()));
        parts.push(writer.put_part(now));
        rest = later;
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(writer.put_part(rest));
    }
    writer.put_body(&parts)
}

/// Records an exchange as a recorder does: the request, commit, the response, commit.
pub fn record(writer: &mut RunWriter, exchange: &Exchange, cuts: &[usize]) {
    let request = &exchange.request;
    let body = put_body(writer, &request.body, cuts);
    writer.put_asked(request, body);
    writer.commit().unwrap();
    let Some(response) = &exchange.response else { return };
    writer.put_answered(request.id, response);
    writer.commit().unwrap();
}

/// A sealed run of single-turn exchanges; returns them.
pub fn sealed_run(store: &Store, name: &str, exchanges: u32) -> (RunId, Vec<Exchange>) {
    let mut writer = store.create_run(name, manifest).unwrap();
    let mut dice = Dice(u64::from(exchanges));
    let all: Vec<Exchange> = (1..=exchanges)
        .map(|id| {
            let (asked, said) = (words(&mut dice, 300), words(&mut dice, 700));
            exchange(id, asked.as_bytes(), Some(said.as_bytes()))
        })
        .collect();
    for one in &all {
        record(&mut writer, one, &[100, 100]);
    }
    let manifest = writer.seal(None, |_| {}).unwrap();
    (manifest.id, all)
}

/// All exchanges that can be read.
pub fn read_all(reader: &RunReader) -> Vec<Exchange> {
    reader.ids().into_iter().filter_map(|id| reader.exchange(id).ok()).collect()
}

/// All exchanges that can be read are these. (Bodies are too long to be printed.)
pub fn assert_reads(reader: &RunReader, expected: &[Exchange]) {
    let read = read_all(reader);
    let ids = |all: &[Exchange]| all.iter().map(|x| x.request.id.0).collect::<Vec<u32>>();
    assert_eq!(ids(&read), ids(expected));
    let differing: Vec<u32> =
        read.iter().zip(expected).filter(|(a, b)| a != b).map(|(a, _)| a.request.id.0).collect();
    assert!(differing.is_empty(), "these differ: {differing:?}");
}
