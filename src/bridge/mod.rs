//! `retake mcp`: a stdio server of the Model Context Protocol behind the proxy.
//!
//! The agent starts the bridge in the server's place. Each message of the agent becomes an HTTP request to the proxy, as it
//! would be to a server that speaks streamable HTTP; the proxy answers from a recording, or sends it on to the bridge's own
//! endpoint, behind which the server is started when the first message comes. So recording, replay and fork are what they
//! are for every other exchange, and a replay starts no server.

mod client;
pub mod discovery;
mod endpoint;
mod last_words;
mod lines;
mod server;

use client::Client;
use discovery::Proxy;
use server::Server;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long a server may take to end when its input has.
const AFTER_INPUT: Duration = Duration::from_secs(3);

/// Exit codes of what somebody has told to end.
const ENDED_ON_REQUEST: [i32; 2] = [128 + 2, 128 + 15];

/// How long what the server has written on standard error may be on its way.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How long answers may take that are under way when the agent has closed its end.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// A server and where its messages go.
pub struct Bridge {
    /// Under which name its messages are recorded.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<OsString>,
}

/// Why a bridge could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// Sockets, pipes, processes.
    #[error("{0}: {1}")]
    Io(&'static str, std::io::Error),
    /// A variable leads to a proxy that is not there: what would happen is not what was asked for.
    #[error(
        "{0} was not started: no proxy answers at {1} (RETAKE_PROXY). Without that variable the server simply runs"
    )]
    Gone(String, String),
    /// The server's program cannot be started: its name, the command.
    #[error("cannot start the server {0} ({1}): {2}")]
    Start(String, String, std::io::Error),
}

impl Bridge {
    /// Runs until the agent closes its end or the server ends; the exit code. Without a proxy this process becomes the
    /// server.
    ///
    /// # Errors
    /// When the server cannot be started, or there is no socket to be had.
    pub fn run(self) -> Result<i32, BridgeError> {
        let proxy = match discovery::proxy() {
            Proxy::At(proxy) => proxy,
            Proxy::Gone(proxy) => return Err(BridgeError::Gone(self.name, proxy)),
            Proxy::Nowhere => return Err(self.become_server()),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|e| BridgeError::Io("threads", e))?;
        let code = runtime.block_on(self.carry(&proxy));
        // What still waits for the agent's input will never end.
        runtime.shutdown_background();
        code
    }

    fn become_server(self) -> BridgeError {
        use std::os::unix::process::CommandExt;
        let told = in_short(&self.command);
        let mut command = self.command.into_iter();
        let program = command.next().unwrap_or_default();
        let error = std::process::Command::new(&program).args(command).exec();
        BridgeError::Start(self.name, told, error)
    }

    async fn carry(self, proxy: &str) -> Result<i32, BridgeError> {
        let server = Arc::new(Server::new(&self.name, self.command));
        let port = endpoint::open(server.clone()).await.map_err(|e| BridgeError::Io("a socket", e))?;
        let to = format!("{}/mcp/{}?port={port}", proxy.trim_end_matches('/'), self.name);
        let client = Client::new(&to);
        let listen = |kind| signal(kind).map_err(|e| BridgeError::Io("signals", e));
        let (mut terminated, mut interrupted) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        let code = tokio::select! {
            lost = client.carry(&server) => i32::from(lost),
            code = server.ended() => code,
            _ = terminated.recv() => 128 + 15,
            _ = interrupted.recv() => 128 + 2,
        };
        if let Some(error) = server.why_not() {
            return Err(error);
        }
        // Nobody has closed its input yet.
        let died = server.is_over() && !ENDED_ON_REQUEST.contains(&code);
        // What was said last is still on its way.
        server.close(AFTER_INPUT).await;
        if code == 0 {
            let _ = tokio::time::timeout(LAST_ANSWERS, client.settle()).await;
        }
        let code = server.end(AFTER_INPUT).await.unwrap_or(code);
        if died && !ENDED_ON_REQUEST.contains(&code) {
            eprint!("{}", server.obituary(code, LAST_WORDS).await);
        }
        Ok(code)
    }
}

/// A command as it is told: up to the first long option or setting, for these may hold secrets.
fn in_short(command: &[OsString]) -> String {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let plain = words.iter().skip(1).take_while(|word| !word.starts_with("--") && !word.contains('='));
    let shown: Vec<&str> = words.iter().take(1).chain(plain).map(|word| word.as_ref()).collect();
    let more = if shown.len() < words.len() { " …" } else { "" };
    format!("{}{more}", shown.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_without_what_may_be_secret() {
        let told = |line: &str| in_short(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(told("python3 -u shop.py"), "python3 -u shop.py");
        assert_eq!(told("npx -y shop --key sk-1"), "npx -y shop …");
        assert_eq!(told("env KEY=sk-1 shop"), "env …");
    }
}
