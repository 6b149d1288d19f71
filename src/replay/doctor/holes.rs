//! The rule to paste into `retake.toml` for a difference that a replay does not cope with by itself.

use super::kinds::{Part, ValueKind, kind_of, parts, tokens};
use crate::holes::{Ignore, Place, Rules, Within};
use regex::Regex;

/// Words before a value that go into a pattern.
const WORDS: usize = 2;
/// How far before a value they are looked for.
const TOKENS: usize = 9;
/// Characters of a text that only one side has and that is named in full.
const NAMED: usize = 200;

/// Digits of a number that is an id rather than a quantity.
const LONG: usize = 6;

/// Most holes that one difference is explained by.
const MOST: usize = 3;

/// Most fields of one result that are named one by one.
const FIELDS: usize = 5;

/// A field that differs, as a matcher tells it.
#[derive(Debug, Clone, Copy)]
pub(in crate::replay) struct Field<'a> {
    /// `messages[3].result.note`
    pub path: &'a str,
    /// The tool whose result it is in.
    pub tool: Option<&'a str>,
    pub recorded: &'a str,
    pub live: &'a str,
}

/// The rules under which all of these differences would pass, each as narrow as it can be said. None where a rule would
/// take away what the comparison is for.
pub(in crate::replay) fn rule_for(fields: &[Field<'_>]) -> Option<String> {
    let mut rules: Vec<String> = Vec::new();
    for field in fields {
        let rule = rule_for_one(field)?;
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let first = fields.first()?;
    if rules.len() > FIELDS
        && let Some((place, _)) = first.path.split_once(".result")
    {
        return Some(ignore(&sayable(&format!("{place}.result")), first.tool));
    }
    Some(rules.concat())
}

/// A hole for each value in a difference, else an `[[ignore]]` of its field.
fn rule_for_one(field: &Field<'_>) -> Option<String> {
    let Field { path, tool, recorded, live } = *field;
    let leaf = [".text", ".result", ".args", "system", "params."].iter().any(|part| path.contains(part));
    if !leaf || recorded.is_empty() || live.is_empty() {
        return None;
    }
    let all = parts(recorded, live);
    let holes: Option<Vec<String>> = all.iter().map(hole).collect();
    if let Some(mut holes) = holes {
        // Where values stand next to each other, the context of one holds another.
        holes.retain(|rule| pattern_of(rule).is_some_and(|p| p.is_match(recorded) && p.is_match(live)));
        holes.sort();
        holes.dedup();
        if !holes.is_empty() && holes.len() <= MOST {
            return Some(holes.concat());
        }
    }
    // What a person or a model said is content. A setting, or a tool's result, may not be.
    let may_not_matter = path.starts_with("params.") || path.contains(".result");
    may_not_matter.then(|| ignore(&sayable(path), tool))
}

/// The pattern in a rule.
fn pattern_of(rule: &str) -> Option<Regex> {
    let table: toml::Table = toml::from_str(rule).ok()?;
    let pattern = table.get("hole")?.as_array()?.first()?.get("pattern")?.as_str()?;
    Regex::new(pattern).ok()
}

/// A path with any index in the place of each.
fn any_index(path: &str) -> String {
    let mut any = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('[') {
        let Some((index, behind)) = after.split_once(']') else { break };
        let index = if index.bytes().all(|b| b.is_ascii_digit()) { "*" } else { index };
        any.push_str(&format!("{before}[{index}]"));
        rest = behind;
    }
    any.push_str(rest);
    any
}

/// A `[[hole]]` whose pattern takes both values where they stand; none when no pattern can say what they have in common.
pub(super) fn hole(part: &Part) -> Option<String> {
    let shape = shape(part)?;
    // A value that is known by its shape alone needs no context; a bare number would take every number there is.
    let distinct = matches!(part.kind, ValueKind::Uuid | ValueKind::Time) && shape.contains(['-', ':'])
        || (part.kind == ValueKind::Date && shape.starts_with(r"\d{4}"));
    let pattern = match context(&part.before).filter(|_| !distinct) {
        Some(context) => format!("{context}({shape})"),
        None if distinct || matches!(part.kind, ValueKind::Hex | ValueKind::Path | ValueKind::Id) => shape,
        // So long a number is no quantity: the word behind it tells it apart, where none stands before.
        None if part.recorded.len().min(part.live.len()) >= LONG => {
            format!("({shape}){}", context_behind(&part.behind)?)
        }
        None => return None,
    };
    if !takes(&pattern, part) {
        return None;
    }
    let kind = match part.kind {
        ValueKind::Uuid | ValueKind::Hex | ValueKind::Id | ValueKind::Path => "name",
        _ => "any",
    };
    Some(format!("[[hole]]\npattern = {}\nkind = \"{kind}\"\n", literal(&pattern)))
}

/// An `[[ignore]]` of a whole field, in the results of a tool alone where it is in one.
pub(super) fn ignore(path: &str, tool: Option<&str>) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let tool = tool.map(|name| format!("tool = {}\n", quoted(name))).unwrap_or_default();
    format!("[[ignore]]\n{tool}path = {}\n", quoted(path))
}

/// The narrowest path of a rule that covers a field: the field itself with any index in the place of each, else what
/// it is in.
fn sayable(path: &str) -> String {
    // A message means its blocks too.
    let mut said = any_index(path).replacen("messages[*][*]", "messages[*]", 1);
    let covers = |said: &str| {
        let within = Within { path: Some(said), ..Within::default() };
        Ignore::new(within, None)
            .is_ok_and(|rule| Rules::new(vec![rule], Vec::new()).ignores(&Place::of("", path)))
    };
    while !covers(&said) {
        let Some(end) = said.rfind(['.', '[']).filter(|end| *end > 0) else { return any_index(path) };
        said.truncate(end);
    }
    said
}

/// An `[[ignore]]` of a text that only one side has, or of the whole field where there is no such thing to name.
pub(super) fn ignore_part(path: &str, part: &Part) -> String {
    let only = match (part.recorded.as_str(), part.live.as_str()) {
        ("", text) | (text, "") => Some(text),
        _ => None,
    };
    let named = only.filter(|t| t.chars().count() <= NAMED && !t.trim().is_empty() && !t.contains('\n'));
    let Some(text) = named else {
        return format!("# takes the whole field: only where it never matters\n{}", ignore(path, None));
    };
    let pattern: String = tokens(text).into_iter().map(token_shape).collect();
    format!("{}pattern = {}\n", ignore(path, None), literal(&pattern))
}

/// A token as it is, or what it looks like where it is an id or a clock.
fn token_shape(token: &str) -> String {
    let kind = kind_of(token, token, "", "");
    let alone = Part {
        kind,
        recorded: token.into(),
        live: token.into(),
        before: String::new(),
        behind: String::new(),
    };
    match kind {
        ValueKind::Other | ValueKind::Path => escaped(token),
        ValueKind::Id => r"[\w-]+".into(),
        _ => shape(&alone).unwrap_or_else(|| escaped(token)),
    }
}

/// What both values look like, as a pattern.
fn shape(part: &Part) -> Option<String> {
    let (a, b) = (part.recorded.as_str(), part.live.as_str());
    Some(match part.kind {
        ValueKind::Uuid => "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}".into(),
        ValueKind::Hex if a.len() == b.len() => format!(r"\b[0-9a-fA-F]{{{}}}\b", a.len()),
        ValueKind::Hex => r"\b[0-9a-fA-F]{8,}\b".into(),
        ValueKind::Path => format!(r#"{}[^\s"'\\]+"#, escaped(shared_directory(a, b))),
        ValueKind::Id => {
            let prefix = shared_prefix(a, b);
            let digits =
                |t: &str| t.get(prefix.len()..).is_some_and(|t| t.bytes().all(|b| b.is_ascii_digit()));
            let class = if digits(a) && digits(b) { r"\d+" } else { "[A-Za-z0-9]+" };
            format!("{}{class}", escaped(prefix))
        }
        ValueKind::Date | ValueKind::Time => like(a, b, true),
        ValueKind::Port | ValueKind::Duration | ValueKind::Number => like(a, b, false),
        ValueKind::Other => return None,
    })
}

/// A text as a pattern. A hyphen needs no escape outside of a class, and reads better without.
fn escaped(text: &str) -> String {
    regex::escape(text).replace(r"\-", "-")
}

/// The digits and words of two values as classes, their signs as they are. `padded`: as many digits each time, where
/// there are few.
fn like(a: &str, b: &str, padded: bool) -> String {
    let (x, y) = (runs(a), runs(b));
    if x.len() != y.len() {
        return r"\d[\d.,:]*".into();
    }
    let one = |(x, y): (&str, &str)| {
        let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        let letters = |t: &str| t.chars().all(char::is_alphabetic);
        match () {
            () if x == y && !digits(x) => escaped(x),
            () if padded && digits(x) && digits(y) && x.len() == y.len() && x.len() <= 4 => {
                format!(r"\d{{{}}}", x.len())
            }
            () if digits(x) && digits(y) => r"\d+".into(),
            () if letters(x) && letters(y) => r"\p{L}+".into(),
            () => r"\S+".into(),
        }
    };
    x.iter().zip(&y).map(|(x, y)| one((x, y))).collect()
}

/// Runs of digits, runs of letters, and single other characters.
fn runs(text: &str) -> Vec<&str> {
    let class = |c: char| match c {
        c if c.is_ascii_digit() => 1,
        c if c.is_alphabetic() => 2,
        _ => 0,
    };
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let of = class(first);
        let end =
            if of == 0 { first.len_utf8() } else { rest.find(|c| class(c) != of).unwrap_or(rest.len()) };
        let (run, more) = rest.split_at(end);
        all.push(run);
        rest = more;
    }
    all
}

/// The beginning that two paths share, up to a slash.
fn shared_directory<'t>(a: &'t str, b: &str) -> &'t str {
    let shared: usize = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum();
    let shared = a.get(..shared).unwrap_or_default();
    shared.rfind('/').and_then(|at| a.get(..=at)).unwrap_or_default()
}

