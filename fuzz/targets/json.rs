//! JSON as it is written, its canonical form, and a body's parts.

use super::some_place;
use retake::exchange::canon::{canonical, text_of_value};
use retake::exchange::parts::{resplit, split};
use retake::exchange::{json, multipart};
use serde_json::Value;

/// Whatever serde_json reads is read; the canonical form is a fixed point; parts add up to the body.
pub fn run(data: &[u8]) {
    match json::parse(data) {
        Ok(node) => {
            text_of_value(&node.to_value());
            text_of_value(&node.to_value_as_written());
            let once = canonical(data).expect("it was read");
            assert_eq!(canonical(&once).expect("it was written"), once);
        }
        Err(why) => {
            assert!(why.at <= data.len());
            assert!(serde_json::from_slice::<Value>(data).is_err(), "{why}");
        }
    }
    let parts = split(data);
    let mut at = 0;
    for range in parts.ranges() {
        assert_eq!(range.start, at);
        at = range.end;
    }
    assert_eq!(at, data.len());
    let place = some_place(data);
    let (before, after) = data.split_at(place);
    let other = [before, b",{\"a\":[1]}".as_slice(), after].concat();
    assert_eq!(resplit(&other, data, &parts).split, split(&other));
    let form = Some("multipart/form-data; boundary=\"x\"");
    multipart::parts(form, data);
    multipart::without_boundary(form, data);
    multipart::boundary(std::str::from_utf8(before).ok());
}
