//! What a run was forked from, and what that was forked from.

use super::manifest::Parent;

/// One run that another was forked from, at first hand or further up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ancestor {
    /// The run, and the edits that were made to it. Its name is that in this store, where it is here.
    pub parent: Parent,
    /// True when it is in this store.
    pub is_here: bool,
}
