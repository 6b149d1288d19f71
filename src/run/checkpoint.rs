//! The state after a step: a turn for every lane, the conversation at each head, usage so far.
