//! Calendar days as programs write them, and times of day. A date counts only near the day of its run: any other is
//! content.

/// Days around the run's own that are taken for dates computed from its clock.
const NEAR: i64 = 3;
const DAY_S: i64 = 86_400;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// How a day is written. Two dates are compared only in one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// `2026-11-21`, with the sign between the numbers.
    Iso(u8),
    /// `20261121`
    Compact,
    /// `11/21/2026`, `21.11.2026`, with the sign.
    MonthFirst(u8),
    DayFirst(u8),
    /// `November 21, 2026`, `Sat Nov 21`: month in short or not, weekday (1 in short, 2 whole) or not, year or not.
    Words {
        short: bool,
        weekday: u8,
        year: bool,
        day_first: bool,
    },
}

/// A date in a text: where it ends, how it is written, and its day (days since the Unix epoch).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub end: usize,
    pub form: Form,
    pub day: i64,
}

/// Days since the Unix epoch of a date of the Gregorian calendar; none when there is no such date.
fn day_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=longest).contains(&day) || !(1970..=9999).contains(&year) {
        return None;
    }
    // Years begin in March, so that the leap day is their last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    Some(365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468)
}

/// The date of a day since the epoch: year, month, day.
fn date_of(day: i64) -> (i64, i64, i64) {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let m = (5 * doy + 2) / 153;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, doy - (153 * m + 2) / 5 + 1)
}

/// Reads digits: as many as there are, at least `least`, at most `most`.
fn number(text: &[u8], at: usize, least: usize, most: usize) -> Option<(i64, usize)> {
    let digits = text.get(at..)?.iter().take(most + 1).take_while(|b| b.is_ascii_digit()).count();
    if digits < least || digits > most {
        return None;
    }
    let value = text.get(at..at + digits)?.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0'));
    Some((value, at + digits))
}

fn is_near(day: i64, today: i64) -> bool {
    (day - today).abs() <= NEAR
}

/// The date at a place of a text that is not inside a word, if it is one near `today`.
pub(super) fn date_at(text: &[u8], at: usize, today: i64) -> Option<Found> {
    let first = *text.get(at)?;
    let found = if first.is_ascii_digit() {
        in_numbers(text, at, today).or_else(|| day_first(text, at, today))
    } else if first.is_ascii_uppercase() {
        in_words(text, at, today)
    } else {
        None
    };
    // What goes on with more digits is another number.
    found.filter(|f| is_near(f.day, today) && !text.get(f.end).is_some_and(u8::is_ascii_digit))
}

fn in_numbers(text: &[u8], at: usize, today: i64) -> Option<Found> {
    if let Some((n, end)) = number(text, at, 8, 8) {
        let day = day_of(n / 10_000, n / 100 % 100, n % 100)?;
        return Some(Found { end, form: Form::Compact, day });
    }
    let (a, next) = number(text, at, 1, 4)?;
    let sign = *text.get(next).filter(|b| b"-/.".contains(b))?;
    let (b, next) = number(text, next + 1, 1, 2)?;
    if text.get(next) != Some(&sign) {
        return None;
    }
    if a > 31 {
        let (c, end) = number(text, next + 1, 1, 2)?;
        return Some(Found { end, form: Form::Iso(sign), day: day_of(a, b, c)? });
    }
    let (year, end) = number(text, next + 1, 4, 4)?;
    let month_first = day_of(year, a, b).filter(|d| is_near(*d, today));
    match month_first {
        Some(day) => Some(Found { end, form: Form::MonthFirst(sign), day }),
        None => Some(Found { end, form: Form::DayFirst(sign), day: day_of(year, b, a)? }),
    }
}

fn word(text: &[u8], at: usize) -> &[u8] {
    let tail = text.get(at..).unwrap_or_default();
    let length = tail.iter().take(12).take_while(|b| b.is_ascii_alphabetic()).count();
    tail.get(..length).unwrap_or_default()
}

/// A name of a list, whole or its first three letters: its index, and whether it is in short.
fn name_of(list: &[&str], word: &[u8]) -> Option<(i64, bool)> {
    list.iter().zip(0..).find_map(|(name, index)| {
        let name = name.as_bytes();
        if word == name {
            Some((index, name.len() == 3))
        } else {
            (Some(word) == name.get(..3)).then_some((index, true))
        }
    })
}

fn after(text: &[u8], at: usize, signs: &[u8]) -> usize {
    at + text.get(at..).unwrap_or_default().iter().take(2).take_while(|b| signs.contains(b)).count()
}

/// `Saturday, November 21, 2026`, `Nov 21`, `Sat, 21 Nov 2026`.
fn in_words(text: &[u8], at: usize, today: i64) -> Option<Found> {
    let first = word(text, at);
    let Some((_, short)) = name_of(&WEEKDAYS, first) else { return month_first(text, at, today, 0) };
    let next = after(text, at + first.len(), b", ");
    let weekday = if short { 1 } else { 2 };
    if next == at + first.len() {
        return None;
    }
    if text.get(next)?.is_ascii_digit() {
        let found = day_first(text, next, today)?;
        let Form::Words { short, year, day_first, .. } = found.form else { return None };
        return Some(Found { form: Form::Words { short, weekday, year, day_first }, ..found });
    }
    month_first(text, next, today, weekday)
}

