//! The runs of a proxy that many agents share: each begins with the first request in its name and ends when nothing
//! was asked in it for a while, or when it is told to.

mod belonging;
mod exports;

use super::{Recorded, Recorder};
use crate::exchange::ExchangeId;
use crate::exchange::span::traceparents;
use crate::proxy::{Answerer, BoxFuture, Place, Runs, Seat, SeenExport, SeenRequest, SeenResponse, Tape};
use crate::run::{Outcome, RunId};
use crate::store::StoreError;
use belonging::Traces;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, OnceCell, oneshot, watch};
use tokio::task::spawn_blocking;

/// More open runs than this: the one that has been quiet for longest ends early. Each takes a thread and some files.
const MOST_OPEN: usize = 256;

/// Names of runs whose places are kept at most.
const MOST_PLACES: usize = 4096;

/// After which silence a run ends.
#[derive(Debug, Clone, Copy)]
pub struct Gaps {
    /// The unnamed one: the next request begins another.
    pub unnamed: Duration,
    /// One with a name.
    pub named: Duration,
}

/// A run that has begun.
#[derive(Clone)]
pub struct Begun {
    /// Its id.
    pub run: RunId,
    /// What agents call it; none: nothing.
    pub name: Option<String>,
    /// For the keeper's own books.
    pub number: u64,
    /// Who writes it; none: it is not recorded.
    pub recorder: Option<Arc<Recorder>>,
    /// Who answers; none: the upstream.
    pub answerer: Option<Arc<dyn Answerer>>,
}

/// How a run ended.
pub struct End {
    /// The agent's exit code, when somebody told it.
    pub exit_code: Option<i32>,
    /// What was recorded, or why it could not be sealed; none: nothing was to be.
    pub sealed: Option<Result<Recorded, StoreError>>,
}

/// What became of a run that has ended.
pub struct Told {
    /// What to tell whoever ended it, as JSON.
    pub data: serde_json::Value,
    /// It was sampled out: it is not there any more, and what comes late for it is not wanted either.
    pub dropped: bool,
}

/// Who begins runs, and is told of their ends, where it may block.
pub trait Keeper: Send + Sync + 'static {
    /// Begins a run of this name, or an unnamed one, whose agents are at this place, where that was told; none when that cannot be done, which is for the keeper to tell: the
    /// agent goes on without being recorded.
    fn begin(&self, name: Option<&str>, place: Option<&Place>) -> Option<Begun>;
    /// A run has ended.
    fn ended(&self, begun: &Begun, end: End) -> Told;
    /// Something was exported for a run that has been dropped, and is dropped with it.
    fn too_late(&self, begun: &Begun, seen: &SeenExport);
    /// What is to be known of the proxy beside its runs, as JSON members.
    fn about(&self) -> serde_json::Map<String, serde_json::Value>;
    /// Why no run can be called so, if none can.
    fn objection(&self, name: &str) -> Option<String>;
    /// True when what agents export is kept with their runs, and begins one.
    fn keeps_exports(&self) -> bool;
}

/// The open runs.
pub struct Attached {
    myself: Weak<Attached>,
    keeper: Arc<dyn Keeper>,
    gaps: Gaps,
    /// Locked before `ended`, where both are.
    open: Mutex<HashMap<Option<String>, Arc<Open>>>,
    /// Those that ended last, for exports that come late.
    ended: Mutex<VecDeque<Arc<Open>>>,
    places: Mutex<HashMap<Option<String>, Place>>,
    /// Runs that are being sealed.
    sealing: AtomicU32,
    /// Something happened that the one who waits for silence, or for the last seal, has to look at.
    changed: Notify,
}

/// Where a run that has ended is.
#[derive(Clone)]
enum After {
    /// It is not sealed yet.
    Unknown,
    /// It is there, and its recorder may add to it.
    Sealed(Arc<Recorder>),
    /// It was sampled out.
    Dropped(Begun),
    /// It is not kept.
    Gone,
}

/// One open run.
struct Open {
    name: Option<String>,
    began_us: u64,
    /// Set when nobody enters it any more.
    ended_us: OnceLock<u64>,
    after: watch::Sender<After>,
    /// What its requests and exports were in.
    traces: Mutex<Traces>,
    /// None when it could not begin.
    begun: OnceCell<Option<Begun>>,
    numbered: AtomicU32,
    under_way: AtomicU32,
    /// When the last exchange began or ended, by two clocks.
    last: Mutex<(Instant, u64)>,
    left: Notify,
}

impl Open {
    fn new(name: Option<String>) -> Arc<Open> {
        Arc::new(Open {
            name,
            began_us: now_us(),
            ended_us: OnceLock::new(),
            after: watch::Sender::new(After::Unknown),
            traces: Mutex::default(),
            begun: OnceCell::new(),
            numbered: AtomicU32::new(0),
            under_way: AtomicU32::new(0),
            last: Mutex::new((Instant::now(), now_us())),
            left: Notify::new(),
        })
    }

    fn touch(&self) {
        *lock(&self.last) = (Instant::now(), now_us());
    }

