//! What went past a recording, in words.

use super::error::CliError;
use crate::proxy::Unseen;

/// Hosts that could not be recorded, one line each. Those that a person left out are none.
pub(super) fn unseen(hosts: &[(String, Unseen)]) -> Vec<String> {
    let line = |(host, why): &(String, Unseen)| {
        Some(match why {
            Unseen::Left => return None,
            Unseen::Pinned => format!(
                "{host} is not recorded: its client takes no certificate but those that it knows; --except {host} leaves \
                 it alone from the start"
            ),
            Unseen::Foreign => format!(
                "{host} is not recorded: its client speaks neither HTTP/1.1 nor HTTP/2; --except {host} leaves it alone from the start"
            ),
            Unseen::Dropped => format!(
                "{host} is not recorded: its client was shown retake's certificate and asked nothing; if it failed, tell \
                 it to trust $SSL_CERT_FILE, or leave the host alone with --except {host}"
            ),
            Unseen::Refused => format!(
                "{host} is not recorded in full: one of its clients takes no certificate but those that it knows, and \
                 failed; --except {host} leaves the host alone"
            ),
        })
    };
    hosts.iter().filter_map(line).collect()
}

/// Why a run came to nothing. `intercepts`: it had --intercept.
pub(super) fn nothing_seen(
    missing: &str,
    command: &[String],
    passed: &[(String, Unseen)],
    intercepts: bool,
) -> CliError {
    let what = command.first().map_or("the agent", String::as_str);
    let hosts = |is: fn(Unseen) -> bool| -> Vec<&str> {
        passed.iter().filter(|(_, why)| is(*why)).map(|(host, _)| host.as_str()).collect()
    };
    let dropped = hosts(|why| why == Unseen::Dropped);
    if let Some(first) = dropped.first() {
        let hosts = dropped.join(", ");
        return CliError::broken(format!(
            "{missing} was recorded: {what} reached {hosts} and did not go on when it was shown retake's certificate"
        ))
        .hint("tell it to trust the certificates in $SSL_CERT_FILE, by a setting of its own where it does not read that variable (wget: --ca-certificate=\"$SSL_CERT_FILE\")")
        .hint(format!("--except {first} leaves the host alone"));
    }
    let hosts = hosts(|_| true);
    if !hosts.is_empty() {
        let hosts = hosts.join(", ");
        return CliError::broken(format!(
            "{missing} was recorded: {what} reached {hosts} alone, passed on unseen"
        ))
        .hint("--only and --except say which hosts are recorded");
    }
    let nothing = CliError::broken(format!("{missing} was recorded: {what} made no request through retake"))
        .hint("retake sets OPENAI_BASE_URL, ANTHROPIC_BASE_URL and the like; does the agent read them?");
    if intercepts {
        return nothing.hint(
            "with --intercept it sets HTTPS_PROXY and the like too; a client that reads neither may have a setting for its proxy, to be told $HTTPS_PROXY",
        );
    }
    nothing.hint("a client with a fixed address: retake run --intercept, or point it at $RETAKE_PROXY/openai/v1 or $RETAKE_PROXY/anthropic")
}
