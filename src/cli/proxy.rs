//! `retake proxy`

mod replaying;

use super::args::ProxyArgs;
use super::error::{CliError, exit};
use super::record::{data, manifest_of, parse_upstreams, redacted, redactor, result, run_name};
use super::session::{interception, own_environment, terminal_markers};
use super::unseen::unseen;
use super::view::Opened;
use super::{Context, print, warn};
use crate::agent::base_url::{BaseUrl, UpstreamOverride};
use crate::agent::environment::{self, AgentEnvironment, Surroundings};
use crate::agent::providers::is_base_url_variable;
use crate::agent::signals::Signals;
use crate::agent::trust::Trust;
use crate::otlp::Batch;
use crate::prices::Prices;
use crate::proxy::{Attach, AwsKey, Interception, Passed, Place, Proxy, ProxyConfig, SeenExport};
use crate::record::Recorder;
use crate::record::attached::{Attached, Begun, End, Gaps, Keeper, Told};
use crate::report::{Style, words};
use crate::run::sampling::Sampling;
use crate::run::{Intercepted, Manifest, RunId, RunState};
use crate::store::Store;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use replaying::Replaying;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long exchanges under way may take to end when the proxy is told to; Docker kills after 10 s.
const LAST_EXCHANGES: Duration = Duration::from_secs(3);
/// That runs cannot begin is told no more often than this.
const REPEATED: Duration = Duration::from_secs(60);
/// A shorter token is guessed too easily.
const SHORTEST_TOKEN: usize = 16;
/// Names of which the numbers of dropped runs are kept at most.
const MOST_NUMBERS: usize = 4096;

pub(super) fn proxy(context: &Context, args: ProxyArgs) -> Result<i32, CliError> {
    run_name(Some(&args.name), &[])?;
    let replaying = args.replay.as_ref().map(|run| Replaying::of(context, run, &args)).transpose()?;
    let intercepted = match &replaying {
        Some(replaying) => replaying.intercepted.clone(),
        None => args.intercepted(),
    };
    let token = token(&args, intercepted.is_some())?;
    let looking_into = intercepted.clone().map(interception).transpose()?;
    let trust = looking_into.as_ref().map(|i| Trust::in_files(i.authority.certificate())).transpose()?;
    let trusts = trust.as_ref().map(|trust| json!(trust.files()));
    match replaying {
        Some(replaying) => {
            replaying.trusts(trusts);
            let keeper = Arc::new(replaying);
            let told = keeper.told.clone();
            let here =
                Listening::of(context, &args, intercepted.is_some(), format!("replays {}", keeper.run));
            serve(&args, told, keeper.clone(), looking_into, token, false, here)?;
            keeper.code()
        }
        None => {
            let told = told(&parse_upstreams(&args.upstreams)?);
            leads_elsewhere(&told, &args)?;
            for (name, why) in &told.left_alone {
                warn(&format!("{name} is left alone ({why}); what goes there is not recorded"));
            }
            let passed = looking_into.as_ref().map(|interception| interception.passed.clone());
            let keeper = Arc::new(Shelf {
                store: context.store_or_new()?,
                directory: context.directory()?,
                name: args.name.clone(),
                secret: token.iter().map(|token| format!("--token={token}")).collect(),
                told: told.clone(),
                intercepted: intercepted.clone(),
                trust: trusts,
                passed: passed.clone(),
                json: context.json,
                style: context.err_style,
                prices: context.prices(),
                sampling: args.sampling(),
                complained: Mutex::new(None),
                numbers: Mutex::default(),
            });
            // A store that cannot be written is better known now than in an hour.
            redactor(&keeper.store, &keeper.secret)?;
            let where_to = format!("runs go to {}", keeper.store.root().display());
            let here = Listening::of(context, &args, intercepted.is_some(), where_to);
            serve(&args, told, keeper, looking_into, token, true, here)?;
            // What agents reached that had no run is in no run's lines.
            unseen(&passed.map(|passed| passed.rest()).unwrap_or_default())
                .iter()
                .for_each(|line| warn(line));
            Ok(exit::OK)
        }
    }
}

