//! What the agent's environment is told, and what of it a manifest keeps. Pure: the caller reads the real one.

mod exporters;
mod headers;
mod java;
mod kept;

pub(super) use exporters::is_exporter_variable;
pub use kept::{Machine, is_for_the_agent, kept};

use super::base_url::{BaseUrl, UpstreamOverride};
use super::providers::{AMAZON, BEDROCK, BaseUrlVariable, PROVIDERS, Provider, is_base_url_variable};
use super::trust::{self, TrustFiles};
use crate::exchange::Upstream;
use crate::proxy::{Moved, Routes};
use std::collections::BTreeMap;

/// The key that clients get on a replay when there is none: SDKs insist on one.
pub const DUMMY_KEY: &str = "sk-retake-replay-needs-no-key";

/// Where traffic goes for which there is no address today. The name never resolves (RFC 2606).
const NOWHERE: &str = "https://address-not-set.invalid";

/// What a plan is made from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The environment that retake itself was started with.
    pub caller: &'a [(String, String)],
    /// The proxy: `http://127.0.0.1:PORT`.
    pub proxy: &'a str,
    /// `--upstream`, the last one for a provider wins.
    pub overrides: &'a [UpstreamOverride],
    /// The recorded environment (`Manifest::environment`) on a replay or fork: paths and provider names are those of
    /// the recording, so that requests look as they did; addresses are today's where today says any.
    pub recorded: Option<&'a BTreeMap<String, String>>,
    /// The recording was made here, so that its addresses count where today says none. Without it a recording made by
    /// somebody else never decides where today's key is sent.
    pub own_recording: bool,
    /// Also give the agent the recorded variables themselves (a replay of the recorded command).
    pub restore: bool,
    /// Give the agent a dummy key for each provider that has none.
    pub dummy_keys: bool,
    /// Requests may go to the real upstream.
    pub dials: bool,
    /// What a proxy that many share is to call the run; exporters are told it beside the address.
    pub name: Option<&'a str>,
    /// The run's id, for `RETAKE_RUN`.
    pub run: Option<&'a str>,
    /// Send the requests of clients without a base URL through the proxy too: the certificates that they are to trust.
    pub trust: Option<&'a TrustFiles>,
}

/// What the agent is told, and where its requests go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentEnvironment {
    /// Variables to set over the inherited ones.
    pub set: BTreeMap<String, String>,
    /// Variables to take away.
    pub unset: Vec<String>,
    /// The routes of the proxy.
    pub upstreams: Vec<Upstream>,
    /// Those of what the agent's instrumentation exports; they are no part of a recording.
    pub exports: Vec<Upstream>,
    /// Where today's paths begin in another way than those of the recording, which the agent is told.
    pub moved: Vec<Moved>,
    /// Base URLs that differ from the providers' own, to be kept in the manifest beside [`kept()`]; without userinfo.
    pub base_urls: BTreeMap<String, String>,
    /// Where each of the upstreams comes from, in their order, for a fork to say so.
    pub destinations: Vec<Destination>,
    /// Variables that were left alone because they hold no address: name and value's fault. Their traffic is not seen.
    pub left_alone: Vec<(String, String)>,
}

/// Where the requests of a provider go, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Prefix on the proxy.
    pub provider: String,
    /// Origin today, with the base URL's path where that is another one than recorded; one that never resolves when nobody
    /// says where it is.
    pub origin: String,
    /// The same in the recording, if there is one.
    pub recorded: Option<String>,
    /// Who says so.
    pub said: Said,
}

/// Who says where a provider is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// `--upstream`.
    Flag,
    /// A variable of the caller.
    Variable(&'static str),
    /// The recording.
    Recording,
    /// Nobody: it is the provider's own address.
    Provider,
    /// Nobody, and the provider has no address of its own.
    Nobody,
}

impl AgentEnvironment {
    /// Every route of the proxy.
    pub fn routes(&self) -> Routes {
        let upstreams = self.upstreams.iter().chain(&self.exports).cloned().collect();
        Routes { upstreams, moved: self.moved.clone() }
    }

