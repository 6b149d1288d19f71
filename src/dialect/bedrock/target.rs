//! What stands in the path: `/model/NAME/VERB`, with any prefix; the name in percent-encoding.

use crate::dialect::Endpoint;
use std::ops::Range;

/// What is asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// `converse`, `converse-stream`: one protocol for every model.
    Converse { stream: bool },
    /// `invoke`, `invoke-with-response-stream`: the protocol of the model's vendor.
    Invoke { stream: bool },
    /// `count-tokens`.
    Count,
}

/// A call, as its path tells of it.
pub(super) struct Call {
    /// The model's name or ARN, decoded.
    pub(super) model: String,
    pub(super) verb: Verb,
    /// Where the name stands in the target.
    name: Range<usize>,
}

/// Models that hold no conversation: what they are asked is recorded as it is.
const WORDLESS: [&str; 7] =
    ["embed", "rerank", "stability.", "titan-image", "nova-canvas", "nova-reel", "nova-sonic"];

pub(super) fn call(target: &str) -> Option<Call> {
    let path = target.split('?').next().unwrap_or_default();
    let (before, verb) = path.rsplit_once('/')?;
    let verb = match verb {
        "converse" => Verb::Converse { stream: false },
        "converse-stream" => Verb::Converse { stream: true },
        "invoke" => Verb::Invoke { stream: false },
        "invoke-with-response-stream" => Verb::Invoke { stream: true },
        "count-tokens" => Verb::Count,
        _ => return None,
    };
    // Clients that do not encode the slash of an ARN are understood as well.
    let start = before.rfind("/model/")? + "/model/".len();
    let name = start..before.len();
    let model = decoded(target.get(name.clone())?);
    (!model.is_empty()).then_some(Call { model, verb, name })
}

/// What a request is for, if one of the two dialects has it.
pub(super) fn purpose(method: &str, target: &str) -> Option<(Verb, Endpoint)> {
    let call = call(target).filter(|_| method == "POST")?;
    match call.verb {
        Verb::Count => Some((call.verb, Endpoint::Side)),
        Verb::Invoke { .. } if WORDLESS.iter().any(|word| call.model.contains(word)) => None,
        verb => Some((verb, Endpoint::Model)),
    }
}

/// The name of the model, and whether a stream is asked for.
pub(super) fn model_and_stream(target: &str) -> (String, bool) {
    let of = |call: Call| {
        let stream = matches!(call.verb, Verb::Converse { stream: true } | Verb::Invoke { stream: true });
        (call.model, stream)
    };
    call(target).map(of).unwrap_or_default()
}

/// A target that names another model.
pub(super) fn with_model(target: &str, model: &str) -> Option<String> {
    let name = call(target)?.name;
    let (before, after) = (target.get(..name.start)?, target.get(name.end..)?);
    Some(format!("{before}{}{after}", encoded(model)))
}

/// As Amazon's clients write a name in a path.
fn encoded(name: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    name.bytes().map(|b| if is_plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn decoded(name: &str) -> String {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *first == b'%').and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