/// Listens until a signal says that it is enough; every run has ended then.
fn serve(
    args: &ProxyArgs,
    told: AgentEnvironment,
    keeper: Arc<dyn Keeper>,
    interception: Option<Interception>,
    token: Option<String>,
    may_dial: bool,
    here: Listening,
) -> Result<(), CliError> {
    many_files();
    let gaps = Gaps { unnamed: args.idle, named: args.idle_named };
    let attached = Attached::new(keeper, gaps);
    let config = ProxyConfig {
        routes: told.routes(),
        interception,
        tape: None,
        answerer: None,
        attach: Some(Attach { runs: attached.clone(), token: token.clone() }),
        may_dial,
        terminal_markers: terminal_markers(),
        aws_key: AwsKey::of_environment(&own_environment()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let mut signals = Signals::listen(false)?;
        let at = SocketAddr::new(args.listen, args.port);
        let proxy = Proxy::listen(config, at).await.map_err(|error| {
            CliError::broken(error.to_string()).hint("another port: --port N, or --port 0 for a free one")
        })?;
        // One that was given is known, and no concern of whoever reads this.
        let made = token.as_deref().filter(|token| args.token.as_deref().map(str::trim) != Some(token));
        here.tell(proxy.address(), made)?;
        let watching = tokio::spawn({
            let attached = attached.clone();
            async move { attached.watch().await }
        });
        while ![Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT]
            .contains(&signals.next().await)
        {}
        watching.abort();
        proxy.stop(LAST_EXCHANGES).await;
        attached.close().await;
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_millis(200));
    served
}

/// What agents are told, with paths alone for addresses.
pub(super) fn told(overrides: &[UpstreamOverride]) -> AgentEnvironment {
    environment::plan(&Surroundings { caller: &own_environment(), overrides, ..Surroundings::default() })
}

/// The token that paths must have in front, if any.
fn token(args: &ProxyArgs, intercepts: bool) -> Result<Option<String>, CliError> {
    let here = args.listen.is_loopback();
    if !here && intercepts {
        return Err(CliError::usage(format!(
            "--intercept and --listen {}: a proxy that leads to every host is for this machine alone",
            args.listen
        ))
        .hint("containers reach the models by base URLs: leave --intercept away"));
    }
    let fits = |t: &str| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b));
    match args.token.as_deref().map(str::trim).filter(|token| !token.is_empty()) {
        Some(token) if !fits(token) || token.len() < SHORTEST_TOKEN => Err(CliError::usage(format!(
            "the token is part of a path: letters, digits and - _ . ~, at least {SHORTEST_TOKEN}"
        ))
        .hint("for example: openssl rand -hex 16")),
        Some(token) => Ok(Some(token.to_string())),
        None if here => Ok(None),
        None => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|e| CliError::broken(format!("no random bytes: {e}")))?;
            Ok(Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
        }
    }
}

/// Refuses addresses that lead to this very proxy: a request would go round in circles.
fn leads_elsewhere(told: &AgentEnvironment, args: &ProxyArgs) -> Result<(), CliError> {
    let own = std::env::var("RETAKE_PROXY").ok().and_then(|url| BaseUrl::parse(&url).ok());
    for (upstream, destination) in told.upstreams.iter().zip(&told.destinations) {
        let authority = upstream.origin.split_once("://").map_or("", |(_, authority)| authority);
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
        let local = ["127.0.0.1", "localhost", "[::1]"].contains(&host) || host == args.listen.to_string();
        let is_own = own.as_ref().is_some_and(|own| own.origin == upstream.origin);
        if is_own || (local && args.port != 0 && port == args.port.to_string()) {
            let provider = &destination.provider;
            let who = match destination.said {
                environment::Said::Variable(name) => name,
                _ => "--upstream",
            };
            return Err(CliError::usage(format!("{who} leads to this proxy itself: {}", upstream.origin))
                .hint(format!("unset it, or say where the models are: --upstream {provider}=URL")));
        }
    }
    Ok(())
}

/// Each run and each connection takes files; the system's usual limit is far below what it allows.
fn many_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Refused: the old limit holds.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// What is said when the proxy listens.
struct Listening {
    json: bool,
    /// What goes where.
    what: String,
    runs: String,
    flags: String,
}

impl Listening {
    fn of(context: &Context, args: &ProxyArgs, intercepts: bool, what: String) -> Listening {
        let (unnamed, named) = (seconds(args.idle), seconds(args.idle_named));
        let name = if args.replay.is_some() { "unnamed" } else { &args.name };
        Listening {
            json: context.json,
            what,
            runs: format!(
                "a run: {name}, until it was silent for {unnamed}; with --name NAME: NAME, for {named}"
            ),
            flags: if intercepts { " --intercept".into() } else { String::new() },
        }
    }

