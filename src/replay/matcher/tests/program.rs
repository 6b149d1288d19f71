//! Synthetic agent programs: what the model says at each place, and what the tools return.

use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// A small generator of pseudo-random numbers (xorshift64*), so that a seed names a case.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x51ed_270b_9f0c_63a1)
    }
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n.max(1)
    }
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What the model says at one place.
#[derive(Clone, Debug)]
pub struct Say {
    pub text: String,
    pub calls: Vec<(&'static str, Value)>,
    /// Attempts that fail before.
    pub fails: u32,
}

#[derive(Clone, Debug)]
pub enum Job {
    Plain(String),
    /// Something else in every run.
    Flaky,
    /// Depends on which sibling runs it, in the same way in every run.
    Hidden,
}

#[derive(Clone, Debug, Default)]
pub struct Program {
    /// By path of the lane: `0.1` for the second root of the first group, `0.1/2.0` for a child of it.
    pub script: BTreeMap<String, Vec<Say>>,
    /// Groups run in parallel, the prompts of a group one after the other.
    pub roots: Vec<Vec<String>>,
    pub jobs: HashMap<String, Job>,
    pub openai: bool,
    pub by_completion: bool,
    pub declares_retries: bool,
    pub repeats_ids: bool,
    pub agent_ids: bool,
    /// Siblings that a hidden result tells apart.
    pub has_hidden: bool,
}

/// What a program may hold.
#[derive(Clone, Copy)]
pub struct Menu {
    pub flaky: bool,
    pub retries: bool,
    /// Byte-identical children of different parents.
    pub crossed: bool,
}

struct Maker {
    rng: Rng,
    program: Program,
    said: u32,
}

impl Maker {
    fn say(&mut self, what: &str) -> String {
        self.said += 1;
        format!("{what} no. {}", self.said)
    }
    fn job(&mut self, job: Job) -> (&'static str, Value) {
        let name = format!("job-{}", self.program.jobs.len());
        self.program.jobs.insert(name.clone(), job);
        ("bash", json!({"cmd": name, "dir": "/src"}))
    }
    fn local(&mut self, flaky: bool) -> (&'static str, Value) {
        let plain = ["listing: 3 files", "built", "all good"][self.rng.below(3) as usize];
        let flaky = flaky && self.rng.chance(40);
        self.job(if flaky { Job::Flaky } else { Job::Plain(plain.to_string()) })
    }
    fn turn(&mut self, what: &str, calls: Vec<(&'static str, Value)>) -> Say {
        Say { text: self.say(what), calls, fails: 0 }
    }
    fn worker(&mut self, path: &str, menu: Menu, kids: u64) {
        let mut says = Vec::new();
        for _ in 0..self.rng.below(3) {
            let calls = (0..1 + self.rng.below(2)).map(|_| self.local(menu.flaky)).collect();
            says.push(self.turn("works", calls));
        }
        if kids > 0 {
            let prompt = if menu.crossed { "Check the leaves.".to_string() } else { self.say("Check leaf") };
            let at = self.rng.below(says.len() as u64 + 1) as usize;
            let calls = (0..kids).map(|_| ("task", json!({"prompt": prompt}))).collect();
            let turn = self.turn("delegates", calls);
            says.insert(at, turn);
            (0..kids).for_each(|k| self.worker(&format!("{path}/{at}.{k}"), menu, 0));
        }
        says.push(self.turn("concludes", vec![]));
        self.program.script.insert(path.to_string(), says);
    }
    fn hidden(&mut self, path: &str, turn: usize, n: u64) -> Say {
        let job = self.job(Job::Hidden);
        let look = self.say("looks");
        for i in 0..n {
            let first = Say { text: look.clone(), calls: vec![job.clone()], fails: 0 };
            let then = vec![self.local(false)];
            let says = vec![first, self.turn("goes on", then), self.turn("ends", vec![])];
            self.program.script.insert(format!("{path}/{turn}.{i}"), says);
        }
        self.program.has_hidden = true;
        let calls = (0..n).map(|_| ("task", json!({"prompt": "Work in your tree."}))).collect();
        self.turn("sends", calls)
    }
    fn main(&mut self, path: &str, menu: Menu) {
        let mut says: Vec<Say> = Vec::new();
        for _ in 0..1 + self.rng.below(3) {
            let (at, n) = (says.len(), 2 + self.rng.below(3));
            let say = match self.rng.below(5) {
                0 => {
                    let calls = (0..n).map(|_| self.local(menu.flaky)).collect();
                    self.turn("looks around", calls)
                }
                1 if !says.iter().any(|s| s.text.starts_with("sends")) => self.hidden(path, at, n),
                2 => {
                    let prompts: Vec<String> = (0..n).map(|_| self.say("Area")).collect();
                    (0..n).for_each(|i| self.worker(&format!("{path}/{at}.{i}"), menu, 1));
                    self.turn("splits", prompts.iter().map(|p| ("task", json!({"prompt": p}))).collect())
                }
                kind => {
                    let prompt = self.say("Review the module");
                    let kids = if kind == 3 { 2 } else { 0 };
                    (0..n).for_each(|i| self.worker(&format!("{path}/{at}.{i}"), menu, kids));
                    self.turn("fans out", (0..n).map(|_| ("task", json!({"prompt": prompt}))).collect())
                }
            };
            says.push(say);
        }
        says.push(self.turn("is done", vec![]));
        self.program.script.insert(path.to_string(), says);
    }
}

/// The program of a seed.
pub fn program(seed: u64, menu: Menu) -> Program {
    let mut maker = Maker { rng: Rng::new(seed), program: Program::default(), said: 0 };
    maker.program.openai = maker.rng.chance(50);
    maker.program.by_completion = maker.rng.chance(70);
    maker.program.repeats_ids = maker.rng.chance(20);
    maker.program.declares_retries = true;
    maker.program.agent_ids = !menu.crossed && maker.rng.chance(20);
    maker.program.roots.push(vec!["Do the work.".into()]);
    maker.main("0.0", menu);
    if maker.rng.chance(40) {
        // The same question asked three times, one after the other, each time with another answer.
        maker.program.roots.push(vec!["Vote on the plan.".into(); 3]);
        for i in 0..3 {
            let vote = maker.turn("votes", vec![]);
            maker.program.script.insert(format!("1.{i}"), vec![vote]);
        }
    }
    if maker.rng.chance(30) {
        let branches = maker.program.roots.len();
        for i in 0..3 {
            maker.program.roots.push(vec![format!("Research branch {i}.")]);
            maker.worker(&format!("{}.0", branches + i), menu, 0);
        }
    }
    // Siblings that say the same, under the same ids, have one transcript: which is which nobody can tell.
    maker.program.repeats_ids &= !maker.program.has_hidden;
    if menu.retries {
        let Maker { rng, program, .. } = &mut maker;
        for say in program.script.values_mut().flatten() {
            say.fails = if rng.chance(25) { 1 + rng.below(2) as u32 } else { 0 };
        }
    }
    maker.program
}
