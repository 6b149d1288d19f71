//! The standard input of a command, looked at and left where it is: the command itself may never read it.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::time::Duration;

/// More input than this is not recorded, in bytes.
const MOST: usize = 32 * 1024;

/// How long whoever wrote the input may take to close it. Many clients leave it open and write nothing.
const TO_CLOSE: Duration = Duration::from_millis(20);

/// What a command has to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// Nothing: a terminal, no input, or one that is open and empty.
    Nothing,
    /// This, whole.
    Whole(Vec<u8>),
    /// Something of which the end is not known, or too much.
    Unknown,
}

/// Looks at the standard input of this process.
pub(super) fn input() -> Input {
    if io::stdin().is_terminal() {
        return Input::Nothing;
    }
    let found = io::stdin().as_fd().try_clone_to_owned().map(File::from).and_then(look);
    match found {
        Ok(Some(bytes)) if bytes.is_empty() => Input::Nothing,
        Ok(Some(bytes)) if bytes.len() <= MOST => Input::Whole(bytes),
        Ok(_) | Err(_) => Input::Unknown,
    }
}

fn look(mut stdin: File) -> io::Result<Option<Vec<u8>>> {
    let kind = stdin.metadata()?.file_type();
    if kind.is_file() {
        let at = stdin.stream_position()?;
        let mut bytes = vec![0; MOST + 1];
        let length = stdin.read_at(&mut bytes, at)?;
        bytes.truncate(length);
        return Ok(Some(bytes));
    }
    if !kind.is_fifo() && !kind.is_socket() {
        return Ok(Some(Vec::new()));
    }
    if !is_closed(&stdin)? {
        let waits = becomes(&stdin, PollFlags::POLLIN, Duration::ZERO)?;
        return Ok((!waits).then(Vec::new));
    }
    if kind.is_fifo() { of_pipe(&stdin) } else { of_socket(&stdin) }
}

#[cfg(target_os = "linux")]
fn is_closed(stdin: &File) -> io::Result<bool> {
    becomes(stdin, PollFlags::from_bits_retain(nix::libc::POLLRDHUP), TO_CLOSE)
}

#[cfg(not(target_os = "linux"))]
fn is_closed(stdin: &File) -> io::Result<bool> {
    becomes(stdin, PollFlags::empty(), TO_CLOSE)
}

/// True when one of these, or the other end's closing, is seen in time.
fn becomes(stdin: &File, flags: PollFlags, within: Duration) -> io::Result<bool> {
    let mut polled = [PollFd::new(stdin.as_fd(), flags)];
    let timeout = PollTimeout::try_from(within).unwrap_or(PollTimeout::ZERO);
    Ok(poll(&mut polled, timeout)? > 0)
}

/// The bytes that stand in a pipe, copied.
#[cfg(target_os = "linux")]
fn of_pipe(stdin: &File) -> io::Result<Option<Vec<u8>>> {
    use nix::fcntl::{SpliceFFlags, tee};
    let (ours, theirs) = io::pipe()?;
    // Less than a pipe holds, so that it does not block.
    let copied = tee(stdin, &theirs, MOST + 1, SpliceFFlags::SPLICE_F_NONBLOCK)?;
    drop(theirs);
    let mut bytes = Vec::new();
    ours.take(copied as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(not(target_os = "linux"))]
fn of_pipe(_stdin: &File) -> io::Result<Option<Vec<u8>>> {
    Ok(None)
}

fn of_socket(stdin: &File) -> io::Result<Option<Vec<u8>>> {
    use nix::sys::socket::{MsgFlags, recv};
    use std::os::fd::AsRawFd;
    let mut bytes = vec![0; MOST + 1];
    let length = recv(stdin.as_raw_fd(), &mut bytes, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT)?;
    bytes.truncate(length);
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::Shutdown;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_pipe_is_looked_at_and_still_full() {
        let (ours, mut theirs) = io::pipe().unwrap();
        let stdin = File::from(OwnedFd::from(ours));
        assert_eq!(look(stdin.try_clone().unwrap()).unwrap(), Some(vec![]), "open and empty");
        theirs.write_all(b"abc").unwrap();
        assert_eq!(look(stdin.try_clone().unwrap()).unwrap(), None, "nobody knows the rest");
        drop(theirs);
        assert_eq!(look(stdin.try_clone().unwrap()).unwrap(), Some(b"abc".to_vec()));
        let mut left = String::new();
        (&stdin).read_to_string(&mut left).unwrap();
        assert_eq!(left, "abc");
    }

    #[test]
    fn a_socket_too() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let stdin = File::from(OwnedFd::from(ours));
        assert_eq!(look(stdin.try_clone().unwrap()).unwrap(), Some(vec![]));
        theirs.write_all(b"abc").unwrap();
        assert_eq!(look(stdin.try_clone().unwrap()).unwrap(), None);
        theirs.shutdown(Shutdown::Write).unwrap();
        assert_eq!(look(stdin).unwrap(), Some(b"abc".to_vec()));
    }

    #[test]
    fn of_a_file_what_is_left_of_it() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abcdef").unwrap();
        file.seek(io::SeekFrom::Start(2)).unwrap();
        assert_eq!(look(file.try_clone().unwrap()).unwrap(), Some(b"cdef".to_vec()));
        assert_eq!(file.stream_position().unwrap(), 2);
    }
}
