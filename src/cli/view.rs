//! A stored run as `show` and `diff` read it: what the model saw.

use super::error::CliError;
use crate::dialect::conversation::{ModelAnswer, ModelRequest};
use crate::dialect::{self, services};
use crate::diff::{CarriedOut, Conversations, RunView, ServerTotals};
use crate::exchange::{ExchangeId, HeaderList, Source, encoding};
use crate::prices::{Price, Prices};
use crate::replay::recalled::Recalled;
use crate::replay::recording::{RecordedRun, read_answer};
use crate::replay::servers::Servers;
use crate::replay::shim::is_told;
use crate::run::stop::held_back;
use crate::run::tree::places::Places;
use crate::run::{Ancestor, CallSite, Outline, RunId};
use crate::store::{RunReader, Store};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

/// A run that was opened for reading.
pub struct Opened {
    pub reader: Arc<RunReader>,
    pub outline: Arc<Outline>,
    ancestry: Vec<Ancestor>,
    requests: RefCell<HashMap<ExchangeId, Arc<ModelRequest>>>,
    recalled: OnceCell<Recalled>,
    recorded: RecordedRun,
    prices: Prices,
    places: OnceCell<Option<Places>>,
}

/// Characters of a line about a call that is no model call.
const SERVICE_WIDTH: usize = 90;

/// How many requests are kept in normal form; a diff walks two conversations side by side.
const KEPT: usize = 64;

impl Opened {
    /// Opens a run by what a person typed.
    ///
    /// # Errors
    /// When there is no such run, or it cannot be read.
    pub fn open(store: &Store, run: &str) -> Result<Opened, CliError> {
        let id = store.resolve(run)?;
        if run.trim() == "last" {
            super::warn(&format!("last is {id}"));
        }
        Opened::by_id(store, &id)
    }

    /// Opens a run by its id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn by_id(store: &Store, id: &RunId) -> Result<Opened, CliError> {
        let reader = Arc::new(store.open_run(id)?);
        let outline = reader.outline()?;
        let ancestry = store.ancestry(reader.manifest());
        let recorded = RecordedRun::new(reader.clone(), outline.clone());
        Ok(Opened {
            reader,
            outline,
            ancestry,
            requests: RefCell::default(),
            recalled: OnceCell::new(),
            recorded,
            prices: Prices::default(),
            places: OnceCell::new(),
        })
    }

    /// The same, with a person's own prices.
    pub fn priced(self, prices: Prices) -> Opened {
        Opened { prices, ..self }
    }

    /// As the matcher and the plan read it.
    pub fn recorded(&self) -> &RecordedRun {
        &self.recorded
    }

    /// What servers of tools were asked.
    pub fn tool_servers(&self) -> &Servers {
        self.recorded.servers()
    }

    /// What comparing and telling read.
    pub fn view(&self) -> RunView<'_> {
        RunView {
            manifest: self.reader.manifest(),
            state: self.reader.state(),
            outline: &self.outline,
            ancestry: &self.ancestry,
            source: self,
        }
    }
}

impl Conversations for Opened {
    fn request(&self, id: ExchangeId) -> Result<Arc<ModelRequest>, String> {
        if let Some(known) = self.requests.borrow().get(&id) {
            return Ok(known.clone());
        }
        let record = self.reader.request(id).map_err(|e| e.to_string())?;
        let (dialect, _) = dialect::recognise(&record.head).ok_or("its dialect is not known")?;
        let sent = record.sent.is_some();
        let target = record.sent_target.as_ref().unwrap_or(&record.head.target);
        let body = self.reader.body(record.sent.unwrap_or(record.body)).map_err(|e| e.to_string())?;
        let coding = if sent { None } else { record.head.headers.get("content-encoding") };
        let body = encoding::decode(coding, &body)?;
        // What went in its place was unfolded already.
        let unfolded = if !sent && dialect.recalls(&body) {
            self.recalled.get_or_init(|| Recalled::of(&self.reader)).unfold(id, dialect, &body)
        } else {
            None
        };
        let body = unfolded.as_deref().unwrap_or(&body);
        let request = Arc::new(dialect.read_request(target, body).map_err(|e| e.to_string())?);
        let mut requests = self.requests.borrow_mut();
        if requests.len() >= KEPT {
            requests.clear();
        }
        requests.insert(id, request.clone());
        Ok(request)
    }

    fn answer(&self, id: ExchangeId) -> Result<Arc<ModelAnswer>, String> {
        let exchange = self.reader.exchange(id).map_err(|e| e.to_string())?;
        let mut answer = read_answer(&exchange).ok_or_else(|| format!("exchange {id} has no answer"))?;
        if let Some(response) = exchange.response.filter(|r| r.source == Source::Refused) {
            let (blocks, usage) = held_back(&response.body);
            answer.blocks.extend(blocks);
            answer.usage = answer.usage.or(usage);
        }
        Ok(Arc::new(answer))
    }

    fn api(&self, id: ExchangeId) -> Option<&'static str> {
        let record = self.reader.request(id).ok()?;
        Some(dialect::recognise(&record.head)?.0.name())
    }

    fn carried_out(&self, site: CallSite) -> Option<CarriedOut> {
        let spoken = self.tool_servers().carried_out(site)?;
        let (ended, took_ms) = self.tool_servers().ended(spoken).unzip();
        let took_us = match is_told(&spoken.server) {
            // The answer to the call says only that the work may begin.
            true => took_ms.map(|ms: u64| ms.saturating_mul(1000)),
            false => self.reader.response(spoken.id).ok().flatten().map(|r| r.end_us).filter(|us| *us > 0),
        };
        Some(CarriedOut { server: spoken.server.clone(), exchange: spoken.id, took_us, ended })
    }

    fn servers(&self) -> Vec<ServerTotals> {
        self.tool_servers().totals()
    }

    fn source(&self, id: ExchangeId) -> Source {
        self.reader.response(id).ok().flatten().map(|r| r.source).unwrap_or_default()
    }

    fn service(&self, id: ExchangeId) -> Option<String> {
        let exchange = self.reader.exchange(id).ok()?;
        let decoded = |headers: &HeaderList, body| encoding::decode(headers.get("content-encoding"), body);
        let head = &exchange.request.head;
        let body = decoded(&head.headers, &exchange.request.body).ok()?;
        let response = exchange.response.as_ref();
        let answer = response.and_then(|r| {
            let head = r.head.as_ref()?;
            Some((head, decoded(&head.headers, &r.body).ok()?))
        });
        let answer = answer.as_ref().map(|(head, body)| (*head, &**body));
        services::line(&services::Call { head, body: &body, answer }, SERVICE_WIDTH)
    }

    fn places(&self) -> Option<&Places> {
        self.places.get_or_init(|| super::spans::places(self)).as_ref()
    }

    fn price(&self, model: &str) -> Option<Price> {
        self.prices.of(model)
    }

    fn rewritten(&self, id: ExchangeId) -> bool {
        self.reader.request(id).is_ok_and(|r| r.sent.is_some())
    }
}
