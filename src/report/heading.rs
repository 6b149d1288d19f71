//! What stands above and below the steps of a run: who it is, and what is odd about it.

use super::outcome::ended;
use super::secrets;
use super::style::{Ink, Style};
use super::words::{self, clip, line};
use crate::diff::{RunView, Totals};
use crate::run::{Ancestor, Parent, RunState};

/// Lines about requests that are no model calls.
const SERVICES: usize = 12;

/// Name, totals, outcome; then lineage, note, labels, command.
pub(super) fn heading(run: &RunView, style: Style) -> String {
    let manifest = run.manifest;
    let name = manifest.id.to_string();
    let totals = Totals::of(run);
    let mut facts = vec![format!(
        "{} ({} model, {} tool)",
        words::many(totals.steps.into(), "step"),
        totals.model_steps,
        totals.tool_steps
    )];
    facts.push(words::spent(totals.tokens_in, totals.tokens_out, totals.model_steps));
    if totals.model_steps > 0 && !totals.cost.is_unknown() {
        facts.push(format!("cost {}", line(&totals.cost.to_string())));
    }
    facts.extend(totals.duration_us.map(words::seconds));
    facts.push(ended(manifest, run.state));
    let mut out = style.paint(Ink::Strong, &name);
    let mut used = words::width(&name);
    for fact in &facts {
        let needs = words::width(fact) + 3;
        if used + needs > style.columns() {
            out.push_str("\n  ");
            used = 2;
        } else {
            out.push_str("   ");
        }
        used += needs;
        out.push_str(fact);
    }
    out.push('\n');
    let mut under = |text: String| {
        let room = style.columns().saturating_sub(2);
        out.push_str(&format!("  {}\n", style.paint(Ink::Dim, &clip(&text, room))));
    };
    if let Some(parent) = &manifest.parent {
        let edits = parent.edits.iter().map(|e| line(e)).collect::<Vec<_>>().join("  ");
        let edited = if edits.is_empty() { String::new() } else { format!(", edited {edits}") };
        under(format!("{}{edited}", lineage(run.ancestry.first(), parent)));
    }
    if let Some(note) = &manifest.note {
        under(format!("note: {}", line(note)));
    }
    if !manifest.labels.is_empty() {
        let labels: Vec<String> =
            manifest.labels.iter().map(|(k, v)| format!("{}={}", line(k), line(v))).collect();
        under(labels.join("  "));
    }
    if manifest.parent.is_none() && !manifest.command.is_empty() {
        under(format!("$ {}", command(&manifest.command)));
    }
    out.push('\n');
    out
}

/// `fork of refund.1 (steps 1-6 shared)`.
fn lineage(known: Option<&Ancestor>, parent: &Parent) -> String {
    let run = known.map_or(&parent.run, |a| &a.parent.run);
    let here = if known.is_none_or(|a| a.is_here) { "" } else { " (not in this store)" };
    if parent.replay {
        return format!("replay of {run}{here}");
    }
    match parent.at_step {
        0 => format!("fork of {run}{here} from the start"),
        1 => format!("fork of {run}{here} (step 1 shared)"),
        n => format!("fork of {run}{here} (steps 1-{n} shared)"),
    }
}

/// A command as one would type it.
pub fn command(words: &[String]) -> String {
    let quote = |word: &String| {
        let plain = |c: char| c.is_alphanumeric() || "-_./=:@%+,".contains(c);
        match word.chars().all(plain) && !word.is_empty() {
            true => word.clone(),
            false => format!("'{}'", line(word).replace('\'', "'\\''")),
        }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// What the requests did that are no model calls, equal ones together, as far as it is known.
fn services(run: &RunView) -> Vec<String> {
    let mut kinds: Vec<(String, u32)> = Vec::new();
    for said in run.outline.others.iter().filter_map(|id| run.source.service(*id)) {
        match kinds.iter_mut().find(|(known, _)| *known == said) {
            Some((_, count)) => *count += 1,
            None => kinds.push((said, 1)),
        }
    }
    let more = kinds.len().saturating_sub(SERVICES);
    let shown = kinds.iter().take(SERVICES).map(|(said, count)| match count {
        1 => format!("  {}", line(said)),
        n => format!("  {}, {n} times", line(said)),
    });
    let mut lines: Vec<String> = shown.collect();
    if more > 0 {
        lines.push(format!("  and {} more kinds of them", words::count(more as u64)));
    }
    lines
}

/// What is odd about the run as a whole. `legend`: what is odd about its steps.
pub(super) fn footing(run: &RunView, legend: Vec<String>, style: Style) -> String {
    let mut lines = legend;
    let last = run.outline.steps.len();
    match run.state {
        RunState::Interrupted => lines.push(match last {
            0 => "interrupted: the recorder died before the first step".to_string(),
            n => {
                format!("interrupted: the recorder died during or after step {n}; everything above is whole")
            }
        }),
        RunState::Incomplete => {
            let why = run
                .manifest
                .incomplete
                .as_deref()
                .map(line)
                .unwrap_or_else(|| "the reason was not noted".into());
            lines.push(format!("incomplete: not everything could be written ({why})"));
        }
        RunState::Recording => lines.push("still recording: more steps may follow".into()),
        RunState::Complete => {}
    }
    for lack in &run.manifest.lacks {
        let spoils: Vec<&str> = lack.spoils.iter().map(|spoilt| spoilt.name()).collect();
        let so =
            if spoils.is_empty() { String::new() } else { format!(": not sound for {}", spoils.join(", ")) };
        lines.push(format!("imported without {}{so}", line(&lack.what)));
    }
    let servers = run.source.servers();
    let to_servers: u32 = servers.iter().map(|server| server.messages).sum();
    if !servers.is_empty() {
        lines.push(format!("tools recorded: {}", words::servers(&servers)));
    }
    let others = run.outline.others.len().saturating_sub(to_servers as usize);
    if others > 0 {
        let what = match others {
            1 => "1 other request was recorded that is no model call".to_string(),
            n => format!("{} other requests were recorded that are no model calls", words::count(n as u64)),
        };
        lines.push(format!("{what} (token counts, model lists, unknown bodies)"));
        lines.extend(services(run));
    }
    lines.extend(secrets::replaced(run.manifest));
    if lines.is_empty() {
        return String::new();
    }
    let painted: Vec<String> = lines.iter().map(|l| format!("{}\n", style.paint(Ink::Note, l))).collect();
    format!("\n{}", painted.concat())
}
