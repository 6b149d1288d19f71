//! One text, layer by layer: what is in it, then what is in its escapes, its percent-encoding and its base64.

use super::coding::{self, Coding};
use super::needles::{Form, Sighting};
use super::roundtrip::Fields;
use super::{Redactor, base64_run, leaves, rules};
use crate::exchange::StandIn;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// Codings within codings are undone this often.
const DEEPEST: u8 = 4;
/// What is left of a find when stand-ins are taken out of it is replaced only when it is at least this long.
const LEFTOVER: usize = 8;

/// Which text a scan looks at.
#[derive(Clone, Copy)]
pub(super) struct Layer<'p> {
    /// How many codings were undone.
    depth: u8,
    /// Where the text lies in the body; none when it is the body.
    origin: Option<usize>,
    /// Sorted, disjoint ranges whose content was scanned in another way.
    skip: &'p [Range<usize>],
    /// True when quotes and braces are syntax, which a user's pattern must not reach into.
    structured: bool,
}

impl<'p> Layer<'p> {
    /// A whole body.
    pub(super) fn body(structured: bool, skip: &'p [Range<usize>]) -> Layer<'p> {
        Layer { depth: 0, origin: None, skip, structured }
    }

    /// Text taken out of a body at this place.
    pub(super) fn within(origin: usize) -> Layer<'static> {
        Layer { depth: 0, origin: Some(origin), skip: &[], structured: false }
    }

    fn below(&self, at: usize) -> Layer<'static> {
        Layer { depth: self.depth + 1, origin: Some(self.place(at)), skip: &[], structured: false }
    }

    fn place(&self, at: usize) -> usize {
        self.origin.unwrap_or(at)
    }

    fn skips(&self, range: &Range<usize>) -> bool {
        let next = self.skip.partition_point(|s| s.end <= range.start);
        self.skip.get(next).is_some_and(|s| s.start < range.end)
    }
}

/// How sure a find is; the surer one wins where two overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Known,
    Pattern,
    Shape,
}

struct Find {
    rank: Rank,
    range: Range<usize>,
    label: String,
    form: Form,
    /// How many levels of JSON escapes are in the range.
    escapes: u8,
    secret: Option<usize>,
}

/// What was found so far.
pub(super) struct Scan<'r> {
    redactor: &'r Redactor,
    /// The stand-ins that were put in, with their places.
    pub(super) found: Vec<(usize, StandIn)>,
    /// Labels of what was found in fields that must round-trip.
    pub(super) sealed: Vec<String>,
}

