//! The file as it is written, and what it declares.

use super::Config;
use super::error::{Wrong, of_toml};
use crate::dialect;
use crate::holes::{Hole, HoleKind, Ignore, RuleError, RuleField, Rules, Within};
use crate::prices::{Above, Price, Prices, is_price};
use crate::replay::policy::Policy;
use crate::replay::tools::{ToolClass, ToolClasses};
use crate::run::sampling::Sampling;
use crate::run::spelling::nearest;
use crate::suite::case::{Common, limit};
use crate::suite::checks::Check;
use crate::suite::findings::Severities;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use toml::Spanned;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    ignore: Vec<Spanned<IgnoreRule>>,
    hole: Vec<Spanned<HoleRule>>,
    tools: ToolLists,
    replay: Replay,
    prices: BTreeMap<String, Spanned<PriceRule>>,
    sampling: Option<Spanned<SamplingRule>>,
    test: Option<TestRule>,
    check: Vec<Check>,
    findings: Severities,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IgnoreRule {
    dialect: Option<Spanned<String>>,
    tool: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    pattern: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HoleRule {
    dialect: Option<Spanned<String>>,
    tool: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    pattern: Option<Spanned<String>>,
    kind: Option<HoleKind>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ToolLists {
    read: Vec<Spanned<String>>,
    write: Vec<Spanned<String>>,
    irreversible: Vec<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Replay {
    allow: Option<Vec<Spanned<String>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SamplingRule {
    share: Option<Spanned<String>>,
    slow: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TestRule {
    directory: Option<PathBuf>,
    command: Option<Spanned<Vec<String>>>,
    copy: bool,
    timeout: Option<Spanned<f64>>,
    budget: BudgetRule,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BudgetRule {
    tokens: Option<u64>,
    cost: Option<Spanned<f64>>,
    seconds: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceRule {
    input: Spanned<f64>,
    output: Spanned<f64>,
    cache_read: Option<Spanned<f64>>,
    cache_write: Option<Spanned<f64>>,
    above: Option<AboveRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AboveRule {
    tokens: u64,
    input: Spanned<f64>,
    output: Spanned<f64>,
    cache_read: Option<Spanned<f64>>,
    cache_write: Option<Spanned<f64>>,
}

/// Reads a file's text.
pub(super) fn read(text: &str) -> Result<Config, Wrong> {
    let file: File = toml::from_str(text).map_err(|error| of_toml(&error, text))?;
    let ignores = file.ignore.iter().map(ignore).collect::<Result<_, _>>()?;
    let holes = file.hole.iter().map(hole).collect::<Result<_, _>>()?;
    let tools = tools(&file.tools)?;
    let allow = file.replay.allow.as_deref().map(policy).transpose()?;
    let prices = file.prices.into_iter().map(price).collect::<Result<_, _>>()?;
    let sampling = file.sampling.as_ref().map(sampling).transpose()?;
    let mut checks = file.check;
    checks.extend(file.test.as_ref().map(|rule| budget(&rule.budget)).transpose()?.unwrap_or_default());
    let suite = file.test.as_ref().map(common).transpose()?.unwrap_or_default();
    Ok(Config {
        path: None,
        rules: Rules::new(ignores, holes),
        tools,
        allow,
        prices: Prices(prices),
        sampling,
        suite,
        checks,
        severities: file.findings,
    })
}

/// What no case may exceed, as checks.
fn budget(rule: &BudgetRule) -> Result<Vec<Check>, Wrong> {
    let amount = |of: &Spanned<f64>| match *of.get_ref() {
        amount if amount.is_finite() && amount >= 0.0 => Ok(amount),
        amount => {
            Err(wrong(of.span(), format!("{amount} is no budget: 0 or more"), "for instance: cost = 0.1"))
        }
    };
    let mut checks = Vec::new();
    let mut add = |name: &str, that: String| checks.push(Check::that(&format!("budget: {name}"), that));
    if let Some(tokens) = rule.tokens {
        add("tokens", format!("tokens.input + tokens.output <= {tokens}"));
    }
    if let Some(cost) = &rule.cost {
        add("cost", format!("cost <= {}", amount(cost)?));
    }
    if let Some(seconds) = &rule.seconds {
        add("seconds", format!("seconds <= {}", amount(seconds)?));
    }
    Ok(checks)
}

fn common(rule: &TestRule) -> Result<Common, Wrong> {
    let usual = Common::default();
    if let Some(empty) = rule.command.as_ref().filter(|command| command.get_ref().is_empty()) {
        return Err(wrong(
            empty.span(),
            "the command has no words",
            "for instance: command = [\"python\", \"agent.py\"]",
        ));
    }
    let timeout = rule.timeout.as_ref().map(|seconds| {
        let what = format!("{} is no time limit: seconds, more than 0", seconds.get_ref());
        limit(*seconds.get_ref()).ok_or_else(|| wrong(seconds.span(), what, "for instance: timeout = 60"))
    });
    Ok(Common {
        directory: rule.directory.clone().unwrap_or(usual.directory),
        command: rule.command.as_ref().map(|command| command.get_ref().clone()),
        copy: rule.copy,
        timeout: timeout.transpose()?.unwrap_or(usual.timeout),
    })
}

fn sampling(rule: &Spanned<SamplingRule>) -> Result<Sampling, Wrong> {
    let Some(share) = &rule.get_ref().share else {
        let what = "[sampling] needs a share: so many of the runs about which nothing is special";
        return Err(wrong(rule.span(), what, "for instance: share = \"10%\""));
    };
    let slow = rule.get_ref().slow.as_ref().map(read_text).transpose()?;
    Ok(Sampling { share: read_text(share)?, slow })
}

fn read_text<T: FromStr<Err = String>>(text: &Spanned<String>) -> Result<T, Wrong> {
    text.get_ref().parse().map_err(|why: String| wrong(text.span(), why, ""))
}

fn price((model, written): (String, Spanned<PriceRule>)) -> Result<(String, Price), Wrong> {
    let rule = written.get_ref();
    let dollars = |written: &Spanned<f64>| {
        let dollars = *written.get_ref();
        if is_price(dollars) {
            return Ok(dollars);
        }
        let what = format!("{dollars} is no price of {model}: US dollars for a million tokens, 0 or more");
        Err(wrong(written.span(), what, "for instance: input = 2.5, output = 10"))
    };
    let some = |written: &Option<Spanned<f64>>| written.as_ref().map(dollars).transpose();
    let above = |above: &AboveRule| {
        Ok(Above {
            tokens: above.tokens,
            input: dollars(&above.input)?,
            output: dollars(&above.output)?,
            cache_read: some(&above.cache_read)?,
            cache_write: some(&above.cache_write)?,
        })
    };
    let price = Price {
        input: dollars(&rule.input)?,
        output: dollars(&rule.output)?,
        cache_read: some(&rule.cache_read)?,
        cache_write: some(&rule.cache_write)?,
        above: rule.above.as_ref().map(above).transpose()?,
    };
    Ok((model.clone(), price))
}

fn wrong(at: Range<usize>, what: impl Into<String>, hint: impl Into<String>) -> Wrong {
    Wrong { at, what: what.into(), hint: hint.into() }
}

fn ignore(rule: &Spanned<IgnoreRule>) -> Result<Ignore, Wrong> {
    let own = rule.get_ref();
    let within = within(own.dialect.as_ref(), own.tool.as_ref(), own.path.as_ref())?;
    let made = Ignore::new(within, said(own.pattern.as_ref()));
    made.map_err(|error| of_rule(error, rule.span(), own.path.as_ref(), own.pattern.as_ref()))
}

fn hole(rule: &Spanned<HoleRule>) -> Result<Hole, Wrong> {
    let own = rule.get_ref();
    let within = within(own.dialect.as_ref(), own.tool.as_ref(), own.path.as_ref())?;
    let Some(pattern) = &own.pattern else {
        let what =
            "a [[hole]] needs a pattern: its first group is the value that differs, else all that it takes";
        return Err(wrong(rule.span(), what, "for instance: pattern = 'session ([0-9a-f]{8})'"));
    };
    let made = Hole::new(within, pattern.get_ref(), own.kind.unwrap_or(HoleKind::Any));
    made.map_err(|error| of_rule(error, rule.span(), own.path.as_ref(), Some(pattern)))
}

fn within<'f>(
    dialect: Option<&'f Spanned<String>>,
    tool: Option<&'f Spanned<String>>,
    path: Option<&'f Spanned<String>>,
) -> Result<Within<'f>, Wrong> {
    if let Some(name) = tool.filter(|name| name.get_ref().trim().is_empty() || name.get_ref().contains('*')) {
        let what = format!("{:?} is no tool: a rule is for one tool, by its whole name", name.get_ref());
        return Err(wrong(name.span(), what, "for instance: tool = \"lookup_order\""));
    }
    Ok(Within { dialect: known_dialect(dialect)?, tool: said(tool), path: said(path) })
}

fn said(text: Option<&Spanned<String>>) -> Option<&str> {
    text.map(|text| text.get_ref().as_str())
}

fn of_rule(
    error: RuleError,
    rule: Range<usize>,
    path: Option<&Spanned<String>>,
    pattern: Option<&Spanned<String>>,
) -> Wrong {
    let at = match error.field {
        RuleField::Path => path,
        RuleField::Pattern => pattern,
        RuleField::Whole => None,
    };
    let hint = match error.field {
        RuleField::Path => "a miss tells the path of what differs: paste it, with [*] for any index",
        RuleField::Pattern => "patterns are regular expressions as in Rust's regex crate, in single quotes",
        RuleField::Whole => "for instance: path = \"params.seed\"",
    };
    wrong(at.map_or(rule, Spanned::span), error.why, hint)
}

fn known_dialect(name: Option<&Spanned<String>>) -> Result<Option<&str>, Wrong> {
    let Some(name) = name else { return Ok(None) };
    let asked = name.get_ref().as_str();
    if dialect::by_name(asked).is_some() {
        return Ok(Some(asked));
    }
    let known: Vec<&str> = dialect::all().iter().map(|d| d.name()).collect();
    let meant = nearest(asked, known.iter().copied());
    let hint = meant.map_or_else(String::new, |name| format!("did you mean {name}?"));
    Err(wrong(name.span(), format!("{asked:?} is no dialect; there are {}", known.join(", ")), hint))
}

fn tools(lists: &ToolLists) -> Result<ToolClasses, Wrong> {
    let all = [
        (&lists.read, ToolClass::Read),
        (&lists.write, ToolClass::Write),
        (&lists.irreversible, ToolClass::Irreversible),
    ];
    let mut tools = ToolClasses::default();
    for (names, class) in all {
        for name in names {
            let text = name.get_ref().trim();
            if text.is_empty() || text.trim_end_matches('*').contains('*') || text.ends_with("**") {
                let what =
                    format!("{text:?} is no tool: a name, or the beginning of names with one * at its end");
                return Err(wrong(name.span(), what, "for instance: read = [\"get_*\", \"lookup_order\"]"));
            }
            if !tools.declare(text, class) {
                let what = format!("{text} is {} here and something else above", class.name());
                return Err(wrong(name.span(), what, "a tool stands in one of read, write, irreversible"));
            }
        }
    }
    Ok(tools)
}

fn policy(names: &[Spanned<String>]) -> Result<Policy, Wrong> {
    for name in names {
        // One by one, so that the line is that of the name.
        Policy::of([name.get_ref().as_str()], "").map_err(|why| wrong(name.span(), why, ""))?;
    }
    let texts = names.iter().map(|name| name.get_ref().as_str());
    Policy::of(texts, &format!("{} [replay]", super::NAME)).map_err(|why| wrong(0..0, why, ""))
}
