//! What is recorded: an agent, a server of tools.

use super::port;
use crate::run::Intercepted;
use clap::Args;
use std::ffi::OsString;

/// `retake mcp`
#[derive(Debug, Args)]
pub struct McpArgs {
    /// Name of the server in the recording; without it, from the command
    #[arg(long)]
    pub name: Option<String>,
    /// The server's command. Without a run around it, it is simply started
    #[arg(required = true, last = true, value_name = "SERVER")]
    pub command: Vec<OsString>,
}

/// `retake run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Name of the run; a number is added: refund is refund.1, then refund.2 [default: from the command]
    #[arg(long)]
    pub name: Option<String>,
    /// A label; may be given several times
    #[arg(long = "label", value_name = "K=V")]
    pub labels: Vec<String>,
    /// A remark, shown by `ls` and `show`
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Replay the recording at once and say whether the agent is reproducible
    #[arg(long)]
    pub verify: bool,
    /// With --verify: go on although a tool that sounds irreversible will run again
    #[arg(long)]
    pub yes: bool,
    /// With --verify: stop before the agent runs this tool; may be given several times
    #[arg(long = "fence", value_name = "TOOL")]
    pub fences: Vec<String>,
    /// Where the models are: URL for all providers, or PROVIDER=URL [default: as this environment says]
    #[arg(long = "upstream", value_name = "URL")]
    pub upstreams: Vec<String>,
    /// Record every host that the agent reaches through HTTP and TLS, not only the models behind base URLs
    #[arg(long, help_heading = "Interception")]
    pub intercept: bool,
    /// Record no other hosts but this (and its sub-domains); may be given several times; implies --intercept
    #[arg(long, value_name = "HOST", help_heading = "Interception")]
    pub only: Vec<String>,
    /// Pass this host on unseen; may be given several times; implies --intercept
    #[arg(long, value_name = "HOST", help_heading = "Interception")]
    pub except: Vec<String>,
    /// Record the commands that the agent gives to a shell too: a replay does not run them
    #[arg(long, help_heading = "Interception")]
    pub shell: bool,
    /// Port to listen on [default: a free one]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_parser = port)]
    pub port: u16,
    /// The agent's command, as you would type it
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl RunArgs {
    /// The hosts to look into, if any are.
    pub fn intercepted(&self) -> Option<Intercepted> {
        let wanted = self.intercept || !self.only.is_empty() || !self.except.is_empty();
        wanted.then(|| Intercepted { only: self.only.clone(), except: self.except.clone() })
    }
}
