//! A made-up coding agent: what it sends and what it is told, in one world or another.
//!
//! Everything that may differ from run to run comes from the [`World`]; the rest depends on lane and turn alone.

use serde_json::{Value, json};
use std::fmt::Write;

/// Where and when a run takes place.
pub struct World {
    pub directory: &'static str,
    pub home: &'static str,
    pub day: &'static str,
    /// The same day at noon, in seconds since the Unix epoch.
    pub noon: u64,
    /// Makes its ids others than those of other worlds.
    pub salt: u64,
}

/// Where the recording was made.
pub const THEN: World = World {
    directory: "/srv/ci/checkouts/billing-service",
    home: "/home/ci",
    day: "2026-11-21",
    noon: 1_795_262_400,
    salt: 1,
};

/// Where it is replayed: nothing is as it was.
pub const NOW: World = World {
    directory: "/Users/maria/work/billing",
    home: "/Users/maria",
    day: "2026-11-24",
    noon: 1_795_521_600,
    salt: 2,
};

/// How much the agent says.
#[derive(Clone, Copy)]
pub struct Size {
    pub lanes: usize,
    pub turns: usize,
    /// Bytes of the system prompt, of all tools, and of each tool result.
    pub system: usize,
    pub tools: usize,
    pub result: usize,
}

/// Turns of a lane that re-sends about 300 KB at its end.
pub const LONG: Size = Size { lanes: 1, turns: 200, system: 20_000, tools: 40_000, result: 900 };
/// A single question.
pub const SHORT: Size = Size { lanes: 10_000, turns: 1, system: 300, tools: 300, result: 0 };

/// Numbers that look random and are the same every time.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x2545_F491_4F6C_DD1D)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[(self.roll() % of.len() as u64) as usize]
    }
}

const WORDS: [&str; 24] = [
    "order", "refund", "invoice", "ledger", "the", "payment", "is", "customer", "must", "batch", "queue",
    "when", "retry", "of", "limit", "amount", "in", "to", "handler", "config", "session", "and", "worker",
    "Event",
];

fn prose(dice: &mut Dice, length: usize) -> String {
    let mut out = String::with_capacity(length + 16);
    while out.len() < length {
        out.push_str(dice.pick(&WORDS));
        out.push_str(if dice.roll().is_multiple_of(13) { ".\n" } else { " " });
    }
    out
}

/// Source code and logs, as tools return them: about so many bytes, as many lines in every world.
fn material(world: &World, dice: &mut Dice, length: usize) -> String {
    let mut out = String::with_capacity(length + 160);
    for _ in 0..length / 54 {
        let (a, b, n) = (dice.pick(&WORDS), dice.pick(&WORDS), dice.roll() % 10_000);
        let _ = match dice.roll() % 8 {
            0 => writeln!(out, "    def {a}_{b}(self, {b}_id: int = {n}) -> Optional[{a}]:"),
            1 => writeln!(out, "        return self._{a}.get('{b}', {{\"{a}\": {n}}})  # as {a}"),
            2 => writeln!(out, "{n:>6}\t    if {a}.{b} >= {n} and not {a}.is_{b}():"),
            3 => {
                writeln!(out, "{} 12:{:02}:{:02} INFO {a}.{b}: handled {n} of {n}", world.day, n % 60, n % 59)
            }
            4 => writeln!(out, "{}/src/{a}/{b}.py:{n}: warning: {a} is not {b}", world.directory),
            5 => writeln!(
                out,
                "commit {:08x}{:08x} touches {a}/{b}.rs",
                dice.roll() as u32,
                dice.roll() as u32
            ),
            6 => writeln!(out, "import {a}.{b} as {b}{n}"),
            _ => writeln!(out, "{}", prose(dice, 60)),
        };
    }
    out
}

fn uuid(world: &World, lane: usize, turn: usize) -> String {
    let mut dice = Dice::new(world.salt << 40 | (lane as u64) << 20 | turn as u64);
    let (a, b) = (dice.roll(), dice.roll());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        a as u16,
        b >> 52,
        (b >> 40) & 0xfff,
        b & 0xffff_ffff_ffff
    )
}

fn agent_id(world: &World, lane: usize, turn: usize) -> String {
    format!("a{:016x}", Dice::new(world.salt << 50 | (lane as u64) << 20 | turn as u64).roll())
}

