//! An agent behind the proxy: how recording, replay and fork run one.

use super::error::CliError;
use crate::agent::base_url::UpstreamOverride;
use crate::agent::environment::{self, AgentEnvironment, Surroundings};
use crate::agent::process::{Agent, Ended, Launch};
use crate::agent::stdin::StdinFrom;
use crate::agent::strays;
use crate::agent::trust::Trust;
use crate::dialect;
use crate::mcp::message::MARKERS;
use crate::proxy::{
    Answerer, Authority, AwsKey, Hosts, Interception, Passed, Proxy, ProxyConfig, Tape, Unseen,
};
use crate::replay::player::Stop;
use crate::run::Intercepted;
use crate::shell::Directory;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long exchanges under way may take to end once the agent has.
const LAST_EXCHANGES: Duration = Duration::from_millis(500);
/// How long an agent may take to end by itself after a request was refused.
const AFTER_REFUSAL: Duration = Duration::from_secs(5);
/// How long an agent may take to end when it is told to.
const AFTER_SIGNAL: Duration = Duration::from_secs(2);

/// How much of what a quiet agent prints is kept.
const KEPT_OUTPUT: usize = 256 * 1024;

/// What to run, and behind what.
pub struct Session<'a> {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Working directory; none: the current one.
    pub directory: Option<PathBuf>,
    /// Its standard input.
    pub stdin: StdinFrom,
    /// `--upstream`.
    pub overrides: &'a [UpstreamOverride],
    /// The recorded environment, on replay and fork.
    pub recorded: Option<&'a BTreeMap<String, String>>,
    /// Give the agent the recorded variables too.
    pub restore: bool,
    /// The recording was made here: where nobody says otherwise, live calls go where they went.
    pub own_recording: bool,
    /// Give the agent keys where it has none.
    pub dummy_keys: bool,
    /// The run, for `RETAKE_RUN`.
    pub run: Option<String>,
    /// Port to listen on; 0 for a free one.
    pub port: u16,
    /// Hosts to look into that clients reach by themselves; none: only base URLs lead to the proxy.
    pub intercepted: Option<Intercepted>,
    /// Put the shims of shells before the real ones.
    pub shell: bool,
    /// Who is told.
    pub tape: Option<Arc<dyn Tape>>,
    /// Who answers.
    pub answerer: Option<Arc<dyn Answerer>>,
    /// May go upstream.
    pub may_dial: bool,
    /// Tells when to stop the agent.
    pub stop: Option<watch::Receiver<Stop>>,
    /// With `--json`: standard output is retake's alone, what the agent prints goes to standard error.
    pub json: bool,
    /// Nothing of what the agent prints is passed on; the beginning of its standard output is kept.
    pub quiet: bool,
    /// Of a test: what is held of the agent beside that.
    pub held: Option<Held<'a>>,
}

/// How an agent under test is held.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    /// It is ended when it takes longer.
    pub within: Duration,
    /// Told of its process group, and that it is gone.
    pub watch: &'a (dyn Fn(u32, bool) + Sync),
    /// What it and all that it starts are known by, wherever they go ([`strays`]); empty: by nothing.
    pub mark: &'a str,
}

/// How it went.
pub struct Landed {
    /// The agent's end.
    pub ended: Ended,
    /// Wall time, in microseconds.
    pub took_us: u64,
    /// Hosts whose traffic went through unseen, and why.
    pub unseen: Vec<(String, Unseen)>,
    /// It was ended because it took too long.
    pub timed_out: bool,
}

/// Microseconds since the Unix epoch.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// The environment of this process; variables that are no text are left out.
pub fn own_environment() -> Vec<(String, String)> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}

/// What stands at the end of an event stream, in every protocol that is known.
pub(super) fn terminal_markers() -> Vec<Vec<u8>> {
    let markers = dialect::all().iter().flat_map(|d| d.terminal_markers()).chain(&MARKERS);
    markers.map(|marker| marker.to_vec()).collect()
}

