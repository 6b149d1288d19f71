//! Which variables a manifest keeps, and which of them an export carries on.
//!
//! The principle: a variable is kept when somebody set it for the agent. What the surroundings set by themselves is
//! today's on a replay: shells, terminals, desktops, logins, tool chains, containers, CI; how this machine reaches the
//! network (proxies, trusted certificates, base URLs); what belongs to one session or process. Secrets are kept by name.
//! An export leaves out values that are bound to the machine: paths in the home directory, its host name.

use super::is_proxy_variable;
use crate::agent::providers::is_base_url_variable;
use std::collections::BTreeMap;

/// Longest value that is kept, in bytes.
const LONGEST: usize = 8 * 1024;

/// Variables that the surroundings set by themselves: shells, terminals, desktops, logins, containers, CI.
const SURROUNDINGS: &[&str] = &[
    "_",
    "CI",
    "COLORFGBG",
    "COLORTERM",
    "COLUMNS",
    "COMMAND_MODE",
    "COMP_WORDBREAKS",
    "CONTAINER",
    "CONTINUOUS_INTEGRATION",
    "DISPLAY",
    "DYNO",
    "EDITOR",
    "HISTCONTROL",
    "HISTFILE",
    "HISTSIZE",
    "HOME",
    "HOSTNAME",
    "HOSTTYPE",
    "INFOPATH",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "KUBECONFIG",
    "LESS",
    "LESSCLOSE",
    "LESSOPEN",
    "LINES",
    "LOGNAME",
    "LSCOLORS",
    "LS_COLORS",
    "MACHTYPE",
    "MAIL",
    "MANPATH",
    "MOTD_SHOWN",
    "NODE_NAME",
    "OLDPWD",
    "OSTYPE",
    "PAGER",
    "PATH",
    "PROMPT",
    "PROMPT_COMMAND",
    "PS1",
    "PS2",
    "PS4",
    "PWD",
    "SESSION_ID",
    "SHELL",
    "SHELLOPTS",
    "SHLVL",
    "STY",
    "TEMP",
    "TERM",
    "TERMCAP",
    "TF_BUILD",
    "TMP",
    "TMPDIR",
    "TMUX",
    "TMUX_PANE",
    "USER",
    "USERNAME",
    "VISUAL",
    "WAYLAND_DISPLAY",
    "WINDOWID",
    "WINDOWPATH",
    "XAUTHORITY",
    "ZDOTDIR",
];

/// Beginnings of such names.
const SURROUNDING_FAMILIES: &[&str] = &[
    // Terminals, desktops, logins.
    "ALACRITTY_",
    "APPLE_",
    "BASH_FUNC_",
    "DBUS_",
    "DESKTOP_",
    "GDM",
    "GHOSTTY_",
    "GNOME_",
    "GPG_",
    "GTK_",
    "ITERM_",
    "KDE_",
    "KITTY_",
    "KONSOLE_",
    "LAUNCHINSTANCE",
    "LC_TERMINAL",
    "MEMORY_PRESSURE_",
    "QT_",
    "SECURITYSESSIONID",
    "SESSION_MANAGER",
    "SSH_",
    "STARSHIP_",
    "SUDO_",
    "SYSTEMD_",
    "TERM_",
    "VSCODE_",
    "VTE_",
    "WEZTERM_",
    "WSL",
    "XDG_",
    "XPC_",
    "ZSH",
    "__CF",
    "_P9K_",
    // Tool chains. They go with PATH, which is today's.
    "ASDF_",
    "CARGO",
    "CONDA_",
    "DEBUGINFOD_",
    "DIRENV_",
    "DYLD_",
    "GOPATH",
    "GOPROXY",
    "GOROOT",
    "GOSUMDB",
    "HOMEBREW_",
    "JAVA_HOME",
    "LD_",
    "MISE_",
    "NIX_",
    "NPM_",
    "NVM_",
    "PIPENV_",
    "PIP_",
    "PNPM_",
    "POETRY_",
    "PYENV_",
    "RBENV_",
    "RETAKE_",
    "RUSTUP_",
    "SDKMAN_",
    "UV_",
    "VIRTUAL_ENV",
    "VOLTA_",
    // Containers, clouds, CI.
    "ACTIONS_",
    "APPVEYOR",
    "AWS_CONTAINER_",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_",
    "BITBUCKET_",
    "BUILDKITE",
    "CIRCLECI",
    "CIRCLE_",
    "CI_",
    "CLOUD_SHELL",
    "CODEBUILD_",
    "CODESPACE",
    "CONTAINER_",
    "DEVCONTAINER",
    "DOCKER_",
    "DRONE",
    "ECS_",
    "FLY_",
    "GITHUB_",
    "GITLAB_",
    "GITPOD_",
    "HEROKU_",
    "HUDSON_",
    "JENKINS_",
    "KUBERNETES_",
    "K_CONFIGURATION",
    "K_REVISION",
    "K_SERVICE",
    "MODAL_",
    "NETLIFY",
    "POD_",
    "RAILWAY_",
    "REMOTE_CONTAINERS",
    "RENDER_INSTANCE",
    "RENDER_SERVICE",
    "REPL_",
    "RUNNER_",
    "TEAMCITY_",
    "TRAVIS",
    "VERCEL",
    "WEBSITE_INSTANCE",
    "WEBSITE_SITE_NAME",
    // Whom this machine trusts on the network.
    "CURL_CA",
    "DENO_CERT",
    "GIT_SSL_",
    "GRPC_DEFAULT_SSL",
    "NODE_EXTRA_CA",
    "SSL_CERT_",
];

