//! Which call of a model a command of a shell carries out: the one whose arguments hold the command's text.

use super::words::{Bounds, base, given, simple};
use serde_json::Value;

/// Texts of this length are compared with arguments that were cut in the outline, in bytes; shorter ones were not cut.
const LONG: usize = 600;

/// How many commands of a text are looked at for the beginning of arguments that were cut: clients put few before theirs.
const FIRST: usize = 32;

/// Names of arguments that are commands, however short.
const COMMANDS: [&str; 6] = ["command", "commands", "cmd", "script", "shell_command", "input"];

/// What a client may have been asked for, when it gives a command to a shell ([`said`]).
#[derive(Debug)]
pub struct Said(Vec<(String, Bounds)>);

/// What a client may have been asked for, when it gives this command to a shell: the command, or what it wraps in one
/// (`source … && eval 'COMMAND' …`).
pub fn said(command: &str) -> Said {
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
    let bounded = |text: String| {
        let bounds = Bounds::of(&text);
        (text, bounds)
    };
    Said(said.into_iter().map(bounded).collect())
}

/// True when a text in a call's arguments is what was given to the shell: `is_it` compares the two.
pub fn asks_for(arguments: &Value, said: &Said, is_it: &impl Fn(&str, &str) -> bool) -> bool {
    any_text(arguments, "", &|_, text| {
        let texts = || said.0.iter().map(|(text, _)| text.as_str());
        texts().any(|said| is_it(text.trim(), said)) || texts().any(|said| is_cut(text, said))
    })
}

/// True when a text in a call's arguments stands in what was given to the shell as whole commands, with others of the
/// client's own about it: `cd DIR && COMMAND; pwd -P > FILE`.
pub fn stands_in(arguments: &Value, said: &Said) -> bool {
    any_text(arguments, "", &|name, asked| {
        let text = asked.trim();
        // A single word may be anything.
        let is_short = !text.contains(char::is_whitespace) && !COMMANDS.contains(&name);
        said.0.iter().any(|(whole, bounds)| {
            let is_in = || whole.match_indices(text).any(|(at, _)| bounds.hold(whole, at, at + text.len()));
            let begins = || bounds.begins().iter().take(FIRST).filter_map(|begin| whole.get(*begin..));
            !text.is_empty() && !is_short && is_in() || begins().any(|said| is_cut(asked, said.trim_start()))
        })
    })
}

/// True when one of the texts in arguments is as wanted; it is given the name of its argument, too.
fn any_text(arguments: &Value, name: &str, wanted: &impl Fn(&str, &str) -> bool) -> bool {
    match arguments {
        Value::String(text) => wanted(name, text),
        Value::Array(items) => items.iter().any(|item| any_text(item, name, wanted)),
        Value::Object(fields) => fields.iter().any(|(name, value)| any_text(value, name, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// True when the beginning of a long text stands in arguments of which only the beginning is there, as JSON.
fn is_cut(arguments: &str, said: &str) -> bool {
    if said.len() < LONG || arguments.len() < LONG {
        return false;
    }
    let beginning = Value::from(up_to(said, LONG)).to_string();
    arguments.contains(up_to(beginning.trim_end_matches('"'), LONG))
}

/// The beginning of a text, of at most so many bytes.
fn up_to(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
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
    fn a_command_with_others_of_the_client_about_it_carries_out_the_call() {
        let asked = |asked: &str, command: &str| stands_in(&json!({"command": asked}), &said(command));
        for command in [
            "cd '/a b' && make test",
            "set -e; make test",
            "source /h/rc\nmake test\n",
            "cd /a && make test; pwd -P > /tmp/cwd",
            "cd /a && { make test; } 2>&1",
            "(cd /a; make test)",
            "cd /a && timeout 60 make test 2>&1",
            "cd /a && A=1 make test &> /tmp/log",
            "bash -lc 'cd /a && make test'",
            "out=$(make test); echo \"$out\"",
        ] {
            assert!(asked("make test", command), "{command}");
        }
        for command in [
            "cd /a && make test-all",
            "cd /a && echo 'x; make test; y'",
            "cd /a && echo make test",
            "cd /a && cmake test",
            "cat > f <<EOF\nmake test\nEOF",
            "# make test\nls",
        ] {
            assert!(!asked("make test", command), "{command}");
        }
        let several = "cat > f <<'EOF'\nx; y\nEOF\nls | wc -l";
        assert!(asked(several, &format!("cd /a && {several}")) && asked(several, &format!("{several}; pwd")));
        assert!(asked("cat > f <<'EOF'\nx\nEOF", "cd /a\ncat > f <<'EOF'\nx\nEOF\npwd -P"));
        assert!(asked("ls", "cd /a && ls"), "a command is one, however short");
        assert!(!stands_in(&json!({"mode": "ls"}), &said("cd /a && ls")));
        assert!(!asked("", "cd /a && ls"));
        assert!(!asked("1 1", &"1 ".repeat(400_000)), "it is looked at once");
    }

    #[test]
    fn long_arguments_are_known_by_their_beginning() {
        let long = format!("cat > f <<'EOF'\n{}\nEOF", "\"line\"\n".repeat(400));
        let arguments = json!({"command": long}).to_string();
        let cut = Value::from(arguments.chars().take(2000).collect::<String>());
        assert!(is_asked(&cut, &long));
        assert!(!is_asked(&cut, &long.replacen("line", "lime", 1)));
        assert!(!is_asked(&cut, "cat > f"));
        assert!(
            stands_in(&cut, &said(&format!("cd /a && {long}\npwd")))
                && !is_asked(&cut, &format!("cd /a && {long}"))
        );
    }
}