    /// `token`: one that nobody knows yet.
    fn tell(&self, at: SocketAddr, token: Option<&str>) -> Result<(), CliError> {
        let origin = format!("http://{at}");
        if self.json {
            return print(&format!("{}\n", json!({ "listening": origin, "token": token })));
        }
        let mut env = String::from("retake env");
        if !(at.ip().is_loopback() && at.ip().is_ipv4()) {
            env.push_str(&format!(" --proxy http://HOST:{}", at.port()));
        } else if at.port() != super::args::PORT {
            env.push_str(&format!(" --port {}", at.port()));
        }
        if let Some(token) = token {
            env.push_str(&format!(" --token {token}"));
        }
        eprintln!("listening  {origin}   {}", self.what);
        eprintln!("           eval \"$({env}{})\"   leads the agents of a shell here", self.flags);
        eprintln!("           {}", self.runs);
        Ok(())
    }
}

/// Where the runs of a proxy go, and who tells of them.
struct Shelf {
    store: Store,
    directory: PathBuf,
    name: String,
    /// The token, as an option that holds a secret.
    secret: Vec<String>,
    told: AgentEnvironment,
    intercepted: Option<Intercepted>,
    trust: Option<Value>,
    /// What went past the recordings.
    passed: Option<Passed>,
    json: bool,
    style: Style,
    prices: Prices,
    sampling: Option<Sampling>,
    complained: Mutex<Option<Instant>>,
    numbers: Mutex<HashMap<String, u32>>,
}

impl Shelf {
    fn try_begin(&self, name: Option<&str>, place: Option<&Place>) -> Result<Begun, CliError> {
        let redactor = Arc::new(redactor(&self.store, &self.secret)?);
        let called = name.unwrap_or(&self.name);
        let writer = self.store.create_run_after(called, self.last_dropped(called), |id| {
            let mut manifest = manifest_of(id, &redactor, &[], &self.directory);
            // The agent's environment is not this one.
            manifest.environment.clear();
            manifest.secret_variables.clear();
            let found = &mut manifest.own_stand_ins;
            if let Some(place) = place {
                let here = manifest.directory == place.directory;
                // What git says here is said of another directory.
                manifest.git = manifest.git.take().filter(|_| here);
                manifest.directory = redacted(&redactor, &place.directory, found);
                manifest.home = redacted(&redactor, &place.home, found);
                manifest.temp = redacted(&redactor, &place.temp, found);
            }
            for (variable, url) in &self.told.base_urls {
                manifest.environment.insert(variable.clone(), redacted(&redactor, url, found));
            }
            manifest.upstreams = self.told.upstreams.clone();
            manifest.intercepted = self.intercepted.clone();
            manifest
        })?;
        let run = writer.manifest().id.clone();
        let loudly = run.clone();
        let recorder = Recorder::start(writer, redactor, move |why| {
            warn(&format!("{loudly} is incomplete: {why}; its agent goes on without being recorded"));
        })?;
        Ok(Begun { run, name: name.map(str::to_string), number: 0, recorder: Some(recorder), answerer: None })
    }

    /// The highest number of a run of this name that was dropped: it was told of, and is to be no other's.
    fn last_dropped(&self, name: &str) -> u32 {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.get(name).copied().unwrap_or_default()
    }

    fn note_dropped(&self, run: &RunId) {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if numbers.len() >= MOST_NUMBERS {
            // Of so many names few come again.
            numbers.clear();
        }
        let highest = numbers.entry(run.name().to_string()).or_default();
        *highest = run.number().max(*highest);
    }

    /// True for a run that sampling gives up, now that it has ended.
    fn goes(&self, run: &Manifest) -> Result<bool, CliError> {
        let Some(sampling) = self.sampling else { return Ok(false) };
        let state = if run.incomplete.is_some() { RunState::Incomplete } else { RunState::Complete };
        let failed = self.store.failure_in(run, state);
        let stays = sampling.why(run, failed, sampling.slow_from(std::iter::empty())).is_some();
        Ok(!stays && self.store.fork_of(&run.uuid)?.is_none())
    }

