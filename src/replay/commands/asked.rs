//! Which call of a model a command of a shell carries out: the one whose arguments hold the command's text.

use super::words::{base, given, simple};
use serde_json::Value;

/// Texts of this length are compared with arguments that were cut in the outline, in bytes; shorter ones were not cut.
const LONG: usize = 600;

/// What a client may have been asked for, when it gives this command to a shell: the command, or what it wraps in one
/// (`source … && eval 'COMMAND' …`).
pub fn said(command: &str) -> Vec<String> {
    let mut said = vec![command.trim().to_string()];
    for words in simple(command) {
        let Some((program, rest)) = words.split_first() else { continue };
        let program = base(program);
        let inner = given(program, rest);
        // What stands behind the text is the client's own: `eval 'COMMAND' \< /dev/null`.
        let first = rest.first().filter(|_| program == "eval").cloned();
        for text in first.into_iter().chain(inner) {
            said.push(text.trim().to_string());
        }
    }
    said.retain(|text| !text.is_empty());
    said
}

/// True when a text in a call's arguments is one of these: `is_it` compares the two. `said`: what was given to the shell ([`said`]).
pub fn asks_for(arguments: &Value, said: &[String], is_it: &impl Fn(&str, &str) -> bool) -> bool {
    match arguments {
        Value::String(text) if said.iter().any(|said| is_it(text.trim(), said)) => true,
        Value::String(text) => said.iter().filter(|said| said.len() >= LONG).any(|said| is_cut(text, said)),
        Value::Array(items) => items.iter().any(|item| asks_for(item, said, is_it)),
        Value::Object(fields) => fields.values().any(|value| asks_for(value, said, is_it)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// True when the beginning of a text stands in arguments of which only the beginning is there, as JSON.
fn is_cut(arguments: &str, said: &str) -> bool {
    let whole = Value::from(said).to_string();
    let mut end = LONG;
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    whole.get(..end).is_some_and(|beginning| arguments.contains(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn is_asked(arguments: &Value, command: &str) -> bool {
        asks_for(arguments, &said(command), &|asked, said| asked == said)
    }

    #[test]
    fn a_command_carries_out_the_call_that_holds_it() {
        let claude = "source /h/snap.sh 2>/dev/null || true && shopt -u extglob || true && eval 'cat '\\''a b'\\''' \\< /dev/null && pwd -P >| /tmp/c-cwd";
        assert!(is_asked(&json!({"command": "cat 'a b'", "description": "Reads"}), claude));
        assert!(
            !is_asked(&json!({"command": "cat"}), claude) && !is_asked(&json!({"command": "pwd"}), claude)
        );
        assert!(is_asked(&json!({"command": ["bash", "-lc", "ls -la\n"]}), "ls -la"));
        assert!(is_asked(&json!({"command": "bash -c 'ls'"}), "bash -c 'ls'"));
        assert!(is_asked(&json!("ls"), "eval ls"));
        assert!(!is_asked(&json!({"command": "ls"}), "ls -la") && !is_asked(&json!({"command": ""}), "ls"));
    }

    #[test]
    fn long_arguments_are_known_by_their_beginning() {
        let long = format!("cat > f <<'EOF'\n{}\nEOF", "\"line\"\n".repeat(400));
        let arguments = json!({"command": long}).to_string();
        let cut = Value::from(arguments.chars().take(2000).collect::<String>());
        assert!(is_asked(&cut, &long));
        assert!(!is_asked(&cut, &long.replacen("line", "lime", 1)));
        assert!(!is_asked(&cut, "cat > f"));
    }
}