/// The beginning that two made-up names share, up to a sign.
fn shared_prefix<'t>(a: &'t str, b: &str) -> &'t str {
    let shared: usize = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum();
    let shared = a.get(..shared).unwrap_or_default();
    shared.rfind(['_', '-', ':', '/', '.']).and_then(|at| a.get(..=at)).unwrap_or_default()
}

/// The words before a value as a pattern: the nearest ones of its clause, as few as tell it apart. What holds a digit,
/// and may be another value, is taken as it comes. None without a word.
fn context(before: &str) -> Option<String> {
    let mut near: Vec<String> = Vec::new();
    let mut words = 0;
    let mut taken = 0;
    let all = tokens(before);
    for (i, token) in all.iter().enumerate().rev() {
        let is_word = token.chars().any(char::is_alphanumeric);
        let ends_clause =
            |token: &str| token.contains(['.', '!', '?', ';', ',', ':', '(', '[', '{', '"', '|']);
        let has_digit = token.chars().any(|c| c.is_ascii_digit());
        // Within a clause, a capital begins a name; names are others next time.
        let begins = all.iter().take(i).rfind(|t| !t.trim().is_empty()).is_none_or(|t| ends_clause(t));
        let is_name = !begins && token.chars().next().is_some_and(char::is_uppercase);
        if words > 0 && (ends_clause(token) || has_digit || is_name) {
            break;
        }
        let is_plain = is_word && !has_digit;
        near.push(if has_digit { r"\S+".into() } else { escaped(token) });
        if is_plain {
            words += 1;
            taken = near.len();
        }
        if words == WORDS || near.len() == TOKENS {
            break;
        }
    }
    near.truncate(taken);
    near.reverse();
    (words > 0).then(|| near.concat())
}