    /// Amazon's own address, when a base URL leads to it whose signed requests it would refuse: the clients sign them for
    /// the proxy.
    pub fn refused_by_amazon(&self, caller: &[(String, String)]) -> Option<&str> {
        let bearer =
            caller.iter().any(|(name, value)| name == "AWS_BEARER_TOKEN_BEDROCK" && !value.is_empty());
        let to = self.upstreams.iter().find(|u| u.provider == BEDROCK && !bearer)?;
        let host = to.origin.rsplit('/').next().unwrap_or_default();
        let host = host.split(':').next().unwrap_or_default();
        [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"]
            .iter()
            .any(|end| host.ends_with(end))
            .then_some(to.origin.as_str())
    }
}

/// The base URLs of one provider, one for each of its variables.
struct Family {
    urls: Vec<BaseUrl>,
    said: Said,
}

impl Family {
    /// True where the caller or an override said so, rather than the provider's own address.
    fn is_chosen(&self) -> bool {
        self.said != Said::Provider
    }
}

/// Decides what the agent is told.
pub fn plan(around: &Surroundings<'_>) -> AgentEnvironment {
    let mut told = AgentEnvironment::default();
    let mut caller: BTreeMap<&str, &str> =
        around.caller.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    if around.recorded.is_some() {
        forget_proxy(&mut caller);
    }
    if let Some(all) = caller.get(AMAZON.0).copied() {
        caller.entry(AMAZON.1).or_insert(all);
    }
    if let (true, Some(recorded)) = (around.restore, around.recorded) {
        let own =
            |name: &str| is_base_url_variable(name) || is_proxy_variable(name) || name.starts_with("RETAKE_");
        told.set.extend(recorded.iter().filter(|(k, _)| !own(k)).map(|(k, v)| (k.clone(), v.clone())));
    }
    for provider in PROVIDERS {
        route(provider, around, &caller, &mut told);
        let has_key = provider.keys.iter().any(|k| caller.get(k).is_some_and(|v| !v.trim().is_empty()));
        // Amazon's clients find their keys in files and roles too, and the dummy would go before those.
        let wants_dummy = around.dummy_keys && !(around.dials && provider.name == BEDROCK);
        if let (true, false, Some(first)) = (wants_dummy, has_key, provider.keys.first()) {
            told.set.insert(first.to_string(), DUMMY_KEY.to_string());
        }
    }
    exporters::lead(around, &caller, &mut told);
    headers::lead(around, &caller, &mut told);
    match around.trust {
        Some(trust) => lead_through(around.proxy, trust, &caller, &mut told),
        None => bypass_proxies(&caller, &mut told),
    }
    told.set.insert("RETAKE_PROXY".to_string(), around.proxy.to_string());
    match around.run {
        Some(run) => drop(told.set.insert("RETAKE_RUN".to_string(), run.to_string())),
        None => told.unset.push("RETAKE_RUN".to_string()),
    }
    told
}

/// Forgets base URLs that lead to a proxy of retake's own, as `retake env` sets them: they say nothing of where the models
/// are, and what was recorded through it does.
fn forget_proxy(caller: &mut BTreeMap<&str, &str>) {
    let Some(Ok(own)) = caller.get("RETAKE_PROXY").map(|url| BaseUrl::parse(url)) else { return };
    caller.retain(|name, value| {
        !is_base_url_variable(name) || !BaseUrl::parse(value).is_ok_and(|url| url.origin == own.origin)
    });
}

/// Routes one provider: its variables lead to the proxy, one prefix for each address behind them.
fn route(
    provider: &Provider,
    around: &Surroundings<'_>,
    caller: &BTreeMap<&str, &str>,
    told: &mut AgentEnvironment,
) {
    let wanted = pick_override(provider, around.overrides);
    let mut bad = Vec::new();
    let today = family(provider, |name| caller.get(name).copied(), wanted, &mut bad);
    let then = around.recorded.and_then(|recorded| {
        family(provider, |name| recorded.get(name).map(String::as_str), None, &mut Vec::new())
    });
    let Some(shape) = then.as_ref().or(today.as_ref()) else {
        told.left_alone.extend(bad);
        return;
    };
    let chosen = [&today, &then].into_iter().flatten().any(Family::is_chosen);
    let as_then = around.own_recording && then.is_some() && !today.as_ref().is_some_and(Family::is_chosen);
    let current = if as_then { then.as_ref() } else { today.as_ref() };
    let said = match current {
        Some(family) if as_then && family.is_chosen() => Said::Recording,
        Some(family) => family.said,
        None => Said::Nobody,
    };
    let mut prefixes: Vec<(&str, String)> = Vec::new();
    for (i, (variable, url)) in provider.base_urls.iter().zip(&shape.urls).enumerate() {
        let is_said = |value: Option<&str>| value.is_some_and(|v| !v.trim().is_empty());
        let recorded = around.recorded.and_then(|recorded| recorded.get(variable.name)).map(String::as_str);
        let was_set = is_said(caller.get(variable.name).copied()) || is_said(recorded);
        if bad.iter().any(|(name, _)| name == variable.name) || (variable.only_when_set && !was_set) {
            continue;
        }
        let now = current.and_then(|f| f.urls.get(i));
        let origin = now.map_or(NOWHERE, |u| u.origin.as_str());
        let known = prefixes.iter().find(|(o, _)| *o == url.origin).map(|(_, name)| name.clone());
        let prefix = known.unwrap_or_else(|| {
            let name = match prefixes.len() {
                0 => provider.name.to_string(),
                n => format!("{}-{}", provider.name, n + 1),
            };
            prefixes.push((&url.origin, name.clone()));
            told.upstreams.push(Upstream { provider: name.clone(), origin: origin.to_string() });
            // Paths that have become others are part of where it is.
            let moves = now.is_some_and(|now| now.path != url.path);
            let place = |origin: &str, path: &str| format!("{origin}{}", if moves { path } else { "" });
            told.destinations.push(Destination {
                provider: name.clone(),
                origin: place(origin, now.map_or("", |now| now.path.as_str())),
                recorded: around.recorded.map(|_| place(&url.origin, &url.path)),
                said,
            });
            name
        });
        if let Some(now) = now.filter(|now| now.path != url.path) {
            let whole = |path: &str| path.trim_end_matches('/').to_string();
            let moved = Moved { provider: prefix.clone(), from: whole(&url.path), to: whole(&now.path) };
            if !told.moved.contains(&moved) {
                told.moved.push(moved);
            }
        }
        let led = BaseUrl { userinfo: now.and_then(|u| u.userinfo.clone()), ..url.clone() };
        told.set.insert(variable.name.to_string(), led.through(around.proxy, &prefix));
        if chosen {
            let shown = BaseUrl { origin: origin.to_string(), userinfo: None, path: url.path.clone() };
            told.base_urls.insert(variable.name.to_string(), shown.bare());
        }
    }
    told.left_alone.extend(bad);
}

/// The override for a provider: the last that names it, else the last that names none.
fn pick_override<'a>(provider: &Provider, overrides: &'a [UpstreamOverride]) -> Option<&'a UpstreamOverride> {
    let named = overrides.iter().rev().find(|o| o.provider.as_deref() == Some(provider.name));
    named.or_else(|| overrides.iter().rev().find(|o| o.provider.is_none()))
}

