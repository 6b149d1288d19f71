//! The JSON Schema: every golden line is valid, every member that is written is named, and what is wrong is refused.

use crate::{golden, path, runs};
use regex::Regex;
use serde_json::{Map, Value, json};

fn schema() -> Value {
    serde_json::from_slice(&std::fs::read(path("fixtures/format/replay-format.schema.json")).unwrap())
        .unwrap()
}

/// The part of JSON Schema that the file uses; a keyword that is not known here fails the test.
struct Validator<'a> {
    root: &'a Value,
    /// Members that no schema names, as `schema place.member`.
    unnamed: Vec<String>,
}

impl Validator<'_> {
    fn check(&mut self, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
        for (keyword, want) in schema.as_object().unwrap() {
            self.keyword(schema, keyword, want, value, place).map_err(|error| {
                if error.is_empty() { format!("{place}: {keyword} {want}") } else { error }
            })?;
        }
        self.name_members(schema, value, place);
        Ok(())
    }

    fn keyword(
        &mut self,
        schema: &Value,
        keyword: &str,
        want: &Value,
        value: &Value,
        place: &str,
    ) -> Result<(), String> {
        let holds = |holds: bool| if holds { Ok(()) } else { Err(String::new()) };
        let none = Map::new();
        let members = value.as_object().unwrap_or(&none);
        match keyword {
            "$schema" | "$defs" | "title" | "description" | "then" => Ok(()),
            "$ref" => {
                let target =
                    self.root.pointer(want.as_str().unwrap().trim_start_matches('#')).expect(keyword);
                self.check(target, value, place)
            }
            "type" => holds(match want.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                "null" => value.is_null(),
                other => panic!("type {other}"),
            }),
            "const" => holds(want == value),
            "enum" => holds(want.as_array().unwrap().contains(value)),
            "required" => holds(
                want.as_array().unwrap().iter().all(|name| members.contains_key(name.as_str().unwrap())),
            ),
            "properties" => want.as_object().unwrap().iter().try_for_each(|(name, schema)| {
                members
                    .get(name)
                    .map_or(Ok(()), |member| self.check(schema, member, &format!("{place}.{name}")))
            }),
            "additionalProperties" => {
                members.values().try_for_each(|member| self.check(want, member, &format!("{place}.*")))
            }
            "items" => value
                .as_array()
                .into_iter()
                .flatten()
                .try_for_each(|item| self.check(want, item, &format!("{place}[]"))),
            "prefixItems" => want
                .as_array()
                .unwrap()
                .iter()
                .zip(value.as_array().into_iter().flatten())
                .try_for_each(|(schema, item)| self.check(schema, item, &format!("{place}[]"))),
            "minItems" => {
                holds(value.as_array().is_none_or(|list| list.len() as u64 >= want.as_u64().unwrap()))
            }
            "maxItems" => {
                holds(value.as_array().is_none_or(|list| list.len() as u64 <= want.as_u64().unwrap()))
            }
            "minLength" => {
                holds(value.as_str().is_none_or(|text| text.len() as u64 >= want.as_u64().unwrap()))
            }
            "minimum" => holds(value.as_f64().is_none_or(|number| number >= want.as_f64().unwrap())),
            "maximum" => holds(value.as_f64().is_none_or(|number| number <= want.as_f64().unwrap())),
            "pattern" => {
                let pattern = Regex::new(want.as_str().unwrap()).unwrap();
                holds(value.as_str().is_none_or(|text| pattern.is_match(text)))
            }
            "allOf" => {
                want.as_array().unwrap().iter().try_for_each(|schema| self.check(schema, value, place))
            }
            "anyOf" => {
                holds(want.as_array().unwrap().iter().any(|schema| self.check(schema, value, place).is_ok()))
            }
            "oneOf" => {
                let schemas = want.as_array().unwrap();
                holds(schemas.iter().filter(|schema| self.check(schema, value, place).is_ok()).count() == 1)
            }
            "if" => match self.check(want, value, place) {
                Ok(()) => self.check(&schema["then"], value, place),
                Err(_) => Ok(()),
            },
            other => panic!("the validator does not know {other}"),
        }
    }

    /// Notes members that a schema with `required` and `properties`, and so a whole object, does not name.
    fn name_members(&mut self, schema: &Value, value: &Value, place: &str) {
        let (Some(named), Some(members)) = (schema["properties"].as_object(), value.as_object()) else {
            return;
        };
        if schema["type"] != "object" || std::ptr::eq(schema, self.root) {
            return;
        }
        self.unnamed.extend(
            members.keys().filter(|name| !named.contains_key(*name)).map(|name| format!("{place}.{name}")),
        );
    }
}

fn valid(line: &Value) -> Result<Vec<String>, String> {
    let root = schema();
    let mut validator = Validator { root: &root, unnamed: Vec::new() };
    validator.check(&root, line, line["kind"].as_str().unwrap_or_default())?;
    Ok(validator.unnamed)
}

fn golden_lines() -> Vec<Value> {
    let texts = runs::all().into_iter().map(|(name, _)| std::fs::read_to_string(golden::file(name)).unwrap());
    texts
        .flat_map(|text| {
            text.split_terminator('\n').map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_golden_line_is_valid_and_every_member_is_named() {
    for line in golden_lines() {
        assert_eq!(valid(&line), Ok(Vec::new()), "{line}");
    }
}

#[test]
fn the_golden_files_have_every_kind_and_form() {
    let lines = golden_lines();
    for schema in schema()["allOf"].as_array().unwrap() {
        let kind = &schema["if"]["properties"]["kind"]["const"];
        assert!(lines.iter().any(|line| &line["kind"] == kind), "{kind}");
    }
    for form in ["json", "mixed", "text", "base64", "view"] {
        assert!(lines.iter().any(|line| line["kind"] == "part" && line.get(form).is_some()), "{form}");
    }
}

#[test]
fn what_is_wrong_is_refused() {
    let lines = golden_lines();
    let first = |kind: &str| lines.iter().find(|line| line["kind"] == kind).unwrap().clone();
    let wrong: [(&str, &str, Value); 8] = [
        ("header", "/format", json!("other")),
        ("run", "/run/id", json!("../x.1")),
        ("request", "/head/headers/0", json!(["Host"])),
        ("request", "/body/items/0", json!({"exchange": 1, "from": 0})),
        ("request", "/body/sha256", json!("00")),
        ("response", "/head/status", json!("200")),
        ("response", "/end/kind", json!("well")),
        ("footer", "/records", json!(-1)),
    ];
    for (kind, place, bad) in wrong {
        let mut line = first(kind);
        *line.pointer_mut(place).unwrap() = bad;
        assert!(valid(&line).is_err(), "{kind} {place}");
    }
    let mut two = first("part");
    two["text"] = json!("x");
    assert!(valid(&two).is_err());
}

#[test]
fn a_kind_that_is_not_known_is_valid() {
    assert_eq!(valid(&json!({"kind": "weather", "crc": "00000000", "sky": 1})), Ok(Vec::new()));
}
