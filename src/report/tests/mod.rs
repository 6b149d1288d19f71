//! What a person reads, as snapshots.

mod difference;
mod results;
mod show;