/// The base URLs of a provider's variables. One that is not set follows the first that is, as clients of either kind
/// are meant to reach the same server. None when nobody says where the provider is.
fn family<'a>(
    provider: &Provider,
    value: impl Fn(&str) -> Option<&'a str>,
    wanted: Option<&UpstreamOverride>,
    bad: &mut Vec<(String, String)>,
) -> Option<Family> {
    let all_for = |base: &BaseUrl, own: &str| {
        provider.base_urls.iter().map(|v| base.for_path(own, v.path)).collect::<Vec<BaseUrl>>()
    };
    if let Some(wanted) = wanted {
        // A server given for all providers at once is written as most write it, with OpenAI's `/v1`.
        let own = match wanted.provider {
            Some(_) => provider.base_urls.first().map_or("", |v| v.path),
            None => "/v1",
        };
        // Where there is no such provider by default, a server for all of them does not create it.
        if wanted.provider.is_some() || provider.origin.is_some() {
            return Some(Family { urls: all_for(&wanted.base, own), said: Said::Flag });
        }
    }
    let mut set: Vec<Option<BaseUrl>> = Vec::new();
    let mut first: Option<(BaseUrl, &BaseUrlVariable)> = None;
    for variable in provider.base_urls {
        let text = value(variable.name).filter(|text| !text.trim().is_empty());
        let read = |text| match variable.bare_port {
            Some(port) => BaseUrl::parse_host(text, port),
            None => BaseUrl::parse(text),
        };
        let url = text.and_then(|text| match read(text) {
            Ok(url) => Some(url),
            Err(error) => {
                bad.push((variable.name.to_string(), error.to_string()));
                None
            }
        });
        if let (Some(url), None) = (&url, &first) {
            first = Some((url.clone(), variable));
        }
        set.push(url);
    }
    let said = first.as_ref().map_or(Said::Provider, |(_, variable)| Said::Variable(variable.name));
    let (base, own) = match (first, provider.origin) {
        (Some((base, variable)), _) => (base, variable.path),
        (None, Some(origin)) => {
            (BaseUrl { origin: origin.to_string(), userinfo: None, path: String::new() }, "")
        }
        (None, None) => return None,
    };
    let urls =
        all_for(&base, own).into_iter().zip(set).map(|(inherited, own)| own.unwrap_or(inherited)).collect();
    Some(Family { urls, said })
}