/// The nearest word behind a value, with what stands between, as a pattern. None without a word.
fn context_behind(behind: &str) -> Option<String> {
    let all = tokens(behind);
    let is_word = |t: &str| t.chars().any(char::is_alphabetic) && !t.chars().any(|c| c.is_ascii_digit());
    let word = all.iter().take(TOKENS).position(|t| is_word(t))?;
    let between = all.get(..word)?;
    let near = between.iter().all(|t| !t.chars().any(char::is_alphanumeric));
    near.then(|| all.iter().take(word + 1).map(|t| escaped(t)).collect())
}

fn takes(pattern: &str, part: &Part) -> bool {
    let Ok(regex) = Regex::new(pattern) else { return false };
    let covers = |value: &str| {
        let text = format!("{}{value}{}", part.before, part.behind);
        let (from, to) = (part.before.len(), part.before.len() + value.len());
        let taken = |m: regex::Captures<'_>| m.get(1).or(m.get(0)).map(|m| (m.start(), m.end()));
        regex.captures_iter(&text).filter_map(taken).any(|(start, end)| start <= from && end >= to)
    };
    covers(&part.recorded) && covers(&part.live)
}

/// A TOML string.
fn literal(pattern: &str) -> String {
    if pattern.contains('\'') || pattern.contains(char::is_control) {
        return format!(
            "\"{}\"",
            pattern.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t")
        );
    }
    format!("'{pattern}'")
}

#[cfg(test)]
mod tests {
    use super::super::kinds::parts;
    use super::*;

    fn pattern(recorded: &str, live: &str) -> Option<String> {
        let parts = parts(recorded, live);
        assert_eq!(parts.len(), 1, "{parts:?}");
        let rule = hole(&parts[0])?;
        let table: toml::Table = toml::from_str(&rule).unwrap_or_else(|e| panic!("{rule}: {e}"));
        let hole = &table["hole"][0];
        Some(format!("{} {}", hole["kind"].as_str().unwrap(), hole["pattern"].as_str().unwrap()))
    }

