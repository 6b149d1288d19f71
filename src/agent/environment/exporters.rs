//! Where the agent's instrumentation exports to: the proxy, and from there on to where it was to go.

use super::{AgentEnvironment, Surroundings};
use crate::agent::base_url::BaseUrl;
use crate::exchange::Upstream;
use crate::proxy::{DEFAULT_COLLECTOR, DEFAULT_GRPC_COLLECTOR, LOGFIRE, OTLP};
use std::collections::BTreeMap;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

/// Endpoints of one signal, which go before the one of all: the variable, and the name of its way.
const SIGNALS: [(&str, &str); 3] = [
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "otlp-traces"),
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "otlp-logs"),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "otlp-metrics"),
];

/// A vendor whose SDK has an address of its own.
struct Vendor {
    /// Name of its way.
    name: &'static str,
    /// The variables that hold its address; each that is set is led, else the first.
    addresses: &'static [&'static str],
    /// It is used when one of these, or an address, is set.
    signs: &'static [&'static str],
    /// Its own address.
    origin: Home,
}

/// Where a vendor is when no variable says it.
enum Home {
    /// It has to be set.
    Nowhere,
    /// Always there.
    At(&'static str),
    /// Where the token in this variable is of.
    OfToken(&'static str),
}

const VENDORS: [Vendor; 5] = [
    Vendor {
        name: "langfuse",
        addresses: &["LANGFUSE_BASE_URL", "LANGFUSE_HOST"],
        signs: &["LANGFUSE_PUBLIC_KEY"],
        origin: Home::At("https://cloud.langfuse.com"),
    },
    Vendor {
        name: "langsmith",
        addresses: &["LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT"],
        signs: &["LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"],
        origin: Home::At("https://api.smith.langchain.com"),
    },
    Vendor {
        name: "traceloop",
        addresses: &["TRACELOOP_BASE_URL"],
        signs: &["TRACELOOP_API_KEY"],
        origin: Home::At("https://api.traceloop.com"),
    },
    Vendor {
        name: LOGFIRE,
        addresses: &["LOGFIRE_BASE_URL"],
        signs: &["LOGFIRE_TOKEN"],
        origin: Home::OfToken("LOGFIRE_TOKEN"),
    },
    Vendor { name: "phoenix", addresses: &["PHOENIX_COLLECTOR_ENDPOINT"], signs: &[], origin: Home::Nowhere },
];

/// True for a variable that says where to export to.
pub(in crate::agent) fn is_exporter_variable(name: &str) -> bool {
    name == ENDPOINT
        || SIGNALS.iter().any(|(variable, _)| *variable == name)
        || VENDORS.iter().any(|vendor| vendor.addresses.contains(&name))
}

/// Leads exporters to the proxy. An address that is none is left alone and told.
pub(super) fn lead(around: &Surroundings<'_>, caller: &BTreeMap<&str, &str>, told: &mut AgentEnvironment) {
    let said = |name: &str| caller.get(name).copied().filter(|value| !value.trim().is_empty());
    let by_grpc = said(PROTOCOL) == Some("grpc");
    let (collector, port) = if by_grpc { (DEFAULT_GRPC_COLLECTOR, 4317) } else { (DEFAULT_COLLECTOR, 4318) };
    // Exporters by gRPC are given hosts without a scheme too.
    let mut led = |variable: &str, way: &str, address: &str| match BaseUrl::parse_host(address, port) {
        Ok(url) => {
            told.set.insert(variable.to_string(), url.through(around.proxy, way));
            if !told.exports.iter().any(|upstream| upstream.provider == way) {
                told.exports.push(Upstream { provider: way.to_string(), origin: url.origin });
            }
        }
        Err(error) => told.left_alone.push((variable.to_string(), error.to_string())),
    };
    led(ENDPOINT, OTLP, said(ENDPOINT).unwrap_or(collector));
    for (variable, way) in SIGNALS {
        if let Some(address) = said(variable) {
            led(variable, way, address);
        }
    }
    for vendor in &VENDORS {
        let set: Vec<(&str, &str)> =
            vendor.addresses.iter().filter_map(|name| Some((*name, said(name)?))).collect();
        let used = vendor.signs.iter().any(|sign| said(sign).is_some());
        let origin = match vendor.origin {
            Home::Nowhere => None,
            Home::At(origin) => Some(origin),
            Home::OfToken(variable) => said(variable).and_then(logfire_of),
        };
        match (set.is_empty(), vendor.addresses.first(), origin) {
            (false, ..) => set.into_iter().for_each(|(name, address)| led(name, vendor.name, address)),
            (true, Some(name), Some(origin)) if used => led(name, vendor.name, origin),
            _ => {}
        }
    }
}

/// Where Logfire's tokens (with commas between them) are of: `pylf_v1_eu_…`; none for those of several places.
fn logfire_of(tokens: &str) -> Option<&'static str> {
    let mut homes = tokens.split(',').map(|token| {
        let region = token.trim().strip_prefix("pylf_v").and_then(|rest| rest.split('_').nth(1));
        match region {
            Some("eu") => "https://logfire-eu.pydantic.dev",
            Some("stagingus") => "https://logfire-us.pydantic.info",
            Some("stagingeu") => "https://logfire-eu.pydantic.info",
            // Tokens from before there were others name none.
            _ => "https://logfire-us.pydantic.dev",
        }
    });
    let first = homes.next()?;
    homes.all(|home| home == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::super::{AgentEnvironment, Surroundings, plan};

    fn told(caller: &[(&str, &str)]) -> AgentEnvironment {
        let caller: Vec<(String, String)> =
            caller.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        plan(&Surroundings { caller: &caller, proxy: "http://127.0.0.1:9", ..Default::default() })
    }

    fn origin<'a>(told: &'a AgentEnvironment, way: &str) -> Option<&'a str> {
        told.exports.iter().find(|upstream| upstream.provider == way).map(|upstream| upstream.origin.as_str())
    }

