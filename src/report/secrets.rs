//! Which secrets were replaced: where they stood or what they looked like, never what they were.

use super::words::{line, many};
use crate::redact;
use crate::run::Manifest;

/// More kinds are counted, not named.
const NAMED: usize = 5;

/// `2 secrets replaced: authorization header, openai-key`; none when there was no secret.
pub fn replaced(manifest: &Manifest) -> Option<String> {
    if manifest.stand_ins == 0 {
        return None;
    }
    let mut kinds: Vec<String> = manifest.replaced.iter().take(NAMED).map(|(l, n)| kind(l, *n)).collect();
    let more = manifest.replaced.len().saturating_sub(NAMED);
    if more > 0 {
        kinds.push(format!("{more} more kinds").replace("1 more kinds", "1 more kind"));
    }
    let named = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
    Some(format!("{} replaced{named}", many(manifest.stand_ins.into(), "secret")))
}

fn kind(label: &str, count: u32) -> String {
    let times = if count > 1 { format!(" ({count})") } else { String::new() };
    let variable = label.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    match label {
        _ if variable => format!("${label}{times}"),
        _ if redact::is_credential_header(label) => format!("{label} header{times}"),
        _ => format!("{}{times}", line(label)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::tests::fake::Fake;

    #[test]
    fn names_what_was_replaced() {
        let mut manifest = Fake::new("a.1").manifest;
        assert_eq!(replaced(&manifest), None);
        manifest.stand_ins = 4;
        assert_eq!(replaced(&manifest).as_deref(), Some("4 secrets replaced"), "an older recording");
        for (label, n) in [("authorization", 1), ("OPENAI_API_KEY", 1), ("aws-access-key", 2)] {
            manifest.replaced.insert(label.into(), n);
        }
        let said = "4 secrets replaced: $OPENAI_API_KEY, authorization header, aws-access-key (2)";
        assert_eq!(replaced(&manifest).as_deref(), Some(said));
        for n in 0..3 {
            manifest.replaced.insert(format!("z{n}"), 1);
        }
        assert!(replaced(&manifest).is_some_and(|s| s.ends_with("z1, 1 more kind")));
    }
}
