//! A command of a shell, taken apart as far as is needed to say which programs stand in it. It is read, never run: what a
//! variable holds, what an alias means and what a script does is not known here.

use std::collections::HashSet;
use std::iter::Peekable;
use std::str::Chars;

/// How deep commands in commands are read (`sh -c "sh -c …"`).
const DEEP: usize = 4;

/// How far a command may stand from where the one that it is a part of begins and ends, in bytes.
const NEAR: usize = 400;

/// Words of a command that a name of it has at most.
const LONG: usize = 8;

/// Words that stand before a command and are none.
const KEYWORDS: [&str; 14] = [
    "if", "then", "else", "elif", "while", "until", "do", "!", "{", "}", "time", "coproc", "function", "case",
];

/// Programs that run what comes behind their options.
const WRAPPERS: [&str; 12] = [
    "sudo", "doas", "env", "command", "builtin", "exec", "nohup", "nice", "xargs", "timeout", "stdbuf",
    "setsid",
];

/// Programs that run a text.
const SHELLS: [&str; 5] = ["bash", "sh", "zsh", "dash", "ksh"];

/// Beginning of the name of a command, as people write it in a fence: `$ git push`.
pub const MARK: &str = "$ ";

/// The simple commands of a text, each in words without their quotes; those inside `eval` and `sh -c` too.
pub(super) fn simple(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    nested(text, DEEP, &mut found);
    found
}

fn nested(text: &str, deep: usize, found: &mut Vec<Vec<String>>) {
    for words in Lexer::new(text).read() {
        let (mut rest, mut deeper) = (words.as_slice(), DEEP);
        while let Some((first, behind)) = rest.split_first() {
            if KEYWORDS.contains(&first.as_str()) || is_assignment(first) {
                rest = behind;
                continue;
            }
            found.push(rest.to_vec());
            let program = base(first);
            if let Some(inner) = given(program, behind).filter(|_| deep > 0) {
                nested(&inner, deep - 1, found);
            }
            if deeper == 0 || !WRAPPERS.contains(&program) {
                break;
            }
            deeper -= 1;
            let own = behind.iter().take_while(|word| is_own(word)).count();
            rest = behind.get(own..).unwrap_or_default();
        }
    }
}

/// The text that a program runs, of the words behind its name.
pub(super) fn given(program: &str, words: &[String]) -> Option<String> {
    if program == "eval" {
        return Some(words.join(" "));
    }
    if !SHELLS.contains(&program) {
        return None;
    }
    let option = words.iter().position(|word| {
        word.strip_prefix('-').is_some_and(|letters| !letters.starts_with('-') && letters.contains('c'))
    })?;
    words.get(option + 1..)?.iter().find(|word| !word.starts_with('-')).cloned()
}

/// The name of a program without its directory.
pub(super) fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What the commands in a text can be called in a fence: `$ git`, `$ git push`, `$ git push origin`, …, with and without
/// options, each once.
pub fn names(text: &str) -> Vec<String> {
    let (mut names, mut known) = (Vec::new(), HashSet::new());
    for words in simple(text) {
        let Some((program, rest)) = words.split_first() else { continue };
        let plain: Vec<&String> = rest.iter().filter(|word| !word.starts_with('-')).collect();
        for words in [rest.iter().collect(), plain] {
            let mut name = format!("{MARK}{}", base(program));
            for word in words.into_iter().map(Some).take(LONG - 1).chain([None]) {
                if known.insert(name.clone()) {
                    names.push(name.clone());
                }
                if let Some(word) = word {
                    name.push(' ');
                    name.push_str(word);
                }
            }
        }
    }
    names
}

/// Where commands of a text begin and end, lists of them too, in bytes and in order. What stands in quotes is one word.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    begins: Vec<usize>,
    ends: Vec<usize>,
}

impl Bounds {
    pub(super) fn of(text: &str) -> Bounds {
        let mut lexer = Lexer::new(text);
        lexer.read_all();
        let mut bounds = lexer.bounds;
        bounds.begins.insert(0, 0);
        bounds.begins.sort_unstable();
        bounds.ends.push(text.len());
        bounds.ends.sort_unstable();
        bounds
    }

    /// Where commands begin.
    pub(super) fn begins(&self) -> &[usize] {
        &self.begins
    }

    /// True when a part of the text is whole commands: before it stands at most what runs it (`timeout 5`, `A=1`), behind it
    /// at most where its output goes.
    pub(super) fn hold(&self, text: &str, from: usize, to: usize) -> bool {
        let before = self.begins.partition_point(|begin| *begin <= from).checked_sub(1);
        let before = before.and_then(|at| text.get(*self.begins.get(at)?..from));
        let runs_it = |word: &str| {
            KEYWORDS.contains(&word) || WRAPPERS.contains(&base(word)) || is_assignment(word) || is_own(word)
        };
        let end = self.ends.partition_point(|end| *end < to);
        let behind = self.ends.get(end).and_then(|end| text.get(to..*end));
        before.filter(|before| before.len() <= NEAR).is_some_and(|before| {
            before.is_empty()
                || before.ends_with(char::is_whitespace) && before.split_whitespace().all(runs_it)
        }) && behind.is_some_and(|behind| behind.len() <= NEAR && behind.trim().is_empty())
    }
}

