//! `retake proxy --replay RUN`: recorded answers for agents that retake did not start, for each from the beginning.

use super::super::Context;
use super::super::args::ProxyArgs;
use super::super::error::{CliError, exit};
use super::super::record::redactor;
use super::super::replay::{done, refuse_empty, tell_miss};
use super::super::rerun::{Asked, Rerun, knowing};
use super::super::session::own_environment;
use super::super::view::Opened;
use super::super::{print, warn};
use super::state;
use crate::agent::environment::{self, AgentEnvironment, Surroundings};
use crate::proxy::{Place, SeenExport};
use crate::record::attached::{Begun, End, Keeper, Told};
use crate::replay::player::Player;
use crate::report::results;
use crate::run::{Intercepted, RunId};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Replays of one recording, one for each run that agents name.
pub(super) struct Replaying {
    context: Context,
    pub(super) run: RunId,
    fences: Vec<String>,
    pub(super) told: AgentEnvironment,
    pub(super) intercepted: Option<Intercepted>,
    trust: Mutex<Option<Value>>,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    begun: u64,
    players: HashMap<u64, (Arc<Player>, Instant)>,
    /// Exit codes of those that have ended.
    codes: Vec<i32>,
}

impl Replaying {
    /// Refuses a recording that cannot be replayed.
    pub(super) fn of(context: &Context, run: &str, args: &ProxyArgs) -> Result<Replaying, CliError> {
        let opened = Opened::open(&context.store()?, run)?;
        if opened.outline.others.is_empty() {
            refuse_empty(&opened)?;
        }
        let manifest = opened.reader.manifest();
        let told = environment::plan(&Surroundings {
            caller: &own_environment(),
            recorded: Some(&manifest.environment),
            own_recording: !manifest.imported,
            ..Surroundings::default()
        });
        let replaying = Replaying {
            context: context.clone(),
            run: manifest.id.clone(),
            fences: args.fences.clone(),
            told,
            intercepted: manifest.intercepted.clone(),
            trust: Mutex::default(),
            books: Mutex::default(),
        };
        replaying.with(|rerun| {
            rerun.tell_misspelt();
            Player::new(rerun.run(), rerun.options()).map_err(CliError::broken)
        })?;
        Ok(replaying)
    }

    /// The certificates of the proxy's authority, when it has one.
    pub(super) fn trusts(&self, trust: Option<Value>) {
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = trust;
    }

    /// What all replays together amount to.
    pub(super) fn code(&self) -> Result<i32, CliError> {
        let codes = &self.books().codes;
        let worst = [exit::MISS, exit::BROKEN, exit::FENCE, exit::DIFFERS, exit::OK];
        match worst.into_iter().find(|code| codes.contains(code)) {
            Some(code) => Ok(code),
            None => {
                let why = format!("nobody asked for anything of what {} recorded", self.run);
                Err(CliError::broken(why).hint("retake env prints the variables that lead agents here"))
            }
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, does: impl FnOnce(&Rerun<'_>) -> Result<T, CliError>) -> Result<T, CliError> {
        let store = self.context.store()?;
        let opened = Opened::by_id(&store, &self.run)?;
        let known = knowing(redactor(&store, &[])?, &opened);
        // The agent is started by somebody else; what is compared is what it asks.
        let command = ["retake".to_string(), "proxy".to_string()];
        let asked = Asked {
            verb: "replay",
            fences: &self.fences,
            unfence: &[],
            unpin: &[],
            added: &[],
            command: &command,
            yes: true,
        };
        does(&Rerun::of(&self.context, &self.context.config()?, &opened, known, &asked)?)
    }

    fn try_tell(&self, player: &Player, began: Instant, exit_code: Option<i32>) -> Result<Value, CliError> {
        let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.with(|rerun| {
            let ended = exit_code.map(|code| (Some(code), None));
            let (done, code) = done(rerun, player, ended, took_us);
            self.books().codes.push(code);
            let tally = player.tally();
            let data = json!({ "replay": done, "misses": tally.misses, "exit": code });
            if self.context.json {
                print(&format!("{}\n", json!({ "ended": data })))?;
            } else {
                tell_miss(&self.context, &tally, "");
                eprint!("{}", results::replay(&done, self.context.err_style));
            }
            Ok(data)
        })
    }
}

impl Keeper for Replaying {
    fn begin(&self, name: Option<&str>, place: Option<&Place>) -> Option<Begun> {
        let made = self.with(|rerun| {
            let mut options = rerun.options();
            if let (Some(place), Some(around)) = (place, &mut options.surroundings) {
                around.live.directory.clone_from(&place.directory);
                around.live.home.clone_from(&place.home);
                around.live.temp.clone_from(&place.temp);
            }
            Player::new(rerun.run(), options).map_err(CliError::broken)
        });
        let player = match made {
            Ok(player) => Arc::new(player),
            Err(error) => {
                warn(&format!("{} cannot be replayed: {}", self.run, error.message));
                return None;
            }
        };
        if !self.context.json {
            let whose = name.map(|name| format!(" for {name}")).unwrap_or_default();
            eprintln!("began      replay of {}{whose}", self.run);
        }
        let mut books = self.books();
        books.begun += 1;
        let number = books.begun;
        books.players.insert(number, (player.clone(), Instant::now()));
        Some(Begun {
            run: self.run.clone(),
            name: name.map(str::to_string),
            number,
            recorder: None,
            answerer: Some(player),
        })
    }

    fn ended(&self, begun: &Begun, end: End) -> Told {
        let player = self.books().players.remove(&begun.number);
        let told = match player {
            Some((player, began)) => self.try_tell(&player, began, end.exit_code),
            None => Err(CliError::broken("it was told of before")),
        };
        let data = told.unwrap_or_else(|error| {
            warn(&format!("the replay of {}: {}", begun.run, error.message));
            self.books().codes.push(exit::BROKEN);
            json!({ "run": begun.run, "error": error.message })
        });
        Told { data, dropped: false }
    }

    // Nothing that is exported is kept here.
    fn too_late(&self, _: &Begun, _: &SeenExport) {}

    fn about(&self) -> Map<String, Value> {
        let trust = self.trust.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut about = state(&self.told, trust);
        about.insert("replays".into(), json!(self.run));
        about
    }

    fn objection(&self, name: &str) -> Option<String> {
        super::objection(name)
    }

    fn keeps_exports(&self) -> bool {
        false
    }
}
