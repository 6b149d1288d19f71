//! A tape in memory that can hold back what it is asked to write.

use super::soon;
use super::upstream::Gate;
use retake::proxy::{BoxFuture, SeenExport, SeenRequest, SeenResponse, Tape};
use std::sync::{Arc, Mutex};
use tokio::sync::{oneshot, watch};

/// What was told, in order.
#[derive(Debug, Clone)]
pub enum Told {
    Request(SeenRequest),
    Response(SeenResponse),
}

pub struct MemoryTape {
    told: watch::Sender<Vec<Told>>,
    holding: Mutex<Option<Vec<oneshot::Sender<()>>>>,
    room: Option<Gate>,
}

impl MemoryTape {
    fn with(holding: Option<Vec<oneshot::Sender<()>>>, room: Option<Gate>) -> Arc<MemoryTape> {
        Arc::new(MemoryTape { told: watch::Sender::new(Vec::new()), holding: Mutex::new(holding), room })
    }

    /// Writes at once.
    pub fn new() -> Arc<MemoryTape> {
        MemoryTape::with(None, None)
    }

    /// Writes when [`MemoryTape::write`] is called.
    pub fn held() -> Arc<MemoryTape> {
        MemoryTape::with(Some(Vec::new()), None)
    }

    /// Has room for one request each time the gate is released.
    pub fn with_room(gate: Gate) -> Arc<MemoryTape> {
        MemoryTape::with(None, Some(gate))
    }

    /// Lets the responses told so far be written.
    pub fn write(&self) {
        let mut holding = self.holding.lock().expect("no panics inside");
        for written in holding.iter_mut().flat_map(|held| held.drain(..)) {
            let _ = written.send(());
        }
    }

    pub fn told(&self) -> Vec<Told> {
        self.told.borrow().clone()
    }

    pub fn requests(&self) -> Vec<SeenRequest> {
        self.told()
            .into_iter()
            .filter_map(|told| match told {
                Told::Request(seen) => Some(seen),
                Told::Response(_) => None,
            })
            .collect()
    }

    pub fn responses(&self) -> Vec<SeenResponse> {
        self.told()
            .into_iter()
            .filter_map(|told| match told {
                Told::Response(seen) => Some(seen),
                Told::Request(_) => None,
            })
            .collect()
    }

    /// Waits for the n-th response (counted from 1) and gives it back.
    pub async fn response(&self, number: usize) -> SeenResponse {
        let mut changes = self.told.subscribe();
        let enough =
            |told: &Vec<Told>| told.iter().filter(|t| matches!(t, Told::Response(_))).count() >= number;
        soon("a response on the tape", changes.wait_for(enough)).await.expect("the tape lives");
        self.responses().swap_remove(number - 1)
    }
}

impl Tape for MemoryTape {
    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(gate) = &self.room {
                gate.pass().await;
            }
        })
    }

    fn request(&self, seen: SeenRequest) {
        self.told.send_modify(|told| told.push(Told::Request(seen)));
    }

    fn response(&self, seen: SeenResponse, written: oneshot::Sender<()>) {
        match self.holding.lock().expect("no panics inside").as_mut() {
            Some(held) => held.push(written),
            None => {
                let _ = written.send(());
            }
        }
        self.told.send_modify(|told| told.push(Told::Response(seen)));
    }

    fn export(&self, _seen: SeenExport) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// The bytes of a response's frames.
pub fn bytes_of(seen: &SeenResponse) -> Vec<u8> {
    seen.frames.iter().flat_map(|(frame, _)| frame.iter().copied()).collect()
}

/// The bytes of a request.
pub fn sent_of(seen: &SeenRequest) -> Vec<u8> {
    seen.body.iter().flat_map(|frame| frame.iter().copied()).collect()
}
