//! Which recorded model calls the requests of a replay were meant to be that nothing recorded was right for.
//!
//! Such a request has no answer to be known by: what it asks decides. Nothing here depends on when a conversation that
//! runs beside others came to ask, so that the same change is told in the same way each time.

use super::context::tool_name;
use super::rows::fenced;
use super::served::{At, Served};
use super::stop::not_asked;
use super::view::RunView;
use crate::dialect::conversation::{Block, ModelRequest, Role};
use crate::exchange::Source;
use crate::run::{LaneKind, StepKind, Turn};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};

/// Requests that are looked at: the first explains, the rest follow from it.
const REFUSED: usize = 16;
/// Recorded turns of a conversation that the next request may have been meant to be.
const AHEAD: usize = 8;
/// Recorded turns that a request may be held against.
const CANDIDATES: usize = 200;
/// Two texts with so much in common are versions of one.
const ALIKE: f64 = 0.5;
/// The same, of instructions, and of the messages of requests that have no instructions.
const RATHER_ALIKE: f64 = 0.3;

/// True for a request that retake itself turned down, as nothing recorded was right for it.
pub(crate) fn is_refused(run: &RunView, turn: &Turn) -> bool {
    turn.error.is_some()
        && turn.attempts.last().is_some_and(|id| run.source.source(*id) == Source::Refused)
        && fenced(run, turn).is_none()
        && !not_asked(run, turn)
}

/// The requests of a replay that had no answer, in order, each with the recorded turn that it was meant to be; none where
/// the recording has none such.
pub(super) fn partners(left: &RunView, right: &RunView, served: &Served) -> Vec<(Option<At>, At)> {
    let refused: Vec<At> = model_turns(right)
        .filter(|at| turn_at(right, *at).is_some_and(|turn| is_refused(right, turn)))
        .take(REFUSED)
        .collect();
    if refused.is_empty() {
        return Vec::new();
    }
    let taken: HashSet<At> = served.all().map(|(left, _)| left).collect();
    let mut search = Search {
        left,
        right,
        served: served.all().map(|(left, right)| (right, left)).collect(),
        free: model_turns(left).filter(|at| !taken.contains(at)).collect(),
        roles: HashSet::new(),
        read: HashMap::new(),
    };
    let begin = left.outline.lanes.len().min(CANDIDATES);
    search.roles = (0..begin).filter_map(|lane| Some(Said::at(left, (lane, 0))?.role)).collect();
    let mut found = Vec::new();
    for at in refused {
        let partner = search.partner(at);
        search.free.retain(|free| Some(*free) != partner);
        found.push((partner, at));
    }
    found
}

/// The model calls of a run, in order.
fn model_turns(run: &RunView) -> impl Iterator<Item = At> {
    run.outline.steps.iter().filter_map(|step| match step.kind {
        StepKind::Model { lane, turn } => Some((lane as usize, turn as usize)),
        StepKind::Tool { .. } => None,
    })
}

fn turn_at<'a>(run: &RunView<'a>, (lane, turn): At) -> Option<&'a Turn> {
    run.outline.lanes.get(lane)?.turns.get(turn)
}

struct Search<'a, 'r> {
    left: &'a RunView<'r>,
    right: &'a RunView<'r>,
    /// The recorded turns whose answers the turns of the replay have.
    served: HashMap<At, At>,
    /// Recorded turns, in order, that no request was answered with.
    free: Vec<At>,
    /// Hashes of the instructions that the recorded conversations begin with.
    roles: HashSet<u64>,
    read: HashMap<At, Option<Said>>,
}

impl Search<'_, '_> {
    fn partner(&mut self, at: At) -> Option<At> {
        let turn = turn_at(self.right, at)?;
        let same =
            |run: &RunView, at: At| turn_at(run, at).is_some_and(|t| t.request_key == turn.request_key);
        if let Some(twin) = self.free.iter().find(|free| same(self.left, **free)) {
            return Some(*twin);
        }
        // What was asked and answered already is asked once more.
        if model_turns(self.right)
            .any(|other| other != at && self.served.contains_key(&other) && same(self.right, other))
        {
            return None;
        }
        let asked = Said::at(self.right, at)?;
        if let Some(last) = self.goes_on_from(at) {
            let next = self.free.iter().copied().filter(|free| self.may_follow(last, *free));
            return self.nearest(&asked, &next.take(AHEAD).collect::<Vec<_>>(), true);
        }
        // Of very many, those that begin a conversation come first.
        let (begin, go_on): (Vec<At>, Vec<At>) = self.free.iter().partition(|(_, turn)| *turn == 0);
        self.nearest(&asked, &[begin, go_on].concat(), false)
    }

    /// The recorded turn that answered the request before this one in its conversation.
    fn goes_on_from(&self, (lane, turn): At) -> Option<At> {
        let before = (0..turn).rev().find_map(|turn| self.served.get(&(lane, turn)).copied());
        before.or_else(|| {
            let lane = self.right.outline.lanes.get(lane)?;
            let last = lane.continues? as usize;
            let turns = self.right.outline.lanes.get(last)?.turns.len();
            (0..turns).rev().find_map(|turn| self.served.get(&(last, turn)).copied())
        })
    }

    /// True for a recorded turn that comes behind this one in its conversation, or in one that continues it.
    fn may_follow(&self, (lane, turn): At, later: At) -> bool {
        let continues = || self.left.outline.lanes.get(later.0).and_then(|of| of.continues);
        (later.0 == lane && later.1 > turn) || (later.0 != lane && continues() == Some(lane as u32))
    }

