//! The grammar of edits: `SCOPE:FIELD OP VALUE`.