/// Parts of names that say which certificates this machine trusts.
const TRUST: &[&str] = &["CA_BUNDLE", "CA_CERT", "CA_FILE", "CA_PATH"];

/// Ends of names whose values are those of one session, process or container.
const OF_ONE_SESSION: &[&str] = &[
    "_CONTAINER_ID",
    "_FD",
    "_HOSTNAME",
    "_INSTANCE_ID",
    "_JOB_ID",
    "_PID",
    "_POD_NAME",
    "_PPID",
    "_SERVICE_HOST",
    "_SERVICE_PORT",
    "_SESSION",
    "_SESSIONID",
    "_SESSION_ID",
    "_SOCK",
    "_SOCKET",
    "_TTY",
];

/// Sorts an environment for the manifest: variables to keep, and the names of those that hold secrets, whose values are
/// nowhere. `is_secret` sees name and value. Base URLs and proxies are left out: the first are planned, the second
/// belong to the machine; both may hold a password.
pub fn kept(
    vars: &[(String, String)],
    is_secret: impl Fn(&str, &str) -> bool,
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut plain = BTreeMap::new();
    let mut secret = Vec::new();
    for (name, value) in vars {
        if is_secret(name, value) {
            secret.push(name.clone());
        } else if !is_noise(name) && value.len() <= LONGEST {
            plain.insert(name.clone(), value.clone());
        }
    }
    secret.sort();
    secret.dedup();
    (plain, secret)
}

/// True for a variable that its surroundings do not set by themselves.
pub fn is_for_the_agent(name: &str) -> bool {
    !is_noise(name)
}

fn is_noise(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    SURROUNDINGS.contains(&upper.as_str())
        || SURROUNDING_FAMILIES.iter().any(|family| upper.starts_with(family))
        || TRUST.iter().any(|part| upper.contains(part))
        || OF_ONE_SESSION.iter().any(|end| upper.ends_with(end))
        || is_service_link(&upper)
        || is_proxy_variable(name)
        || is_base_url_variable(name)
}

/// `REDIS_PORT_6379_TCP_ADDR` and its kind: containers are told of each other in such names.
fn is_service_link(upper: &str) -> bool {
    let numbered = |rest: &str| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let protocol = rest.get(digits..).unwrap_or_default();
        digits > 0 && (protocol.starts_with("_TCP") || protocol.starts_with("_UDP"))
    };
    upper.contains("_SERVICE_PORT_") || upper.split("_PORT_").skip(1).any(numbered)
}

/// The machine that an export is made on.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Home directory of the user; empty when there is none.
    pub home: String,
    /// Host name; empty when it is not known.
    pub host: String,
}

impl Machine {
    /// True for a value that means something on this machine alone: it holds a path in the home directory, or the host name.
    pub fn binds(&self, value: &str) -> bool {
        let host = self.host.trim();
        self.under_home(value)
            || (host.len() > 1
                && host != "localhost"
                && whole(value, host, |c| c.is_ascii_alphanumeric() || c == '-'))
    }

    /// A directory with `~` for the home directory, so that it fits other homes.
    pub fn homeless(&self, directory: &str) -> String {
        let home = self.home.trim_end_matches('/');
        match directory.strip_prefix(home) {
            Some(rest) if !home.is_empty() && (rest.is_empty() || rest.starts_with('/')) => {
                format!("~{rest}")
            }
            _ => directory.to_string(),
        }
    }

