//! Makes the program of a seed.

use super::dice::Dice;
use super::program::{Habits, Ids, Job, MAIN, Menu, Program, Say, Summary, Votes};
use serde_json::{Value, json};

type Call = (&'static str, Value);

struct Maker {
    dice: Dice,
    menu: Menu,
    program: Program,
    said: u32,
    /// Lanes that may still be made.
    room: u64,
}

/// The program of a seed.
pub fn program(seed: u64, menu: Menu) -> Program {
    let mut dice = Dice::new(seed);
    let room = if menu.large { 24 + dice.below(41) } else { 4 + dice.below(9) };
    let mut maker = Maker { dice, menu, program: Program::default(), said: 0, room };
    maker.wire();
    let names_agents = maker.dice.chance(20) && !menu.crossed;
    maker.program.main = maker.habits("You do the work.", true, names_agents);
    maker.program.other = Habits { votes: None, compacts: None, rewinds: None, ..maker.program.main.clone() };
    maker.program.worker = maker.habits("You work for another.", false, names_agents);
    maker.roots();
    maker.restrain();
    maker.program
}

impl Maker {
    fn wire(&mut self) {
        let Maker { dice, menu, program, .. } = self;
        program.tool_messages = dice.chance(50);
        program.ids = if menu.chat {
            Ids::Absent
        } else if dice.chance(20) {
            Ids::Repeated
        } else {
            Ids::Unique
        };
        program.lossy = menu.sides && menu.undecidable;
    }

    /// `main`: of the lane that the others begin in.
    fn habits(&mut self, system: &str, main: bool, names_agents: bool) -> Habits {
        let Maker { dice, menu, .. } = self;
        let mut system = system.to_string();
        if menu.paths {
            system +=
                " You are in {root}. Notes are in {home}/.agent/projects/{slug}/notes, drafts in {temp}.";
        }
        if menu.dates {
            system += " Today is {today}.";
        }
        let how = if menu.flattened || dice.chance(50) { Summary::Aside } else { Summary::Inside };
        let votes = if main { menu.votes || menu.votes_at_once } else { menu.undecidable && dice.chance(30) };
        // Only the main lane may go back to its beginning: there nothing else begins alike.
        let turn = 2 + dice.below(2) as u32;
        let rewinds = if main { (turn - dice.below(2) as u32, 1 + dice.below(3) as u32) } else { (turn, 1) };
        Habits {
            system,
            names_agents,
            by_completion: dice.chance(70),
            titles: menu.sides && dice.chance(70),
            probes: menu.sides && main,
            votes: votes.then_some(Votes { count: 3, at_once: menu.votes_at_once }),
            compacts: (menu.compaction && dice.chance(80)).then(|| (1 + dice.below(2) as u32, how)),
            // What goes back forgets results that nobody was sent: ids in them could not be known.
            rewinds: (menu.rewinds && !menu.names && dice.chance(70)).then_some(rewinds),
            drops_reasoning: menu.rewrites && dice.chance(80),
            clears: menu.rewrites && dice.chance(80),
            reminds: menu.rewrites && dice.chance(50),
            joins_results: dice.chance(50),
            signs_results: menu.names && !menu.chat && dice.chance(60),
        }
    }

    fn roots(&mut self) {
        let about = match (self.menu.paths, self.menu.dates) {
            (true, _) => "Do the work in {root}.",
            (_, true) => "Do the work until {tomorrow}.",
            _ => "Do the work.",
        };
        self.program.roots.push(vec![about.into()]);
        self.main(MAIN);
        if self.dice.chance(30) {
            // The same question asked three times, one after the other, each time with another answer.
            self.program.roots.push(vec!["Which plan is best?".into(); 3]);
            for i in 0..3 {
                let answer = self.turn("prefers", vec![]);
                self.program.script.insert(format!("1.{i}"), vec![answer]);
            }
        }
        if self.dice.chance(30) {
            let group = self.program.roots.len();
            for i in 0..3 {
                self.program.roots.push(vec![format!("Research branch {i}.")]);
                self.worker(&format!("{}.0", group + i), 0);
            }
        }
    }

    /// The conversation that everything else begins in.
    fn main(&mut self, path: &str) {
        let mut says: Vec<Say> = Vec::new();
        let most = if self.menu.large { 6 } else { 3 };
        for _ in 0..1 + self.dice.below(most) {
            let (at, n) = (says.len(), 2 + self.dice.below(3));
            let say = match self.dice.below(6) {
                0 => {
                    let calls = (0..n).map(|_| self.local()).collect();
                    self.turn("looks around", calls)
                }
                1 if !self.program.has_hidden() && !self.menu.distinct => self.hidden(path, at, n),
                2 => self.split(path, at, n),
                3 if self.menu.names => {
                    says.push(self.makes_objects(n));
                    self.hand_out(path, at + 1, &says[at].calls.clone())
                }
                3 | 4 if self.menu.dates => self.fan_out(
                    path,
                    at,
                    &["{today}", "{tomorrow}"].map(|day| format!("Report until {day}.")),
                    0,
                ),
                kind => {
                    let prompts = self.prompts("Review the module", n);
                    let kids = if kind == 3 { 2 } else { 0 };
                    self.fan_out(path, at, &prompts, kids)
                }
            };
            says.push(say);
        }
        says.push(self.turn("is done", vec![]));
        self.program.script.insert(path.to_string(), says);
    }

    /// Sub-agents, each with a prompt.
    fn fan_out(&mut self, path: &str, at: usize, prompts: &[String], kids: u64) -> Say {
        let prompts = &prompts[..prompts.len().min(self.room.max(1) as usize)];
        self.room = self.room.saturating_sub(prompts.len() as u64);
        (0..prompts.len()).for_each(|i| self.worker(&format!("{path}/{at}.{i}"), kids));
        self.turn("fans out", prompts.iter().map(|p| ("task", json!({"prompt": p}))).collect())
    }

    /// Sub-agents for different areas, which have sub-agents of their own.
    fn split(&mut self, path: &str, at: usize, n: u64) -> Say {
        let prompts: Vec<String> = (0..n).map(|_| self.say("Area")).collect();
        self.fan_out(path, at, &prompts, 1)
    }

    /// Sub-agents that say the same first; then each sees another tree, or makes an object of its own, which tells
    /// nobody which is which.
    fn hidden(&mut self, path: &str, turn: usize, n: u64) -> Say {
        let makes = self.menu.names && self.dice.chance(50);
        let name = format!("job-{}", self.program.jobs.len());
        let job = if makes { Job::Returns(format!("created {{uuid:{name}}}")) } else { Job::Hidden };
        let job = self.job(job, "");
        let look = self.say("looks");
        for i in 0..n {
            let text = if self.menu.undecidable { self.say("looks") } else { look.clone() };
            let first = Say { text, calls: vec![job.clone()], ..Say::default() };
            let then = if makes { self.uses(&name) } else { self.local() };
            let says = vec![first, self.turn("goes on", vec![then]), self.turn("ends", vec![])];
            self.program.script.insert(format!("{path}/{turn}.{i}"), says);
        }
        let calls = (0..n).map(|_| ("task", json!({"prompt": "Work in your tree."}))).collect();
        self.turn("sends", calls)
    }

    /// A command on what a job has made.
    fn uses(&mut self, name: &str) -> Call {
        self.job(Job::Returns("used".into()), &format!("on {{made:{name}}}"))
    }

    /// Commands that make one object each.
    fn makes_objects(&mut self, n: u64) -> Say {
        let made = |maker: &mut Maker| {
            let kind = maker.dice.one_of(&["uuid", "hex"]);
            let name = format!("job-{}", maker.program.jobs.len());
            maker.job(Job::Returns(format!("created {{{kind}:{name}}}")), "")
        };
        let calls = (0..n).map(|_| made(self)).collect();
        self.turn("makes objects", calls)
    }

    /// Sub-agents for the objects of the calls before.
    fn hand_out(&mut self, path: &str, at: usize, makers: &[Call]) -> Say {
        let names: Vec<String> = makers
            .iter()
            .map(|(_, args)| self.program.job(args["cmd"].as_str().unwrap()).0.to_string())
            .collect();
        for (i, name) in names.iter().enumerate() {
            let uses = self.uses(name);
            let mut first = self.turn("takes", vec![uses]);
            first.text += &format!(" {{made:{name}}}");
            let says = vec![first, self.turn("has used it", vec![])];
            self.program.script.insert(format!("{path}/{at}.{i}"), says);
        }
        let prompt = |name: &String| ("task", json!({"prompt": format!("Process {{made:{name}}}.")}));
        self.turn("hands out", names.iter().map(prompt).collect())
    }

    /// A lane that runs commands, perhaps delegates once, and concludes.
    fn worker(&mut self, path: &str, kids: u64) {
        let mut says = Vec::new();
        for _ in 0..self.dice.below(3) {
            let calls = (0..1 + self.dice.below(2)).map(|_| self.local()).collect();
            says.push(self.turn("works", calls));
        }
        if self.menu.names && self.dice.chance(30) {
            // An object of its own: siblings begin alike and are told apart by what they make.
            says.push(self.makes_objects(1));
            let name =
                self.program.job(says[says.len() - 1].calls[0].1["cmd"].as_str().unwrap()).0.to_string();
            let uses = self.uses(&name);
            says.push(self.turn("uses its own", vec![uses]));
        }
        let kids = kids.min(self.room);
        if kids > 0 {
            self.room -= kids;
            let prompts = if self.menu.crossed {
                vec!["Check the leaves.".to_string(); kids as usize]
            } else {
                self.prompts("Check leaf", kids)
            };
            let at = self.dice.below(says.len() as u64 + 1) as usize;
            let deeper = if self.menu.large && self.dice.chance(30) { 2 } else { 0 };
            let calls = prompts.iter().map(|p| ("task", json!({"prompt": p}))).collect();
            let turn = self.turn("delegates", calls);
            says.insert(at, turn);
            (0..kids).for_each(|k| self.worker(&format!("{path}/{at}.{k}"), deeper));
        }
        says.push(self.turn("concludes", vec![]));
        self.program.script.insert(path.to_string(), says);
    }

    fn say(&mut self, what: &str) -> String {
        self.said += 1;
        format!("{what}: this is no. {}", self.said)
    }

    /// Prompts for sub-agents: all the same, unless that is not wanted.
    fn prompts(&mut self, what: &str, n: u64) -> Vec<String> {
        let first = self.say(what);
        (0..n).map(|_| if self.menu.distinct { self.say(what) } else { first.clone() }).collect()
    }

    fn turn(&mut self, what: &str, calls: Vec<Call>) -> Say {
        let reasoning = self.menu.rewrites.then(|| self.say("Hm,"));
        Say { text: self.say(what), reasoning, calls, fails: 0 }
    }

    fn job(&mut self, job: Job, arguments: &str) -> Call {
        let name = format!("job-{}", self.program.jobs.len());
        let command = format!("{name} {arguments}").trim_end().to_string();
        self.program.jobs.insert(name, job);
        ("bash", json!({"cmd": command, "shell": "/bin/sh"}))
    }

    /// A command, and what comes of it.
    fn local(&mut self) -> Call {
        let menu = self.menu;
        let mut kinds = vec!["listing: 3 files", "built", "all good"];
        if menu.quantities {
            kinds.extend([
                "built\nWall time: {wall} seconds",
                "done\nduration_ms: {duration}",
                "started, PGID: {pid}",
                "listening on http://127.0.0.1:{port}/v1",
                "finished at {now}",
                "{\"ok\": true, \"at\": \"{now}\", \"duration_ms\": {duration}}",
                "started_at: {epoch}, ended_at_ms: {epoch_ms}",
            ]);
        }
        if menu.paths {
            kinds.extend([
                "listing of {root}/src: 3 files",
                "written to {temp}/out.txt",
                "{\"file\": \"{root}/a.rs\", \"log\": \"{home}/.cache/log\"}",
                "see {home}/.agent/projects/{slug}/notes",
            ]);
        }
        if menu.dates {
            kinds.extend(["report of {today}", "due {tomorrow}, nothing since 2024-03-01"]);
        }
        let job = if menu.flaky && self.dice.chance(40) {
            Job::Flaky
        } else {
            Job::Returns(self.dice.one_of(&kinds).to_string())
        };
        let arguments =
            if menu.paths { self.dice.one_of(&["--dir {root}", "> {temp}/out.txt", ""]) } else { "" };
        self.job(job, arguments)
    }

    /// Takes back what would leave nobody a chance, unless that is wanted; and lets calls fail.
    fn restrain(&mut self) {
        let menu = self.menu;
        let Maker { program, dice, .. } = self;
        if program.sends_twins() && program.ids == Ids::Repeated && !menu.undecidable {
            // Siblings that say the same, under the same ids, have one transcript.
            program.ids = Ids::Unique;
        }
        for habits in [&mut program.main, &mut program.other, &mut program.worker] {
            if !menu.flattened && (menu.chat || habits.compacts.is_some_and(|c| c.1 == Summary::Aside)) {
                habits.by_completion = false;
            }
            if habits.compacts.is_some() {
                habits.rewinds = None;
            }
        }
        if menu.retries {
            for say in program.script.values_mut().flatten() {
                say.fails = if dice.chance(25) { 1 + dice.below(2) as u32 } else { 0 };
            }
        }
        program.undecidable = menu.undecidable;
    }
}

impl Program {
    fn has_hidden(&self) -> bool {
        self.jobs.values().any(|job| matches!(job, Job::Hidden))
    }

    /// True when some siblings begin with the same answer.
    fn sends_twins(&self) -> bool {
        self.script.values().flatten().any(|say| say.text.starts_with("sends"))
    }
}
