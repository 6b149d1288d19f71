//! What goes in comes out: while it is recorded, after a crash, after the seal.

use super::*;
use crate::run::{CallSite, Lane, LaneKind, Outline, RunState, Step, StepKind, Turn};
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Plan {
    request: Vec<u8>,
    response: Option<Vec<u8>>,
    cuts: Vec<usize>,
    sent: bool,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let body = || {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..400),
            prop::collection::vec(0..3u8, 0..3000),
            "[a-e ]{0,600}".prop_map(String::into_bytes),
        ]
    };
    let plan = (body(), prop::option::of(body()), prop::collection::vec(0..200usize, 0..40), any::<bool>())
        .prop_map(|(request, response, cuts, sent)| Plan { request, response, cuts, sent });
    prop::collection::vec(plan, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn exchanges_come_back(plans in plans()) {
        let room = room();
        let mut writer = room.store.create_run("any", manifest).unwrap();
        let id = writer.manifest().id.clone();
        let mut all = Vec::new();
        for (i, plan) in plans.iter().enumerate() {
            let mut one = exchange(i as u32 + 1, &plan.request, plan.response.as_deref());
            one.request.sent = plan.sent.then(|| Bytes::from_static(b"something else"));
            record(&mut writer, &one, &plan.cuts);
            all.push(one);
        }
        let reader = room.store.open_run(&id).unwrap();
        prop_assert_eq!(reader.state(), RunState::Recording);
        assert_reads(&reader, &all);
        writer.seal(None, |_| {}).unwrap();
        let reader = room.store.open_run(&id).unwrap();
        prop_assert_eq!(reader.state(), RunState::Complete);
        assert_reads(&reader, &all);
        prop_assert!(reader.damage().is_empty(), "{:?}", reader.damage());
        prop_assert!(reader.verify().unwrap().is_empty());
    }
}

#[test]
fn a_reader_follows_a_recorder() {
    let room = room();
    let mut writer = room.store.create_run("live", manifest).unwrap();
    let mut reader = room.store.open_run(&writer.manifest().id.clone()).unwrap();
    assert!(reader.ids().is_empty());
    for id in 1..=80 {
        let one = exchange(id, words(&mut Dice(id.into()), 900).as_bytes(), Some(b"said"));
        record(&mut writer, &one, &[10]);
        if id == 70 {
            writer.wait_for_dictionary();
        }
        reader.refresh().unwrap();
        assert_eq!(reader.exchange(ExchangeId(id)).unwrap(), one);
        assert_eq!(reader.ids().len(), id as usize);
    }
    writer.seal(None, |m| m.note = Some("done".into())).unwrap();
    reader.refresh().unwrap();
    assert_eq!(reader.state(), RunState::Complete);
    assert_eq!(reader.manifest().note.as_deref(), Some("done"));
    assert_eq!(reader.ids().len(), 80);
    assert!(reader.damage().is_empty(), "{:?}", reader.damage());
}

#[test]
fn a_recorder_that_dies_leaves_an_interrupted_run() {
    let room = room();
    let mut writer = room.store.create_run("cut", manifest).unwrap();
    let id = writer.manifest().id.clone();
    let one = exchange(1, b"asked", Some(b"said"));
    record(&mut writer, &one, &[]);
    // Never committed, so never there.
    writer.put_part(b"lost");
    drop(writer);
    let reader = room.store.open_run(&id).unwrap();
    assert_eq!(reader.state(), RunState::Interrupted);
    assert_reads(&reader, &[one]);
    assert!(reader.damage().is_empty(), "{:?}", reader.damage());
    let listed = room.store.runs().unwrap();
    assert_eq!((listed[0].state, listed[0].exchanges, listed[0].steps), (RunState::Interrupted, 1, Some(0)));
}

#[test]
fn a_second_response_replaces_the_first() {
    let room = room();
    let mut writer = room.store.create_run("twice", manifest).unwrap();
    let id = writer.manifest().id.clone();
    let mut one = exchange(1, b"asked", Some(b"said"));
    record(&mut writer, &one, &[]);
    let later = exchange(1, b"", Some(b"said, and more")).response;
    writer.put_answered(ExchangeId(1), later.as_ref().unwrap());
    writer.commit().unwrap();
    one.response = later;
    assert_reads(&room.store.open_run(&id).unwrap(), &[one.clone()]);
    writer.seal(None, |_| {}).unwrap();
    assert_reads(&room.store.open_run(&id).unwrap(), &[one]);
}

