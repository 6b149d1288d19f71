//! The name of a run in the headers of exporters: one that speaks gRPC keeps nothing of its endpoint but host and port.

use super::{AgentEnvironment, Surroundings};
use crate::proxy::RUN_HEADER;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::collections::BTreeMap;

const OF_ALL: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Those of one signal, which go in the place of those of all.
const OF_SIGNALS: [&str; 3] = [
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
];

/// What a value may hold as it is (section "Specifying headers via environment variables").
const CODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Adds the name of the run to what the caller's exporters send, in the place of one that was added before; without a
/// name takes that away.
pub(super) fn lead(around: &Surroundings<'_>, caller: &BTreeMap<&str, &str>, told: &mut AgentEnvironment) {
    let own = around.name.map(|name| format!("{RUN_HEADER}={}", utf8_percent_encode(name, CODED)));
    for variable in [OF_ALL].into_iter().chain(OF_SIGNALS) {
        let said = caller.get(variable).copied().unwrap_or_default();
        let pairs = said.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let (before, mut pairs): (Vec<&str>, Vec<&str>) = pairs.partition(|pair| names_a_run(pair));
        // An empty one of a signal counts as not set, and the one of all is used.
        let is_used = variable == OF_ALL || !said.trim().is_empty();
        pairs.extend(own.as_deref().filter(|_| is_used));
        let is_led = own.is_some() && is_used;
        match (is_led || !before.is_empty(), pairs.is_empty()) {
            (false, _) => {}
            (true, true) => told.unset.push(variable.to_string()),
            (true, false) => drop(told.set.insert(variable.to_string(), pairs.join(","))),
        }
    }
}

/// True for a pair that names the run of an export.
fn names_a_run(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    percent_decode_str(name).decode_utf8_lossy().trim().eq_ignore_ascii_case(RUN_HEADER)
}

#[cfg(test)]
mod tests {
    use super::super::{AgentEnvironment, Surroundings, plan};
    use super::{OF_ALL, OF_SIGNALS};

    fn told(name: Option<&str>, caller: &[(&str, &str)]) -> AgentEnvironment {
        let caller: Vec<(String, String)> =
            caller.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        plan(&Surroundings { caller: &caller, proxy: "http://127.0.0.1:9", name, ..Default::default() })
    }

    #[test]
    fn the_name_is_added_once() {
        for (said, name, wanted) in [
            ("", "pg", "x-retake-run=pg"),
            (
                "authorization=Basic%20YQ==, x-team=7,",
                "pg",
                "authorization=Basic%20YQ==,x-team=7,x-retake-run=pg",
            ),
            ("x-team=7,x-retake-run=pg", "pg", "x-team=7,x-retake-run=pg"),
            ("X-Retake-Run = old ,x-team=7", "new", "x-team=7,x-retake-run=new"),
            ("x-retake-runs=1", "p,g=", "x-retake-runs=1,x-retake-run=p%2Cg%3D"),
        ] {
            assert_eq!(told(Some(name), &[(OF_ALL, said)]).set[OF_ALL], wanted, "{said}");
        }
        let traces = OF_SIGNALS[0];
        let named = told(Some("pg"), &[(traces, "a=b"), (OF_SIGNALS[1], " ")]);
        assert_eq!(
            (&named.set[OF_ALL], &named.set[traces]),
            (&"x-retake-run=pg".into(), &"a=b,x-retake-run=pg".into())
        );
        assert!(!named.set.contains_key(OF_SIGNALS[1]) && !named.set.contains_key(OF_SIGNALS[2]));
    }

    #[test]
    fn without_a_name_there_is_what_was_before() {
        let none = told(None, &[(OF_ALL, "x-team=7")]);
        assert!(!none.set.contains_key(OF_ALL) && !none.unset.contains(&OF_ALL.to_string()));
        let left = told(None, &[(OF_ALL, "x-retake-run=pg"), (OF_SIGNALS[0], "a=b,x-retake-run=pg")]);
        assert!(left.unset.contains(&OF_ALL.to_string()) && !left.set.contains_key(OF_ALL));
        assert_eq!(left.set[OF_SIGNALS[0]], "a=b");
    }
}
