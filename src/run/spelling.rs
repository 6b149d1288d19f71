//! What a person may have meant by a name that is not known.

/// The known name that is written most like this one; none when all are far from it.
pub fn nearest<'a>(asked: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let asked = asked.to_lowercase();
    let allowed = match asked.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    let apart = known.into_iter().map(|name| (distance(&asked, &name.to_lowercase()), name));
    // `rslt`: letters were left out, and none is wrong.
    let shortened = |name: &str| asked.chars().count() >= 3 && is_shortened(&asked, &name.to_lowercase());
    apart
        .filter(|(apart, name)| *apart <= allowed || *apart == 2 && shortened(name))
        .min_by_key(|(apart, _)| *apart)
        .map(|(_, name)| name)
}

/// True when a word is another one with letters left out behind the first.
fn is_shortened(short: &str, long: &str) -> bool {
    let mut letters = long.chars();
    short.chars().next() == long.chars().next() && short.chars().all(|c| letters.any(|letter| letter == c))
}

/// How many letters must be put in, left out, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, x) in a.iter().enumerate() {
        let at = |row: usize, column: usize| {
            rows.get(row).and_then(|r| r.get(column)).copied().unwrap_or(usize::MAX / 2)
        };
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let left = row.last().copied().unwrap_or_default() + 1;
            let mut least = left.min(at(i, j + 1) + 1).min(at(i, j) + usize::from(x != y));
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                least = least.min(at(i - 1, j - 1) + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn misspelt_names() {
        let known = ["temperature", "book", "list_flights", "n"];
        let meant = |asked: &str| nearest(asked, known);
        assert_eq!(meant("temprature"), Some("temperature"));
        assert_eq!(meant("Book"), Some("book"));
        assert_eq!(meant("bokk"), Some("book"));
        assert_eq!(meant("bookk"), Some("book"));
        assert_eq!(meant("obok"), Some("book"));
        assert_eq!(meant("bogus"), None);
        assert_eq!(meant("x"), None);
        assert_eq!(nearest("rslt", ["result"]), Some("result"));
        assert_eq!((nearest("slt", ["result"]), nearest("rst", ["rested"])), (None, None));
    }

    proptest! {
        #[test]
        fn a_name_is_nearest_to_itself(name in ".{1,70}") {
            prop_assert_eq!(nearest(&name, [name.as_str()]), Some(name.as_str()));
        }
    }
}