/// Variables that send traffic through somebody else's proxy.
fn is_proxy_variable(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("_proxy") && name != "retake_proxy"
}

/// Everything goes through the proxy, tools on the loopback too; what the caller exempted stays exempt.
fn lead_through(proxy: &str, trust: &TrustFiles, caller: &BTreeMap<&str, &str>, told: &mut AgentEnvironment) {
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        told.set.insert(name.to_string(), proxy.to_string());
    }
    let exempt = ["NO_PROXY", "no_proxy"].iter().find_map(|name| caller.get(name).copied());
    let is_loopback = |host: &str| host == "localhost" || host == "::1" || host.starts_with("127.");
    let kept = exempt.unwrap_or_default().split(',').map(str::trim);
    let kept: Vec<&str> =
        kept.filter(|host| !host.is_empty() && *host != "*" && !is_loopback(host)).collect();
    for name in ["NO_PROXY", "no_proxy"] {
        told.set.insert(name.to_string(), kept.join(","));
    }
    for name in trust::WHOLE {
        told.set.insert(name.to_string(), trust.whole.display().to_string());
    }
    told.set.insert(trust::MORE.to_string(), trust.own.display().to_string());
    let caller = caller.get(java::OPTIONS).copied().unwrap_or_default();
    if let Some(options) = java::options(proxy, trust, &kept, caller) {
        told.set.insert(java::OPTIONS.to_string(), options);
    }
    // Node's own client goes by the variables only when it is told to.
    told.set.insert("NODE_USE_ENV_PROXY".to_string(), "1".to_string());
}

/// Loopback goes past the caller's own proxy. No client exempts it by itself. Without any proxy variable nothing is
/// set: a lone `NO_PROXY` makes some clients ignore the system's proxy settings.
fn bypass_proxies(caller: &BTreeMap<&str, &str>, told: &mut AgentEnvironment) {
    if !caller.iter().any(|(name, value)| is_proxy_variable(name) && !value.is_empty()) {
        return;
    }
    let text = |name: &str| caller.get(name).copied().filter(|v| !v.trim().is_empty());
    for (name, other) in [("NO_PROXY", "no_proxy"), ("no_proxy", "NO_PROXY")] {
        let mut list = text(name).or(text(other)).unwrap_or_default().trim().to_string();
        for host in ["127.0.0.1", "localhost"] {
            if list != "*" && !list.split(',').any(|h| h.trim() == host) {
                let comma = if list.is_empty() { "" } else { "," };
                list = format!("{}{comma}{host}", list.trim_end_matches(','));
            }
        }
        told.set.insert(name.to_string(), list);
    }
}

#[cfg(test)]
mod tests;