/// True for an option or a number behind the name of a program that runs what comes behind them.
fn is_own(word: &str) -> bool {
    word.starts_with('-') || word.starts_with(|c: char| c.is_ascii_digit()) || is_assignment(word)
}

/// The characters of a text, and how many bytes of it have been read.
struct Reader<'t> {
    chars: Peekable<Chars<'t>>,
    at: usize,
}

impl Iterator for Reader<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        self.next_if(|_| true)
    }
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<&char> {
        self.chars.peek()
    }

    fn next_if(&mut self, wanted: impl FnOnce(&char) -> bool) -> Option<char> {
        let c = self.chars.next_if(wanted)?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn next_if_eq(&mut self, wanted: &char) -> Option<char> {
        self.next_if(|c| c == wanted)
    }
}

/// Reads a text once, from its beginning to its end.
struct Lexer<'t> {
    rest: Reader<'t>,
    bounds: Bounds,
    commands: Vec<Vec<String>>,
    command: Vec<String>,
    /// The word that is being read.
    word: Option<String>,
    /// The next word is where output goes, or input comes from.
    redirected: bool,
    /// Ends of texts that begin on the next line, and whether tabs before them do not count.
    here: Vec<(String, bool)>,
    /// The next word is the end of such a text.
    names_here: Option<bool>,
    /// For every `(` that is open: it stands inside double quotes.
    open: Vec<bool>,
}

