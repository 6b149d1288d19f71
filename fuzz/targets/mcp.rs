//! Messages of the Model Context Protocol, and reports of the tool shim.

use super::first_line;
use retake::mcp::message::{Message, is_name_of, messages};
use retake::mcp::stamp::{Stamp, refusal};
use retake::mcp::tools::{changes, listed};
use retake::replay::shim;

/// The first line is a request of today, the rest what was recorded.
pub fn run(data: &[u8]) {
    let (asked, body) = first_line(data);
    for is_stream in [false, true] {
        for message in messages(body, is_stream) {
            message.subject();
            message.call();
            message.made_for();
            let tools = listed(&message);
            assert!(changes(&tools, &tools).is_empty() || tools.iter().any(|t| twice(&tools, &t.name)));
        }
    }
    if let Some(live) = Message::read(asked) {
        assert!(Message::read(&refusal(&live, "\u{1}\"")).is_some());
        for recorded in messages(body, false).iter().chain(&messages(body, true)) {
            let stamp = Stamp { recorded, live: &live };
            for is_stream in [false, true] {
                let stamped = stamp.body(body, is_stream);
                assert_eq!(messages(&stamped, is_stream).len(), messages(body, is_stream).len());
            }
            let same = Stamp { recorded, live: recorded };
            assert_eq!(same.body(body, true), body);
        }
    }
    let target = String::from_utf8_lossy(asked);
    shim::report(&target, body);
    is_name_of(&target, &String::from_utf8_lossy(body));
}

fn twice(tools: &[retake::mcp::tools::Tool], name: &str) -> bool {
    tools.iter().filter(|tool| tool.name == name).count() > 1
}
