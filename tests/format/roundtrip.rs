//! Any run comes back as it was, and is exported to the same bytes again.

use crate::{exported, imported, runs};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use retake::exchange::{
    BodyEnd, Exchange, ExchangeId, Fault, FrameMark, HeaderList, RecordedRequest, RecordedResponse,
    RequestHead, ResponseHead, Source, StandIn, Upstream,
};
use serde_json::{Value, json};

fn headers() -> impl Strategy<Value = HeaderList> {
    vec(("[A-Za-z-]{1,8}", "[\u{0}-\u{ff}]{0,8}"), 0..4).prop_map(HeaderList)
}

fn body() -> impl Strategy<Value = Bytes> {
    let text = prop_oneof![
        vec(any::<u8>(), 0..80),
        "[\\[\\]{}\":,\\\\a1\n ]{0,60}".prop_map(String::into_bytes),
        "(data: \\{\"a\":[0-9]\\}\r?\n\r?\n){0,4}(data: \\[DONE\\])?".prop_map(String::into_bytes),
        // Requests of one conversation, so that lists refer to each other.
        (0usize..6, 0usize..3, any::<bool>()).prop_map(|(turns, odd, tools)| {
            let messages: Vec<String> = (0..turns)
                .map(|n| format!(r#"{{"role":"user","content":"message {n}","odd":{}}}"#, n == odd))
                .collect();
            let tools = if tools {
                r#","tools":[{"name":"a tool with a name"},{"name":"another, larger tool"}]"#
            } else {
                ""
            };
            format!(r#"{{"model":"m","messages":[{}]{tools}}}"#, messages.join(",")).into_bytes()
        }),
    ];
    text.prop_map(Bytes::from)
}

fn end() -> impl Strategy<Value = BodyEnd> {
    prop_oneof![
        Just(BodyEnd::Complete),
        headers().prop_map(|fields| BodyEnd::Trailers { fields }),
        ".{0,8}".prop_map(|what| BodyEnd::Error { what }),
        Just(BodyEnd::Cancelled),
        Just(BodyEnd::Interrupted),
    ]
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Live),
        (".{0,8}", any::<u32>()).prop_map(|(run, id)| Source::Recorded { run, exchange: ExchangeId(id) }),
        (".{0,8}", any::<u32>()).prop_map(|(run, id)| Source::Edited { run, exchange: ExchangeId(id) }),
        Just(Source::Refused),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        ".{0,8}".prop_map(|what| Fault::Connect { what }),
        ".{0,8}".prop_map(|what| Fault::Reset { what }),
        Just(Fault::Abandoned),
        Just(Fault::Interrupted),
    ]
}

fn stand_ins() -> impl Strategy<Value = Vec<StandIn>> {
    vec((".{0,8}", ".{0,8}").prop_map(|(label, text)| StandIn { label, text }), 0..2)
}

fn request() -> impl Strategy<Value = RecordedRequest> {
    let head = (".{1,6}", ".{0,12}", headers()).prop_map(|(method, target, headers)| RequestHead {
        method,
        target,
        headers,
    });
    let upstream = (".{0,6}", ".{0,6}").prop_map(|(provider, origin)| Upstream { provider, origin });
    (any::<u64>(), upstream, head, body(), end(), option::of(body()), option::of(".{0,12}"), stand_ins())
        .prop_map(|(started_us, upstream, head, body, end, sent, sent_target, stand_ins)| RecordedRequest {
            id: ExchangeId(0),
            started_us,
            upstream,
            head,
            body,
            end,
            sent,
            sent_target,
            stand_ins,
        })
}

fn response() -> impl Strategy<Value = RecordedResponse> {
    let head =
        option::of((any::<u16>(), headers()).prop_map(|(status, headers)| ResponseHead { status, headers }));
    (
        source(),
        head,
        option::of(fault()),
        any::<[u64; 3]>(),
        body(),
        any::<prop::sample::Index>(),
        end(),
        stand_ins(),
    )
        .prop_map(|(source, head, fault, [head_us, end_us, at], body, cut, end, stand_ins)| {
            let cut = if body.is_empty() { 0 } else { cut.index(body.len()) };
            let frames = match body.len() {
                0 => vec![],
                length => vec![FrameMark(cut as u32, at), FrameMark((length - cut) as u32, at)],
            };
            RecordedResponse { source, head, fault, head_us, body, frames, end, end_us, stand_ins }
        })
}

fn exchanges() -> impl Strategy<Value = Vec<Exchange>> {
    vec((1u32..4, request(), option::of(response())), 0..8).prop_map(|list| {
        let mut id = 0;
        list.into_iter()
            .map(|(step, mut request, response)| {
                id += step;
                request.id = ExchangeId(id);
                Exchange { request, response }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn exchanges_come_back(exchanges in exchanges()) {
        let mut run = runs::all().remove(1).1;
        run.exchanges = exchanges;
        let bytes = exported(&run);
        let back = imported(&bytes).unwrap();
        prop_assert_eq!(&back, &run);
        prop_assert_eq!(exported(&back), bytes);
    }
}

#[test]
fn no_outline_and_an_empty_one_are_told_apart() {
    let mut run = runs::all().remove(1).1;
    run.outline = None;
    run.checkpoints.clear();
    assert_eq!(imported(&exported(&run)).unwrap(), run);
    run.outline = Some(Default::default());
    assert_eq!(imported(&exported(&run)).unwrap(), run);
}

#[test]
fn arguments_of_any_depth_can_be_imported() {
    let mut run = runs::all().remove(1).1;
    let deep = (0..126).fold(json!(1.5e300), |inner, _| Value::Array(vec![inner]));
    let outline = run.outline.as_mut().unwrap();
    outline.lanes[0].turns[0].calls[0].args = deep.clone();
    run.checkpoints.push(deep);
    let bytes = exported(&run);
    let back = imported(&bytes).unwrap();
    assert!(back.outline.as_ref().unwrap().lanes[0].turns[0].calls[0].args.is_string());
    assert_eq!(exported(&back), bytes);
}

#[test]
fn an_exchange_out_of_order_is_not_exported() {
    let mut run = runs::all().remove(1).1;
    run.exchanges.swap(0, 1);
    let error = retake::store::bundle::export(&run, &mut Vec::new()).expect_err("is refused");
    assert_eq!(error.to_string(), "cannot be exported: exchange x1 comes twice or out of order");
}
