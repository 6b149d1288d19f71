//! What a model saw more, less or differently: `= 7 messages unchanged`, `+ [7] assistant …`.

use super::action;
use super::style::{Ink, Style};
use super::words::{self, clip, line};
use crate::diff::context::{MessageChange, ToolChange};
use crate::diff::tree::Tree;
use crate::diff::{ContextDiff, FieldChange, excerpt};

/// Every difference of two contexts, one or two lines each; `full` does not cut the texts.
pub fn context(diff: &ContextDiff, full: bool, style: Style) -> String {
    let mut out = Vec::new();
    let room = if full { usize::MAX } else { style.columns().saturating_sub(21).max(24) };
    if let Some((left, right)) = &diff.api {
        out.push(format!("~ interface   {} -> {}", line(left), line(right)));
    }
    if let Some((left, right)) = &diff.model {
        out.push(format!("~ model       {} -> {}", line(left), line(right)));
    }
    if let Some((left, right)) = &diff.system {
        out.push("~ system prompt".into());
        pair(&mut out, Some(left), Some(right), room, style);
    }
    for change in &diff.params {
        field(&mut out, "~ parameter  ", change, room, style);
    }
    for change in &diff.tools {
        match change {
            ToolChange::Added { tool } => {
                out.push(style.paint(Ink::Plus, &format!("+ tool        {}", line(tool))))
            }
            ToolChange::Dropped { tool } => {
                out.push(style.paint(Ink::Minus, &format!("- tool        {}", line(tool))))
            }
            ToolChange::Changed { tool, fields } => {
                out.push(format!("~ tool        {} is described differently", line(tool)));
                for change in fields {
                    field(&mut out, "", change, room, style);
                }
            }
        }
    }
    for change in &diff.messages {
        message(&mut out, change, room, style);
    }
    out.iter().map(|l| format!("  {l}\n")).collect()
}

fn message(out: &mut Vec<String>, change: &MessageChange, room: usize, style: Style) {
    let head = |sign: char, index: usize, who: &str| format!("{sign} {:<5} {who:<10}", format!("[{index}]"));
    let one_line = |text: &str| clip(&action::result(text, usize::MAX), room);
    match change {
        MessageChange::Unchanged { count, chars } => {
            let text = format!(
                "= {} unchanged ({} chars)",
                words::many(*count as u64, "message"),
                words::count(*chars as u64)
            );
            out.push(style.paint(Ink::Dim, &text));
        }
        MessageChange::Added { index, who, text } => {
            out.push(style.paint(Ink::Plus, &format!("{} {}", head('+', *index, who), one_line(text))));
        }
        MessageChange::Dropped { index, who, text } => {
            out.push(style.paint(Ink::Minus, &format!("{} {}", head('-', *index, who), one_line(text))));
        }
        MessageChange::Changed { left, right, who, fields } => {
            let moved = if left == right { String::new() } else { format!(" now [{right}]") };
            out.push(format!("{} changed{moved}", head('~', *left, who)));
            for change in fields {
                field(out, "", change, room, style);
            }
        }
        MessageChange::Truncated { left, right, who, before, after } => {
            let (l, r) = (before.chars().count(), after.chars().count());
            let moved = if left == right { String::new() } else { format!(" now [{right}],") };
            let verb = if r < l { "cut" } else { "restored" };
            let sizes = format!("{verb} from {} to {} chars", words::count(l as u64), words::count(r as u64));
            out.push(format!("{}{moved} {sizes}", head('~', *left, who)));
            pair(out, Some(before), Some(after), room, style);
        }
    }
}

/// `risk  "low" -> "high"` on one line when it fits, else on more. `lead` stands before the path.
pub fn field(out: &mut Vec<String>, lead: &str, change: &FieldChange, room: usize, style: Style) {
    let lead = if lead.is_empty() { "    " } else { lead };
    let path = line(&change.path);
    let mark = if change.varies { "  (id or clock)" } else { "" };
    let gap = if path.is_empty() { "" } else { "  " };
    let columns = room.min(200).saturating_sub(words::width(&path) + mark.len() + 4);
    if let Some(text) = short_change(change, columns) {
        out.push(format!("{lead}{path}{gap}{text}{mark}"));
        return;
    }
    if !path.is_empty() || !mark.is_empty() || !lead.trim().is_empty() {
        out.push(format!("{lead}{path}{mark}").trim_end().to_string());
    }
    pair(out, change.left.as_deref(), change.right.as_deref(), room, style);
}

/// `"low" -> "high"`, when it fits in so many columns.
pub fn short_change(change: &FieldChange, columns: usize) -> Option<String> {
    let side = |value: &Option<String>| value.as_deref().map_or_else(|| "(none)".into(), line);
    let text = format!("{} -> {}", side(&change.left), side(&change.right));
    (words::width(&text) <= columns).then_some(text)
}

/// Two texts under each other, cut so that what differs is seen.
fn pair(out: &mut Vec<String>, left: Option<&str>, right: Option<&str>, room: usize, style: Style) {
    let compact = |text: &str| Tree::parse_nested(text).map_or_else(|| line(text), |t| line(&t.to_string()));
    let (l, r) = (left.map(compact), right.map(compact));
    let (l, r) = match (l, r) {
        (Some(l), Some(r)) if room < usize::MAX => {
            let (l, r) = excerpt::differing(&l, &r, room);
            (Some(l), Some(r))
        }
        (l, r) => (l.map(|t| clip(&t, room)), r.map(|t| clip(&t, room))),
    };
    out.extend(l.map(|l| style.paint(Ink::Minus, &format!("    - {l}"))));
    out.extend(r.map(|r| style.paint(Ink::Plus, &format!("    + {r}"))));
}
