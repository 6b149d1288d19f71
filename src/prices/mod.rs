//! What model calls cost: a table of list prices, a person's own before it, and nothing where neither knows the model.

mod spent;

pub use spent::Spent;

use crate::dialect::conversation::Usage;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// A sum of money, in millionths of a millionth of a US dollar: a token's price is a whole number of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cost(pub u64);

/// What a model's tokens cost, in US dollars per million.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Tokens that are read.
    pub input: f64,
    /// Tokens that are written, reasoning included.
    pub output: f64,
    /// Tokens that the provider had in its cache. Without it a call that has some costs nobody knows what.
    #[serde(default)]
    pub cache_read: Option<f64>,
    /// Tokens that were put into the cache.
    #[serde(default)]
    pub cache_write: Option<f64>,
    /// Other prices for requests that are longer.
    #[serde(default)]
    pub above: Option<Above>,
}

/// The prices of a request with more than so many tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Above {
    /// So many.
    pub tokens: u64,
    /// See [`Price::input`].
    pub input: f64,
    /// See [`Price::output`].
    pub output: f64,
    /// See [`Price::cache_read`].
    #[serde(default)]
    pub cache_read: Option<f64>,
    /// See [`Price::cache_write`].
    #[serde(default)]
    pub cache_write: Option<f64>,
}

/// Prices by model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prices(pub BTreeMap<String, Price>);

/// The table that comes with retake.
static LISTED: LazyLock<Prices> =
    LazyLock::new(|| Prices(toml::from_str(include_str!("prices.toml")).unwrap_or_default()));

impl Prices {
    /// What a model costs: by its own name in these prices, then in the list, then, in both, by its name without what
    /// stands around it (a vendor in front, a date behind). None where neither knows it.
    pub fn of(&self, model: &str) -> Option<Price> {
        let find = |name: &str| self.0.get(name).or_else(|| LISTED.0.get(name)).copied();
        let mut bare = model.rsplit('/').next().unwrap_or(model);
        // Bedrock: `us.anthropic.claude-sonnet-4-5-20250929-v1:0`.
        if let Some((_, behind)) = bare.split_once("anthropic.") {
            bare = behind.split("-v").next().unwrap_or(behind);
        }
        find(model).or_else(|| find(bare)).or_else(|| find(undated(bare)?))
    }

    /// What a call of a model costs; none for a model, or a kind of tokens, without a price.
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<Cost> {
        self.of(model)?.cost(usage)
    }
}

impl Price {
    /// What so many tokens cost; none when there are some without a price.
    pub fn cost(&self, usage: &Usage) -> Option<Cost> {
        let above = self.above.filter(|above| usage.input > above.tokens);
        let (input, output, cache_read, cache_write) = match above {
            Some(of) => (of.input, of.output, of.cache_read, of.cache_write),
            None => (self.input, self.output, self.cache_read, self.cache_write),
        };
        let fresh = usage.input.saturating_sub(usage.cache_read).saturating_sub(usage.cache_write);
        let priced = |tokens: u64, price: Option<f64>| match tokens {
            0 => Some(0),
            tokens => tokens.checked_mul(per_token(price?)?),
        };
        let parts = [
            priced(fresh, Some(input)),
            priced(usage.cache_read, cache_read),
            priced(usage.cache_write, cache_write),
            priced(usage.output, Some(output)),
        ];
        parts.into_iter().try_fold(0u64, |sum, part| sum.checked_add(part?)).map(Cost)
    }
}

/// True for a price that counts: no negative one, and none that no tokens ever had.
pub fn is_price(dollars: f64) -> bool {
    per_token(dollars).is_some()
}

/// Dollars per million tokens as a [`Cost`] per token; none for what is no price.
fn per_token(dollars: f64) -> Option<u64> {
    (0.0..1e9).contains(&dollars).then(|| (dollars * 1e6).round() as u64)
}

