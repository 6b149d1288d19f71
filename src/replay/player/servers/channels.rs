//! The older transport over HTTP: a stream is opened, what is posted is answered on it. Each recorded message goes out when
//! that which it answers was posted, under today's ids.

use super::introduction::{Acquaintance, Way};
use super::streams::told_values;
use super::{Player, accepted, unacquainted};
use crate::exchange::{HeaderList, ResponseHead, Source, StandIn};
use crate::mcp::message::{Kind, Message, messages};
use crate::mcp::stamp::{self, Stamp};
use crate::proxy::{Answer, Asked, Canned, CannedEnd};
use crate::replay::channels::{After, Channel, host_of};
use crate::replay::matcher::Miss;
use crate::replay::serve;
use crate::replay::servers::{is_same, server_of};
use bytes::Bytes;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, mpsc};

/// A stream that the agent has opened.
pub(in crate::replay::player) struct Open {
    /// The place of the recorded one.
    channel: usize,
    server: String,
    /// Host and port that the agent asks.
    host: String,
    /// None once it is closed.
    feed: Option<mpsc::UnboundedSender<(Duration, Bytes)>>,
    /// How many messages were posted.
    said: usize,
    /// Recorded events that no request waits for.
    unasked: VecDeque<usize>,
    owed: Vec<Owed>,
    /// Requests of the server that the agent has answered.
    answered: HashSet<String>,
    /// When what went out last was recorded.
    told_us: u64,
    /// The request that opened it.
    begun: Asked,
    agent: Acquaintance,
    /// The way to the server itself, once a fork asked it something; or why there is none.
    way: Arc<OnceCell<Result<Way, String>>>,
}

/// The recorded events that belong to a request of the agent.
struct Owed {
    /// The place of the recorded channel that they are of.
    channel: usize,
    /// The place of the recorded request.
    asked: usize,
    live: Message,
    left: VecDeque<usize>,
    /// The request of the server that is to be answered first.
    waits_for: Option<String>,
}

impl Open {
    /// Puts a message on the stream.
    fn tell(&self, message: &[u8]) {
        let event = [b"event: message\r\ndata: ".as_slice(), message, b"\r\n\r\n"].concat();
        self.send(Duration::ZERO, event.into());
    }

    fn send(&self, wait: Duration, bytes: Bytes) {
        if let Some(feed) = &self.feed {
            // The agent may have left.
            let _ = feed.send((wait, bytes));
        }
    }
}

impl Player {
    fn channels(&self) -> MutexGuard<'_, Vec<Open>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream that answers what is posted to this address, the last of several.
    fn open_at(&self, asked: &Asked) -> Option<usize> {
        let host = host_of(&asked.upstream.origin);
        let recorded = self.run.servers().channels();
        let fits = |open: &Open| {
            let endpoint = recorded.get(open.channel).map(Channel::endpoint);
            open.host == host && endpoint == Some(asked.head.target.as_str())
        };
        self.channels().iter().rposition(fits).filter(|_| asked.head.method == "POST")
    }

    /// Answers what is about a channel: its opening, or a post; none for what is neither.
    pub(super) async fn over_channel(&self, asked: &Asked) -> Option<Answer> {
        if asked.head.method == "GET" {
            return self.open_channel(asked);
        }
        let at = self.open_at(asked)?;
        let server = self.channels().get(at)?.server.clone();
        self.state().said.count(&server);
        let mut answer = accepted();
        for message in messages(&asked.body, false) {
            self.channels().get_mut(at)?.said += 1;
            let posted = match message.kind {
                Kind::Request => self.posted(at, asked, &server, &message).await,
                Kind::Notification | Kind::Response => self.mentioned(at, asked, &server, &message).await,
            };
            match posted {
                Ok(said) => answer = said.unwrap_or(answer),
                Err(why) => {
                    self.refuse_on(at, &message, &why);
                    continue;
                }
            }
            self.flow(at);
        }
        Some(Answer::Serve(answer))
    }

    /// Tells an agent that waits on a stream that nothing more comes. True when it does.
    pub(in crate::replay::player) fn refused_on_channel(&self, asked: &Asked, why: &str) -> bool {
        let Some(at) = self.open_at(asked) else { return false };
        messages(&asked.body, false).iter().for_each(|message| self.refuse_on(at, message, why));
        true
    }

    fn refuse_on(&self, at: usize, message: &Message, why: &str) {
        if let Some(open) = self.channels().get(at) {
            open.tell(&stamp::refusal(message, why));
        }
    }

