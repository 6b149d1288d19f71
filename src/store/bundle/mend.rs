//! A file that was edited by hand and is taken as it is: what depends on the edited bytes is made to fit.

use crate::exchange::{FrameMark, HeaderList};

/// Sets `content-length` to the new length, when it said the old one.
pub(super) fn content_length(headers: &mut HeaderList, old: u64, new: usize) {
    if headers.get("content-length").is_some_and(|value| value.trim() == old.to_string()) {
        headers.set("content-length", new.to_string());
    }
}

/// Makes the lengths of frames add up to the body's: the last ones give or take. Times stay.
pub(super) fn frames(frames: &mut Vec<FrameMark>, length: usize, end_us: u64) {
    let mut left = length as u64;
    for frame in frames.iter_mut() {
        frame.0 = u64::from(frame.0).min(left) as u32;
        left -= u64::from(frame.0);
    }
    frames.retain(|frame| frame.0 > 0);
    while left > 0 {
        match frames.last_mut().filter(|frame| frame.0 < u32::MAX) {
            Some(last) => {
                let more = left.min(u64::from(u32::MAX - last.0)) as u32;
                last.0 += more;
                left -= u64::from(more);
            }
            None => frames.push(FrameMark(0, end_us)),
        }
    }
}

/// The length that frames add up to.
pub(super) fn total(frames: &[FrameMark]) -> u64 {
    frames.iter().map(|frame| u64::from(frame.0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_shrink_and_grow_at_the_end() {
        let marks = || vec![FrameMark(10, 1), FrameMark(5, 2), FrameMark(5, 3)];
        for (length, want) in [
            (20, marks()),
            (12, vec![FrameMark(10, 1), FrameMark(2, 2)]),
            (27, vec![FrameMark(10, 1), FrameMark(5, 2), FrameMark(12, 3)]),
            (0, vec![]),
        ] {
            let mut got = marks();
            frames(&mut got, length, 9);
            assert_eq!(got, want);
        }
        let mut none = vec![];
        frames(&mut none, 3, 9);
        assert_eq!(none, [FrameMark(3, 9)]);
    }

    #[test]
    fn a_length_that_was_wrong_on_the_wire_stays_wrong() {
        let mut headers = HeaderList(vec![("Content-Length".into(), "7".into())]);
        content_length(&mut headers, 6, 9);
        assert_eq!(headers.get("content-length"), Some("7"));
        content_length(&mut headers, 7, 9);
        assert_eq!(headers.get("content-length"), Some("9"));
    }
}
