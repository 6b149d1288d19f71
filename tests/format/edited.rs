//! Files that are not what was exported: refused with the line, or taken when the person says so.

use crate::{exported, golden, imported, imported_edited};
use proptest::prelude::*;
use retake::exchange::FrameMark;
use retake::store::bundle::{BundleError, ImportOptions, import};

fn golden_bytes(name: &str) -> Vec<u8> {
    std::fs::read(golden::file(name)).unwrap()
}

/// The line that an import names, and its message.
fn refused(bytes: &[u8]) -> (Option<usize>, String) {
    let error = imported(bytes).expect_err("is refused");
    let line = match &error {
        BundleError::Edited { line, .. } | BundleError::Malformed { line, .. } => Some(*line),
        _ => None,
    };
    (line, error.to_string())
}

#[test]
fn a_cut_at_any_byte_is_noticed() {
    let whole = golden_bytes("binary");
    for end in 1..whole.len() {
        let error = imported(&whole[..end]).expect_err("is refused");
        assert!(
            matches!(error, BundleError::Truncated { .. })
                || (end < 90 && matches!(error, BundleError::NotARun(_))),
            "{end}: {error}"
        );
    }
    assert_eq!(refused(&whole[..whole.len() - 1]).1, "cut off after line 13: the footer is missing");
}

#[test]
fn an_edited_line_is_named() {
    let text = String::from_utf8(golden_bytes("openai-tools")).unwrap();
    let edited = text.replacen("\"status\":200", "\"status\":500", 1);
    let (line, message) = refused(edited.as_bytes());
    let changed = text.lines().zip(edited.lines()).position(|(a, b)| a != b).unwrap() + 1;
    assert_eq!(line, Some(changed));
    assert_eq!(
        message,
        format!(
            "line {changed}: it does not have the checksum that it says; the file was changed after its export"
        )
    );
}

#[test]
fn lines_that_were_removed_moved_or_doubled_are_noticed() {
    let text = String::from_utf8(golden_bytes("faults")).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let without: String = lines.iter().enumerate().filter(|(i, _)| *i != 2).map(|(_, l)| *l).collect();
    assert!(imported(without.as_bytes()).is_err());
    let last_checkpoint = lines.len() - 2;
    let without: String =
        lines.iter().enumerate().filter(|(i, _)| *i != last_checkpoint).map(|(_, l)| *l).collect();
    assert!(refused(without.as_bytes()).1.contains("it counts"));
    let mut moved = lines.clone();
    moved.swap(last_checkpoint, last_checkpoint - 1);
    assert!(refused(moved.concat().as_bytes()).1.contains("SHA-256 that the footer says"));
    let doubled = format!("{text}{}", lines[lines.len() - 1]);
    assert!(refused(doubled.as_bytes()).1.contains("more after the footer"));
}

#[test]
fn an_edited_message_changes_in_every_turn_and_all_lengths_follow() {
    let text = String::from_utf8(golden_bytes("openai-tools")).unwrap();
    let edited = text.replace("order A123 is broken", "order B7 is much too loud");
    let run = imported_edited(edited.as_bytes()).unwrap();
    assert_eq!(run.edited.len(), 1, "{:?}", run.edited);
    assert!(run.outline.is_none() && run.checkpoints.is_empty());
    for exchange in &run.exchanges {
        let body = std::str::from_utf8(&exchange.request.body).unwrap();
        assert!(body.contains("order B7 is much too loud"), "{body}");
        assert_eq!(
            exchange.request.head.headers.get("content-length"),
            Some(body.len().to_string().as_str())
        );
    }
    // The result is a run like any other.
    let again = exported(&run);
    assert_eq!(exported(&imported(&again).unwrap()), again);
}

#[test]
fn the_frames_of_an_edited_answer_add_up() {
    let text = String::from_utf8(golden_bytes("anthropic-stream")).unwrap();
    let run = imported_edited(text.replace("dress warm.", "stay in.").as_bytes()).unwrap();
    let response = run.exchanges[1].response.as_ref().unwrap();
    assert!(response.body.windows(8).any(|w| w == b"stay in."));
    assert_eq!(
        response.frames.iter().map(|FrameMark(length, _)| *length as usize).sum::<usize>(),
        response.body.len()
    );
}

