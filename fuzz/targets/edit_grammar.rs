//! The grammar of edits. The first line is the edit, the rest the text that it is applied to.

use super::first_line;
use retake::run::edit::Edit;

/// Reads and applies.
pub fn run(data: &[u8]) {
    let (edit, text) = first_line(data);
    let (Ok(edit), text) = (std::str::from_utf8(edit), String::from_utf8_lossy(text)) else { return };
    match Edit::parse(edit) {
        Ok(edit) => {
            edit.scope.covers(Some(edit.scope.first()));
            edit.added_tool().map(drop).unwrap_or_default();
            let _ = edit.fault();
            let _ = edit.check_parameter(|_| false);
            if let Err(problem) = edit.apply(&text) {
                assert!(!problem.why.is_empty());
            }
        }
        Err(problem) => assert!(!problem.why.is_empty()),
    }
}