/// A name without the date behind it: `-2024-08-06` or `-20250929`.
fn undated(name: &str) -> Option<&str> {
    let is_date = |text: &str| {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let dashes = text.bytes().filter(|byte| *byte == b'-').count();
        digits == 8 && (dashes == 0 || dashes == 2) && digits + dashes == text.len()
    };
    [11, 9].into_iter().find_map(|length| {
        let (before, behind) = name.split_at_checked(name.len().checked_sub(length)?)?;
        behind.strip_prefix('-').filter(|date| is_date(date)).map(|_| before)
    })
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.0 = self.0.saturating_add(other.0);
    }
}

impl Cost {
    /// In US dollars.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e12
    }
}

impl fmt::Display for Cost {
    /// `$1.24`; small sums with two digits that say something: `$0.0031`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = self.dollars();
        let digits = match self.0 {
            0 => 2,
            _ if dollars >= 0.995 => 2,
            _ => (1 - dollars.log10().floor() as i32).clamp(2, 12) as usize,
        };
        write!(f, "${dollars:.digits$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Usage {
        Usage { input, output, cache_read, cache_write, reasoning: 0 }
    }

    #[test]
    fn the_table_is_whole() {
        assert!(LISTED.0.len() > 80, "{}", LISTED.0.len());
        for (model, price) in &LISTED.0 {
            let above = price.above.map(|above| (above.input, above.output));
            for dollars in
                [price.input, price.output].into_iter().chain(above.into_iter().flat_map(|a| [a.0, a.1]))
            {
                assert!(per_token(dollars).is_some() && dollars < 1000.0, "{model}");
            }
            assert!(price.cache_read.is_none_or(|read| read <= price.input), "{model}");
        }
    }

    #[test]
    fn tokens_cost_what_the_table_says() {
        let none = Prices::default();
        let cost = |model: &str, usage: Usage| none.cost(model, &usage).map(|cost| cost.to_string());
        assert_eq!(cost("gpt-4o", usage(1_000_000, 100_000, 0, 0)).as_deref(), Some("$3.50"));
        assert_eq!(cost("gpt-4o", usage(1000, 10, 800, 0)).as_deref(), Some("$0.0016"));
        assert_eq!(cost("claude-sonnet-4-5", usage(250_000, 0, 0, 0)).as_deref(), Some("$1.50"));
        assert_eq!(cost("claude-haiku-4-5", usage(100, 0, 0, 100)).as_deref(), Some("$0.00013"));
        assert_eq!(cost("gpt-4", usage(100, 1, 50, 0)), None, "nobody knows what its cache costs");
        assert_eq!(cost("my-own", usage(1, 1, 0, 0)), None);
        assert_eq!(cost("gpt-4o", usage(u64::MAX, 1, 0, 0)), None);
        assert_eq!(cost("gpt-4o", Usage::default()).as_deref(), Some("$0.00"));
    }

    #[test]
    fn names_come_with_vendors_and_dates() {
        let none = Prices::default();
        for (model, same) in [
            ("openai/gpt-4o-2024-08-06", "gpt-4o"),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
            ("models/gemini-2.5-flash", "gemini-2.5-flash"),
            ("claude-3-5-haiku-20241022", "x"),
        ] {
            assert_eq!(none.of(model), none.of(same), "{model}");
        }
        assert_ne!(none.of("gpt-4o-2024-05-13"), none.of("gpt-4o"), "it has a price of its own");
        assert_eq!((undated("gpt-4o"), undated("-20250929"), undated("é-2025092")), (None, Some(""), None));
    }

    #[test]
    fn own_prices_go_first() {
        let price = Price { input: 1.0, output: 1.0, cache_read: None, cache_write: None, above: None };
        let own = Prices([("gpt-4o".to_string(), price)].into());
        assert_eq!(own.cost("gpt-4o-2024-08-06", &usage(1_000_000, 0, 0, 0)).unwrap().to_string(), "$1.00");
        let negative = Price { input: -1.0, ..price };
        assert_eq!(negative.cost(&usage(1, 1, 0, 0)), None);
    }
}
