//! What the demo shows, as data: each scene is a command of retake itself.

use super::agent::PROMPT;

/// One command of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// Why a person would type it: one line.
    pub why: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The exit code it has to end with.
    pub expect: i32,
}

impl Scene {
    /// The command as a person would type it, with `retake` for the path of the program.
    pub fn shown(&self) -> String {
        let Some((program, arguments)) = self.argv.split_first() else { return String::new() };
        let words =
            arguments.iter().map(|word| if word == program { "retake".to_string() } else { quoted(word) });
        ["retake".to_string()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// The scenes in order, for the program at `program` (a path). `name` is given to the runs and `first` is the number
/// that the first of them gets; the forks get the next two.
pub fn scenes(program: &str, name: &str, first: u32) -> Vec<Scene> {
    let run = |n: u32| format!("{name}.{}", first.saturating_add(n));
    let (origin, risky, fixed) = (run(0), run(1), run(2));
    let scene = |why: &str, expect: i32, arguments: &[&str]| Scene {
        why: why.to_string(),
        argv: std::iter::once(program).chain(arguments.iter().copied()).map(str::to_string).collect(),
        expect,
    };
    vec![
        scene(
            "Record an agent. It refunds $4,999.00 for an order of $49.99: what went wrong?",
            0,
            &["run", "--name", name, "--", program, "demo-agent", PROMPT],
        ),
        scene("Every model call and every tool call, in one numbering.", 0, &["show", &origin]),
        scene(
            "What the model saw before step 8 that it had not seen at step 6.",
            0,
            &["show", &origin, "8", "--context", "--vs", "6"],
        ),
        scene("The same run again, offline: no model is asked.", 0, &["replay", &origin]),
        scene(
            "What if the fraud check had said high? Step 7 is edited; only what depends on it is asked again.",
            0,
            &[
                "fork",
                &origin,
                "--set",
                "7:result.risk=\"high\"",
                "--fence",
                "issue_refund",
                "--note",
                "does high risk block it?",
            ],
        ),
        scene("Where the two runs part, and why.", 1, &["diff", &origin, &risky]),
        scene(
            "Now the fix: tell the model the unit, from the first call on.",
            0,
            &["fork", &origin, "--set", "1..:system+=\"Amounts are in cents.\"", "--note", "the fix"],
        ),
        scene("$4,999.00 has become $49.99.", 1, &["diff", &origin, &fixed]),
    ]
}

/// A word for a POSIX shell, in quotes when it needs them.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=+,@%".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_string();
    }
    if word.contains(['"', '$', '`', '\\', '!']) {
        return format!("'{}'", word.replace('\'', "'\\''"));
    }
    format!("\"{word}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_as_a_person_types_them() {
        let shown: Vec<String> = scenes("/opt/x/retake", "refund", 3).iter().map(Scene::shown).collect();
        assert_eq!(
            shown,
            [
                "retake run --name refund -- retake demo-agent \"My laptop from order A123 is broken, refund me\"",
                "retake show refund.3",
                "retake show refund.3 8 --context --vs 6",
                "retake replay refund.3",
                "retake fork refund.3 --set '7:result.risk=\"high\"' --fence issue_refund \
                 --note \"does high risk block it?\"",
                "retake diff refund.3 refund.4",
                "retake fork refund.3 --set '1..:system+=\"Amounts are in cents.\"' --note \"the fix\"",
                "retake diff refund.3 refund.5",
            ]
        );
    }

    #[test]
    fn words_survive_a_shell() {
        for word in ["", "a b", "it's", "$HOME", "a\"b", "plain", "back\\slash", "wow!", "a'b\"c", "*"] {
            let said = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(word))])
                .output();
            assert_eq!(String::from_utf8(said.unwrap().stdout).unwrap(), word);
        }
    }
}
