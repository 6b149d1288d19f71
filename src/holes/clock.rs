//! What the clock of a run may have shown: dates near its day, times of day and epochs within its time.

use super::dates;
use super::surroundings::Side;
use super::token::{Kind, Quantity, Token};

/// How far before and after a run its clock readings may lie, in microseconds.
const SLACK_US: i64 = 120_000_000;

/// The day of a run, and from when to when it ran.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub day: i64,
    from_us: i64,
    to_us: i64,
    zones: [i32; 2],
}

impl Clock {
    /// That of a side; none when it is not known when it ran.
    pub fn of(side: &Side) -> Option<Clock> {
        (side.started_us > 0).then(|| Clock {
            day: dates::day_at(side.started_us, side.zone_s),
            from_us: side.started_us as i64 - SLACK_US,
            to_us: side.ended_us.max(side.started_us) as i64 + SLACK_US,
            zones: [0, side.zone_s],
        })
    }

    /// A date, a time of day or an epoch that this run's clock may have shown.
    pub fn reading(&self, text: &[u8], at: usize, found: &[Token]) -> Option<(usize, Kind)> {
        let after_date =
            found.last().is_some_and(|t| matches!(t.kind, Kind::Date(..)) && at - t.range.end == 1 && at > 0);
        let in_time = |second: i64| dates::is_within(second, self.from_us, self.to_us, &self.zones);
        let time = dates::time_at(text, at, after_date)
            .or_else(|| after_date.then(|| dates::compact_time_at(text, at)).flatten());
        if let Some((end, second)) = time {
            let alone = !text.get(end).is_some_and(|b| b.is_ascii_digit() || *b == b':');
            return (alone && in_time(second)).then_some((end, Kind::Quantity(Quantity::TimeOfDay)));
        }
        if let Some(date) = dates::date_at(text, at, self.day) {
            return Some((date.end, Kind::Date(date.form, date.day)));
        }
        let digits = text.get(at..)?.iter().take(20).take_while(|b| b.is_ascii_digit()).count();
        let unit: i64 = match digits {
            10 => 1_000_000,
            13 => 1_000,
            16 | 19 => 1,
            _ => return None,
        };
        let mut end = at + digits;
        let value = text.get(at..end)?.iter().fold(0i128, |n, b| n * 10 + i128::from(b - b'0'));
        let us = if digits == 19 { value / 1_000 } else { value * i128::from(unit) };
        if us < i128::from(self.from_us) || us > i128::from(self.to_us) {
            return None;
        }
        // The fraction of a second is part of it.
        if text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(u8::is_ascii_digit) {
            end += 1 + text.get(end + 1..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        }
        let stamped =
            digits == 13 && at > 0 && text.get(at - 1) == Some(&b'_') && text.get(end) == Some(&b'_');
        let alone = !text.get(end).is_some_and(u8::is_ascii_alphanumeric);
        (alone && !stamped).then_some((end, Kind::Quantity(Quantity::Epoch(digits))))
    }
}
