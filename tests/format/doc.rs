//! `replay-format.md`: its examples are lines of the golden files, and together they are a whole one.

use crate::{golden, imported, path, runs};

/// A fenced example: the golden file and the numbers of its lines, and the lines as they stand in the document.
struct Example {
    file: String,
    first: usize,
    last: usize,
    lines: Vec<String>,
}

fn examples(text: &str) -> Vec<Example> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(place) = line.strip_prefix("```jsonl ") else { continue };
        let (file, range) = place.split_once(':').expect(place);
        let (first, last) = range.split_once('-').expect(place);
        found.push(Example {
            file: file.into(),
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
            lines: lines.by_ref().take_while(|line| *line != "```").map(String::from).collect(),
        });
    }
    found
}

fn golden_lines(example: &Example) -> Vec<String> {
    let text = std::fs::read_to_string(golden::file(&example.file)).unwrap();
    text.split_terminator('\n').take(example.last).skip(example.first - 1).map(String::from).collect()
}

fn document() -> String {
    let file = path("replay-format.md");
    let text = std::fs::read_to_string(&file).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_none() {
        return text;
    }
    let mut new = String::new();
    let mut inside = false;
    for line in text.lines() {
        inside = inside && line != "```";
        if !inside {
            new.push_str(line);
            new.push('\n');
        }
        if line.starts_with("```jsonl ") {
            inside = true;
            for line in golden_lines(&examples(&format!("{line}\n```\n"))[0]) {
                new.push_str(&line);
                new.push('\n');
            }
        }
    }
    std::fs::write(&file, &new).unwrap();
    new
}

#[test]
fn every_example_is_a_line_of_a_golden_file() {
    for example in examples(&document()) {
        assert!(!example.lines.is_empty());
        assert_eq!(example.lines, golden_lines(&example), "{}:{}", example.file, example.first);
    }
}

#[test]
fn the_examples_together_are_a_run() {
    let examples = examples(&document());
    let lines: Vec<&str> = examples
        .iter()
        .filter(|e| e.file == "example")
        .flat_map(|e| e.lines.iter().map(String::as_str))
        .collect();
    let run = imported(format!("{}\n", lines.join("\n")).as_bytes()).unwrap();
    assert_eq!(run, runs::all().remove(0).1);
}

#[test]
fn every_kind_of_record_has_a_heading_and_an_example() {
    let text = document();
    let schema: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path("fixtures/format/replay-format.schema.json")).unwrap())
            .unwrap();
    for kind in schema["allOf"].as_array().unwrap() {
        let kind = kind["if"]["properties"]["kind"]["const"].as_str().unwrap();
        let heading = text
            .lines()
            .any(|l| l.strip_prefix("### ").is_some_and(|names| names.split(", ").any(|name| name == kind)));
        assert!(heading, "{kind}");
        assert!(text.contains(&format!("{{\"kind\":\"{kind}\"")), "{kind}");
    }
}

/// Names of members that the schema describes, at any depth.
fn members(schema: &serde_json::Value, names: &mut Vec<String>) {
    for (keyword, inner) in schema.as_object().into_iter().flatten() {
        if keyword == "properties" {
            names.extend(inner.as_object().unwrap().keys().cloned());
            inner.as_object().unwrap().values().for_each(|schema| members(schema, names));
        } else {
            members(inner, names);
        }
    }
}

#[test]
fn every_member_of_a_record_is_in_the_document() {
    let text = document();
    let schema = std::fs::read(path("fixtures/format/replay-format.schema.json")).unwrap();
    let mut names = Vec::new();
    members(&serde_json::from_slice(&schema).unwrap(), &mut names);
    assert!(names.len() > 100, "{}", names.len());
    names.retain(|name| !text.contains(&format!("\"{name}\":")) && !text.contains(&format!("`{name}`")));
    assert_eq!(names, Vec::<String>::new());
}
