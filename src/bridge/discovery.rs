//! Finds the proxy of the run that this process belongs to.
//!
//! Clients of the protocol start servers with few of their own variables, so the one that names the proxy may be
//! missing here and stand in the environment of the agent itself, some processes up.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const VARIABLE: &str = "RETAKE_PROXY";
/// How far up it is looked for: an agent, a package runner and a shell or two stand between.
const GENERATIONS: usize = 16;

/// The proxy that messages go to.
#[derive(Debug, PartialEq, Eq)]
pub enum Proxy {
    /// At this address: `http://127.0.0.1:4000`, or a run's own below it.
    At(String),
    /// A variable names one, and it does not answer.
    Gone(String),
    /// There is no run.
    Nowhere,
}

/// Looks for the proxy.
pub fn proxy() -> Proxy {
    let named = std::env::var(VARIABLE).ok().filter(|value| !value.is_empty());
    match named.or_else(inherited) {
        None => Proxy::Nowhere,
        Some(proxy) if listens(&proxy) => Proxy::At(proxy),
        Some(proxy) => Proxy::Gone(proxy),
    }
}

fn listens(proxy: &str) -> bool {
    let authority = proxy.strip_prefix("http://").unwrap_or(proxy).split('/').next().unwrap_or_default();
    let Ok(mut addresses) = authority.to_socket_addrs() else { return false };
    addresses.any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok())
}

/// The variable as the nearest ancestor has it.
fn inherited() -> Option<String> {
    let mut process = std::os::unix::process::parent_id();
    for _ in 0..GENERATIONS {
        if process <= 1 {
            return None;
        }
        if let Some(found) = std::fs::read(format!("/proc/{process}/environ")).ok().and_then(|e| value_in(&e))
        {
            return Some(found);
        }
        process = parent_of(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?)?;
    }
    None
}

fn value_in(environment: &[u8]) -> Option<String> {
    let mut entries =
        environment.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
    let value = entries.find_map(|entry| entry.strip_prefix(VARIABLE)?.strip_prefix('='))?;
    (!value.is_empty()).then(|| value.to_string())
}

/// The parent in a line of `/proc/PID/stat`; the program's name in it may hold anything.
fn parent_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_and_the_parent_of_a_process_are_read() {
        assert_eq!(value_in(b"A=1\0RETAKE_PROXY=http://h:1\0B=2"), Some("http://h:1".into()));
        assert_eq!(value_in(b"RETAKE_PROXY_OLD=x\0RETAKE_PROXY=\0"), None);
        assert_eq!(parent_of("42 (a) b) S 17 42"), Some(17));
        assert_eq!(parent_of("42"), None);
    }

    #[test]
    fn a_proxy_that_is_gone_is_none() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = format!("http://{}", socket.local_addr().unwrap());
        assert!(listens(&at));
        drop(socket);
        assert!(!listens(&at) && !listens("nonsense"));
    }
}
