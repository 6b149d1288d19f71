//! What stands in the path: `/v1beta/models/NAME:generateContent`, with any prefix.

use crate::dialect::Endpoint;

/// What follows the model's name in the path of a call.
struct Call {
    model: String,
    verb: String,
}

/// What a request is for, if it is of this dialect.
pub(super) fn purpose(method: &str, target: &str) -> Option<Endpoint> {
    let path = target.split('?').next().unwrap_or_default();
    // Other providers list their models under `/models` too, at other versions.
    if method == "GET" {
        let ours = path.contains("/v1beta") && (path.ends_with("/models") || path.contains("/models/"));
        return ours.then_some(Endpoint::Side);
    }
    let call = call(target).filter(|_| method == "POST")?;
    match call.verb.as_str() {
        "generateContent" | "streamGenerateContent" => Some(Endpoint::Model),
        "countTokens" | "computeTokens" => Some(Endpoint::Side),
        _ => None,
    }
}

/// The name of the model, and whether a stream is asked for.
pub(super) fn model_and_stream(target: &str) -> (String, bool) {
    call(target).map(|c| (c.model, c.verb.starts_with("stream"))).unwrap_or_default()
}

/// A target that names another model.
pub(super) fn with_model(target: &str, model: &str) -> Option<String> {
    let path = target.split('?').next().unwrap_or_default();
    let named = call(target)?;
    let start = path.rfind('/')? + 1;
    // The name stands there as it is, or in percent-encoding, up to the verb.
    let end = path.len().checked_sub(named.verb.len())?;
    let colon =
        ["%3A", "%3a", ":"].into_iter().find(|c| path.get(start..end).is_some_and(|n| n.ends_with(c)))?;
    let (before, after) = (target.get(..start)?, target.get(end - colon.len()..)?);
    let name = model.strip_prefix("models/").unwrap_or(model);
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~@".contains(&b);
    let name: String = name
        .bytes()
        .map(|b| if is_plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    Some(format!("{before}{name}{after}"))
}

/// True where a stream comes as one JSON list: without `alt=sse`.
pub(super) fn streams_a_list(target: &str) -> bool {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    model_and_stream(target).1 && !query.split('&').any(|field| field == "alt=sse")
}

/// Reads the last segment of a path, `NAME:verb`. A segment without a name, as Code Assist's `/v1internal:verb`, is
/// none: its body is another.
fn call(target: &str) -> Option<Call> {
    let path = target.split('?').next().unwrap_or_default();
    let (before, last) = path.rsplit_once('/')?;
    let last = last.replace("%3A", ":").replace("%3a", ":");
    let (model, verb) = last.rsplit_once(':')?;
    let holds_models = ["models", "tunedModels", "endpoints"];
    let named = holds_models.contains(&before.rsplit('/').next().unwrap_or_default());
    (named && !model.is_empty()).then(|| Call { model: model.to_string(), verb: verb.to_string() })
}
