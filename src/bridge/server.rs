//! The server's process, and which of its messages belong to which request.

use super::last_words::LastWords;
use super::{BridgeError, in_short, lines};
use crate::mcp::message::{Kind, Message, messages};
use crate::mcp::tools::{Tool, changes, listed};
use bytes::Bytes;
use serde_json::Value;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, watch};

/// The id under which the bridge itself introduces the agent to a server that was started late.
const INTRODUCTION: &str = "\"retake-introduction\"";

/// How much of a line that is no message is told, in bytes.
const SHOWN: usize = 200;

/// A server that is started when it is first asked.
pub(super) struct Server {
    /// As it is told of.
    name: String,
    command: Vec<OsString>,
    errors: Arc<LastWords>,
    input: tokio::sync::Mutex<Option<ChildStdin>>,
    child: tokio::sync::Mutex<Option<Child>>,
    state: Mutex<State>,
    /// How many messages it has been given.
    given: watch::Sender<u64>,
    /// True once its output has ended.
    over: watch::Sender<bool>,
    /// How its tools differ from those that the agent was told of.
    changes: watch::Sender<Vec<String>>,
}

#[derive(Default)]
struct State {
    /// Requests that wait for their responses, the oldest first.
    pending: Vec<Pending>,
    /// What no request asked for, until somebody listens.
    unheard: VecDeque<Bytes>,
    listener: Option<mpsc::UnboundedSender<Bytes>>,
    /// How the agent introduced itself, as it passed by.
    introduction: Option<Bytes>,
    introduced: bool,
    /// The tools that the agent was told of last.
    listed: Option<Vec<Tool>>,
    why_not: Option<BridgeError>,
}

struct Pending {
    /// Ids that are to be answered, as written.
    ids: Vec<String>,
    /// Tokens of progress.
    tokens: Vec<String>,
    to: mpsc::UnboundedSender<Said>,
}

/// A message of the server for a request.
pub(super) struct Said {
    pub message: Bytes,
    /// Nothing more will come.
    pub last: bool,
}

