//! Which variables a manifest keeps: those that an agent may depend on and that no shell sets by itself.

use super::is_proxy_variable;
use crate::agent::providers::is_base_url_variable;
use std::collections::BTreeMap;

/// Longest value that is kept, in bytes.
const LONGEST: usize = 8 * 1024;

/// Set by shells, terminals, desktops, session managers, tool chains, containers: noise in a manifest. So are paths of
/// this machine's certificates: the client of another would fail at them.
const BOILERPLATE: &[&str] = &[
    "_",
    "AWS_CA_BUNDLE",
    "COLORFGBG",
    "COLORTERM",
    "COMP_WORDBREAKS",
    "CONTAINER",
    "CURL_CA_BUNDLE",
    "DISPLAY",
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
    "COLUMNS",
    "LOGNAME",
    "LS_COLORS",
    "LSCOLORS",
    "MACHTYPE",
    "MAIL",
    "MANPATH",
    "MOTD_SHOWN",
    "NODE_EXTRA_CA_CERTS",
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
    "REMOTE_CONTAINERS",
    "REQUESTS_CA_BUNDLE",
    "SHELL",
    "SHELLOPTS",
    "SHLVL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "STY",
    "SUDO_COMMAND",
    "SUDO_GID",
    "SUDO_UID",
    "SUDO_USER",
    "TEMP",
    "TERM",
    "TERMCAP",
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
];

/// Beginnings of such names.
const BOILERPLATE_FAMILIES: &[&str] = &[
    "ALACRITTY_",
    "APPLE_",
    "BASH_FUNC_",
    "CARGO",
    "CODESPACE",
    "COMMAND_MODE",
    "DBUS_",
    "DEBUGINFOD_",
    "DESKTOP_",
    "DOCKER_",
    "GDM",
    "GHOSTTY_",
    "GITHUB_",
    "GNOME_",
    "GPG_",
    "GTK_",
    "HOMEBREW_",
    "ITERM_",
    "KDE_",
    "KITTY_",
    "KONSOLE_",
    "KUBERNETES_",
    "LAUNCHINSTANCE",
    "LC_TERMINAL",
    "LD_",
    "DYLD_",
    "MEMORY_PRESSURE_",
    "NIX_",
    "NPM_",
    "NVM_",
    "PYENV_",
    "QT_",
    "RBENV_",
    "RETAKE_",
    "RUNNER_",
    "RUSTUP_",
    "SECURITYSESSIONID",
    "SESSION_",
    "SSH_",
    "STARSHIP_",
    "SYSTEMD_",
    "TERM_",
    "VSCODE_",
    "VTE_",
    "WEZTERM_",
    "WSL",
    "XDG_",
    "XPC_",
    "ZDOTDIR",
    "ZSH",
    "__CF",
    "_P9K_",
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

fn is_noise(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    BOILERPLATE.contains(&upper.as_str())
        || BOILERPLATE_FAMILIES.iter().any(|family| upper.starts_with(family))
        || is_service_link(&upper)
        || is_proxy_variable(name)
        || is_base_url_variable(name)
}

/// Addresses of its neighbours that a container is told, like `SHOP_PORT_443_TCP_ADDR`.
fn is_service_link(upper: &str) -> bool {
    let Some((_, port)) = upper.split_once("_PORT_") else { return false };
    let protocol = port.trim_start_matches(|c: char| c.is_ascii_digit());
    protocol.len() < port.len() && (protocol.starts_with("_TCP") || protocol.starts_with("_UDP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_an_agent_may_depend_on() {
        let vars: Vec<(String, String)> = [
            ("PATH", "/bin"),
            ("npm_config_cache", "/c"),
            ("SSH_AUTH_SOCK", "/s"),
            ("HTTPS_PROXY", "http://me:pw@p"),
            ("OPENAI_BASE_URL", "http://me:pw@h"),
            ("OPENAI_API_KEY", "sk-1"),
            ("TZ", "UTC"),
            ("LANG", "C.UTF-8"),
            ("VIRTUAL_ENV", "/v"),
            ("PYTHONHASHSEED", "0"),
            ("AGENT_MODE", "cautious"),
            ("EMPTY", ""),
            ("SSL_CERT_FILE", "/ca.pem"),
            ("container", "podman"),
            ("SHOP_PORT_443_TCP_ADDR", "10.0.0.1"),
            ("SHOP_PORT_NUMBER", "443"),
        ]
        .iter()
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .chain([("HUGE".to_string(), "x".repeat(LONGEST + 1))])
        .collect();
        let (plain, secret) = kept(&vars, |name, _| name.ends_with("_KEY"));
        let names: Vec<&str> = plain.keys().map(String::as_str).collect();
        let expected =
            ["AGENT_MODE", "EMPTY", "LANG", "PYTHONHASHSEED", "SHOP_PORT_NUMBER", "TZ", "VIRTUAL_ENV"];
        assert_eq!(names, expected);
        assert_eq!(secret, ["OPENAI_API_KEY"]);
    }
}