    /// When it will have been quiet for so long; none while an exchange is under way.
    fn due(&self, gap: Duration) -> Option<Instant> {
        (self.under_way.load(Ordering::Acquire) == 0).then(|| lock(&self.last).0 + gap)
    }

    /// Waits until no exchange is under way.
    async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.under_way.load(Ordering::Acquire) == 0 {
                return;
            }
            left.await;
        }
    }
}

/// An exchange under way in a run, from the moment its place is looked for.
struct Presence {
    open: Arc<Open>,
    attached: Arc<Attached>,
    /// The run is not silent because of it.
    counts: bool,
}

impl Drop for Presence {
    fn drop(&mut self) {
        if self.counts {
            self.open.touch();
        }
        if self.open.under_way.fetch_sub(1, Ordering::AcqRel) == 1 {
            // `notify_one` is kept for a waiter that is about to wait.
            self.open.left.notify_one();
            self.attached.changed.notify_one();
        }
    }
}

/// The tape of one exchange.
struct Seated {
    recorder: Option<Arc<Recorder>>,
    presence: Presence,
}

impl Tape for Seated {
    fn room(&self) -> BoxFuture<'_, ()> {
        match &self.recorder {
            Some(recorder) => recorder.room(),
            None => Box::pin(async {}),
        }
    }

    fn request(&self, seen: SeenRequest) {
        if let Some(recorder) = &self.recorder {
            let ids = traceparents(&seen.head.headers)
                .filter_map(|of| crate::otlp::json::hex(of.trace)?.try_into().ok());
            ids.for_each(|trace| lock(&self.presence.open.traces).note(trace));
            recorder.request(seen);
        }
    }

    fn response(&self, seen: SeenResponse, written: oneshot::Sender<()>) {
        // Without a recorder `written` is dropped, and nobody waits.
        if let Some(recorder) = &self.recorder {
            recorder.response(seen, written);
        }
    }

    fn export(&self, seen: SeenExport) -> BoxFuture<'_, ()> {
        match &self.recorder {
            Some(recorder) => recorder.export(seen),
            None => Box::pin(async {}),
        }
    }
}

impl Attached {
    /// No runs yet.
    pub fn new(keeper: Arc<dyn Keeper>, gaps: Gaps) -> Arc<Attached> {
        Arc::new_cyclic(|myself| Attached {
            myself: myself.clone(),
            keeper,
            gaps,
            open: Mutex::default(),
            ended: Mutex::default(),
            places: Mutex::default(),
            sealing: AtomicU32::new(0),
            changed: Notify::new(),
        })
    }