    /// The first recorded stream of this server that was not opened yet; none when the server has no such streams.
    fn open_channel(&self, asked: &Asked) -> Option<Answer> {
        let server = server_of(&asked.upstream, &asked.head);
        let recorded = self.run.servers().channels();
        let mut own = recorded.iter().enumerate().filter(|(_, c)| is_same(&c.server, &server)).peekable();
        own.peek()?;
        let found = own.find(|(_, channel)| self.state().said.streams.insert(channel.id));
        let Some((at, channel)) = found else {
            if self.options.plan.is_some() {
                *self.state().tally.servers.live.entry(server).or_default() += 1;
                return Some(super::onward(HeaderList::default()));
            }
            let miss = Miss {
                asked: format!("{server}: a session"),
                reason: "the agent opens one more session with this server than recorded".into(),
                nearest: Vec::new(),
                hints: Vec::new(),
            };
            let why = self.server_refused(miss);
            let body = serde_json::json!({ "error": { "message": why } }).to_string();
            return Some(Answer::Serve(serve::own(422, Bytes::from(body), Source::Refused)));
        };
        let (feeds, feed) = mpsc::unbounded_channel();
        let mut open = Open {
            channel: at,
            server,
            host: host_of(&asked.upstream.origin).to_string(),
            feed: Some(feeds),
            said: 0,
            unasked: VecDeque::new(),
            owed: Vec::new(),
            answered: HashSet::new(),
            told_us: channel.opened_us,
            begun: asked.clone(),
            agent: Acquaintance::default(),
            way: Arc::default(),
        };
        let counted = |n: &usize| channel.told.get(*n).is_some_and(|t| matches!(t.after, After::Count(_)));
        open.unasked = (1..channel.told.len()).filter(counted).collect();
        // The endpoint names a session by an id that is nobody's to change: what is posted is known by it.
        let endpoint = channel.endpoint_event(&asked.upstream.origin);
        open.send(self.options.timing.wait(channel.opening_us()), endpoint);
        let head = ResponseHead {
            status: channel.head.status,
            headers: HeaderList(channel.head.headers.end_to_end().0),
        };
        let source = Source::Recorded { run: self.name.clone(), exchange: channel.id };
        let mut opened = self.channels();
        opened.push(open);
        let at = opened.len() - 1;
        drop(opened);
        self.flow(at);
        Some(Answer::ServeFed(Canned { source, head, frames: Vec::new(), end: CannedEnd::Complete }, feed))
    }

    /// A request: what was recorded of its like is owed from now on.
    ///
    /// # Errors
    /// Why it is not answered.
    async fn posted(
        &self,
        at: usize,
        asked: &Asked,
        server: &str,
        live: &Message,
    ) -> Result<Option<Canned>, String> {
        let channel = self.channels().get(at).map(|open| open.channel);
        let Some(spoken) = self.nearest_unused(server, live, channel) else {
            return match self.options.plan {
                Some(_) => self.posted_live(at, asked, server, live).await,
                None => Err(self.server_refused(self.explain(server, live))),
            };
        };
        let place = self.run.servers().spoken().iter().position(|s| s.key() == spoken.key());
        let (Some(place), Some(of)) = (place, spoken.channel) else { return Ok(None) };
        let left = self.run.servers().channels().get(of).map(|channel| channel.of_request(place).collect());
        let left = left.unwrap_or_default();
        self.note_answered(asked.id, server, spoken);
        if let Some(open) = self.channels().get_mut(at) {
            open.told_us = open.told_us.max(spoken.started_us);
            let channel = self.run.servers().channels().get(of);
            let answer = channel.and_then(|channel| channel.response_to(&spoken.message.id));
            open.agent.note(live, &answer.cloned().into_iter().collect::<Vec<_>>());
            open.owed.push(Owed { channel: of, asked: place, live: live.clone(), left, waits_for: None });
        }
        Ok(self.recorded_receipt(spoken.id))
    }

    /// In a fork: a request that is not recorded goes to the server itself, over a stream that is opened for it.
    ///
    /// # Errors
    /// Why it does not.
    async fn posted_live(
        &self,
        at: usize,
        asked: &Asked,
        server: &str,
        live: &Message,
    ) -> Result<Option<Canned>, String> {
        if let Some(why) = self.stopped_by_fence(live) {
            return Err(why);
        }
        let opened = self.channels().get(at).and_then(|open| {
            Some((open.way.clone(), open.begun.clone(), open.agent.clone(), open.feed.clone()?))
        });
        let refused = |why: &str| self.server_refused(unacquainted(server, why));
        let Some((way, begun, agent, feed)) = opened else {
            return Err(refused("the agent has closed its stream"));
        };
        if messages(&asked.body, false).len() > 1 {
            return Err(refused("it is asked by a batch, of which the recording has a part only"));
        }
        let meet = async {
            let mut way = Way::streaming(self.outbound.clone(), &begun, asked, feed).await?;
            let known = way.introduce(&agent).await?;
            self.note_changes(server, &known);
            Ok(way)
        };
        let way = way.get_or_init(|| meet).await.as_ref().map_err(|why| refused(why))?;
        self.note_live(server, live);
        way.post(asked.body.clone()).await.map_err(|why| refused(&why))?;
        Ok(Some(Canned { source: Source::Live, ..accepted() }))
    }

