//! Server-sent events.

use super::some_place;
use retake::dialect::sse::{Parser, events};

/// However a stream is cut into reads, it has the same events, at places that rise.
pub fn run(data: &[u8]) {
    let whole = events(data);
    let (first, second) = data.split_at(some_place(data));
    let mut parser = Parser::default();
    let mut cut = parser.push(first);
    cut.extend(parser.push(second));
    cut.extend(parser.finish());
    assert_eq!(whole, cut);
    let mut at = 0;
    for event in &whole {
        assert!(event.span.start >= at && event.span.end <= data.len());
        assert!(event.data_spans.iter().all(|s| s.start >= event.span.start && s.end <= event.span.end));
        at = event.span.end;
    }
}
