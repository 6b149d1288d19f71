//! Secrets in a command by the name of their option: `--token=x`, `--token x`, `API_KEY=x`, `-H "X-Api-Key: x"`.

use super::{fields, headers, known};
use std::ops::Range;

/// Ends of names, in lower case without punctuation, whose values are secrets.
const ENDS: [&str; 9] =
    ["token", "secret", "password", "passwd", "passphrase", "pwd", "credential", "credentials", "apikey"];
/// Last words of names whose values are secrets unless they are words themselves: `--sort-key name`, `--auth basic`.
const LAST_WORDS: [&str; 3] = ["key", "auth", "pass"];
/// Values that are settings.
const SETTINGS: [&str; 8] = ["true", "false", "none", "null", "yes", "no", "on", "off"];

/// A secret in one word of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which word.
    pub(super) word: usize,
    /// Where in it.
    pub(super) range: Range<usize>,
    /// Name of the option.
    pub(super) label: String,
}

/// The secrets of a command, in order.
pub(super) fn places(words: &[String]) -> Vec<Place> {
    let mut found = Vec::new();
    for (word, text) in words.iter().enumerate() {
        let before = word.checked_sub(1).and_then(|i| words.get(i)).map_or("", String::as_str);
        let mut add = |range, label| found.push(Place { word, range, label });
        if is_script_flag(before) {
            let mut last = "";
            for (at, piece) in pieces(text) {
                if let Some((range, label)) = secret_in(last, piece) {
                    add(range.start + at..range.end + at, label);
                }
                last = piece;
            }
        } else if let Some((range, label)) = secret_in(before, text) {
            add(range, label);
        }
    }
    found
}

/// `-c`, `-lc`: what follows is a script.
fn is_script_flag(word: &str) -> bool {
    word.len() <= 4 && word.starts_with('-') && !word.starts_with("--") && word.ends_with('c')
}

/// The words of a script with their places, without the quotes around them.
fn pieces(script: &str) -> impl Iterator<Item = (usize, &str)> {
    script.split_whitespace().map(|piece| {
        let bare = piece.trim_matches(|c| matches!(c, '"' | '\'' | ';' | '&' | ')' | '('));
        (bare.as_ptr().addr() - script.as_ptr().addr(), bare)
    })
}

fn secret_in(before: &str, word: &str) -> Option<(Range<usize>, String)> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some((name, value)) = word.split_once('=')
        && !name.is_empty()
        && name.chars().all(in_name)
    {
        let quote = value.len() - value.trim_start_matches(['"', '\'']).len();
        let start = name.len() + 1 + quote;
        let value = value.trim_matches(['"', '\'']);
        return is_secret(name, value).then(|| (start..start + value.len(), label(name)));
    }
    if let Some((name, value)) = word.split_once(':')
        && !name.is_empty()
        && name.chars().all(in_name)
    {
        let start = name.len() + 1 + (value.len() - value.trim_start().len());
        let range = headers::credentials(name, value.trim().as_bytes()).into_iter().next()?;
        return (!range.is_empty()).then(|| (start + range.start..start + range.end, label(name)));
    }
    let option = before.starts_with('-') && before.chars().all(in_name) && !word.starts_with('-');
    (option && is_secret(before, word)).then(|| (0..word.len(), label(before)))
}

fn label(name: &str) -> String {
    name.trim_start_matches('-').to_ascii_lowercase()
}

fn is_secret(name: &str, value: &str) -> bool {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let last = name.rsplit(['-', '_', '.']).next().unwrap_or_default().to_ascii_lowercase();
    let certain = ENDS.iter().any(|end| plain.ends_with(end));
    let likely = LAST_WORDS.contains(&last.as_str());
    let is_word = value.len() < 16 && !value.bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let is_number = value.len() < 6 && value.bytes().all(|b| b.is_ascii_digit());
    (certain || (likely && !is_word))
        && !value.is_empty()
        && (!is_number || plain.ends_with("password"))
        && !SETTINGS.contains(&value.to_ascii_lowercase().as_str())
        && !known::is_path(value)
        && !fields::is_placeholder(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(command: &[&str]) -> Vec<String> {
        let words: Vec<String> = command.iter().map(ToString::to_string).collect();
        places(&words).into_iter().map(|p| words[p.word][p.range].to_string()).collect()
    }

    #[test]
    fn values_of_options_that_name_a_secret() {
        for command in [
            &["agent", "--token=abc123secret"][..],
            &["agent", "--token", "abc123secret"],
            &["agent", "-token", "abc123secret"],
            &["agent", "api_key=abc123secret"],
            &["env", "OPENAI_API_KEY=abc123secret", "agent"],
            &["agent", "--db-password", "abc123secret"],
            &["agent", "--clientSecret", "abc123secret"],
            &["agent", "--auth", "abc123secret"],
            &["agent", "--credential=abc123secret"],
            &["mysql", "--pwd=\"abc123secret\""],
            &["curl", "-H", "X-Api-Key: abc123secret"],
            &["curl", "-H", "Authorization: Bearer abc123secret"],
            &["sh", "-c", "TOKEN='abc123secret' agent --verbose"],
            &["bash", "-lc", "agent --token abc123secret; true"],
        ] {
            assert_eq!(secrets(command), ["abc123secret"], "{command:?}");
        }
    }

    #[test]
    fn other_words_are_left() {
        for command in [
            &["agent", "--max-tokens", "4096"][..],
            &["agent", "--max-tokens=4096"],
            &["agent", "--sort-key", "created_at"],
            &["agent", "--auth", "basic"],
            &["agent", "--token", "--verbose"],
            &["agent", "--token-file", "/run/secrets/token1"],
            &["agent", "--key", "/home/me/key1.pem"],
            &["agent", "--token=$TOKEN"],
            &["agent", "--use-token=true"],
            &["agent", "what does the token abc123secret mean?"],
            &["agent", "the password: how do I reset it?"],
            &["python", "-c", "print(key)"],
            &["agent", "--pad-token", "0"],
        ] {
            assert_eq!(secrets(command), [""; 0], "{command:?}");
        }
    }
}
