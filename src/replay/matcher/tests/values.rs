//! What differs from run to run without meaning: where, when, and which ids came up.

use super::dice::{Dice, dice_for};
use crate::holes::Side;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const DAY_US: u64 = 86_400_000_000;
const HOUR_US: u64 = 3_600_000_000;
/// 21 November 2025, 22:30 UTC: in some zones it is tomorrow.
const BASE_US: u64 = 1_763_764_200_000_000;

static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{([a-z_]+)(?::([^{}]+))?\}").unwrap());
static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}").unwrap());
static DIRECTORY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?:run|home|tmp)-[0-9a-z]{6}\b").unwrap());

static VARYING: LazyLock<Regex> = LazyLock::new(|| {
    let name = r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{12}\b|\ba[0-9a-f]{16}\b";
    Regex::new(&format!(r"{name}|\S*\b(?:run|home|tmp)-[0-9a-z]{{6}}|20\d\d-\d\d-\d\d")).unwrap()
});

/// A text without what varies, roughly: what a tool with a list of patterns would compare.
pub fn masked(text: &str) -> String {
    VARYING.replace_all(text, "?").into_owned()
}

/// The values of one run.
pub struct Values {
    dice: Dice,
    pub side: Side,
    /// Ids that tools have made, by the lane and the job.
    made: BTreeMap<(String, String), String>,
    known: BTreeSet<String>,
}

impl Values {
    /// `days`: how many days later than others this run is.
    pub fn new(seed: u64, days: u64) -> Values {
        let mut dice = dice_for(seed, "values");
        let started_us = BASE_US + days * DAY_US + dice.below(HOUR_US);
        let home = format!("/home/home-{}", dice.hex(6));
        let directory = match dice.below(3) {
            0 => format!("{home}/src/run-{}", dice.hex(6)),
            1 => format!("/srv/run-{}", dice.hex(6)),
            _ => format!("/srv/some/where/run-{}", dice.hex(6)),
        };
        let temp = format!("/tmp/tmp-{}", dice.hex(6));
        let zone_s = dice.one_of(&[0, 7_200, -18_000]);
        let side = Side { directory, home, temp, started_us, ended_us: started_us + HOUR_US, zone_s };
        Values { dice, side, made: BTreeMap::new(), known: BTreeSet::new() }
    }

    pub fn agent_id(&mut self) -> String {
        format!("a{}", self.dice.hex(16))
    }

    /// A template with today's values. `lane` is where it is filled, `now` microseconds since the run began. What the
    /// placeholders mean:
    ///
    /// | | |
    /// |---|---|
    /// | `{root}` `{home}` `{temp}` `{slug}` | directories; the last is the working directory with dashes |
    /// | `{today}` `{tomorrow}` `{now}` `{epoch}` `{epoch_ms}` | the clock |
    /// | `{duration}` `{wall}` `{pid}` `{port}` | quantities |
    /// | `{uuid:JOB}` `{hex:JOB}` | a new name that this job makes |
    /// | `{made:JOB}` | the name that this job made, in this lane or one above it |
    pub fn fill(&mut self, template: &str, lane: &str, now: u64) -> String {
        if !template.contains('{') {
            return template.to_string();
        }
        let mut out = String::new();
        let mut done = 0;
        for found in PLACEHOLDER.captures_iter(template) {
            let (whole, what) = (found.get(0).unwrap(), found.get(1).unwrap().as_str());
            let of = found.get(2).map_or("", |m| m.as_str());
            let Some(value) = self.value(what, of, lane, now) else { continue };
            out.push_str(&template[done..whole.start()]);
            out.push_str(&value);
            done = whole.end();
        }
        out.push_str(&template[done..]);
        out
    }

    fn value(&mut self, what: &str, of: &str, lane: &str, now: u64) -> Option<String> {
        let at = self.side.started_us + now.min(HOUR_US);
        let instant = |us: u64| jiff::Timestamp::from_microsecond(us as i64).unwrap();
        let local = |us: u64| us.saturating_add_signed(i64::from(self.side.zone_s) * 1_000_000);
        let day = |us: u64| instant(local(us)).strftime("%Y-%m-%d").to_string();
        Some(match what {
            "root" => self.side.directory.clone(),
            "home" => self.side.home.clone(),
            "temp" => self.side.temp.clone(),
            "slug" => self.side.directory.replace('/', "-"),
            "today" => day(self.side.started_us),
            "tomorrow" => day(self.side.started_us + DAY_US),
            "now" => instant(at).strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "epoch" => (at / 1_000_000).to_string(),
            "epoch_ms" => (at / 1_000).to_string(),
            "duration" => self.dice.one_of(&[19, 20, 931, 1204, 9321]).to_string(),
            "wall" => format!("{}.{:04}", self.dice.below(30), self.dice.below(10_000)),
            "pid" => (2_600 + self.dice.below(40)).to_string(),
            "port" => (40_000 + self.dice.below(9_000)).to_string(),
            "uuid" | "hex" => {
                // A letter in front: twelve digits alone would be a number.
                let name = if what == "uuid" { self.dice.uuid() } else { format!("c{}", self.dice.hex(11)) };
                self.known.insert(name.clone());
                self.made.insert((lane.into(), of.into()), name.clone());
                name
            }
            "made" => self.made(of, lane),
            _ => return None,
        })
    }

    fn made(&self, job: &str, lane: &str) -> String {
        let mut lanes = std::iter::successors(Some(lane), |path| Some(path.rsplit_once('/')?.0));
        let found = lanes.find_map(|lane| self.made.get(&(lane.to_string(), job.to_string())));
        found.cloned().unwrap_or_else(|| "nothing yet".into())
    }

    /// What a tool says to arguments of another run.
    pub fn complaint(&self, arguments: &str) -> Option<String> {
        let ours = |directory: &str| {
            [&self.side.directory, &self.side.home, &self.side.temp].iter().any(|own| own.contains(directory))
        };
        if let Some(other) = DIRECTORY.find_iter(arguments).find(|m| !ours(m.as_str())) {
            return Some(format!("ERROR no such directory {}", other.as_str()));
        }
        let stale = NAME.find_iter(arguments).find(|m| !self.known.contains(m.as_str()))?;
        Some(format!("ERROR unknown object {}", stale.as_str()))
    }
}