    /// The turn that asks for what is most like this, when any asks for something of the kind. `goes_on`: they are the
    /// next ones of its own conversation, of which the first is the likeliest.
    fn nearest(&mut self, asked: &Said, among: &[At], goes_on: bool) -> Option<At> {
        let mut best: Option<((usize, f64), At)> = None;
        let is_known = !asked.system.0.is_empty() && self.roles.contains(&asked.role);
        for at in among.iter().copied().take(CANDIDATES) {
            let left = self.left;
            let read = self.read.entry(at).or_insert_with(|| Said::at(left, at));
            // Who speaks as one of the recorded agents is that one.
            let Some(said) = read.as_ref().filter(|said| !is_known || said.role == asked.role) else {
                continue;
            };
            // What begins is no later part of another conversation, but for one that forgot what was before.
            if !goes_on && at.1 > 0 && asked.begins && said.messages.is_disjoint(&asked.messages) {
                continue;
            }
            let Some(likeness) = said.likeness(asked) else { continue };
            let apart = said.messages.symmetric_difference(&asked.messages).count();
            if best.is_none_or(|((least, most), _)| {
                apart < least || (apart == least && likeness > most && !goes_on)
            }) {
                best = Some(((apart, likeness), at));
            }
        }
        best.map(|(_, at)| at)
    }
}

/// Words, each with how often it stands there.
#[derive(Default)]
struct Words(HashMap<u64, usize>);

impl Words {
    fn add(&mut self, text: &str) {
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            *self.0.entry(hash(word)).or_default() += 1;
        }
    }

    /// Only the words that tell something: long ones and numbers.
    fn add_telling(&mut self, text: &str) {
        let words = text.split(|c: char| !c.is_alphanumeric());
        let tells = |word: &&str| word.chars().count() > 3 || word.chars().any(|c| c.is_numeric());
        words.filter(tells).for_each(|word| self.add(word));
    }

    /// From 0 (no word in common) to 1 (the same words).
    fn likeness(&self, other: &Words) -> f64 {
        let all = |words: &Words| words.0.values().sum::<usize>();
        let total = all(self) + all(other);
        if total == 0 {
            return 1.0;
        }
        let common: usize = self.0.iter().map(|(word, n)| *n.min(other.0.get(word).unwrap_or(&0))).sum();
        2.0 * common as f64 / total as f64
    }
}

/// What a request says, as far as two are compared by it.
struct Said {
    system: Words,
    words: Words,
    /// Hashes of its messages, but for instructions.
    messages: HashSet<u64>,
    tools: BTreeSet<String>,
    model: String,
    is_side: bool,
    /// Hash of its instructions.
    role: u64,
    /// True when no model has said anything yet.
    begins: bool,
}

impl Said {
    fn at(run: &RunView, at: At) -> Option<Said> {
        let request = run.request_of(turn_at(run, at)?).ok()?;
        Some(Said::of(&request, run.outline.lanes.get(at.0)?.kind == LaneKind::Side))
    }

    fn of(request: &ModelRequest, is_side: bool) -> Said {
        let mut said = Said {
            system: Words::default(),
            words: Words::default(),
            messages: HashSet::new(),
            tools: request.tools.iter().map(tool_name).collect(),
            model: request.model.clone(),
            is_side,
            role: 0,
            begins: request.messages.iter().all(|message| message.role != Role::Assistant),
        };
        let mut role = String::new();
        request.system.iter().for_each(|block| role.push_str(&text_of(block)));
        for message in &request.messages {
            let texts: Vec<_> = message.blocks.iter().map(text_of).collect();
            match message.role {
                Role::System => texts.iter().for_each(|text| role.push_str(text)),
                role => {
                    texts.iter().for_each(|text| said.words.add(text));
                    said.messages.insert(hash(&(role as u8, texts)));
                }
            }
        }
        said.system.add_telling(&role);
        said.role = hash(&role);
        said
    }

    /// How alike two requests are; none when they ask for different things.
    fn likeness(&self, other: &Said) -> Option<f64> {
        let common = self.tools.intersection(&other.tools).count();
        let tools = match self.tools.union(&other.tools).count() {
            0 => 1.0,
            all => common as f64 / all as f64,
        };
        let system = self.system.likeness(&other.system);
        let words = self.words.likeness(&other.words);
        let both_have = |is_empty: &dyn Fn(&Said) -> bool| !is_empty(self) && !is_empty(other);
        let same_kind = self.tools.is_empty() == other.tools.is_empty()
            && self.system.0.is_empty() == other.system.0.is_empty();
        // Who is told to be somebody else altogether is somebody else.
        if both_have(&|said| said.system.0.is_empty()) && system < RATHER_ALIKE {
            return None;
        }
        let is_version = (both_have(&|said| said.system.0.is_empty()) && system >= ALIKE)
            || (both_have(&|said| said.tools.is_empty()) && tools >= ALIKE)
            || self.messages == other.messages
            || (same_kind && (words >= RATHER_ALIKE || !self.messages.is_disjoint(&other.messages)));
        let same = |is_same: bool| if is_same { 1.0 } else { 0.0 };
        let beside = same(self.model == other.model) + same(self.is_side == other.is_side);
        is_version.then_some(4.0 * words + 2.0 * system + 2.0 * tools + beside)
    }
}

fn text_of(block: &Block) -> std::borrow::Cow<'_, str> {
    match block {
        Block::Text { text } | Block::ToolResult { text, .. } => text.into(),
        Block::ToolCall { name, args, .. } => format!("{name} {args}").into(),
        // Models that think say it again in other words.
        Block::Reasoning { .. } => "".into(),
        Block::Other { value } => value.to_string().into(),
    }
}

fn hash(of: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