impl Session<'_> {
    /// What the agent would be told, with the proxy at `proxy`.
    pub fn plan(&self, proxy: &str, trust: Option<&Trust>) -> AgentEnvironment {
        environment::plan(&Surroundings {
            caller: &own_environment(),
            proxy,
            overrides: self.overrides,
            recorded: self.recorded,
            restore: self.restore,
            own_recording: self.own_recording,
            dummy_keys: self.dummy_keys,
            dials: self.may_dial,
            // Nobody shares this proxy.
            name: None,
            run: self.run.as_deref(),
            trust: trust.map(Trust::files),
        })
    }

    /// Runs the agent to its end.
    ///
    /// # Errors
    /// When the proxy cannot listen or the agent cannot start.
    pub fn run(self) -> Result<Landed, CliError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let landed = runtime.block_on(self.fly());
        runtime.shutdown_timeout(Duration::from_millis(200));
        landed
    }

    async fn fly(self) -> Result<Landed, CliError> {
        let started = Instant::now();
        let routes = self.plan("http://127.0.0.1:1", None).routes();
        let interception = self.intercepted.clone().map(interception).transpose()?;
        let trust = interception.as_ref().map(|i| Trust::in_files(i.authority.certificate())).transpose()?;
        let config = ProxyConfig {
            routes,
            interception,
            tape: self.tape.clone(),
            answerer: self.answerer.clone(),
            attach: None,
            may_dial: self.may_dial,
            terminal_markers: terminal_markers(),
            aws_key: AwsKey::of_environment(&own_environment()),
        };
        let proxy = Proxy::start(config, self.port).await.map_err(|e| {
            CliError::broken(format!("cannot listen on port {} of the loopback: {e}", self.port))
                .hint("leave --port away to take a free one")
        })?;
        let mut told = self.plan(&proxy.origin(), trust.as_ref());
        let links = self.shell.then(Directory::new).transpose();
        let links =
            links.map_err(|e| CliError::broken(format!("no directory for the shims of shells: {e}")))?;
        if let Some(links) = &links {
            links.tell(&own_environment(), &mut told);
        }
        for (name, why) in told.left_alone.iter().filter(|_| !self.quiet) {
            eprintln!("retake: {name} is left alone ({why}); what goes there is not recorded");
        }
        if let Some(origin) =
            told.refused_by_amazon(&own_environment()).filter(|_| self.may_dial && !self.quiet)
        {
            eprintln!(
                "retake: Amazon signs requests for the host they go to, so that {origin} will refuse (403) what \
                 comes to it by a base URL; run without AWS_ENDPOINT_URL_BEDROCK_RUNTIME and with --intercept instead, \
                 or use AWS_BEARER_TOKEN_BEDROCK"
            );
        }
        if let Some(held) = self.held.filter(|held| !held.mark.is_empty()) {
            told.set.insert(strays::MARK.to_string(), held.mark.to_string());
        }
        let launch = Launch {
            command: self.command.iter().map(Into::into).collect(),
            directory: self.directory.clone(),
            set: told.set.into_iter().collect(),
            unset: told.unset,
            stdin: self.stdin.clone(),
            keep_stdout: self.quiet.then_some(KEPT_OUTPUT),
            stdout_aside: self.json,
            quiet: self.quiet,
            keep_stderr: self.held.is_some(),
            own_group: self.held.is_some(),
        };
        let mut agent = Agent::start(launch).map_err(|e| CliError::broken(e.to_string()))?;
        let group = agent.id().filter(|_| self.held.is_some());
        if let (Some(held), Some(group)) = (self.held, group) {
            (held.watch)(group, true);
        }
        let within = self.held.map(|held| held.within);
        let (ended, timed_out) = match within {
            None => (wait_or_stop(&mut agent, self.stop.clone()).await?, false),
            Some(within) => match timeout(within, wait_or_stop(&mut agent, self.stop.clone())).await {
                Ok(ended) => (ended?, false),
                Err(_) => (agent.end(AFTER_SIGNAL).await?, true),
            },
        };
        if let (Some(held), Some(group)) = (self.held, group) {
            // What it left behind goes with it.
            agent.end(Duration::ZERO).await?;
            strays::end(held.mark);
            (held.watch)(group, false);
        }
        let unseen = proxy.unseen();
        proxy.stop(LAST_EXCHANGES).await;
        Ok(Landed { ended, took_us: started.elapsed().as_micros() as u64, unseen, timed_out })
    }
}

pub(super) fn interception(hosts: Intercepted) -> Result<Interception, CliError> {
    let authority = Arc::new(Authority::new().map_err(CliError::broken)?);
    Ok(Interception {
        authority,
        hosts: Hosts { only: hosts.only, except: hosts.except },
        passed: Passed::default(),
    })
}

async fn wait_or_stop(agent: &mut Agent, stop: Option<watch::Receiver<Stop>>) -> std::io::Result<Ended> {
    let Some(mut stop) = stop else { return agent.wait().await };
    tokio::select! {
        ended = agent.wait() => return ended,
        _ = stop.wait_for(|stop| *stop != Stop::No) => {}
    }
    tokio::select! {
        ended = agent.wait() => ended,
        () = tokio::time::sleep(AFTER_REFUSAL) => agent.end(AFTER_SIGNAL).await,
    }
}
