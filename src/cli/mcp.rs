//! `retake mcp`

use super::args::McpArgs;
use super::error::CliError;
use crate::bridge::Bridge;
use std::ffi::OsString;
use std::path::Path;

pub(super) fn mcp(args: McpArgs) -> Result<i32, CliError> {
    let name = match &args.name {
        Some(name) if is_name(name) => name.clone(),
        Some(name) => {
            return Err(CliError::usage(format!("--name {name:?}: letters, digits, . _ and - only")));
        }
        None => name_of(&args.command),
    };
    Bridge { name, command: args.command }.run().map_err(|error| CliError::broken(error.to_string()))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// Programs that only start another one.
const LAUNCHERS: [&str; 13] =
    ["npx", "uvx", "uv", "bunx", "bun", "deno", "node", "python", "python3", "run", "tool", "exec", "env"];

/// A server's name by its command: `npx -y @modelcontextprotocol/server-time` is `server-time`, `python shop.py` is `shop`.
fn name_of(command: &[OsString]) -> String {
    let mut stems = command.iter().filter_map(|word| {
        let word = word.to_string_lossy();
        let stem = Path::new(word.as_ref()).file_stem()?.to_string_lossy().into_owned();
        // A version may stand behind the package: server-time@1.2.
        let stem = stem.split('@').find(|part| !part.is_empty()).unwrap_or_default().to_string();
        let serves = !word.starts_with('-') && !word.contains('=') && !LAUNCHERS.contains(&stem.as_str());
        serves.then_some(stem)
    });
    let stem = stems.next().unwrap_or_default();
    let name: String =
        stem.chars().map(|c| if is_name(c.encode_utf8(&mut [0; 4])) { c } else { '-' }).collect();
    if name.is_empty() { "server".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_after_what_it_is_not_how_it_is_started() {
        for (command, name) in [
            ("npx -y @modelcontextprotocol/server-time@1.2 --zone UTC", "server-time"),
            ("python3 -u tools/shop.py", "shop"),
            ("uvx mcp-server-git", "mcp-server-git"),
            ("/usr/local/bin/everything stdio", "everything"),
            ("python -m mcp_time", "mcp_time"),
            ("env A=1 node a b.mjs", "a"),
            ("node", "server"),
        ] {
            let words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
            assert_eq!(name_of(&words), name, "{command}");
        }
    }
}
