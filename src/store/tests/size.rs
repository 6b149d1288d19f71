//! What a long conversation costs on disk, in bytes.

use super::*;
use crate::store::PartId;

/// Bytes of the directory, and bytes that went over the wire.
fn conversation(turns: u32) -> (u64, u64) {
    let room = room();
    let mut writer = room.store.create_run("long", manifest).unwrap();
    let mut dice = Dice(7);
    let system = words(&mut dice, 3000);
    let mut messages = vec![
        format!("{{\"role\":\"system\",\"content\":\"{system}\"}},"),
        "{\"role\":\"user\",\"content\":\"Fix the failing test. nonce=1\"}".to_string(),
    ];
    let (head, tail) = ("{\"model\":\"bench-json\",\"stream\":false,\"temperature\":0,\"messages\":[", "]}");
    let mut wire = 0;
    for turn in 0..turns {
        let body: String =
            [head].into_iter().chain(messages.iter().map(String::as_str)).chain([tail]).collect();
        let said = format!(
            "{{\"id\":\"chatcmpl-{turn:012}\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{}\",\"refusal\":null}},\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":512,\"completion_tokens\":300,\"total_tokens\":812}}}}",
            words(&mut dice, 1500)
        );
        wire += (body.len() + said.len()) as u64;
        let one = exchange(turn + 1, body.as_bytes(), Some(said.as_bytes()));
        let cuts: Vec<usize> = [head.len()].into_iter().chain(messages.iter().map(String::len)).collect();
        record(&mut writer, &one, &cuts);
        writer.wait_for_dictionary();
        messages.push(format!(
            ",{{\"role\":\"assistant\",\"content\":\"{}\",\"tool_calls\":[{{\"id\":\"call_{turn}\",\"type\":\"function\",\"function\":{{\"name\":\"run_shell\",\"arguments\":\"{{\\\"cmd\\\":\\\"cargo test case_{turn}\\\"}}\"}}}}]}}",
            words(&mut dice, 300)
        ));
        messages.push(format!(
            ",{{\"role\":\"tool\",\"tool_call_id\":\"call_{turn}\",\"content\":\"nonce={turn} {}\"}}",
            words(&mut dice, 1000)
        ));
    }
    let id = writer.seal(None, |_| {}).unwrap().id;
    let reader = room.store.open_run(&id).unwrap();
    let last = reader.exchange(ExchangeId(turns)).unwrap();
    assert!(last.request.body.ends_with(b"]}"));
    (crate::store::run_dir::size(&room.store.run_directory(&id)), wire)
}

#[test]
fn a_conversation_costs_what_is_new_in_it() {
    let sizes = [50, 100, 200, 400].map(conversation);
    println!("{sizes:?}");
    assert!(sizes[2].1 > 30_000_000, "{sizes:?}");
    assert!(sizes[2].0 <= 300_000, "{sizes:?}");
    for pair in sizes.windows(2) {
        assert!(pair[1].0 as f64 <= pair[0].0 as f64 * 2.1, "{sizes:?}");
    }
}

#[test]
fn an_equal_body_costs_nothing() {
    let room = room();
    let mut writer = room.store.create_run("same", manifest).unwrap();
    let parts: Vec<PartId> =
        (0..300u32).map(|i| writer.put_part(format!("message {i}").as_bytes())).collect();
    let body = writer.put_body(&parts);
    writer.commit().unwrap();
    let path = writer.directory().join("parts.pack");
    let before = std::fs::metadata(&path).unwrap().len();
    let again: Vec<PartId> =
        (0..300u32).map(|i| writer.put_part(format!("message {i}").as_bytes())).collect();
    assert_eq!(again, parts);
    assert_eq!(writer.put_body(&again), body);
    writer.commit().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), before);
}
