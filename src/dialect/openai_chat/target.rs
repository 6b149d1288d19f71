//! What stands in the path: Azure's deployment, and whether an answer is a text or a message.

use std::ops::Range;

/// Where the name of a deployment stands: `/openai/deployments/NAME/chat/completions`.
fn place(target: &str) -> Option<Range<usize>> {
    const BEFORE: &str = "/deployments/";
    let path = target.split('?').next().unwrap_or_default();
    let start = path.find(BEFORE)? + BEFORE.len();
    let length = path.get(start..)?.find('/')?;
    (length > 0).then_some(start..start + length)
}

/// The deployment that a request is for: at Azure it decides which model answers, whatever the body says.
pub(super) fn deployment(target: &str) -> Option<&str> {
    target.get(place(target)?)
}

/// A target that names another deployment; none where none is named.
pub(super) fn with_deployment(target: &str, name: &str) -> Option<String> {
    let place = place(target)?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let name: String = name
        .bytes()
        .map(|b| if is_plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    Some(format!("{}{name}{}", target.get(..place.start)?, target.get(place.end..)?))
}

/// True for the legacy completions, whose answers are texts. Mistral's own kinds answer with messages.
pub(super) fn is_text_completion(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let of_messages = ["/chat/completions", "/fim/completions", "/agents/completions"];
    path.ends_with("/completions") && !of_messages.iter().any(|end| path.ends_with(end))
}