#[test]
fn what_an_editor_does_to_lines_is_taken() {
    let text = String::from_utf8(golden_bytes("fork")).unwrap();
    let noted = text.replace("does a smaller amount go through?", "cents, not dollars");
    for file in [noted.replace('\n', "\r\n"), noted.trim_end().to_string(), format!("{noted}\n")] {
        let run = imported_edited(file.as_bytes()).unwrap();
        assert_eq!(run.manifest.note.as_deref(), Some("cents, not dollars"));
    }
    let run = imported_edited(noted.as_bytes()).unwrap();
    assert_eq!(run.edited, [2]);
    assert!(run.outline.is_some(), "a note changes no step");
}

#[test]
fn a_newer_major_is_refused_and_a_newer_minor_is_not() {
    let text = String::from_utf8(golden_bytes("fork")).unwrap();
    let newer = text.replacen("\"major\":1", "\"major\":7", 1);
    assert_eq!(
        refused(newer.as_bytes()).1,
        "written in format 7.0, and this retake reads 1.x: use a newer retake, or export the run again with this one"
    );
    assert!(imported_edited(newer.as_bytes()).is_err());
}

#[test]
fn records_and_members_that_are_not_known_are_passed_over() {
    let mut lines: Vec<String> =
        String::from_utf8(golden_bytes("fork")).unwrap().lines().map(String::from).collect();
    let footer = lines.pop().unwrap();
    lines[0] = lines[0].replace("\"minor\":0", "\"minor\":9");
    lines.insert(2, r#"{"kind":"weather","sky":[{"blue":true}],"crc":"00000000"}"#.into());
    for line in &mut lines {
        *line = line.replacen("{\"kind\":", "{\"new\":{\"x\":[1]},\"kind\":", 1);
    }
    let mut bytes: Vec<u8> = lines.iter().flat_map(|line| reseal(line)).collect();
    let sum: String =
        <sha2::Sha256 as sha2::Digest>::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    let old = footer.split("\"sha256\":\"").nth(1).unwrap().split('"').next().unwrap();
    let footer = footer.replace(old, &sum).replace("\"records\":25", "\"records\":26");
    bytes.extend(reseal(&footer));
    let run = imported(&bytes).unwrap();
    assert_eq!(run.skipped.get("weather"), Some(&1));
    assert_eq!(run.exchanges, imported(&golden_bytes("fork")).unwrap().exchanges);
}

/// The line with a checksum that holds.
fn reseal(line: &str) -> Vec<u8> {
    let open = &line[..line.len() - 18];
    format!("{open},\"crc\":\"{:08x}\"}}\n", crc32fast::hash(open.as_bytes())).into_bytes()
}

#[test]
fn a_name_that_leaves_the_store_is_refused() {
    for (name, bad) in
        [("\"id\":\"refund.2\"", "\"id\":\"../../x.2\""), ("\"uuid\":\"019bc0de", "\"uuid\":\"../../x")]
    {
        let text = String::from_utf8(golden_bytes("fork")).unwrap();
        let error = imported_edited(text.replacen(name, bad, 1).as_bytes()).expect_err("is refused");
        assert!(matches!(error, BundleError::Malformed { line: 2, .. }), "{error}");
    }
}

#[test]
fn what_is_no_run_file_is_called_so() {
    for bytes in
        [&b""[..], b"\n", b"{}\n", b"\x1f\x8b\x08\x00", b"{\"format\":\"other\",\"version\":{\"major\":1}}\n"]
    {
        let (_, message) = refused(bytes);
        assert!(message.starts_with("not a retake run file: "), "{message}");
    }
}

#[test]
fn a_limit_on_bytes_holds() {
    let bytes = golden_bytes("openai-tools");
    let options = ImportOptions { max_bytes: 2_000, ..ImportOptions::default() };
    let error = import(&mut &bytes[..], options).expect_err("is refused");
    assert!(matches!(error, BundleError::TooLarge { limit: 2_000, .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_flipped_bit_is_noticed_and_never_panics(at in any::<prop::sample::Index>(), bit in 0..8, name in prop::sample::select(vec!["binary", "fork", "anthropic-stream"])) {
        let mut bytes = golden_bytes(name);
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        prop_assert!(imported(&bytes).is_err());
        let _ = imported_edited(&bytes);
    }

    #[test]
    fn any_lines_are_an_error(lines in proptest::collection::vec("[ -~]{0,40}", 0..6)) {
        let text = format!("{{\"kind\":\"header\",\"format\":\"retake\",\"version\":{{\"major\":1}}}}\n{}\n", lines.join("\n"));
        prop_assert!(imported(text.as_bytes()).is_err());
        prop_assert!(imported_edited(text.as_bytes()).is_err());
    }
}
