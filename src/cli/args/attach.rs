//! `retake proxy` and `retake env`.

use super::port;
use crate::run::Intercepted;
use crate::run::sampling::{Sampling, Share, Slow};
use clap::{Args, ValueEnum};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The port that `retake proxy` listens on and `retake env` points at, where nobody says another.
pub const PORT: u16 = 7878;

pub(super) const PROXY_EXAMPLES: &str = "\
Examples:
  retake proxy                                  until ctrl-c; in another shell: eval \"$(retake env)\"
  retake proxy --idle 2m --name shop            unnamed runs are shop.1, shop.2, …; 2 minutes of silence end one
  retake proxy --upstream http://localhost:8000/v1
  retake proxy --replay shop.1                  answers from a recording; result lines as of retake replay
  retake proxy --sample 5% --slow 1m            for days: what failed or took long, and 5% of the rest
  RETAKE_TOKEN=… retake proxy --listen 0.0.0.0  for containers; base URLs begin with /t/TOKEN

A request belongs to the run that its header x-retake-run names, else its path (/r/NAME/openai/v1/…), else to
the unnamed run. A run ends after its silence, or by POST /r/NAME/end?exit=0 (POST /retake/end: the unnamed
one), and is sealed at once. Ctrl-C and SIGTERM end all of them in order; a proxy that a script starts in the
background (retake proxy &) gets no Ctrl-C: end it with kill PID (SIGTERM), never kill -9.";

pub(super) const ENV_EXAMPLES: &str = "\
Examples:
  eval \"$(retake env)\"                 this shell's agents go through the proxy
  eval \"$(retake env --name fix)\"      as a run called fix
  retake env --shell fish | source
  retake env --shell dotenv --proxy http://retake:7878 --name shop > agent.env
  retake env --check                   exit code 0 when a proxy answers, else 3";

/// `retake proxy`
#[derive(Debug, Args)]
pub struct ProxyArgs {
    /// Port to listen on; 0 for a free one
    #[arg(long, default_value_t = PORT, value_parser = port)]
    pub port: u16,
    /// Address to listen on; off the loopback every path needs a token
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub listen: IpAddr,
    /// What every path must begin with, as /t/TOKEN [default: none on the loopback, a random one off it]
    #[arg(long, value_name = "TOKEN", env = "RETAKE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Name of the runs that nobody names
    #[arg(long, default_value = "proxy")]
    pub name: String,
    /// The silence after which an unnamed run ends; the next request begins another
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub idle: Duration,
    /// The silence after which a run with a name ends
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time)]
    pub idle_named: Duration,
    /// Where the models are: URL for all providers, or PROVIDER=URL [default: as this environment says]
    #[arg(long = "upstream", value_name = "URL")]
    pub upstreams: Vec<String>,
    /// Keep, when it has ended, a run that failed, is slow or was forked from, and this share of the others; the rest is
    /// removed at once [default: all stay; see retake gc for later]
    #[arg(long, value_name = "PERCENT", help_heading = "Sampling", conflicts_with = "replay")]
    pub sample: Option<Share>,
    /// Slow is what took longer than this
    #[arg(long, value_name = "TIME", help_heading = "Sampling", requires = "sample", value_parser = time)]
    pub slow: Option<Duration>,
    /// Answer from this recording, offline, instead of recording: each name or pause is a replay from its beginning
    #[arg(long, value_name = "RUN", conflicts_with_all = ["upstreams", "intercept", "only", "except"])]
    pub replay: Option<String>,
    /// With --replay: refuse what leads to this tool; may be given several times
    #[arg(long = "fence", value_name = "TOOL", requires = "replay")]
    pub fences: Vec<String>,
    /// Record every host that agents reach through HTTP and TLS, not only the models behind base URLs
    #[arg(long, help_heading = "Interception")]
    pub intercept: bool,
    /// Record no other hosts but this (and its sub-domains); may be given several times; implies --intercept
    #[arg(long, value_name = "HOST", help_heading = "Interception")]
    pub only: Vec<String>,
    /// Pass this host on unseen; may be given several times; implies --intercept
    #[arg(long, value_name = "HOST", help_heading = "Interception")]
    pub except: Vec<String>,
}

impl ProxyArgs {
    /// Which runs stay when they have ended; none: all.
    pub fn sampling(&self) -> Option<Sampling> {
        let slow = self.slow.map(|time| Slow::Than(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)));
        self.sample.map(|share| Sampling { share, slow })
    }

    /// The hosts to look into, if any are.
    pub fn intercepted(&self) -> Option<Intercepted> {
        let wanted = self.intercept || !self.only.is_empty() || !self.except.is_empty();
        wanted.then(|| Intercepted { only: self.only.clone(), except: self.except.clone() })
    }
}

/// `retake env`
#[derive(Debug, Args)]
pub struct EnvArgs {
    /// Where the proxy is, as agents reach it [default: http://127.0.0.1:7878]
    #[arg(long, value_name = "URL", env = "RETAKE_PROXY", hide_env_values = true)]
    pub proxy: Option<String>,
    /// Port of a proxy on this machine; goes before --proxy
    #[arg(long, value_parser = port)]
    pub port: Option<u16>,
    /// Name of the run that the agents' requests belong to [default: the unnamed one]
    #[arg(long)]
    pub name: Option<String>,
    /// The proxy's token
    #[arg(long, value_name = "TOKEN", env = "RETAKE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// For whom
    #[arg(long, value_enum, default_value_t = Shell::Bash)]
    pub shell: Shell,
    /// Send the requests of clients without a base URL there too; the proxy must have been started with --intercept
    #[arg(long)]
    pub intercept: bool,
    /// Print nothing, only say by the exit code whether a proxy answers (0) or not (3)
    #[arg(long, conflicts_with_all = ["intercept", "name"])]
    pub check: bool,
}

/// Who reads what `retake env` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash, zsh and other Bourne shells
    #[value(alias = "sh", alias = "zsh")]
    Bash,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
    /// NAME=VALUE lines, as `docker run --env-file` and Compose's `env_file` read them
    Dotenv,
    /// One object
    Json,
}

fn time(text: &str) -> Result<Duration, String> {
    let bad = || "a time is like 30s, 10m or 1h 30m, and more than nothing".to_string();
    let time: jiff::SignedDuration = text.trim().parse().map_err(|_| bad())?;
    Duration::try_from(time).ok().filter(|time| !time.is_zero()).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, seconds) in [("30s", 30), ("10m", 600), ("1h 30m", 5400), (" 2 minutes ", 120)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "30", "0s", "-1s", "soon", "1d"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
