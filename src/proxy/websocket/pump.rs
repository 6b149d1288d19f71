//! A session between an agent and an upstream: messages go through as they come, and are noted.

use super::socket::{self, Came, Incoming, Outgoing};
use super::turns::{Opening, Turn, Turns};
use super::written;
use crate::exchange::BodyEnd;
use crate::exchange::messages::Closing;
use hyper::upgrade::{OnUpgrade, Upgraded};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::Role;

/// How long an upstream that does not say when it is done must say nothing before what it said is written.
const QUIET: Duration = Duration::from_millis(20);
/// How long the two sides may take to close in order.
const CLOSING: Duration = Duration::from_secs(2);

/// Who ended a session, and how.
enum End {
    Agent(Came),
    Upstream(Came),
}

/// Runs a session to its end.
pub(super) async fn run(opening: Opening, first: Turn, agent: OnUpgrade, upstream: Upgraded) {
    let turns = Mutex::new(Turns::new(opening.clone(), first));
    let Ok(agent) = agent.await else {
        let lost = Closing { by_agent: true, code: None, reason: String::new() };
        lock(&turns).end(&lost, BodyEnd::Cancelled);
        return;
    };
    let (mut from_agent, mut to_agent) = socket::open(agent, Role::Server).await;
    let (mut from_upstream, mut to_upstream) = socket::open(upstream, Role::Client).await;
    let end = tokio::select! {
        end = upwards(&opening, &turns, &mut from_agent, &mut to_upstream) => end,
        end = downwards(&opening, &turns, &mut from_upstream, &mut to_agent) => end,
    };
    match end {
        End::Agent(came) => {
            if let Some(closing) = came.closing(true) {
                lock(&turns).end(&closing, BodyEnd::Cancelled);
            }
            if let Came::Closed(told) = came {
                let (code, reason) = told.map_or((None, String::new()), |(code, why)| (Some(code), why));
                to_upstream.close(code, &reason).await;
                let both = async { tokio::join!(from_agent.drain(), from_upstream.drain()) };
                // Whoever does not close is left.
                let _ = timeout(CLOSING, both).await;
            } else if let Came::TooLong(_) = came {
                // To the upstream its client goes away.
                let bye = to_upstream.close(Some(1001), "");
                tokio::join!(bye, socket::refuse_length(from_agent, to_agent, CLOSING));
            }
        }
        End::Upstream(came) => {
            let what = match &came {
                Came::Broke(what) | Came::TooLong(what) => what.clone(),
                _ => "the upstream closed the session".to_string(),
            };
            let told = came.closing(false).map(|c| lock(&turns).end(&c, BodyEnd::Error { what }));
            written(told.flatten()).await;
            if let Came::Closed(told) = came {
                let (code, reason) = told.map_or((None, String::new()), |(code, why)| (Some(code), why));
                to_agent.close(code, &reason).await;
                let both = async { tokio::join!(from_agent.drain(), from_upstream.drain()) };
                let _ = timeout(CLOSING, both).await;
            } else if let Came::TooLong(_) = came {
                let to_both = (
                    socket::refuse_length(from_agent, to_agent, CLOSING),
                    socket::refuse_length(from_upstream, to_upstream, CLOSING),
                );
                tokio::join!(to_both.0, to_both.1);
            }
        }
    }
}

fn lock(turns: &Mutex<Turns>) -> MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn upwards(opening: &Opening, turns: &Mutex<Turns>, from: &mut Incoming, to: &mut Outgoing) -> End {
    loop {
        match from.next().await {
            Came::Message(message) => {
                if let Some(tape) = &opening.tape {
                    tape.room().await;
                }
                lock(turns).agent_says(&message);
                if !to.send(&message).await {
                    // The other direction knows how it ended.
                    std::future::pending::<()>().await;
                }
            }
            ended => return End::Agent(ended),
        }
    }
}

async fn downwards(opening: &Opening, turns: &Mutex<Turns>, from: &mut Incoming, to: &mut Outgoing) -> End {
    loop {
        let came = match opening.protocol.takes_turns() {
            true => from.next().await,
            false => match timeout(QUIET, from.next()).await {
                Ok(came) => came,
                Err(_) => {
                    lock(turns).rest();
                    from.next().await
                }
            },
        };
        match came {
            Came::Message(message) => {
                let told = lock(turns).upstream_says(&message);
                written(told).await;
                if !to.send(&message).await {
                    std::future::pending::<()>().await;
                }
            }
            ended => return End::Upstream(ended),
        }
    }
}
