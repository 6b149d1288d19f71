//! Commands of shells, compared: some clients wrap each of them in names that they make up anew.

pub mod asked;
pub mod words;

use regex::{Captures, Regex};
use serde_json::Value;
use std::sync::LazyLock;

/// A file for temporary files that something is written to: `>| /tmp/claude-8ef5-cwd`. What a command prints does not
/// depend on its name.
static WRITTEN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(>\|?\s*/(?:[^\s'";|&<>()]*/)?(?:tmp|T)/)([^\s'";|&<>()/]+)"#).ok());

/// What is made up in such a name.
static MADE_UP: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("[0-9a-f]{4,}").ok());

/// A time in milliseconds and something random behind it: `snapshot-bash-1795284431695-6rj317.sh`.
static STAMPED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"([-_.])1[0-9]{12}([-_.])[0-9a-z]{4,10}\b").ok());

/// What a command's call says, without the names of files that were made up for it.
pub(super) fn gist(subject: &Value) -> Value {
    match subject {
        Value::String(text) => without_names(text).into(),
        Value::Array(items) => items.iter().map(gist).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), gist(value))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => subject.clone(),
    }
}

fn without_names(text: &str) -> String {
    let (Some(written), Some(made_up), Some(stamped)) = (&*WRITTEN, &*MADE_UP, &*STAMPED) else {
        return text.to_string();
    };
    let text = written.replace_all(text, |found: &Captures<'_>| {
        let part = |n| found.get(n).map_or("", |part| part.as_str());
        format!("{}{}", part(1), made_up.replace_all(part(2), "*"))
    });
    stamped.replace_all(&text, "$1*$2*").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_client_makes_up_do_not_count() {
        let command = |snapshot: &str, said: &str, cwd: &str| {
            let command = format!(
                "source /h/.claude/shell-snapshots/snapshot-bash-{snapshot}.sh && eval '{said}' < /dev/null && pwd -P >| /tmp/claude-{cwd}-cwd"
            );
            gist(&serde_json::json!({ "arguments": { "command": command, "options": ["-c"] } }))
        };
        let one = command("1795284431695-6rj317", "cat a-2024.txt", "8ef5");
        assert_eq!(one, command("1795284438111-k3x9qa", "cat a-2024.txt", "f2fb"));
        assert_ne!(one, command("1795284431695-6rj317", "cat a-2025.txt", "8ef5"));
        for (one, other) in [("cat /tmp/a-8ef5", "cat /tmp/a-f2fb"), ("x > /data/a-1234", "x > /data/a-5678")]
        {
            assert_ne!(without_names(one), without_names(other));
        }
    }
}
