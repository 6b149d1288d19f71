//! Where in a file an exchange is told.

use crate::exchange::ExchangeId;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, BufRead};

/// How the lines begin that tell of exchanges. Others, most of a file, are not read.
const TELLING: [&[u8]; 2] = [b"{\"kind\":\"turn\"", b"{\"kind\":\"request\""];

/// What is read of such a line: a turn or a request.
#[derive(Deserialize)]
struct Line {
    turn: Option<Attempts>,
    exchange: Option<ExchangeId>,
}

#[derive(Deserialize)]
struct Attempts {
    attempts: Vec<ExchangeId>,
}

/// The line, from 1, on which a person reads of each exchange: that of its turn, which says in short what was asked and
/// answered, or that of its request where no turn tells of it. A line that cannot be understood tells of none.
///
/// # Errors
/// When the file cannot be read.
pub fn lines(file: &mut dyn BufRead) -> io::Result<BTreeMap<ExchangeId, u32>> {
    let mut all = BTreeMap::new();
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        if file.read_until(b'\n', &mut text)? == 0 {
            break;
        }
        if !TELLING.iter().any(|kind| text.starts_with(kind)) {
            continue;
        }
        let Ok(line) = serde_json::from_slice::<Line>(&text) else { continue };
        // Turns stand above all requests.
        for exchange in line.turn.into_iter().flat_map(|turn| turn.attempts).chain(line.exchange) {
            all.entry(exchange).or_insert(number);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../fixtures/format/v1/example.retake");

    fn told(text: &str) -> Vec<(u32, u32)> {
        lines(&mut text.as_bytes()).unwrap().into_iter().map(|(exchange, line)| (exchange.0, line)).collect()
    }

    #[test]
    fn a_turn_tells_of_its_exchanges_and_a_request_of_itself() {
        assert_eq!(told(EXAMPLE), [(1, 5), (2, 6)]);
        let bare: String = EXAMPLE.split_inclusive('\n').filter(|line| !line.contains("\"turn\"")).collect();
        let starts =
            |line: u32| bare.lines().nth(line as usize - 1).unwrap().starts_with("{\"kind\":\"request\"");
        let requests = told(&bare);
        assert!(requests.len() == 2 && requests.iter().all(|(_, line)| starts(*line)), "{requests:?}");
        assert_eq!(told("{\"kind\":\"turn\"\n\n{\"kind\":\"request\",\"exchange\":7}"), [(7, 3)]);
    }
}