    fn try_tell(&self, begun: &Begun, end: End) -> Result<Value, CliError> {
        let passed =
            self.passed.as_ref().map(|passed| passed.take(begun.name.as_deref())).unwrap_or_default();
        let Some(recorded) = end.sealed.transpose()? else { return Ok(json!({ "run": begun.run })) };
        if recorded.is_empty() {
            self.store.remove_run(&begun.run)?;
            return Ok(json!({ "run": begun.run, "exchanges": 0 }));
        }
        let mut ended = data(&recorded, end.exit_code);
        let missed = unseen(&passed);
        if !missed.is_empty() {
            ended["not_recorded"] = json!(missed);
        }
        let goes = self.goes(&recorded.manifest)?;
        if goes {
            self.store.remove_run(&begun.run)?;
            self.note_dropped(&begun.run);
            ended["dropped"] = json!(true);
        }
        if self.json {
            print(&format!("{}\n", json!({ "ended": ended })))?;
        } else if let Some(sampling) = self.sampling.filter(|_| goes) {
            eprintln!("dropped    {}   nothing special, and not in the {}", begun.run, sampling.share);
        } else {
            let opened = Opened::by_id(&self.store, &begun.run)?.priced(self.prices.clone());
            eprint!("{}", result(&opened, &recorded, &passed, self.style));
        }
        Ok(ended)
    }
}

impl Keeper for Shelf {
    fn begin(&self, name: Option<&str>, place: Option<&Place>) -> Option<Begun> {
        match self.try_begin(name, place) {
            Ok(begun) => {
                if self.json {
                    // Nobody reads it any more.
                    let _ = print(&format!("{}\n", json!({ "began": begun.run })));
                } else {
                    eprintln!("began      {}", begun.run);
                }
                Some(begun)
            }
            Err(error) => {
                let mut last = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
                if last.is_none_or(|last| last.elapsed() > REPEATED) {
                    *last = Some(Instant::now());
                    warn(&format!(
                        "no run can be begun: {}; agents go on without being recorded",
                        error.message
                    ));
                }
                None
            }
        }
    }

    fn ended(&self, begun: &Begun, end: End) -> Told {
        let data = self.try_tell(begun, end).unwrap_or_else(|error| {
            warn(&format!("{}: {}", begun.run, error.message));
            json!({ "run": begun.run, "error": error.message })
        });
        let dropped = data["dropped"] == true;
        Told { data, dropped }
    }

    fn too_late(&self, begun: &Begun, seen: &SeenExport) {
        let (number, failed) = (seen.batch.len(), seen.batch.failed());
        if self.json {
            let late =
                json!({ "run": begun.run, "spans_or_records": number, "failed": failed, "dropped": true });
            // Nobody reads it any more.
            let _ = print(&format!("{}\n", json!({ "late": late })));
            return;
        }
        let what = match &seen.batch {
            Batch::Logs(_) => words::many(number as u64, "log record"),
            _ => words::many(number as u64, "span"),
        };
        let failed = if failed > 0 { format!(", {failed} of them failed") } else { String::new() };
        eprintln!("dropped    {}   {what} that came after it{failed}", begun.run);
    }

    fn about(&self) -> Map<String, Value> {
        state(&self.told, self.trust.clone())
    }

    fn objection(&self, name: &str) -> Option<String> {
        objection(name)
    }

    fn keeps_exports(&self) -> bool {
        true
    }
}

/// What a proxy says of itself.
fn state(told: &AgentEnvironment, trust: Option<Value>) -> Map<String, Value> {
    let urls = told.set.iter().filter(|(name, _)| is_base_url_variable(name));
    let paths: Map<String, Value> = urls.map(|(name, path)| (name.clone(), json!(path))).collect();
    let mut state = Map::new();
    state.insert("retake".into(), json!(env!("CARGO_PKG_VERSION")));
    state.insert("variables".into(), Value::Object(paths));
    state.insert("trust".into(), json!(trust));
    state
}

/// Why no run can be called so, if none can.
fn objection(name: &str) -> Option<String> {
    run_name(Some(name), &[]).err().map(|error| error.message)
}

/// A time as it is typed.
fn seconds(time: Duration) -> String {
    jiff::SignedDuration::try_from(time).map_or_else(|_| format!("{time:?}"), |time| format!("{time:#}"))
}
