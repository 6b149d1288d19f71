//! Where the live calls of a fork go: worked out, and said, before anything is run.

use super::error::CliError;
use super::view::Opened;
use crate::agent::base_url::{BaseUrl, UpstreamOverride};
use crate::agent::environment::{Destination, Said};
use crate::demo::ModelServer;
use crate::report::results::LiveCalls;
use crate::run::Manifest;
use std::path::Path;
use std::time::Duration;

/// What the demo's agent is started by: `retake demo-agent`.
const DEMO_AGENT: &str = "demo-agent";

/// The scripted model of the demo, started again: the one that a demo's run was recorded with ended with the demo.
pub(super) struct Revived {
    server: ModelServer,
}

impl Revived {
    /// Starts it for a run of the demo's agent, unless the person or the environment says where the model is.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub(super) fn of(manifest: &Manifest, upstream: Option<&str>) -> Result<Option<Revived>, CliError> {
        let program = manifest.command.first().and_then(|word| Path::new(word).file_stem());
        let is_demo = program.is_some_and(|name| name == "retake")
            && manifest.command.get(1).is_some_and(|word| word == DEMO_AGENT);
        let today = std::env::var("OPENAI_BASE_URL").ok().and_then(|url| BaseUrl::parse(&url).ok());
        let lives = manifest.upstreams.iter().any(|u| today.as_ref().is_some_and(|t| t.origin == u.origin));
        if !is_demo || upstream.is_some() || lives {
            return Ok(None);
        }
        Ok(Some(Revived { server: ModelServer::start(Duration::ZERO)? }))
    }

    /// Where it is.
    ///
    /// # Errors
    /// Never, as its address is one.
    pub(super) fn upstream(&self) -> Result<UpstreamOverride, CliError> {
        let base = BaseUrl::parse(&self.server.base_url()).map_err(|e| CliError::broken(e.to_string()))?;
        Ok(UpstreamOverride { provider: Some("openai".into()), base })
    }
}

/// Where the live calls of a run's providers go.
///
/// # Errors
/// When nobody says where a provider is.
pub(super) fn live_calls(
    opened: &Opened,
    told: &[Destination],
    revived: bool,
) -> Result<Vec<LiveCalls>, CliError> {
    let mut used: Vec<String> = Vec::new();
    for lane in &opened.outline.lanes {
        let first = lane.turns.first().and_then(|t| t.attempts.last());
        let Some(request) = first.and_then(|id| opened.reader.request(*id).ok()) else { continue };
        if !used.contains(&request.upstream.provider) {
            used.push(request.upstream.provider);
        }
    }
    let id = &opened.reader.manifest().id;
    let mut calls = Vec::new();
    for to in told.iter().filter(|to| used.contains(&to.provider)) {
        let recorded = to.recorded.clone().filter(|recorded| *recorded != to.origin);
        let said = match to.said {
            Said::Nobody => {
                let recorded = recorded.map(|r| format!(" (recorded: {r})")).unwrap_or_default();
                return Err(CliError::broken(format!(
                    "nobody says where {} is today{recorded}: {id} was imported, and no key is sent to an address \
                     from a file. Nothing was run.",
                    to.provider
                ))
                .hint(format!("name it: --upstream {}=URL", to.provider)));
            }
            Said::Flag if revived => "the demo's model, started again".to_string(),
            Said::Flag => "--upstream".into(),
            Said::Variable(name) => name.into(),
            Said::Recording => "as recorded".into(),
            Said::Provider => "the provider's own".into(),
        };
        let recorded = recorded.filter(|_| !revived);
        calls.push(LiveCalls { provider: to.provider.clone(), origin: to.origin.clone(), said, recorded });
    }
    Ok(calls)
}