impl<'r> Scan<'r> {
    pub(super) fn new(redactor: &'r Redactor) -> Scan<'r> {
        Scan { redactor, found: Vec::new(), sealed: Vec::new() }
    }

    /// The stand-ins in the order of their places.
    pub(super) fn stand_ins(mut self) -> (Vec<StandIn>, u32) {
        self.found.sort_by_key(|(at, _)| *at);
        let sealed = u32::try_from(self.sealed.len()).unwrap_or(u32::MAX);
        (self.found.into_iter().map(|(_, s)| s).collect(), sealed)
    }

    /// Replaces every secret in a text by its stand-in, byte for byte in place. True when something was replaced.
    pub(super) fn layer(&mut self, text: &mut Cow<'_, [u8]>, layer: Layer<'_>) -> bool {
        let sightings = self.redactor.needles.find(text);
        let escaped: Vec<usize> =
            sightings.iter().filter(|s| s.form == Form::Escaped).map(|s| s.at).collect();
        let finds = self.finds(text, &sightings, &layer);
        let (mut changed, mut fields) = (false, Fields::default());
        for find in finds {
            changed |= self.replace(text, &find, &layer, &mut fields);
        }
        if layer.structured && !self.redactor.patterns.is_empty() {
            changed |= self.leaves(text, &layer);
        }
        if layer.depth < DEEPEST {
            changed |= self.below(text, &layer, &escaped);
        }
        changed
    }

    fn finds(&self, text: &[u8], sightings: &[Sighting], layer: &Layer<'_>) -> Vec<Find> {
        let mut finds = Vec::new();
        for sighting in sightings.iter().filter(|s| s.form != Form::Escaped) {
            let Some(known) = self.redactor.known.get(sighting.secret) else { continue };
            let range = sighting.at..sighting.at + sighting.length;
            if sighting.form == Form::Plain && known.is_word && !is_whole_word(text, &range) {
                continue;
            }
            let (label, secret) = (known.label.clone(), Some(sighting.secret));
            finds.push(Find { rank: Rank::Known, range, label, form: sighting.form, escapes: 0, secret });
        }
        finds.extend(self.patterns(text, layer.structured));
        let shape = |s: rules::Shape| Find {
            rank: Rank::Shape,
            range: s.range,
            label: s.label,
            form: Form::Plain,
            escapes: s.escapes,
            secret: None,
        };
        self.redactor.triggers.each(text, |at, trigger| {
            finds.extend(rules::shape_at(text, at, trigger).map(shape));
        });
        for at in memchr::memchr_iter(b'@', text) {
            finds.extend(rules::url_password_at(text, at).map(shape));
        }
        if finds.is_empty() {
            return finds;
        }
        finds.retain(|f| !f.range.is_empty() && !layer.skips(&f.range));
        self.disjoint(text, finds)
    }

    fn patterns(&self, text: &[u8], structured: bool) -> Vec<Find> {
        let mut finds = Vec::new();
        for pattern in &self.redactor.patterns {
            for captures in pattern.regex.captures_iter(text) {
                let Some(place) = captures.get(1).or_else(|| captures.get(0)) else { continue };
                let range = place.range();
                let syntax = |b: &u8| matches!(b, b'"' | b'\\' | b'{' | b'}');
                if structured && place.as_bytes().iter().any(syntax) {
                    continue;
                }
                let label = pattern.label.clone();
                finds.push(Find {
                    rank: Rank::Pattern,
                    range,
                    label,
                    form: Form::Plain,
                    escapes: 0,
                    secret: None,
                });
            }
        }
        finds
    }

    /// The finds without what overlaps a surer find or is a stand-in already, from left to right.
    fn disjoint(&self, text: &[u8], mut finds: Vec<Find>) -> Vec<Find> {
        finds.sort_by_key(|f| (f.rank, f.range.start, std::cmp::Reverse(f.range.end)));
        let mut kept: BTreeMap<usize, Find> = BTreeMap::new();
        for find in finds {
            let before = kept.range(..find.range.end).rev().map(|(_, k)| k.range.clone());
            let mut taken: Vec<Range<usize>> = before.take_while(|k| k.end > find.range.start).collect();
            if find.rank != Rank::Known {
                let inside = text.get(find.range.clone()).unwrap_or_default();
                let decoded = Coding::Escapes.decode_levels(inside, find.escapes);
                if (find.escapes > 0 && self.is_stand_in(&decoded)) || self.redactor.memory.knows(inside) {
                    continue;
                }
                let start = find.range.start;
                let stand_ins = self.redactor.memory.places(inside);
                taken.extend(stand_ins.iter().map(|r| start + r.start..start + r.end));
            }
            if taken.is_empty() {
                kept.insert(find.range.start, find);
            } else if find.rank != Rank::Known {
                for range in without(&find.range, taken).into_iter().filter(|r| r.len() >= LEFTOVER) {
                    kept.insert(range.start, Find { range, label: find.label.clone(), ..find });
                }
            }
        }
        kept.into_values().collect()
    }

    fn replace(
        &mut self,
        text: &mut Cow<'_, [u8]>,
        find: &Find,
        layer: &Layer<'_>,
        fields: &mut Fields,
    ) -> bool {
        if fields.is_sealed(text, &find.range, find.rank == Rank::Shape) {
            self.sealed.push(find.label.clone());
            return false;
        }
        let secret = match find.secret.and_then(|i| self.redactor.known.get(i)) {
            Some(known) => known.value.as_bytes().to_vec(),
            None => {
                Coding::Escapes.decode_levels(text.get(find.range.clone()).unwrap_or_default(), find.escapes)
            }
        };
        let stand_in = self.stand_in(&secret, &find.label, layer.place(find.range.start));
        let Some(place) = text.to_mut().get_mut(find.range.clone()) else { return false };
        match find.form {
            Form::Plain | Form::Escaped => Coding::Escapes.rewrite_levels(place, &stand_in, find.escapes),
            Form::Hex => {
                let upper = place.iter().any(u8::is_ascii_uppercase);
                for (digits, byte) in place.chunks_exact_mut(2).zip(&stand_in) {
                    let hex = if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
                    digits.copy_from_slice(hex.as_bytes());
                }
            }
            Form::Base64(before) => patch_base64(text.to_mut(), &find.range, before, &stand_in),
        }
        true
    }

    /// The stand-in of a secret; counted and remembered.
    pub(super) fn stand_in(&mut self, secret: &[u8], label: &str, place: usize) -> Vec<u8> {
        let stand_in = super::standin::make(&self.redactor.key, secret);
        let text = String::from_utf8_lossy(&stand_in).into_owned();
        self.redactor.memory.remember(&text, &String::from_utf8_lossy(secret));
        self.found.push((place, StandIn { label: label.to_string(), text }));
        stand_in
    }

    /// True when the text is a stand-in already.
    pub(super) fn is_stand_in(&self, text: &[u8]) -> bool {
        self.redactor.memory.is_stand_in(text)
    }

    /// The name that a known secret has in the environment.
    pub(super) fn label_of(&self, secret: &[u8]) -> Option<&'r str> {
        self.redactor.known.iter().find(|k| k.value.as_bytes() == secret).map(|k| k.label.as_str())
    }

