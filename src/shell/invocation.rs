//! How a shell was started: with a command, or otherwise.

use std::ffi::OsString;

/// A shell's command line with a command in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invocation {
    /// Options, as they stand (`-lc`).
    pub options: Vec<String>,
    /// What is to be run.
    pub command: String,
    /// `$0`, `$1`, …
    pub arguments: Vec<String>,
}

/// Options whose value is the next word.
const WITH_VALUE: [&str; 2] = ["--rcfile", "--init-file"];

impl Invocation {
    /// Reads the words behind the shell's name; none when there is no command in them, when it is interactive, or when
    /// they are no text.
    pub fn read(words: &[OsString]) -> Option<Invocation> {
        let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
        let mut rest = words?.into_iter().peekable();
        let (mut options, mut has_command) = (Vec::new(), false);
        while let Some(word) =
            rest.next_if(|word| word.len() > 1 && word.starts_with(['-', '+']) || *word == "-")
        {
            options.push(word.to_string());
            if word == "--" || word == "-" {
                break;
            }
            let mut values = usize::from(WITH_VALUE.contains(&word));
            if !word.starts_with("--") {
                let letters = word.get(1..).unwrap_or_default();
                if letters.contains(['i', 's']) {
                    return None;
                }
                has_command |= word.starts_with('-') && letters.contains('c');
                values += letters.matches(['o', 'O']).count();
            }
            options.extend(rest.by_ref().take(values).map(String::from));
        }
        let command = rest.next().filter(|_| has_command)?.to_string();
        Some(Invocation { options, command, arguments: rest.map(String::from).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Option<(String, String, String)> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        Invocation::read(&words).map(|i| (i.options.join(" "), i.command, i.arguments.join(" ")))
    }

    #[test]
    fn the_command_is_the_first_word_behind_the_options() {
        for (words, options, command, arguments) in [
            (&["-c", "ls"][..], "-c", "ls", ""),
            (&["-lc", "ls -la"], "-lc", "ls -la", ""),
            (&["-l", "-c", "ls"], "-l -c", "ls", ""),
            (&["-c", "-l", "ls"], "-c -l", "ls", ""),
            (&["--noprofile", "--norc", "-c", "ls", "name", "a"], "--noprofile --norc -c", "ls", "name a"),
            (&["-eo", "pipefail", "-c", "ls"], "-eo pipefail -c", "ls", ""),
            (&["-O", "extglob", "+o", "posix", "-c", "--", "-x"], "-O extglob +o posix -c --", "-x", ""),
            (&["--rcfile", "/x", "-c", ""], "--rcfile /x -c", "", ""),
        ] {
            assert_eq!(read(words), Some((options.into(), command.into(), arguments.into())), "{words:?}");
        }
    }

    #[test]
    fn everything_else_is_none() {
        for words in [
            &[][..],
            &["script.sh", "-c", "ls"],
            &["-c"],
            &["-ic", "ls"],
            &["-i", "-c", "ls"],
            &["-s"],
            &["-l"],
            &["--version"],
            &["+c", "ls"],
            &["--", "-c", "ls"],
            &["-o", "-c", "ls"],
        ] {
            assert_eq!(read(words), None, "{words:?}");
        }
    }
}
