//! What retake knows of a run beside its exchanges: where it ran, and when.

/// Where and when one side ran. Empty texts and a time of 0 stand for what is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    /// Working directory, absolute.
    pub directory: String,
    /// Home directory, absolute.
    pub home: String,
    /// Directory for temporary files, absolute.
    pub temp: String,
    /// When it began, in microseconds since the Unix epoch.
    pub started_us: u64,
    /// When it ended; for a run that goes on, the latest it may be.
    pub ended_us: u64,
    /// What local time is ahead of UTC, in seconds.
    pub zone_s: i32,
}

/// Both sides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    pub recorded: Side,
    pub live: Side,
}
