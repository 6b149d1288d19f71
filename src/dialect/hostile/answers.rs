//! Answers: streams that are not as they should be.

use super::*;
use proptest::prelude::*;

/// All text of an answer, for comparing how far it came.
fn text(answer: &ModelAnswer) -> String {
    let texts = answer.blocks.iter().filter_map(|block| match block {
        Block::Text { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn a_stream_that_is_cut_anywhere_says_the_beginning_and_is_not_whole() {
    for stream in streams() {
        let (body, answer) = (stream.body(), stream.answer());
        assert!(answer.whole, "{}", stream.name);
        // The first event with which it is whole ends it.
        let ended = (0..=stream.events.len()).find(|n| stream.read(&stream.events[..*n].concat()).whole);
        let terminal: usize = stream.events[..ended.unwrap() - 1].iter().map(Vec::len).sum();
        for at in places(body.len(), 30) {
            let cut = stream.read(&body[..at]);
            assert!(!cut.whole || at > terminal, "{} cut at {at} of {terminal}", stream.name);
            assert!(cut.blocks.len() <= answer.blocks.len(), "{} cut at {at}", stream.name);
            if stream.name.contains("rendered") {
                assert!(text(&answer).starts_with(&text(&cut)), "{} cut at {at}", stream.name);
            }
        }
    }
}

#[test]
fn a_plain_answer_that_is_cut_anywhere_is_not_whole() {
    for exchange in exchanges().filter(|e| form_of(&e.head).is_none() && e.head.status == 200) {
        let body = exchange.response.trim_ascii_end();
        for at in places(body.len(), 30) {
            let cut = exchange.dialect.read_answer(&exchange.head, &body[..at]);
            assert!(!cut.whole, "{} cut at {at}", exchange.name);
        }
    }
}

#[test]
fn events_may_be_lost_repeated_and_in_the_wrong_order() {
    for stream in streams() {
        let (count, answer) = (stream.events.len(), stream.answer());
        for at in places(count, 12) {
            let mut events = stream.events.clone();
            let lost = events.remove(at);
            stream.read(&events.concat());
            events.insert(at, lost.clone());
            events.insert(at, lost);
            assert!(stream.read(&events.concat()).whole, "{} event {at} twice", stream.name);
            events.remove(at);
            events.swap(at, count - 1);
            stream.read(&events.concat());
        }
        let mut twice = stream.events.clone();
        twice.push(stream.events[count - 1].clone());
        let again = stream.read(&twice.concat());
        // The last event of some holds a part of the answer too.
        assert_eq!((again.whole, again.stop_reason), (true, answer.stop_reason), "{}", stream.name);
        let backwards: Vec<u8> = stream.events.iter().rev().flatten().copied().collect();
        stream.read(&backwards);
    }
}

#[test]
fn events_and_members_that_nobody_knows_change_nothing() {
    for stream in streams() {
        let answer = stream.answer();
        let between: Vec<u8> =
            stream.events.iter().flat_map(|event| [stream.foreign(), event.clone()].concat()).collect();
        let read = stream.read(&between);
        assert_eq!(texts_and_calls(&read), texts_and_calls(&answer), "{}", stream.name);
        assert!(read.whole, "{}", stream.name);
        let novel = stream.events.iter().map(|e| stream.with_novel_member(e).unwrap_or(e.clone()));
        let novel: Vec<u8> = novel.flatten().collect();
        assert_ne!(novel, stream.body(), "{}", stream.name);
        let read = stream.read(&novel);
        assert_eq!(texts_and_calls(&read), texts_and_calls(&answer), "{}", stream.name);
        assert_eq!((read.whole, &read.usage), (true, &answer.usage), "{}", stream.name);
    }
}

/// What is said and called; what is unknown may be kept beside it.
fn texts_and_calls(answer: &ModelAnswer) -> Vec<&Block> {
    answer.blocks.iter().filter(|b| !matches!(b, Block::Other { .. })).collect()
}

#[test]
fn bytes_that_are_no_text_spoil_one_event_at_most() {
    for stream in streams() {
        let body = stream.body();
        for (at, bad) in
            places(body.len(), 20).zip([&b"\xff"[..], b"\xed\xa0\x80", b"\0"].into_iter().cycle())
        {
            stream.read(&[&body[..at], bad, &body[at..]].concat());
        }
        if stream.form == Form::Messages {
            continue; // A binary stream has checksums: nothing is read behind damage.
        }
        let mut events = stream.events.clone();
        let bad: &[u8] = if stream.form == Form::Lines { b"\xff\xfe\n" } else { b"data: \xff\xfe\n\n" };
        events.insert(1.min(events.len()), bad.to_vec());
        assert_eq!(stream.read(&events.concat()), stream.answer(), "{}", stream.name);
    }
}

#[test]
fn a_call_may_have_the_id_of_another() {
    for dialect in all() {
        let mut blocks = said();
        let Some(Block::ToolCall { id, .. }) = blocks.get_mut(2) else { panic!() };
        *id = "call_1".into();
        let rendered = dialect.render_answer(target(*dialect), &blocks, None, "m", true);
        let answer = dialect.read_answer(&head(200, rendered.content_type), &rendered.body);
        let cities: Vec<_> = answer.tool_calls().map(|(_, _, args)| args["city"].clone()).collect();
        assert_eq!(cities, ["Zürich", "Bern"], "{}", dialect.name());
    }
}

#[test]
fn an_event_of_a_megabyte_is_an_event() {
    for dialect in all() {
        let text = "long words and \"quotes\" ".repeat(1 << 15);
        // Rendered in one delta: a plain answer holds the text in one line too.
        let rendered =
            dialect.render_answer(target(*dialect), &[Block::Text { text: text.clone() }], None, "m", false);
        let answer = dialect.read_answer(&head(200, rendered.content_type), &rendered.body);
        assert_eq!(answer.text().len(), text.len(), "{}", dialect.name());
        let rest = dialect.render_answer(target(*dialect), &said(), None, "m", true);
        let head = head(200, rest.content_type);
        let stream = Stream {
            name: String::new(),
            dialect: *dialect,
            form: form_of(&head).unwrap(),
            head,
            events: cut_up(form_of(&head_of(&rest)).unwrap(), &rest.body),
        };
        let junk = format!(r#"{{"type":"x_novel","junk":{}}}"#, json!(text));
        let giant = match stream.form {
            Form::Events => format!("data: {junk}\n\n").into_bytes(),
            Form::Lines => format!("{junk}\n").into_bytes(),
            Form::Messages => message("xNovel", junk.as_bytes()),
        };
        let with = stream.read(&[giant, stream.body()].concat());
        assert_eq!(texts_and_calls(&with), texts_and_calls(&stream.answer()), "{}", dialect.name());
    }
}

fn head_of(rendered: &crate::dialect::RenderedAnswer) -> ResponseHead {
    head(200, rendered.content_type)
}

/// A body that was decoded before, and cut inside of a letter, is not taken for a gzipped one.
#[test]
fn a_decoded_body_may_end_inside_of_a_letter() {
    for dialect in all() {
        let rendered = dialect.render_answer(target(*dialect), &said(), None, "m", true);
        let mut gzipped = head_of(&rendered);
        gzipped.headers.push("content-encoding", "gzip");
        let Some(letter) = rendered.body.iter().position(|b| *b == 0xC3) else { continue };
        let cut = &rendered.body[..letter + 1];
        let plain = dialect.read_answer(&head_of(&rendered), cut);
        assert_eq!(dialect.read_answer(&gzipped, cut), plain, "{}", dialect.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_make_an_answer_fail(
        stream in 0usize..7, at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..40),
        gone in 0usize..60,
    ) {
        let dialect = all()[stream];
        let rendered = dialect.render_answer(target(dialect), &said(), None, "m", true);
        let mut body = rendered.body.to_vec();
        let start = at.index(body.len());
        let end = (start + gone).min(body.len());
        body.splice(start..end, bytes);
        for status in [200, 500] {
            for kind in [rendered.content_type, "application/json", "text/html"] {
                dialect.read_answer(&head(status, kind), &body);
            }
        }
    }
}
