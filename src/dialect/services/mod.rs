//! What else is asked of the providers, in one line: embeddings, moderation, images, audio, ranking, files, batches. Such
//! calls are recorded and replayed as bytes; only lists and reports read them.

mod asked;
mod came;
#[cfg(test)]
mod tests;

use super::reply;
use super::summary::{one_line, shorten};
use crate::exchange::{RequestHead, ResponseHead};
use asked::Asked;
use came::Came;

/// One such call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Method, path and headers.
    pub head: &'a RequestHead,
    /// The request's body, decoded.
    pub body: &'a [u8],
    /// The answer's head and its body, decoded; none when none came.
    pub answer: Option<(&'a ResponseHead, &'a [u8])>,
}

/// A kind of call.
struct Service {
    method: &'static str,
    /// What its path ends in; a `*` stands for one segment.
    paths: &'static [&'static str],
    /// What it does.
    does: fn(&Asked<'_>) -> String,
    /// What came of it.
    gives: fn(&Came<'_>) -> String,
}

/// Every kind that is known. OpenAI's paths, which many servers have; Cohere's, Voyage's, Ollama's and Gemini's own.
const SERVICES: &[Service] = &[
    Service {
        method: "POST",
        paths: &["embeddings", "embed", "*:embedContent", "*:batchEmbedContents"],
        does: |asked| asked.embeds(),
        gives: |came| came.vectors(),
    },
    Service {
        method: "POST",
        paths: &["moderations"],
        does: |asked| asked.moderates(),
        gives: |came| came.verdict(),
    },
    Service {
        method: "POST",
        paths: &["images/generations"],
        does: |asked| asked.draws(),
        gives: |came| came.images(),
    },
    Service {
        method: "POST",
        paths: &["images/edits", "images/variations"],
        does: |asked| asked.redraws(),
        gives: |came| came.images(),
    },
    Service {
        method: "POST",
        paths: &["audio/speech"],
        does: |asked| asked.speaks(),
        gives: |came| came.bytes(),
    },
    Service {
        method: "POST",
        paths: &["audio/transcriptions"],
        does: |asked| asked.hears("transcribes"),
        gives: |came| came.text(),
    },
    Service {
        method: "POST",
        paths: &["audio/translations"],
        does: |asked| asked.hears("translates"),
        gives: |came| came.text(),
    },
    Service { method: "POST", paths: &["rerank"], does: |asked| asked.ranks(), gives: |came| came.ranking() },
    Service { method: "POST", paths: &["files"], does: |asked| asked.uploads(), gives: |came| came.file() },
    Service { method: "GET", paths: &["files"], does: |_| "lists files".into(), gives: |came| came.list() },
    Service {
        method: "GET",
        paths: &["files/*/content"],
        does: |asked| format!("downloads {}", asked.segment(1)),
        gives: |came| came.bytes(),
    },
    Service {
        method: "GET",
        paths: &["files/*"],
        does: |asked| format!("looks at {}", asked.segment(0)),
        gives: |came| came.file(),
    },
    Service {
        method: "DELETE",
        paths: &["files/*"],
        does: |asked| format!("deletes {}", asked.segment(0)),
        gives: |_| "deleted".into(),
    },
    Service { method: "POST", paths: &["batches"], does: |asked| asked.starts(), gives: |came| came.batch() },
    Service {
        method: "GET",
        paths: &["batches"],
        does: |_| "lists batches".into(),
        gives: |came| came.list(),
    },
    Service {
        method: "GET",
        paths: &["batches/*"],
        does: |asked| format!("looks at {}", asked.segment(0)),
        gives: |came| came.batch(),
    },
    Service {
        method: "POST",
        paths: &["batches/*/cancel"],
        does: |asked| format!("cancels {}", asked.segment(1)),
        gives: |came| came.batch(),
    },
];

impl Service {
    fn fits(&self, method: &str, path: &str) -> bool {
        self.method == method && self.paths.iter().any(|end| ends_in(path, end))
    }
}

/// True where the last segments of a path are these.
fn ends_in(path: &str, end: &str) -> bool {
    let mut segments = path.rsplit('/');
    end.rsplit('/').all(|wanted| {
        segments.next().is_some_and(|segment| match wanted.strip_prefix('*') {
            Some(rest) => segment.len() > rest.len() && segment.ends_with(rest),
            None => segment == wanted,
        })
    })
}

/// What a call does and what came of it, in at most so many characters: `embeds 12 texts (text-embedding-3-small) -> 12 x
/// 1536`. None for a call that is not known.
pub fn line(call: &Call<'_>, width: usize) -> Option<String> {
    let path = call.head.path().trim_end_matches('/');
    let service = SERVICES.iter().find(|s| s.fits(&call.head.method, path))?;
    let asked = Asked::of(call);
    let mut does = (service.does)(&asked);
    if let Some(model) = asked.model() {
        does.push_str(&format!(" ({model})"));
    }
    let came = match call.answer {
        None => "no answer".to_string(),
        Some((head, body)) if head.status >= 400 => {
            reply::with_status(head.status, &reply::error_of(head.status, body).0)
        }
        Some((head, body)) => (service.gives)(&Came::of(head, body)),
    };
    Some(shorten(&one_line(&format!("{does} -> {came}")), width))
}

/// A count with its noun: `1 text`, `12 texts`.
fn many(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A size in words: `512 bytes`, `12 kB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1000 => many(bytes as usize, "byte"),
        1000..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}