/// System prompt and tools: `"system":…,"tools":…`.
pub fn head(world: &World, size: Size) -> String {
    let mut dice = Dice::new(7);
    let env = format!(
        "You are a coding agent.\nWorking directory: {}\nHome: {}\nToday's date: {}\nPlatform: linux\n\n",
        world.directory, world.home, world.day
    );
    let system = env + &prose(&mut dice, size.system);
    let each = 2_000.min(size.tools);
    let tools: Vec<Value> = (0..size.tools / each)
        .map(|i| {
            let field = |what: &str| json!({"type": "string", "description": what});
            json!({
                "name": format!("tool_{i}"),
                "description": prose(&mut dice, each.saturating_sub(300)),
                "input_schema": {"type": "object", "required": ["path"], "properties": {
                    "path": field("Absolute path of the file, at most 4096 bytes"),
                    "limit": {"type": "integer", "minimum": 1, "maximum": 2000},
                    "mode": {"type": "string", "enum": ["read", "write", "append"]},
                }},
            })
        })
        .collect();
    format!("\"system\":{},\"tools\":{}", json!([{"type": "text", "text": system}]), Value::from(tools))
}

/// The message that a lane begins with.
pub fn beginning(world: &World, lane: usize) -> Value {
    let text = format!(
        "Task {lane}: look at {}/src/module_{lane}.py and {}/notes.md, then fix issue {}.",
        world.directory,
        world.home,
        lane * 7 + 1
    );
    json!({"role": "user", "content": text})
}

/// The model's answer to a turn.
pub fn answer(world: &World, lane: usize, turn: usize) -> Value {
    let mut dice = Dice::new((lane * 1_000 + turn) as u64);
    let path = format!("{}/src/{}_{turn}.py", world.directory, dice.pick(&WORDS));
    let about = match turn {
        0 => String::new(),
        _ => format!(" for job {}", uuid(world, lane, turn - 1)),
    };
    let said = format!("I will read {path}{about}. {}", prose(&mut dice, 80));
    let call = json!({"type": "tool_use", "id": format!("toolu_{lane:05}_{turn:05}"), "name": "tool_3",
        "input": {"path": path, "limit": 200, "mode": "read"}});
    json!([{"type": "text", "text": said}, call])
}

/// The message with the result of that answer's call. `other`: something that no hole covers.
pub fn result(world: &World, lane: usize, turn: usize, size: Size, other: &str) -> Value {
    let mut dice = Dice::new((lane * 1_000 + turn) as u64 + 500_000_000);
    let mut own = Dice::new(world.salt << 30 | (lane * 1_000 + turn) as u64);
    let text = format!(
        "job {} done by agentId: {} in {}.{:02}s, duration_ms: {}\n{}{other}",
        uuid(world, lane, turn),
        agent_id(world, lane, turn),
        own.roll() % 9,
        own.roll() % 100,
        own.roll() % 5_000,
        material(world, &mut dice, size.result)
    );
    json!({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": format!("toolu_{lane:05}_{turn:05}"), "content": text}]})
}

/// The requests of a lane, one a turn.
pub struct Conversation<'w> {
    world: &'w World,
    lane: usize,
    size: Size,
    head: String,
    messages: String,
    turn: usize,
    /// From this turn on its last result says something else.
    pub drifts_at: Option<usize>,
}

impl<'w> Conversation<'w> {
    pub fn new(world: &'w World, lane: usize, size: Size) -> Conversation<'w> {
        let (head, messages) = (head(world, size), beginning(world, lane).to_string());
        Conversation { world, lane, size, head, messages, turn: 0, drifts_at: None }
    }
}

impl Iterator for Conversation<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.turn == self.size.turns {
            return None;
        }
        if self.turn > 0 {
            let before = self.turn - 1;
            let said = json!({"role": "assistant", "content": answer(self.world, self.lane, before)});
            let other = if self.drifts_at == Some(self.turn) { "one more line\n" } else { "" };
            let result = result(self.world, self.lane, before, self.size, other);
            let _ = write!(self.messages, ",{said},{result}");
        }
        self.turn += 1;
        let body = format!(
            "{{\"model\":\"m-1\",\"max_tokens\":4096,\"stream\":false,{},\"messages\":[{}]}}",
            self.head, self.messages
        );
        Some(body.into_bytes())
    }
}

/// A whole answer, as it is on the wire.
pub fn response(world: &World, lane: usize, turn: usize) -> Vec<u8> {
    json!({"type": "message", "role": "assistant", "id": format!("msg_{lane}_{turn}"), "model": "m-1",
        "content": answer(world, lane, turn), "stop_reason": "tool_use",
        "usage": {"input_tokens": 9, "output_tokens": 9}})
    .to_string()
    .into_bytes()
}