    /// Ends runs as they fall silent; never returns.
    pub async fn watch(&self) {
        loop {
            let changed = self.changed.notified();
            match self.end_silent() {
                Some(next) => tokio::select! {
                    () = tokio::time::sleep_until(next.into()) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    /// Ends every run, and waits until all are sealed. To be called when the proxy has stopped.
    pub async fn close(&self) {
        let all: Vec<Arc<Open>> = {
            let mut open = lock(&self.open);
            open.drain().map(|(_, run)| run).inspect(|run| self.retire(run, now_us())).collect()
        };
        for open in all {
            drop(self.seal(open, None));
        }
        loop {
            let changed = self.changed.notified();
            if self.sealing.load(Ordering::Acquire) == 0 {
                return;
            }
            changed.await;
        }
    }

    fn gap(&self, name: Option<&String>) -> Duration {
        if name.is_some() { self.gaps.named } else { self.gaps.unnamed }
    }

    /// Ends the runs that have been silent for long enough; when the next one will have been.
    fn end_silent(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let silent: Vec<Arc<Open>> = {
            let mut open = lock(&self.open);
            let due = open.extract_if(|name, run| match run.due(self.gap(name.as_ref())) {
                Some(due) if due <= now => true,
                Some(due) => {
                    next = Some(next.map_or(due, |next| next.min(due)));
                    false
                }
                None => false,
            });
            due.map(|(_, run)| run).inspect(|run| self.retire(run, now_us())).collect()
        };
        for run in silent {
            drop(self.seal(run, None));
        }
        next
    }

    /// A place in the run of this name; under the lock, so that a run which ends is not entered.
    fn enter(&self, attached: Arc<Attached>, name: Option<&str>) -> Presence {
        let mut runs = lock(&self.open);
        let name = name.map(str::to_string);
        if !runs.contains_key(&name) && runs.len() >= MOST_OPEN {
            let quiet = runs.iter().filter_map(|(name, run)| Some((run.due(Duration::ZERO)?, name)));
            let quietest = quiet.min_by_key(|(since, _)| *since).map(|(_, name)| name.clone());
            if let Some(run) = quietest.and_then(|name| runs.remove(&name)) {
                self.retire(&run, now_us());
                drop(self.seal(run, None));
            }
        }
        let open = runs.entry(name.clone()).or_insert_with(|| Open::new(name)).clone();
        open.under_way.fetch_add(1, Ordering::AcqRel);
        open.touch();
        Presence { open, attached, counts: true }
    }

    /// Seals a run that nobody enters any more, when its last exchange has ended; what the keeper says of it.
    fn seal(&self, open: Arc<Open>, exit_code: Option<i32>) -> oneshot::Receiver<Option<serde_json::Value>> {
        let (tell, told) = oneshot::channel();
        let Some(myself) = self.myself.upgrade() else { return told };
        self.sealing.fetch_add(1, Ordering::AcqRel);
        tokio::spawn(async move {
            open.empty().await;
            let ended_us = lock(&open.last).1;
            let (keeper, ended) = (myself.keeper.clone(), open.clone());
            let sealed = spawn_blocking(move || {
                let begun = open.begun.get()?.as_ref()?;
                let outcome = Outcome { exit_code, signal: None, ended_us, stopped: None };
                let recorder = begun.recorder.as_ref();
                let sealed = recorder.map(|r| r.finish(|manifest| manifest.outcome = Some(outcome)));
                let after = match (&sealed, recorder) {
                    (Some(Ok(_)), Some(recorder)) => After::Sealed(recorder.clone()),
                    _ => After::Gone,
                };
                let told = keeper.ended(begun, End { exit_code, sealed });
                open.after.send_replace(if told.dropped { After::Dropped(begun.clone()) } else { after });
                Some(told.data)
            });
            let sealed = sealed.await.ok().flatten();
            ended.after.send_if_modified(|after| {
                let unknown = matches!(after, After::Unknown);
                if unknown {
                    *after = After::Gone;
                }
                unknown
            });
            // Whoever asked may have gone away; a panic is the end of this run's sealing alone.
            let _ = tell.send(sealed);
            myself.sealing.fetch_sub(1, Ordering::AcqRel);
            myself.changed.notify_one();
        });
        told
    }
}

impl Runs for Attached {
    fn seat<'a>(&'a self, name: Option<&'a str>) -> BoxFuture<'a, Result<Seat, String>> {
        Box::pin(async move {
            if let Some(why) = name.and_then(|name| self.keeper.objection(name)) {
                return Err(why);
            }
            let Some(myself) = self.myself.upgrade() else { return Err("the proxy is stopping".into()) };
            let presence = self.enter(myself, name);
            let begun = self.begun(&presence, name).await;
            let number = presence.open.numbered.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
            Ok(match begun {
                None => {
                    self.forget(&presence.open);
                    Seat { id: ExchangeId(number), tape: None, answerer: None }
                }
                Some(begun) => Seat {
                    id: ExchangeId(number),
                    tape: Some(Arc::new(Seated { recorder: begun.recorder, presence })),
                    answerer: begun.answerer,
                },
            })
        })
    }

    fn export<'a>(&'a self, name: Option<&'a str>, seen: SeenExport) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if name.and_then(|name| self.keeper.objection(name)).is_none() {
                self.take(name, seen).await;
            }
        })
    }

    fn end<'a>(&'a self, name: Option<&'a str>, exit_code: Option<i32>) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move {
            let open = {
                let mut runs = lock(&self.open);
                let open = runs.remove(&name.map(str::to_string))?;
                self.retire(&open, now_us());
                open
            };
            let told = self.seal(open, exit_code).await.ok().flatten()?;
            Some(told.to_string())
        })
    }

    fn place(&self, name: Option<&str>, place: Place) -> Result<(), String> {
        if let Some(why) = name.and_then(|name| self.keeper.objection(name)) {
            return Err(why);
        }
        let mut places = lock(&self.places);
        if places.len() >= MOST_PLACES {
            // Nobody has so many names in use: what is forgotten is told again by the next `retake env`.
            places.clear();
        }
        places.insert(name.map(str::to_string), place);
        Ok(())
    }

    fn state(&self) -> String {
        let mut runs: Vec<serde_json::Value> = lock(&self.open)
            .values()
            .filter_map(|open| {
                let begun = open.begun.get()?.as_ref()?;
                Some(serde_json::json!({
                    "run": begun.run, "exchanges": open.numbered.load(Ordering::Relaxed),
                    "under_way": open.under_way.load(Ordering::Relaxed),
                }))
            })
            .collect();
        runs.sort_by_key(|run| run["run"].to_string());
        let mut state = self.keeper.about();
        state.insert("runs".into(), runs.into());
        serde_json::Value::Object(state).to_string()
    }
}

impl Attached {
    /// The run of a presence, which begins with the first; none when it cannot.
    async fn begun(&self, presence: &Presence, name: Option<&str>) -> Option<Begun> {
        let begun = presence.open.begun.get_or_init(|| async {
            let (keeper, name) = (self.keeper.clone(), name.map(str::to_string));
            let place = lock(&self.places).get(&name).cloned();
            spawn_blocking(move || keeper.begin(name.as_deref(), place.as_ref())).await.ok().flatten()
        });
        begun.await.clone()
    }

    /// Forgets a run that could not begin: the next request tries again.
    fn forget(&self, run: &Arc<Open>) {
        lock(&self.open).retain(|_, open| !Arc::ptr_eq(open, run));
    }
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
