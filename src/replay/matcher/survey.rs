//! What comparisons look up in the whole recording: read once, by whoever needs it first or by a thread ahead of them.

use super::first::Beginnings;
use super::segments::Backdrop;
use super::{Matcher, Recording};
use crate::holes::Holes;
use crate::run::likeness::Key;
use std::collections::HashSet;
use std::sync::OnceLock;

/// What was read of a whole recording. Whoever asks while another reads waits for it.
#[derive(Debug, Default)]
pub(super) struct Survey {
    names: OnceLock<HashSet<String>>,
    beginnings: OnceLock<Beginnings>,
}

impl Survey {
    /// All names in the recording.
    pub fn names(&self, recording: &impl Recording, holes: &Holes) -> &HashSet<String> {
        self.names.get_or_init(|| recorded_names(recording, holes))
    }

    /// Lanes by what their first requests say.
    pub fn beginnings(&self, recording: &impl Recording, holes: &Holes) -> &Beginnings {
        self.beginnings.get_or_init(|| Beginnings::new(recording, holes))
    }
}

impl<R: Recording> Matcher<R> {
    /// What reads ahead in another thread, where this replay is going to need it from its first request on: one in
    /// another directory, or on another day.
    pub fn reads_ahead(&self) -> Option<impl FnOnce() + Send + use<R>>
    where
        R: Clone + Send + 'static,
    {
        let (recording, holes, survey) = (self.recording.clone(), self.holes.clone(), self.survey.clone());
        (!self.holes.is_same_world()).then_some(move || {
            survey.beginnings(&recording, &holes);
            survey.names(&recording, &holes);
        })
    }

    /// Reads it now, so that copies made from now on need not.
    pub(in crate::replay) fn read_ahead(&self) {
        self.beginnings();
        self.split("", "");
        self.meet_all();
    }

    /// Lanes by what their first requests say.
    pub(super) fn beginnings(&self) -> &Beginnings {
        self.survey.beginnings(&self.recording, &self.holes)
    }

    /// All names in the recording.
    pub(super) fn recorded_names(&self) -> &HashSet<String> {
        self.survey.names(&self.recording, &self.holes)
    }
}

/// The names in a recording: a lane's last request holds its history. One that cannot be read holds none: whoever is
/// served from it is told so.
fn recorded_names(recording: &impl Recording, holes: &Holes) -> HashSet<String> {
    let mut names = HashSet::new();
    let mut read: HashSet<Key> = HashSet::new();
    for (lane, l) in recording.outline().lanes.iter().enumerate() {
        let (Some(last), Some(turn)) = (l.turns.last(), l.turns.len().checked_sub(1)) else { continue };
        if read.insert(last.request_key)
            && let Ok(request) = recording.request(lane as u32, turn as u32)
        {
            let said = request.system.iter().chain(request.messages.iter().flat_map(|m| &m.blocks));
            holes.names(said, &request.tools, &mut names);
        }
        if let Ok(answer) = recording.answer(lane as u32, turn as u32) {
            holes.names(answer.blocks.iter(), &[], &mut names);
        }
    }
    names
}