impl<'t> Lexer<'t> {
    fn new(text: &'t str) -> Lexer<'t> {
        Lexer {
            rest: Reader { chars: text.chars().peekable(), at: 0 },
            bounds: Bounds::default(),
            commands: Vec::new(),
            command: Vec::new(),
            word: None,
            redirected: false,
            here: Vec::new(),
            names_here: None,
            open: Vec::new(),
        }
    }

    fn read(mut self) -> Vec<Vec<String>> {
        self.read_all();
        self.commands
    }

    fn read_all(&mut self) {
        while let Some(c) = self.rest.next() {
            match c {
                ' ' | '\t' | '\r' => self.end_word(),
                '\n' => {
                    self.end_command();
                    self.skip_here();
                }
                ';' | '|' | '`' => self.end_command(),
                '&' if self.rest.peek() == Some(&'>') => self.bounds.ends.push(self.rest.at - 1),
                '&' => self.end_command(),
                '(' => {
                    self.open.push(false);
                    self.end_command();
                }
                ')' => {
                    self.end_command();
                    if self.open.pop() == Some(true) {
                        self.quoted();
                    }
                }
                '#' if self.word.is_none() => while self.rest.next_if(|c| *c != '\n').is_some() {},
                '<' | '>' => self.redirect(c),
                '\'' => {
                    let word = self.word.get_or_insert_default();
                    word.extend(self.rest.by_ref().take_while(|c| *c != '\''));
                }
                '"' => self.quoted(),
                '\\' => match self.rest.next() {
                    Some('\n') | None => {}
                    Some(c) => self.word.get_or_insert_default().push(c),
                },
                '$' if matches!(self.rest.peek(), Some('(' | '\'' | '"')) => {}
                c => self.word.get_or_insert_default().push(c),
            }
        }
        self.end_last();
    }

    /// Inside double quotes, until they end or a command begins in them.
    fn quoted(&mut self) {
        self.word.get_or_insert_default();
        while let Some(c) = self.rest.next() {
            match c {
                '"' => return,
                '`' => {
                    self.end_command();
                    self.word.get_or_insert_default();
                }
                '$' if self.rest.next_if_eq(&'(').is_some() => {
                    self.open.push(true);
                    return self.end_command();
                }
                '\\' => match self.rest.next() {
                    Some('\n') | None => {}
                    Some(c) => {
                        let word = self.word.get_or_insert_default();
                        if !matches!(c, '"' | '\\' | '$' | '`') {
                            word.push('\\');
                        }
                        word.push(c);
                    }
                },
                c => self.word.get_or_insert_default().push(c),
            }
        }
    }

    fn redirect(&mut self, c: char) {
        let digits = self.word.take_if(|word| word.chars().all(|c| c.is_ascii_digit()));
        self.bounds.ends.push(self.rest.at.saturating_sub(1 + digits.map_or(0, |digits| digits.len())));
        self.end_word();
        if self.rest.next_if_eq(&'(').is_some() {
            self.open.push(false);
            return self.end_command();
        }
        if c == '<' && self.rest.next_if_eq(&'<').is_some() {
            if self.rest.next_if_eq(&'<').is_none() {
                self.names_here = Some(self.rest.next_if_eq(&'-').is_some());
                return;
            }
        } else {
            while self.rest.next_if(|c| matches!(c, '>' | '|' | '&')).is_some() {}
        }
        self.redirected = true;
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        if let Some(tabs) = self.names_here.take() {
            self.here.push((word, tabs));
        } else if self.redirected {
            self.redirected = false;
        } else {
            self.command.push(word);
        }
    }

    /// Ends a command at what has just been read.
    fn end_command(&mut self) {
        self.bounds.ends.push(self.rest.at.saturating_sub(1));
        self.bounds.begins.push(self.rest.at);
        self.end_last();
    }

    fn end_last(&mut self) {
        self.end_word();
        (self.redirected, self.names_here) = (false, None);
        if !self.command.is_empty() {
            self.commands.push(std::mem::take(&mut self.command));
        }
    }

    /// Passes over texts that are input.
    fn skip_here(&mut self) {
        for (end, tabs) in std::mem::take(&mut self.here) {
            loop {
                let mut line = String::new();
                let mut ended = true;
                for c in self.rest.by_ref() {
                    if c == '\n' {
                        ended = false;
                        break;
                    }
                    line.push(c);
                }
                let is_end = if tabs { line.trim_start_matches('\t') == end } else { line == end };
                if is_end || ended {
                    break;
                }
            }
            self.bounds.ends.push(self.rest.at.saturating_sub(1));
            self.bounds.begins.push(self.rest.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        simple(text).into_iter().map(|words| words.join("|")).collect()
    }

    #[test]
    fn the_commands_of_a_line() {
        for (text, commands) in [
            ("git push origin", &["git|push|origin"][..]),
            ("cd x && git push; ls|wc -l & true", &["cd|x", "git|push", "ls", "wc|-l", "true"]),
            ("A=1 B='2 3' git push >log 2>&1 </dev/null", &["git|push"]),
            ("make &> log; make 2>| log; x >& y", &["make", "make", "x"]),
            ("echo 'git push' \"rm -rf\"", &["echo|git push|rm -rf"]),
            ("echo \"$(rm -rf /tmp/x)\"", &["echo|", "rm|-rf|/tmp/x", ""]),
            ("x=$(rm y) && z `rm w`", &["rm|y", "z", "rm|w"]),
            ("(cd a; rm b) && diff <(rm c) d", &["cd|a", "rm|b", "diff", "rm|c", "d"]),
            ("if test -f a; then rm a; else { rm b; }; fi", &["test|-f|a", "rm|a", "rm|b", "fi"]),
            ("# rm a\nls # rm b\nrm\\\n c", &["ls", "rm|c"]),
            ("cat > f <<'EOF'\nrm -rf /\nEOF\nls", &["cat", "ls"]),
            ("cat <<-A <<B\n\trm\n\tA\nrm\nB\nls", &["cat", "ls"]),
            ("cat <<< rm; ls", &["cat", "ls"]),
            ("sudo -n rm a", &["sudo|-n|rm|a", "rm|a"]),
            ("timeout 5 env A=1 rm a", &["timeout|5|env|A=1|rm|a", "env|A=1|rm|a", "rm|a"]),
            ("bash -lc 'cd x; rm y'", &["bash|-lc|cd x; rm y", "cd|x", "rm|y"]),
            ("eval 'rm a' \\< /dev/null", &["eval|rm a|<|/dev/null", "rm|a"]),
            ("'unclosed", &["unclosed"]),
            ("\"unclosed $(rm", &["unclosed ", "rm"]),
            ("", &[]),
        ] {
            assert_eq!(told(text), commands, "{text}");
        }
    }

    #[test]
    fn a_command_has_the_names_that_people_give_it() {
        let all = names("cd x && /usr/bin/git --no-pager push origin main");
        for name in ["$ cd", "$ git", "$ git push", "$ git push origin", "$ git --no-pager push"] {
            assert!(all.iter().any(|known| known == name), "{name}: {all:?}");
        }
        for other in ["$ push", "$ git pull", "git"] {
            assert!(!all.iter().any(|known| known == other), "{other}");
        }
    }

    #[test]
    fn a_long_or_deep_text_is_read_once() {
        let open = "\"$(".repeat(400_000);
        assert!(simple(&open).len() <= 400_001);
        let here = format!("cat {}\n{}", "<<A ".repeat(200_000), "x\n".repeat(200_000));
        assert_eq!(simple(&here).len(), 1);
        let deep = "eval ".repeat(100_000);
        assert!(simple(&deep).len() <= DEEP + 1);
        let wrapped = "x ".repeat(400_000);
        assert!(names(&wrapped).len() <= LONG);
    }
}
