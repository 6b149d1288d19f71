//! Exchanges to lanes, turns and steps.
//!
//! A request extends the lane whose last answer it sends back; else it begins a lane. Attempts of one call collapse
//! into one turn. Whose child a lane is, is decided at the end: by the calls whose arguments begin it and by the joins,
//! the parent's next request that carries the child's last answer. Keys come from this structure alone. In memory stay
//! hashes of the last request and the text of the last answer, per lane.

mod kinship;
mod numbering;
mod placing;
mod quotes;
#[cfg(test)]
mod tests;

use super::likeness::{self, Key};
use super::outline::Outline;
use super::stop;
use crate::dialect::conversation::{ModelAnswer, ModelRequest};
use crate::dialect::{self, Dialect, Endpoint};
use crate::exchange::encoding;
use crate::exchange::{BodyEnd, Exchange, ExchangeId, Fault, RecordedResponse, Source, SpanContext};

pub use placing::LaneBuilder;

/// A model call as the builder needs it.
#[derive(Debug, Clone)]
pub struct ModelCall<'a> {
    /// The exchange.
    pub id: ExchangeId,
    /// When the request arrived, in microseconds since the Unix epoch.
    pub started_us: u64,
    /// When its answer was whole, or broke off; `started_us` when there was none.
    pub ended_us: u64,
    /// Path of the request, without query.
    pub path: &'a str,
    /// Key of its bytes; none when they are not known.
    pub body_key: Option<Key>,
    /// What its headers say.
    pub context: &'a SpanContext,
    /// The request in normal form.
    pub request: &'a ModelRequest,
    /// The answer in normal form, as far as it came.
    pub answer: Option<&'a ModelAnswer>,
    /// Why the call failed, in one line; none when it succeeded.
    pub error: Option<String>,
}

impl LaneBuilder {
    /// Adds the next exchange. Exchanges come in order of arrival, each with its response if there was one. What is no
    /// model call, or cannot be read as one, goes to [`Outline::others`].
    pub fn add(&mut self, exchange: &Exchange) {
        let request = &exchange.request;
        let answered = exchange.response.iter().flat_map(|r| &r.stand_ins);
        for stand_in in request.stand_ins.iter().chain(answered) {
            if !self.stand_ins.contains(stand_in) {
                self.stand_ins.insert(stand_in.clone());
            }
        }
        let Some((dialect, Endpoint::Model)) = dialect::recognise(&request.head) else {
            return self.add_other(request.id);
        };
        let before = self.histories.follow(exchange);
        let body = encoding::decode(request.head.headers.get("content-encoding"), &request.body);
        let read = body.ok().filter(|body| !dialect.warms_up(body)).and_then(|body| {
            let unfolded = self.histories.unfold_after(dialect, &body, before.as_deref());
            dialect.read_request(&request.head.target, unfolded.as_deref().unwrap_or(&body)).ok()
        });
        let Some(read) = read else {
            return self.add_other(request.id);
        };
        let (answer, error) = match &exchange.response {
            None => (None, Some("no answer came".to_string())),
            Some(response) => read_response(dialect, response),
        };
        let lasted = exchange.response.as_ref().map_or(0, |r| r.end_us);
        self.add_call(&ModelCall {
            id: request.id,
            started_us: request.started_us,
            ended_us: request.started_us.saturating_add(lasted),
            path: &dialect.path(&request.head),
            body_key: Some(likeness::body_key(request.head.path(), &request.body)),
            context: &SpanContext::from_headers(&request.head.headers),
            request: &read,
            answer: answer.as_ref(),
            error,
        });
    }
}

/// The answer as far as it can be read, and why it is none.
fn read_response(
    dialect: &dyn Dialect,
    response: &RecordedResponse,
) -> (Option<ModelAnswer>, Option<String>) {
    let Some(head) = &response.head else {
        let why = match &response.fault {
            Some(Fault::Connect { what }) => format!("no connection: {what}"),
            Some(Fault::Reset { what }) => format!("connection lost: {what}"),
            Some(Fault::Abandoned) => "the agent gave up waiting".to_string(),
            Some(Fault::Interrupted) | None => "no answer came".to_string(),
        };
        return (None, Some(why));
    };
    let body = match encoding::decode(head.headers.get("content-encoding"), &response.body) {
        Ok(body) => body,
        Err(what) => return (None, Some(format!("the answer cannot be decoded: {what}"))),
    };
    let mut answer = dialect.read_answer(head, &body);
    if response.source == Source::Refused {
        // What a fence held back was paid for all the same.
        answer.usage = answer.usage.or(stop::held_back(&body).1);
    }
    let error = if head.status >= 400 {
        Some(match &answer.error {
            Some(message) => dialect::with_status(head.status, message),
            None => format!("status {}", head.status),
        })
    } else if let Some(message) = &answer.error {
        Some(message.clone())
    } else if let BodyEnd::Error { what } = &response.end
        && !(answer.whole && (head.is_stream() || head.is_message_stream()))
    {
        // Even when what came can be read: the agent's client saw a broken answer.
        Some(format!("the answer broke off: {what}"))
    } else if answer.whole {
        None
    } else {
        Some(match &response.end {
            BodyEnd::Cancelled => "the agent hung up".to_string(),
            _ => "the answer is not whole".to_string(),
        })
    };
    (Some(answer), error)
}

/// The outline of a list of exchanges.
pub fn outline<'a>(exchanges: impl IntoIterator<Item = &'a Exchange>) -> Outline {
    let mut builder = LaneBuilder::default();
    for exchange in exchanges {
        builder.add(exchange);
    }
    builder.finish()
}

/// Ids that no lane holds.
pub fn unplaced(outline: &Outline) -> &[ExchangeId] {
    &outline.others
}