fn month_first(text: &[u8], at: usize, today: i64, weekday: u8) -> Option<Found> {
    let name = word(text, at);
    let (month, short) = name_of(&MONTHS, name)?;
    let next = after(text, at + name.len(), b" ");
    let (day, next) = number(text, next, 1, 2).filter(|_| next > at + name.len())?;
    let next = match text.get(next..next + 2) {
        Some(b"st" | b"nd" | b"rd" | b"th") => next + 2,
        _ => next,
    };
    with_year(text, next, (month + 1, day), today, |year| Form::Words {
        short,
        weekday,
        year,
        day_first: false,
    })
}

fn day_first(text: &[u8], at: usize, today: i64) -> Option<Found> {
    let (day, next) = number(text, at, 1, 2)?;
    let spaced = after(text, next, b" ");
    let name = word(text, spaced);
    let (month, short) = name_of(&MONTHS, name).filter(|_| spaced > next)?;
    let end = spaced + name.len();
    with_year(text, end, (month + 1, day), today, |year| Form::Words {
        short,
        weekday: 0,
        year,
        day_first: true,
    })
}

/// The year that follows, else the one that brings the date nearest to today.
fn with_year(
    text: &[u8],
    end: usize,
    (month, day): (i64, i64),
    today: i64,
    form: impl Fn(bool) -> Form,
) -> Option<Found> {
    let next = after(text, end, b", ");
    if let Some((year, end)) = number(text, next, 4, 4).filter(|_| next > end) {
        return Some(Found { end, form: form(true), day: day_of(year, month, day)? });
    }
    let this = date_of(today).0;
    let days = [this - 1, this, this + 1].into_iter().filter_map(|year| day_of(year, month, day));
    let day = days.min_by_key(|d| (d - today).abs())?;
    Some(Found { end, form: form(false), day })
}

/// A date written like another one, some days later.
pub(super) fn written(form: Form, day: i64, like: &str) -> String {
    let (y, m, d) = date_of(day);
    let two = |n: i64, other: bool| if other { format!("{n:02}") } else { n.to_string() };
    let month = MONTHS.get((m - 1) as usize).copied().unwrap_or_default();
    let cut =
        |name: &str, short: bool| name.get(..if short { 3 } else { name.len() }).unwrap_or(name).to_string();
    match form {
        Form::Iso(sign) => {
            let padded = like.len() == 10;
            let sign = char::from(sign);
            format!("{y}{sign}{}{sign}{}", two(m, padded), two(d, padded))
        }
        Form::Compact => format!("{y}{m:02}{d:02}"),
        Form::MonthFirst(sign) | Form::DayFirst(sign) => {
            let padded = like.len() == 10;
            let sign = char::from(sign);
            let (a, b) = if matches!(form, Form::MonthFirst(_)) { (m, d) } else { (d, m) };
            format!("{}{sign}{}{sign}{y}", two(a, padded), two(b, padded))
        }
        Form::Words { short, weekday, year, day_first } => {
            let named = WEEKDAYS.get(day.rem_euclid(7) as usize).copied().unwrap_or_default();
            let after_weekday =
                if like.contains(',') && like.find(',') < like.find(|c: char| c.is_ascii_digit()) {
                    ", "
                } else {
                    " "
                };
            let weekday = match weekday {
                0 => String::new(),
                kind => format!("{}{after_weekday}", cut(named, kind == 1)),
            };
            let month = cut(month, short);
            let comma = if like.rsplit(|c: char| c.is_ascii_digit()).nth(4).is_some_and(|s| s.contains(',')) {
                ","
            } else {
                ""
            };
            let tail = if year { format!("{comma} {y}") } else { String::new() };
            if day_first {
                format!("{weekday}{d} {month}{tail}")
            } else {
                format!("{weekday}{month} {d}{tail}")
            }
        }
    }
}