impl Server {
    pub(super) fn new(name: &str, command: Vec<OsString>) -> Server {
        Server {
            name: name.to_string(),
            errors: Arc::default(),
            command,
            input: tokio::sync::Mutex::new(None),
            child: tokio::sync::Mutex::new(None),
            state: Mutex::new(State::default()),
            given: watch::Sender::new(0),
            over: watch::Sender::new(false),
            changes: watch::Sender::new(Vec::new()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells how many messages the server has been given.
    pub(super) fn given(&self) -> watch::Receiver<u64> {
        self.given.subscribe()
    }

    /// Notes a message of the agent, wherever it goes: a server that is started late must be told who asks.
    pub(super) fn pass_by(&self, message: &Bytes) {
        if Message::read(message).is_some_and(|m| m.kind == Kind::Request && m.method == "initialize") {
            self.state().introduction = Some(message.clone());
        }
    }

    /// Notes an answer to the agent, wherever it comes from.
    pub(super) fn pass_back(&self, message: &[u8]) {
        // Few answers list tools, and some are long.
        if memchr::memmem::find(message, b"\"inputSchema\"").is_none() {
            return;
        }
        if let Some(message) = Message::read(message).filter(|m| m.content.get("nextCursor").is_none()) {
            self.state().listed = Some(listed(&message)).filter(|tools| !tools.is_empty());
        }
    }

    /// Tells how the tools of a server that was started late differ from those that the agent was told of.
    pub(super) fn changes(&self) -> watch::Receiver<Vec<String>> {
        self.changes.subscribe()
    }

    /// Why the server could not be started, once.
    pub(super) fn why_not(&self) -> Option<BridgeError> {
        self.state().why_not.take()
    }

    /// Gives the server a message (or an array of them). What it says to that comes through the receiver; none for a
    /// message that wants no answer.
    pub(super) async fn give(
        self: &std::sync::Arc<Self>,
        body: &Bytes,
    ) -> std::io::Result<Option<mpsc::UnboundedReceiver<Said>>> {
        let asked = messages(body, false);
        let mut input = self.input.lock().await;
        if input.is_none() {
            *input = Some(self.start().await?);
        }
        let Some(pipe) = input.as_mut() else { return Ok(None) };
        let introduces = asked.iter().any(|m| m.method == "initialize");
        self.introduce(pipe, introduces).await?;
        let requests: Vec<&Message> = asked.iter().filter(|m| m.kind == Kind::Request).collect();
        let (to, said) = mpsc::unbounded_channel();
        if !requests.is_empty() {
            let ids = requests.iter().map(|m| m.id.clone()).collect();
            let tokens =
                requests.iter().filter_map(|m| m.progress_token().map(ToString::to_string)).collect();
            self.state().pending.push(Pending { ids, tokens, to });
        }
        write(pipe, body).await?;
        self.given.send_modify(|count| *count += 1);
        Ok((!requests.is_empty()).then_some(said))
    }

    /// Starts the process, and reads what it says.
    async fn start(self: &std::sync::Arc<Self>) -> std::io::Result<ChildStdin> {
        let mut words = self.command.iter();
        let program = words.next().cloned().unwrap_or_default();
        let mut command = Command::new(&program);
        command.args(words).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = command.spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                let copy = std::io::Error::new(error.kind(), error.to_string());
                let told = in_short(&self.command);
                self.state().why_not = Some(BridgeError::Start(self.name.clone(), told, error));
                self.over.send_replace(true);
                return Err(copy);
            }
        };
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::other("the server has no pipes"));
        };
        if let Some(errors) = child.stderr.take() {
            tokio::spawn(self.errors.clone().pass_on(errors));
        }
        *self.child.lock().await = Some(child);
        tokio::spawn(self.clone().listen(output));
        Ok(input)
    }

    /// A server that is started in the middle of a session has not seen its beginning.
    async fn introduce(&self, pipe: &mut ChildStdin, by_itself: bool) -> std::io::Result<()> {
        let (introduction, known) = {
            let mut state = self.state();
            if std::mem::replace(&mut state.introduced, true) || by_itself {
                return Ok(());
            }
            (state.introduction.clone(), state.listed.clone())
        };
        if let Some(asked) = introduction.as_deref().and_then(Message::read) {
            self.ask_own(pipe, "initialize", &asked.content).await?;
            write(pipe, br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await?;
        }
        if let Some(known) = known {
            let told = self.ask_own(pipe, "tools/list", &serde_json::json!({})).await?;
            let whole = told.filter(|told| told.content.get("tools").is_some());
            let whole = whole.filter(|told| told.content.get("nextCursor").is_none());
            self.changes.send_replace(whole.map_or_else(Vec::new, |told| changes(&known, &listed(&told))));
        }
        Ok(())
    }

    /// Asks the server something of the bridge's own; none when it ends instead.
    async fn ask_own(
        &self,
        pipe: &mut ChildStdin,
        method: &str,
        params: &Value,
    ) -> std::io::Result<Option<Message>> {
        let (to, mut said) = mpsc::unbounded_channel();
        self.state().pending.push(Pending { ids: vec![INTRODUCTION.into()], tokens: Vec::new(), to });
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":{INTRODUCTION},"method":"{method}","params":{params}}}"#);
        write(pipe, text.as_bytes()).await?;
        while let Some(told) = said.recv().await {
            if told.last {
                return Ok(Message::read(&told.message));
            }
        }
        Ok(None)
    }

    async fn listen(self: std::sync::Arc<Self>, output: ChildStdout) {
        let mut output = BufReader::new(output);
        loop {
            match lines::read(&mut output).await {
                Ok(Some(line)) => self.hear(line),
                Ok(None) => break,
                Err(error) => {
                    eprintln!("retake mcp: the server's output: {error}");
                    break;
                }
            }
        }
        // Whoever waits for it learns that nothing will come.
        self.state().pending.clear();
        self.state().listener = None;
        self.over.send_replace(true);
    }

    /// Gives a message to the request that it belongs to.
    fn hear(&self, line: Bytes) {
        let told = messages(&line, false);
        // An array belongs where the first answer in it does.
        let answer = told.iter().find(|message| message.kind == Kind::Response);
        let Some(first) = answer.or(told.first()) else {
            let beginning = String::from_utf8_lossy(line.get(..SHOWN).unwrap_or(&line));
            let more = if line.len() > SHOWN { format!("… ({} bytes)", line.len()) } else { String::new() };
            eprintln!("retake mcp: the server wrote a line that is no message: {beginning}{more}");
            return;
        };
        let mut state = self.state();
        let owner = match first.kind {
            Kind::Response => state.pending.iter().position(|p| p.ids.contains(&first.id)),
            // On stdio nothing says what a request of the server or a notification belongs to, but for progress.
            Kind::Request | Kind::Notification => {
                let token = first.content.get("progressToken").map(ToString::to_string);
                let own = token.and_then(|t| state.pending.iter().position(|p| p.tokens.contains(&t)));
                own.or((!state.pending.is_empty()).then_some(0))
            }
        };
        let Some(at) = owner else {
            let lost = match &state.listener {
                Some(listener) => listener.send(line).err().map(|lost| lost.0),
                None => Some(line),
            };
            state.unheard.extend(lost);
            return;
        };
        let Some(pending) = state.pending.get_mut(at) else { return };
        for message in told.iter().filter(|m| m.kind == Kind::Response) {
            pending.ids.retain(|id| *id != message.id);
        }
        let last = pending.ids.is_empty();
        // Nobody waits when the agent hung up.
        let _ = pending.to.send(Said { message: line, last });
        if last {
            state.pending.remove(at);
        }
    }

    /// What the server says of itself, from the first of it on.
    pub(super) fn overhear(&self) -> mpsc::UnboundedReceiver<Bytes> {
        let (to, heard) = mpsc::unbounded_channel();
        let mut state = self.state();
        for message in std::mem::take(&mut state.unheard) {
            // The receiver is at hand.
            let _ = to.send(message);
        }
        state.listener = Some(to);
        heard
    }

    /// Waits until the server has ended by itself; its exit code. Never, when it was not started.
    pub(super) async fn ended(&self) -> i32 {
        let mut over = self.over.subscribe();
        // The sender lives as long as this.
        let _ = over.wait_for(|over| *over).await;
        let mut child = self.child.lock().await;
        match child.as_mut() {
            Some(child) => child.wait().await.map_or(1, code),
            None => 1,
        }
    }

    /// True once the server's output has ended.
    pub(super) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// What a person is told of a server that ended by itself; `patience`: for what it wrote last.
    pub(super) async fn obituary(&self, code: i32, patience: Duration) -> String {
        let how = match code {
            129.. => format!("signal {}", code - 128),
            code => format!("exit status {code}"),
        };
        let (name, command) = (&self.name, in_short(&self.command));
        let mut told =
            format!("retake mcp: the server {name} ended by itself, {how}; its command: {command}\n");
        for line in self.errors.lines(patience).await {
            told.push_str(&format!("  {name}: {line}\n"));
        }
        told
    }

    /// Closes the server's input: nothing more will be asked. Waits so long for a message that the server is being given;
    /// one that does not read would keep it for ever.
    pub(super) async fn close(&self, patience: Duration) {
        if let Ok(mut input) = tokio::time::timeout(patience, self.input.lock()).await {
            drop(input.take());
        }
    }

    /// Gives the server some time to end, once its input is closed; its exit code when it was started.
    pub(super) async fn end(&self, patience: Duration) -> Option<i32> {
        let mut child = self.child.lock().await.take()?;
        if let Ok(ended) = tokio::time::timeout(patience, child.wait()).await {
            return ended.ok().map(code);
        }
        if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
            // It may have ended meanwhile.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGTERM);
        }
        match tokio::time::timeout(patience, child.wait()).await {
            Ok(ended) => ended.ok().map(code),
            Err(_) => {
                let _ = child.kill().await;
                Some(128 + 9)
            }
        }
    }
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}

async fn write(pipe: &mut ChildStdin, message: &[u8]) -> std::io::Result<()> {
    let mut line: Vec<u8> =
        message.iter().map(|&b| if b == b'\n' || b == b'\r' { b' ' } else { b }).collect();
    line.push(b'\n');
    pipe.write_all(&line).await?;
    pipe.flush().await
}