    /// What a server said when it took a message.
    fn recorded_receipt(&self, id: crate::exchange::ExchangeId) -> Option<Canned> {
        let recorded = self.run.reader().answer(id).ok()?;
        let reveal = |stand_in: &StandIn| self.options.redactor.reveal(&stand_in.text);
        let none = crate::holes::Rewrite::default();
        let timing = self.options.timing;
        match serve::recorded(&self.name, id, recorded.as_ref(), timing, &reveal, &none).0 {
            Answer::Serve(canned) if canned.end == CannedEnd::Complete => Some(canned),
            _ => None,
        }
    }

    /// A notification, or the agent's answer to a request of the server.
    async fn mentioned(
        &self,
        at: usize,
        asked: &Asked,
        server: &str,
        live: &Message,
    ) -> Result<Option<Canned>, String> {
        let way = self.channels().get(at).map(|open| open.way.clone());
        if let Some(Ok(way)) = way.as_ref().and_then(|way| way.get()) {
            let wanted = live.kind == Kind::Notification || way.asked_back(&live.id);
            // A server that does not want to know is none that waits for it.
            if wanted && way.post(asked.body.clone()).await.is_ok() {
                return Ok(Some(Canned { source: Source::Live, ..accepted() }));
            }
        }
        if live.kind == Kind::Response {
            if let Some(miss) = self.answers_otherwise(server, live) {
                return Err(self.server_refused(miss));
            }
            if let Some(open) = self.channels().get_mut(at) {
                open.answered.insert(live.id.clone());
            }
        }
        let channel = self.channels().get(at).map(|open| open.channel);
        let receipt = self.nearest_unused(server, live, channel).map(|spoken| {
            self.state().said.note_used(spoken);
            spoken.id
        });
        self.state().tally.servers.messages += 1;
        Ok(receipt.and_then(|id| self.recorded_receipt(id)))
    }

    /// Sends what nothing holds back any more.
    fn flow(&self, at: usize) {
        let recorded = self.run.servers().channels();
        let mut opened = self.channels();
        let Some(open) = opened.get_mut(at) else { return };
        let mut owed = std::mem::take(&mut open.owed);
        for own in &mut owed {
            let Some(channel) = recorded.get(own.channel) else { continue };
            loop {
                if let Some(id) = &own.waits_for {
                    if !open.answered.remove(id) {
                        break;
                    }
                    own.waits_for = None;
                }
                let Some(event) = own.left.pop_front() else { break };
                self.release(open, channel, event, Some((own.asked, &own.live)));
                let asks = channel.told.get(event).and_then(|told| told.message.as_ref());
                let asks = asks.filter(|message| message.kind == Kind::Request);
                own.waits_for =
                    asks.map(|asks| asks.id.clone()).filter(|id| self.was_answered(&open.server, id));
            }
        }
        owed.retain(|own| !own.left.is_empty() || own.waits_for.is_some());
        open.owed = owed;
        let Some(channel) = recorded.get(open.channel) else { return };
        while let Some(event) = open.unasked.front().copied() {
            let after = channel.told.get(event).map(|told| told.after);
            if after.is_some_and(|after| matches!(after, After::Count(count) if count > open.said)) {
                break;
            }
            open.unasked.pop_front();
            self.release(open, channel, event, None);
        }
        self.end_as_recorded(open, channel);
    }

    /// Closes a stream that its server closed, when all was said.
    fn end_as_recorded(&self, open: &mut Open, channel: &Channel) {
        let spoken = self.run.servers().spoken().iter();
        let all = spoken.filter(|said| said.channel == Some(open.channel)).count();
        if channel.is_closed
            && open.way.get().is_none()
            && open.owed.is_empty()
            && open.unasked.is_empty()
            && open.said >= all
        {
            open.feed = None;
        }
    }

    /// Sends a recorded event: in today's words, under today's ids.
    fn release(&self, open: &mut Open, channel: &Channel, event: usize, asked: Option<(usize, &Message)>) {
        let (Some(piece), Some(told)) = (channel.piece(event), channel.told.get(event)) else { return };
        let spoken = asked.and_then(|(place, _)| self.run.servers().spoken().get(place));
        let lane = spoken.and_then(|spoken| spoken.site).map(|site| site.lane);
        let rewrite = self.state().matcher.todays(lane, &told_values(&piece).into());
        let reveal = |stand_in: &StandIn| self.options.redactor.reveal(&stand_in.text);
        let timing = self.options.timing;
        let (answer, rewritten) =
            serve::recorded(&self.name, channel.id, Some(&piece), timing, &reveal, &rewrite);
        self.state().tally.rewritten(rewritten);
        let Answer::Serve(canned) = answer else { return };
        let whole: Vec<u8> = canned.frames.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let body = match (spoken, asked) {
            (Some(spoken), Some((_, live))) => Stamp { recorded: &spoken.message, live }.body(&whole, true),
            _ => whole,
        };
        let wait = self.options.timing.wait(told.at_us.saturating_sub(open.told_us));
        open.told_us = open.told_us.max(told.at_us);
        open.send(wait, body.into());
    }
}