    #[test]
    fn rules_can_be_pasted() {
        for (recorded, live, rule) in [
            ("It is 2026-11-21.", "It is 2026-11-22.", r"any \d{4}-\d{2}-\d{2}"),
            ("It is 1795224754629.", "It is 1795224790111.", r"any It is (\d+)"),
            ("Hi. It is 1795224754629.", "Hi. It is 1795224790111.", r"any It is (\d+)"),
            ("at 10:22:03", "at 11:07:59", r"any \d{2}:\d{2}:\d{2}"),
            ("took 12 ms", "took 9 ms", r"any took (\d+)"),
            ("id=0643afbe12", "id=99ab41ce07", r"name id=(\b[0-9a-fA-F]{10}\b)"),
            ("in /tmp/a1b2/x", "in /tmp/c3d4/x", r#"name in (/tmp/[^\s"'\\]+)"#),
            ("see req_01HXWabc", "see req_01HYQdef", r"name see (req_[A-Za-z0-9]+)"),
            ("port 4321", "port 999", r"any port (\d+)"),
            ("trace 34615961", "trace 0643afbe", r"name trace (\b[0-9a-fA-F]{8}\b)"),
            ("trace 34615961", "trace 34615962", r"any trace (\d+)"),
            ("34615961: look at this", "34615999: look at this", r"any (\d+): look"),
            ("see req_34615961", "see req_06ab43cd", r"name see (req_[A-Za-z0-9]+)"),
            ("see INV-34615961.", "see INV-34615977.", r"name see (INV-\d+)"),
            ("see INV-17 first", "see INV-9 first", r"name see (INV-\d+)"),
            ("Dear Ada, ticket 4711", "Dear Ada, ticket 4712", r"any ticket (\d+)"),
            ("bought by Ada Lovelace for 12", "bought by Ada Lovelace for 9", r"any for (\d+)"),
            ("The mean of all values is 4999", "The mean of all values is 7", r"any values is (\d+)"),
            ("order A123: 4999", "order A123: 7", r"any order \S+: (\d+)"),
            ("{\"a\": 1, \"queue\": 44}", "{\"a\": 1, \"queue\": 45}", r#"any queue": (\d+)"#),
        ] {
            assert_eq!(pattern(recorded, live).as_deref(), Some(rule));
        }
        assert_eq!(pattern("risk low", "risk high"), None, "words are content");
        assert_eq!(pattern("4999", "5001"), None, "a number without a context is content");
        assert_eq!(pattern("12: 4999", "12: 5001"), None, "numbers are no context");
    }

    #[test]
    fn what_varies_too_is_no_context() {
        let [then, now] = ["Run 17 of 4711 by x", "Run 18 of 4799 by x"];
        let rules: Vec<String> = parts(then, now).iter().filter_map(hole).collect();
        let patterns: Vec<Regex> = rules.iter().filter_map(|rule| pattern_of(rule)).collect();
        assert_eq!(patterns.iter().map(Regex::as_str).collect::<Vec<_>>(), [r"Run (\d+)", r"of (\d+)"]);
        assert!(patterns.iter().all(|p| p.is_match(then) && p.is_match(now)));
        assert!(parts("17 4711", "18 4799").iter().all(|part| hole(part).is_none()));
    }

    #[test]
    fn a_text_that_only_one_side_has_is_named() {
        let parts = parts("You are brief.", "You are brief. Session 6f1c8a52-1111-4222-8333-abcdefabcdef.");
        let rule: toml::Table = toml::from_str(&ignore_part("system", &parts[0])).unwrap();
        let pattern = Regex::new(rule["ignore"][0]["pattern"].as_str().unwrap()).unwrap();
        let another = "You are brief. Session 11112222-1111-4222-8333-abcdefabcdef.";
        assert_eq!(pattern.replace(another, ""), "You are brief.");
        assert_eq!(pattern.replace("You are brief. Sessions vary.", ""), "You are brief. Sessions vary.");
        let whole: toml::Table =
            toml::from_str(&ignore_part("system", &super::super::kinds::parts("low", "high")[0])).unwrap();
        assert!(whole["ignore"][0].get("pattern").is_none());
    }

    #[test]
    fn quotes_survive() {
        assert_eq!(pattern("it's 12 ms", "it's 9 ms").as_deref(), Some(r"any it's (\d+)"));
        let rule: toml::Table = toml::from_str(&ignore("params.a\"b", None)).unwrap();
        assert_eq!(rule["ignore"][0]["path"].as_str(), Some("params.a\"b"));
    }
}