/// The dates near a day, in every form that is told apart.
pub(super) fn near(today: i64) -> Vec<String> {
    let words = |short, day_first| Form::Words { short, weekday: 0, year: false, day_first };
    let forms = [
        (Form::Iso(b'-'), "2026-11-21"),
        (Form::Iso(b'-'), ""),
        (Form::Iso(b'/'), "2026/11/21"),
        (Form::Iso(b'/'), ""),
        (Form::Iso(b'.'), "2026.11.21"),
        (Form::Compact, ""),
        (words(true, false), ""),
        (words(false, false), ""),
        (words(true, true), ""),
        (words(false, true), ""),
    ];
    let signs = [b'/', b'-', b'.'];
    let numbers = signs.into_iter().flat_map(|s| [Form::MonthFirst(s), Form::DayFirst(s)]);
    let numbers = numbers.flat_map(|form| [(form, "11/21/2026"), (form, "")]);
    let mut all: Vec<String> = forms
        .into_iter()
        .chain(numbers)
        .flat_map(|(form, like)| (-NEAR..=NEAR).map(move |k| written(form, today + k, like)))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// A time of day, `10:03:48` or `10:03:48.125`: where it ends, and its second of the day. Hours and minutes alone only
/// where `bare` allows it.
pub(super) fn time_at(text: &[u8], at: usize, bare: bool) -> Option<(usize, i64)> {
    let (hour, next) = number(text, at, 2, 2).filter(|(h, _)| *h < 24)?;
    let (minute, next) =
        number(text, next + 1, 2, 2).filter(|(m, _)| *m < 60 && text.get(next) == Some(&b':'))?;
    let seconds = number(text, next + 1, 2, 2).filter(|(s, _)| *s < 61 && text.get(next) == Some(&b':'));
    let Some((second, mut end)) = seconds else {
        return (bare && text.get(next) != Some(&b':')).then_some((next, hour * 3600 + minute * 60));
    };
    if matches!(text.get(end), Some(b'.' | b','))
        && let Some((_, fraction)) = number(text, end + 1, 1, 9)
    {
        end = fraction;
    }
    Some((end, hour * 3600 + minute * 60 + second))
}

/// Six digits that are a time of day: `100348`.
pub(super) fn compact_time_at(text: &[u8], at: usize) -> Option<(usize, i64)> {
    let (n, end) = number(text, at, 6, 6)?;
    let (hour, minute, second) = (n / 10_000, n / 100 % 100, n % 100);
    (hour < 24 && minute < 60 && second < 61).then_some((end, hour * 3600 + minute * 60 + second))
}

/// The day of an instant, `zone_s` ahead of UTC.
pub(super) fn day_at(us: u64, zone_s: i32) -> i64 {
    ((us / 1_000_000) as i64 + i64::from(zone_s)).div_euclid(DAY_S)
}

/// True when a second of the day lies between two instants, in some time zone of the given ones.
pub(super) fn is_within(second: i64, from_us: i64, to_us: i64, zones_s: &[i32]) -> bool {
    let span = (to_us - from_us) / 1_000_000;
    zones_s.iter().any(|zone| {
        let from = (from_us / 1_000_000 + i64::from(*zone)).rem_euclid(DAY_S);
        span >= DAY_S || (second - from).rem_euclid(DAY_S) <= span
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: i64 = 20_778; // Saturday, 21 November 2026

    #[test]
    fn days_are_counted() {
        assert_eq!(day_of(2026, 11, 21), Some(TODAY));
        assert_eq!(day_of(1970, 1, 1), Some(0));
        assert_eq!(day_of(2026, 2, 29), None);
        assert_eq!(WEEKDAYS[TODAY.rem_euclid(7) as usize], "Saturday");
        for day in [0, 59, 60, 365, 11_016, TODAY, 30_000] {
            let (y, m, d) = date_of(day);
            assert_eq!(day_of(y, m, d), Some(day));
        }
    }

    #[test]
    fn dates_are_read_and_written_in_their_form() {
        for text in [
            "2026-11-21",
            "2026/11/22",
            "20261120",
            "11/21/2026",
            "November 21, 2026",
            "Nov 21, 2026",
            "Nov 21",
            "Saturday, November 21, 2026",
            "Sat Nov 21",
            "21 November 2026",
            "Sat, 21 Nov 2026",
            "21.11.2026",
        ] {
            let found = date_at(text.as_bytes(), 0, TODAY).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(found.end, text.len(), "{text}");
            assert_eq!(written(found.form, found.day, text), text);
            let later = written(found.form, found.day + 400, text);
            let again = date_at(later.as_bytes(), 0, TODAY + 400).unwrap_or_else(|| panic!("{later}"));
            assert_eq!((again.form, again.day), (found.form, found.day + 400), "{later}");
        }
    }

    #[test]
    fn a_date_of_another_time_is_content() {
        for text in
            ["2026-12-01", "2026-11-211", "2025-11-21", "Saturday", "May I", "November 2", "4999", "20269999"]
        {
            assert_eq!(date_at(text.as_bytes(), 0, TODAY), None, "{text}");
        }
    }

    #[test]
    fn times_of_day() {
        assert_eq!(time_at(b"10:03:48.125Z", 0, false), Some((12, 36_228)));
        assert_eq!(time_at(b"10:03", 0, false), None);
        assert_eq!(time_at(b"10:03", 0, true), Some((5, 36_180)));
        assert_eq!(time_at(b"25:03:48", 0, false), None);
        let start = TODAY * DAY_S * 1_000_000 + 36_000_000_000;
        assert!(is_within(36_010, start, start + 20_000_000, &[0]));
        assert!(!is_within(36_030, start, start + 20_000_000, &[0]));
        assert!(is_within(39_610, start, start + 20_000_000, &[0, 3600]));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text: String, at in 0usize..40, today in -1_000_000i64..1_000_000) {
            date_at(text.as_bytes(), at, today);
            time_at(text.as_bytes(), at, true);
            compact_time_at(text.as_bytes(), at);
        }
    }
}
