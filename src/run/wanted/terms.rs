//! The grammar of terms: `KEY OP VALUE`, with spaces between them.

use super::{Key, Op, Term, Unclear, Value};
use crate::run::spelling::nearest;
use crate::span::sought::Sought;

/// Longer ones first.
const OPS: [(&str, Op); 7] = [
    ("!=", Op::IsNot),
    (">=", Op::AtLeast),
    ("<=", Op::AtMost),
    ("=", Op::Is),
    (">", Op::More),
    ("<", Op::Less),
    ("~", Op::Has),
];

const KEYS: [(&str, Key); 16] = [
    ("tool", Key::Tool),
    ("model", Key::Model),
    ("agent", Key::Agent),
    ("lane", Key::Agent),
    ("span", Key::Span),
    ("trace", Key::Trace),
    ("status", Key::Status),
    ("text", Key::Text),
    ("tokens", Key::Tokens),
    ("input", Key::Input),
    ("output", Key::Output),
    ("cost", Key::Cost),
    ("time", Key::Time),
    ("name", Key::Name),
    ("exit", Key::Exit),
    ("steps", Key::Steps),
];

const EXAMPLE: &str = "for instance: --where 'tool=issue_refund status=error'";

/// Units of time behind a number, and how many seconds they are; longer ones first.
const UNITS: [(&str, f64); 5] = [("ms", 1e-3), ("us", 1e-6), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// All terms of a text.
pub(super) fn parse(text: &str) -> Result<Vec<Term>, Unclear> {
    let words = words(text)?;
    let mut terms: Vec<Term> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let term = term(word).map_err(|unclear| match words.get(..at).and_then(<[String]>::last) {
            Some(before) if !has_sign(word) => {
                let behind = words.iter().skip(at).take_while(|word| !has_sign(word));
                let value: Vec<&str> =
                    std::iter::once(before.as_str()).chain(behind.map(String::as_str)).collect();
                Unclear { hint: quoted(&value.join(" ")).unwrap_or(unclear.hint), ..unclear }
            }
            _ => unclear,
        })?;
        terms.push(term);
    }
    Ok(terms)
}

/// True for a word that may be a term.
fn has_sign(word: &str) -> bool {
    word.contains(SIGNS)
}

const SIGNS: [char; 5] = ['!', '=', '>', '<', '~'];

/// The hint that a value wants quotes; none for a term about a number.
fn quoted(term: &str) -> Option<String> {
    let (name, rest) = term.split_at_checked(term.find(SIGNS)?)?;
    let (sign, _) = OPS.iter().find(|(sign, _)| rest.starts_with(sign))?;
    let is_text = key(name).is_ok_and(|key| !key.is_number());
    let value = rest.strip_prefix(sign)?;
    is_text.then(|| format!("a value with spaces stands in double quotes: {name}{sign}\"{value}\""))
}

/// Splits at spaces outside of double quotes, and takes these away.
fn words(text: &str) -> Result<Vec<String>, Unclear> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(String::new()),
            c => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words.retain(|word| !word.is_empty());
    match (quoted, words.is_empty()) {
        (true, _) => Err(unclear("a double quote is never closed".into(), "")),
        (_, true) => Err(unclear("there is no term".into(), EXAMPLE)),
        _ => Ok(words),
    }
}

fn unclear(what: String, hint: impl Into<String>) -> Unclear {
    Unclear { what, hint: hint.into() }
}

fn term(word: &str) -> Result<Term, Unclear> {
    let at = word.find(SIGNS).unwrap_or(word.len());
    let (name, rest) = word.split_at_checked(at).unwrap_or((word, ""));
    let found = OPS.iter().find_map(|(sign, op)| Some((*sign, *op, rest.strip_prefix(sign)?)));
    let Some((sign, op, value)) = found else {
        let what = format!("{word:?} is no term: KEY OP VALUE, OP one of = != > < >= <= ~");
        return Err(unclear(what, EXAMPLE));
    };
    let key = key(name)?;
    let no_fit = |what: &str| unclear(format!("{word:?}: {name} is {what}"), "");
    let value = if key.is_number() {
        if op == Op::Has {
            return Err(no_fit("a number, and ~ is for texts"));
        }
        match (&key, value) {
            (Key::Cost, "n/a") if matches!(op, Op::Is | Op::IsNot) => Value::Unknown,
            (Key::Cost, "n/a") => {
                return Err(no_fit("n/a or not (=, !=), which is not more or less than anything"));
            }
            _ => Value::Number(number(&key, value).ok_or_else(|| no_fit(expected(&key)))?),
        }
    } else {
        if !matches!(op, Op::Is | Op::IsNot | Op::Has) {
            return Err(no_fit(&format!("a text, and {sign} is for numbers")));
        }
        if key == Key::Trace {
            if op == Op::Has {
                return Err(no_fit("an id, or a line with one in it, and ~ is for texts"));
            }
            let sought = Sought::parse(value)
                .ok_or_else(|| no_fit("the id of a trace or span in hex, or a line with one"))?;
            return Ok(Term { key, op, value: Value::Trace(sought) });
        }
        if key == Key::Status && !matches!(value, "ok" | "error") {
            return Err(no_fit("ok or error"));
        }
        Value::Text(value.to_string())
    };
    Ok(Term { key, op, value })
}

/// What is to stand behind a key.
fn expected(key: &Key) -> &'static str {
    match key {
        Key::Time => "a number of seconds, or a time with a unit: 5ms, 2.5s, 1m",
        Key::Cost => "a number of US dollars, or n/a",
        _ => "a number",
    }
}

fn number(key: &Key, value: &str) -> Option<f64> {
    let plain = value.replace(['_', ','], "");
    let (plain, unit) = match key {
        Key::Cost => (plain.trim_start_matches('$'), 1.0),
        Key::Time => UNITS
            .iter()
            .find_map(|(name, seconds)| Some((plain.strip_suffix(name)?, *seconds)))
            .unwrap_or((&plain, 1.0)),
        _ => (plain.as_str(), 1.0),
    };
    plain.parse::<f64>().ok().map(|number| number * unit).filter(|number| number.is_finite())
}

fn key(name: &str) -> Result<Key, Unclear> {
    if let Some(label) = name.strip_prefix("label:").filter(|label| !label.is_empty()) {
        return Ok(Key::Label(label.to_string()));
    }
    if let Some((_, key)) = KEYS.iter().find(|(known, _)| *known == name) {
        return Ok(key.clone());
    }
    let known: Vec<&str> = KEYS.iter().map(|(known, _)| *known).collect();
    let hint = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("keys: {}, label:KEY", known.join(", ")),
    };
    Err(unclear(format!("there is no key {name:?}"), hint))
}