    /// The reverse: a directory in this home.
    pub fn at_home(&self, directory: &str) -> String {
        let home = self.home.trim_end_matches('/');
        match directory.strip_prefix('~') {
            Some(rest) if !home.is_empty() && (rest.is_empty() || rest.starts_with('/')) => {
                format!("{home}{rest}")
            }
            _ => directory.to_string(),
        }
    }

    fn under_home(&self, value: &str) -> bool {
        let home = self.home.trim_end_matches('/');
        home.len() > 1
            && whole(value, home, |c| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.')
    }
}

/// True when `part` stands in `text` with no character of a name before or after it.
fn whole(text: &str, part: &str, in_name: impl Fn(char) -> bool) -> bool {
    text.match_indices(part).any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + part.len()..).and_then(|t| t.chars().next());
        !before.is_some_and(&in_name) && !after.is_some_and(&in_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(vars: &[(&str, &str)]) -> Vec<String> {
        let vars: Vec<_> = vars.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        kept(&vars, |_, _| false).0.into_keys().collect()
    }

    #[test]
    fn keeps_what_was_set_for_the_agent() {
        let vars: Vec<(String, String)> = [
            ("OPENAI_API_KEY", "sk-1"),
            ("TZ", "UTC"),
            ("LANG", "C.UTF-8"),
            ("PYTHONHASHSEED", "0"),
            ("AGENT_MODE", "cautious"),
            ("SYSTEM_PROMPT", "be kind"),
            ("CITY", "Oslo"),
            ("EXPORT_FORMAT", "csv"),
            ("IMPORT_PORT_RANGE", "1-2"),
            ("DATABASE_HOST", "db"),
            ("EMPTY", ""),
        ]
        .iter()
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .chain([("HUGE".to_string(), "x".repeat(LONGEST + 1))])
        .collect();
        let (plain, secret) = kept(&vars, |name, _| name.ends_with("_KEY"));
        let names: Vec<&str> = plain.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "AGENT_MODE",
                "CITY",
                "DATABASE_HOST",
                "EMPTY",
                "EXPORT_FORMAT",
                "IMPORT_PORT_RANGE",
                "LANG",
                "PYTHONHASHSEED",
                "SYSTEM_PROMPT",
                "TZ",
            ]
        );
        assert_eq!(secret, ["OPENAI_API_KEY"]);
    }

    #[test]
    fn leaves_out_what_the_surroundings_set() {
        let noise = [
            "PATH",
            "npm_config_cache",
            "SSH_AUTH_SOCK",
            "HTTPS_PROXY",
            "OPENAI_BASE_URL",
            "VIRTUAL_ENV",
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "NODE_EXTRA_CA_CERTS",
            "PIP_CERT",
            "CI",
            "GITHUB_SHA",
            "KUBERNETES_SERVICE_HOST",
            "REDIS_SERVICE_PORT",
            "REDIS_PORT_6379_TCP_ADDR",
            "REDIS_SERVICE_PORT_HTTP",
            "CODESPACE_NAME",
            "container",
            "SOME_TOOL_SESSION_ID",
            "HOSTNAME",
            "WORKER_PID",
            "DOCKER_HOST",
        ];
        let vars: Vec<(&str, &str)> = noise.iter().map(|n| (*n, "x")).collect();
        assert_eq!(names(&vars), [""; 0]);
    }

    #[test]
    fn what_is_bound_to_a_machine() {
        let machine = Machine { home: "/home/ada".into(), host: "dev-box".into() };
        for value in ["/home/ada/data", "a:/home/ada", "file:///home/ada/x", "http://dev-box:80", "dev-box"] {
            assert!(machine.binds(value), "{value}");
        }
        for value in ["/home/adam/x", "/srv/home/ada-2", "my-dev-box", "dev-boxes", "eu", "", "localhost"] {
            assert!(!machine.binds(value), "{value}");
        }
        assert!(!Machine::default().binds("/") && !Machine { home: "/".into(), host: "".into() }.binds("/x"));
        assert_eq!(machine.homeless("/home/ada/shop"), "~/shop");
        assert_eq!(machine.homeless("/home/adam"), "/home/adam");
        assert_eq!(machine.at_home("~/shop"), "/home/ada/shop");
        assert_eq!(machine.at_home("~bob/shop"), "~bob/shop");
    }
}