    /// The user's patterns on each string of a JSON text, decoded.
    fn leaves(&mut self, text: &mut Cow<'_, [u8]>, layer: &Layer<'_>) -> bool {
        let mut changed = false;
        for leaf in leaves::of_json(text) {
            let coded = text.get(leaf.range.clone()).unwrap_or_default();
            if !coded.contains(&b'\\') || layer.skips(&leaf.range) {
                continue;
            }
            let mut plain: Cow<'_, [u8]> = Cow::Owned(Coding::Escapes.decode(coded));
            let finds = self.disjoint(&plain, self.patterns(&plain, false));
            let below = layer.below(leaf.range.start);
            let (mut here, mut fields) = (false, Fields::default());
            for find in finds {
                here |= self.replace(&mut plain, &find, &below, &mut fields);
            }
            if here {
                rewrite(text, &leaf.range, |coded| {
                    Coding::Escapes.rewrite(coded, &plain);
                });
            }
            changed |= here;
        }
        changed
    }

    /// The layers below: JSON escapes, percent-encoding, base64.
    fn below(&mut self, text: &mut Cow<'_, [u8]>, layer: &Layer<'_>, escaped: &[usize]) -> bool {
        let (mut changed, mut fields) = (false, Fields::default());
        for window in coding::escaped_windows(text, escaped) {
            changed |= self.window(text, layer, (window, Coding::Escapes), &mut fields);
        }
        for window in coding::percent_windows(text) {
            changed |= self.window(text, layer, (window, Coding::Percent), &mut fields);
        }
        for run in base64_run::runs(text) {
            changed |= self.run(text, layer, &run, &mut fields);
        }
        changed
    }

    fn window(
        &mut self,
        text: &mut Cow<'_, [u8]>,
        layer: &Layer<'_>,
        (window, by): (Range<usize>, Coding),
        fields: &mut Fields,
    ) -> bool {
        if layer.skips(&window) {
            return false;
        }
        let plain = by.decode(text.get(window.clone()).unwrap_or_default());
        if plain.len() == window.len() {
            return false;
        }
        let mut plain = Cow::Owned(plain);
        let found = self.found.len();
        if !self.layer(&mut plain, layer.below(window.start)) || self.is_sealed(text, &window, found, fields)
        {
            return false;
        }
        rewrite(text, &window, |coded| {
            by.rewrite(coded, &plain);
        });
        true
    }

    fn run(
        &mut self,
        text: &mut Cow<'_, [u8]>,
        layer: &Layer<'_>,
        run: &base64_run::Run,
        fields: &mut Fields,
    ) -> bool {
        let bounds = run.bounds();
        if layer.skips(&bounds) {
            return false;
        }
        let mut characters = run.characters(text);
        let old = base64_run::decode(&characters);
        let mut new = Cow::Borrowed(old.as_slice());
        let found = self.found.len();
        if !self.layer(&mut new, layer.below(bounds.start)) || self.is_sealed(text, &bounds, found, fields) {
            return false;
        }
        base64_run::rewrite(&mut characters, &old, &new);
        run.write(text.to_mut(), &characters);
        true
    }

    /// True when a place must round-trip; what was found in it since is then counted as not touched.
    fn is_sealed(&mut self, text: &[u8], place: &Range<usize>, found: usize, fields: &mut Fields) -> bool {
        let sealed = fields.is_sealed(text, place, true);
        if sealed {
            self.unfind(found);
        }
        sealed
    }

    /// Counts what was found since as not touched.
    pub(super) fn unfind(&mut self, found: usize) {
        self.sealed.extend(self.found.drain(found.min(self.found.len())..).map(|(_, s)| s.label));
    }
}

fn rewrite(text: &mut Cow<'_, [u8]>, place: &Range<usize>, by: impl FnOnce(&mut [u8])) {
    if let Some(coded) = text.to_mut().get_mut(place.clone()) {
        by(coded);
    }
}

/// Writes a stand-in over the characters at a place and the one before it, which shares bits with the first byte.
fn patch_base64(text: &mut [u8], place: &Range<usize>, before: usize, stand_in: &[u8]) {
    // The first character that holds nothing but the secret begins this many bits after the secret does.
    let skipped = (before * 8).div_ceil(6) * 6 - before * 8;
    let lead = place.start.min(1);
    let (from, to) = (place.start - lead, (place.end + 1).min(text.len()));
    let Some(slice) = text.get_mut(from..to) else { return };
    let mut characters = vec![b'='; 1 - lead];
    characters.extend_from_slice(slice);
    base64_run::patch(&mut characters, 6 - skipped, stand_in);
    slice.copy_from_slice(characters.get(1 - lead..).unwrap_or_default());
}

fn is_whole_word(text: &[u8], range: &Range<usize>) -> bool {
    rules::starts_token(text, range.start) && !text.get(range.end).is_some_and(u8::is_ascii_alphanumeric)
}

/// A range without others.
fn without(range: &Range<usize>, mut taken: Vec<Range<usize>>) -> Vec<Range<usize>> {
    taken.sort_by_key(|t| t.start);
    let mut left = Vec::new();
    let mut from = range.start;
    for t in taken {
        if t.start > from {
            left.push(from..t.start.min(range.end));
        }
        from = from.max(t.end);
    }
    if from < range.end {
        left.push(from..range.end);
    }
    left
}