#[test]
fn exchanges_may_arrive_in_any_order() {
    let room = room();
    let mut writer = room.store.create_run("order", manifest).unwrap();
    for id in [5, 2, 9, 1] {
        record(&mut writer, &exchange(id, b"asked", Some(b"said")), &[]);
    }
    let id = writer.seal(None, |_| {}).unwrap().id;
    let ids: Vec<u32> = room.store.open_run(&id).unwrap().ids().iter().map(|x| x.0).collect();
    assert_eq!(ids, [1, 2, 5, 9]);
}

#[test]
fn frames_of_a_stream_come_back() {
    let room = room();
    let mut writer = room.store.create_run("stream", manifest).unwrap();
    let mut one = exchange(1, b"asked", Some(&[b'x'; 300]));
    let frames = (0..100).map(|i| FrameMark(3, i * 5_003)).chain([FrameMark(0, 3), FrameMark(0, u64::MAX)]);
    one.response.as_mut().unwrap().frames = frames.collect();
    record(&mut writer, &one, &[]);
    let id = writer.seal(None, |_| {}).unwrap().id;
    assert_reads(&room.store.open_run(&id).unwrap(), &[one]);
}

#[test]
fn a_writer_can_move_to_its_thread() {
    fn is_send<T: Send>() {}
    is_send::<RunWriter>();
}

#[test]
fn large_bodies_come_back() {
    let room = room();
    let mut writer = room.store.create_run("large", manifest).unwrap();
    let mut dice = Dice(1);
    let noise: Vec<u8> = (0..3_000_000).map(|_| dice.roll() as u8).collect();
    let prose = words(&mut dice, 500_000);
    let one = exchange(1, &noise, Some(prose.as_bytes()));
    record(&mut writer, &one, &[100_000, 70_000, 5]);
    let id = writer.seal(None, |_| {}).unwrap().id;
    assert_reads(&room.store.open_run(&id).unwrap(), &[one]);
}

#[test]
fn the_outline_comes_back() {
    let turn = Turn {
        attempts: vec![ExchangeId(1)],
        model: "gpt-4o".into(),
        messages: 2,
        request_key: [0; 16],
        body_key: Some([0xa7; 16]),
        answer_key: None,
        started_us: 1,
        ended_us: 2,
        usage: None,
        text: "hello".into(),
        error: None,
        calls: Vec::new(),
    };
    let lane = Lane {
        key: "main".into(),
        kind: LaneKind::Root,
        parent: Some(CallSite { lane: 1, turn: 2, call: 3 }),
        parent_unknown: false,
        continues: None,
        rewinds: None,
        named: None,
        turns: vec![turn],
    };
    let kinds = [
        StepKind::Model { lane: 0, turn: 0 },
        StepKind::Tool { site: CallSite { lane: 0, turn: 0, call: 0 } },
    ];
    let outline = Outline {
        lanes: vec![lane],
        steps: kinds.iter().map(|&kind| Step { kind }).collect(),
        stand_ins: vec![StandIn { label: "x".into(), text: "y".into() }],
        others: vec![ExchangeId(9)],
    };
    let room = room();
    let mut writer = room.store.create_run("lined", manifest).unwrap();
    record(&mut writer, &exchange(1, b"asked", Some(b"said")), &[]);
    let id = writer.seal(Some(&outline), |_| {}).unwrap().id;
    let reader = room.store.open_run(&id).unwrap();
    assert_eq!(reader.sealed_outline().unwrap(), Some(outline));
    let listed = &room.store.runs().unwrap()[0];
    assert_eq!((listed.exchanges, listed.steps, listed.model_steps), (1, Some(2), Some(1)));
    let (plain, _) = sealed_run(&room.store, "plain", 1);
    assert_eq!(room.store.open_run(&plain).unwrap().sealed_outline().unwrap(), None);
}

#[test]
fn a_run_is_read_by_many_threads() {
    let room = room();
    let (id, all) = sealed_run(&room.store, "busy", 60);
    let reader = room.store.open_run(&id).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_reads(&reader, &all));
        }
    });
}
