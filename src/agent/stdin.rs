//! What the agent reads on its standard input: passed on as it is, and kept for the manifest.

use bytes::Bytes;
use std::fs::File;
use std::io::{self, IsTerminal, PipeReader, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

/// Most that is kept of it, in bytes.
pub const STDIN_KEPT: usize = 1024 * 1024;

/// Where the agent's standard input comes from.
#[derive(Debug, Clone, Default)]
pub enum StdinFrom {
    /// From retake's own: a terminal, device or file is inherited, a pipe is passed on.
    #[default]
    Caller,
    /// These bytes and then the end: the input of a recorded run.
    Bytes(Bytes),
    /// Nothing at all.
    Nothing,
}

/// What was passed on so far.
#[derive(Debug, Clone, Default)]
pub struct StdinSeen(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    /// True when there was more than [`STDIN_KEPT`].
    cut: bool,
    /// True when there was anything to keep: a pipe or a file.
    any: bool,
}

impl StdinSeen {
    /// The input for the manifest: none when it was no pipe or file, was longer than [`STDIN_KEPT`], or is no text.
    pub fn text(&self) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.any || kept.cut {
            return None;
        }
        String::from_utf8(kept.bytes.clone()).ok()
    }

    fn begin(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).any = true;
    }

    fn is_cut(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).cut
    }

    fn add(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = STDIN_KEPT.saturating_sub(kept.bytes.len());
        kept.cut |= bytes.len() > room;
        kept.bytes.extend(bytes.iter().take(room));
    }
}

/// The agent's end of its standard input, and what is to be pumped into the other end once it runs.
pub(super) struct Feed {
    /// For the child.
    pub stdio: Stdio,
    /// What passes through.
    pub seen: StdinSeen,
    pump: Option<Pump>,
}

struct Pump {
    from: Box<dyn Read + Send>,
    to: io::PipeWriter,
}

impl Feed {
    /// Prepares the input.
    pub fn open(from: StdinFrom) -> io::Result<Feed> {
        match from {
            StdinFrom::Nothing => Ok(Feed::of(Stdio::null())),
            StdinFrom::Bytes(bytes) => Feed::pumped(Box::new(io::Cursor::new(bytes))),
            StdinFrom::Caller if io::stdin().is_terminal() => Ok(Feed::of(Stdio::inherit())),
            StdinFrom::Caller => Feed::of_file(File::from(io::stdin().as_fd().try_clone_to_owned()?)),
        }
    }

    /// A file is inherited, so that the agent can seek in it and leaves its offset where it stopped; it is read beside,
    /// by position. A pipe or socket can only be passed on, and what the agent leaves in it is gone for whoever reads
    /// it next. Any other device is inherited and not kept: it may be endless.
    fn of_file(mut file: File) -> io::Result<Feed> {
        let kind = file.metadata()?.file_type();
        if kind.is_fifo() || kind.is_socket() {
            return Feed::pumped(Box::new(file));
        }
        if !kind.is_file() {
            return Ok(Feed::of(Stdio::from(file)));
        }
        let seen = StdinSeen::default();
        seen.begin();
        let Ok(mut position) = file.stream_position() else { return Ok(Feed::of(Stdio::from(file))) };
        let mut buffer = vec![0; 64 * 1024];
        while !seen.is_cut() {
            match file.read_at(&mut buffer, position) {
                Ok(0) => break,
                Ok(n) => {
                    seen.add(buffer.get(..n).unwrap_or_default());
                    position += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Not open for reading, or no file one can seek in: the agent gets it all the same.
                Err(_) => return Ok(Feed::of(Stdio::from(file))),
            }
        }
        Ok(Feed { stdio: Stdio::from(file), seen, pump: None })
    }

    fn of(stdio: Stdio) -> Feed {
        Feed { stdio, seen: StdinSeen::default(), pump: None }
    }

    fn pumped(from: Box<dyn Read + Send>) -> io::Result<Feed> {
        let (end, to): (PipeReader, _) = io::pipe()?;
        let seen = StdinSeen::default();
        seen.begin();
        Ok(Feed { stdio: Stdio::from(end), seen, pump: Some(Pump { from, to }) })
    }
}

impl Pump {
    /// Passes everything on, then the end of file. It runs on a thread of its own that nobody waits for: it may hang
    /// in a read that never returns, or in a write to an agent that never reads.
    fn run(mut self, seen: &StdinSeen) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let bytes = match self.from.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => buffer.get(..n).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            seen.add(bytes);
            // The agent closed its input or is gone: nobody will read the rest.
            if self.to.write_all(bytes).is_err() {
                return;
            }
        }
    }
}

/// Starts to pass the input on. Called when the child has its end, and no copy of that end is left on this side.
pub(super) fn start(pump: Option<FeedPump>) {
    if let Some(FeedPump { pump, seen }) = pump {
        let started = std::thread::Builder::new().name("stdin".to_string()).spawn(move || pump.run(&seen));
        // Without a thread the agent sees an empty input; there is no better answer.
        drop(started);
    }
}

/// A pump that has not been started.
pub(super) struct FeedPump {
    pump: Pump,
    seen: StdinSeen,
}

impl Feed {
    /// Takes the feed apart: the child's end, the record, the pump.
    pub fn split(self) -> (Stdio, StdinSeen, Option<FeedPump>) {
        let seen = self.seen.clone();
        (self.stdio, self.seen, self.pump.map(|pump| FeedPump { pump, seen }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_mebibyte_and_says_when_there_was_more() {
        let seen = StdinSeen::default();
        assert_eq!(seen.text(), None, "nothing to keep");
        seen.begin();
        assert_eq!(seen.text().as_deref(), Some(""));
        seen.add(&vec![b'a'; STDIN_KEPT - 1]);
        seen.add(b"b");
        assert_eq!(seen.text().map(|t| t.len()), Some(STDIN_KEPT));
        seen.add(b"c");
        assert_eq!(seen.text(), None);
    }

    #[test]
    fn no_text_is_not_kept() {
        let seen = StdinSeen::default();
        seen.begin();
        seen.add(&[0xff, 0xfe]);
        assert_eq!(seen.text(), None);
    }

    #[test]
    fn a_file_is_read_beside_the_agent_from_its_offset() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"head\nrest\n").unwrap();
        file.seek(io::SeekFrom::Start(5)).unwrap();
        let mut same = file.try_clone().unwrap();
        let feed = Feed::of_file(file).unwrap();
        assert_eq!(feed.seen.text().as_deref(), Some("rest\n"));
        assert_eq!(same.stream_position().unwrap(), 5, "the agent's offset did not move");
    }

    #[test]
    fn a_long_file_is_not_kept() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; STDIN_KEPT + 1]).unwrap();
        file.rewind().unwrap();
        assert_eq!(Feed::of_file(file).unwrap().seen.text(), None);
    }

    #[test]
    fn a_pipe_is_passed_on_with_its_end() {
        let (theirs, mut sender) = io::pipe().unwrap();
        let feed = Feed::of_file(File::from(std::os::fd::OwnedFd::from(theirs))).unwrap();
        let (_, seen, pump) = feed.split();
        start(pump);
        sender.write_all(b"one\ntwo").unwrap();
        drop(sender);
        for _ in 0..500 {
            if seen.text().as_deref() == Some("one\ntwo") {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("only {:?} came through", seen.text());
    }
}