    #[test]
    fn exporters_find_the_proxy_and_it_the_collector() {
        let none = told(&[]);
        assert_eq!(none.set["OTEL_EXPORTER_OTLP_ENDPOINT"], "http://127.0.0.1:9/otlp");
        assert_eq!(origin(&none, "otlp"), Some("http://localhost:4318"));
        assert!(!none.set.contains_key("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"));
        assert!(!none.set.contains_key("LANGFUSE_BASE_URL") && none.exports.len() == 1);

        let set = told(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318/team"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.test/v1/private"),
        ]);
        assert_eq!(set.set["OTEL_EXPORTER_OTLP_ENDPOINT"], "http://127.0.0.1:9/otlp/team");
        assert_eq!(
            set.set["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"],
            "http://127.0.0.1:9/otlp-traces/v1/private"
        );
        assert_eq!(origin(&set, "otlp"), Some("https://collector:4318"));
        assert_eq!(origin(&set, "otlp-traces"), Some("https://traces.test"));

        let grpc =
            told(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector")]);
        assert_eq!(origin(&grpc, "otlp"), Some("http://collector:4317"));
    }

    #[test]
    fn vendors_are_led_where_they_are_used() {
        let used =
            told(&[("LANGFUSE_PUBLIC_KEY", "pk"), ("PHOENIX_COLLECTOR_ENDPOINT", "http://p:6006/v1/traces")]);
        assert_eq!(used.set["LANGFUSE_BASE_URL"], "http://127.0.0.1:9/langfuse");
        assert_eq!(origin(&used, "langfuse"), Some("https://cloud.langfuse.com"));
        assert_eq!(used.set["PHOENIX_COLLECTOR_ENDPOINT"], "http://127.0.0.1:9/phoenix/v1/traces");
        for (tokens, origin) in [
            ("pylf_v1_eu_abc", Some("https://logfire-eu.pydantic.dev")),
            ("pylf_v1_eu_abc, pylf_v2_eu_0a_def", Some("https://logfire-eu.pydantic.dev")),
            ("abc", Some("https://logfire-us.pydantic.dev")),
            ("pylf_v1_eu_abc,pylf_v1_us_def", None),
        ] {
            let logfire = told(&[("LOGFIRE_TOKEN", tokens)]);
            assert_eq!(self::origin(&logfire, "logfire"), origin, "{tokens}");
        }
        let own = told(&[("LANGFUSE_HOST", "http://own:3000")]);
        assert_eq!(own.set["LANGFUSE_HOST"], "http://127.0.0.1:9/langfuse");
        assert!(!own.set.contains_key("LANGFUSE_BASE_URL"));
        let odd = told(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://x")]);
        assert!(!odd.set.contains_key("OTEL_EXPORTER_OTLP_ENDPOINT") && odd.left_alone.len() == 1);
    }
}
