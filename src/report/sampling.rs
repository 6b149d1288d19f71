//! Why a run stays where others go.

use super::words::{duration, line};
use crate::run::sampling::Why;

/// `error: exit 1`, `fork of refund.1`, `slow: 42 s`, `refund.2 was forked from it`, `in the 10%`.
pub fn why(why: &Why) -> String {
    match why {
        Why::Error(how) => format!("error: {}", line(how)),
        Why::Fork(of) => format!("fork of {of}"),
        Why::Replay(of) => format!("replay of {of}"),
        Why::Slow(us) => format!("slow: {}", duration(*us)),
        Why::Needed(by) => format!("{by} was forked from it"),
        Why::Share(share) => format!("in the {share}"),
    }
}
