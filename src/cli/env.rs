//! `retake env`

use super::args::{EnvArgs, PORT, Shell};
use super::error::{CliError, exit};
use super::record::run_name;
use super::session::own_environment;
use super::{Context, print, surroundings, warn};
use crate::agent::base_url::BaseUrl;
use crate::agent::environment::{self, AgentEnvironment, Surroundings};
use crate::agent::providers::is_base_url_variable;
use crate::agent::trust::TrustFiles;
use crate::proxy::Place;
use clap::ValueEnum;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a proxy may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);
/// No proxy says more than this of itself.
const LONGEST_ANSWER: u64 = 4 << 20;

/// What a proxy says of itself.
#[derive(Debug, Default, Deserialize)]
struct State {
    retake: String,
    /// The paths of its base URLs; none: the token was not the right one.
    variables: Option<BTreeMap<String, String>>,
    /// The recording that it answers from.
    replays: Option<String>,
    /// The certificates of its authority, when it looks into TLS.
    trust: Option<TrustFiles>,
}

pub(super) fn env(context: &Context, args: &EnvArgs) -> Result<i32, CliError> {
    let told = asked(context, args);
    if told.is_err() && !context.json && !args.check {
        fail(args.shell)?;
    }
    told
}

/// Makes what a shell evaluates fail: it knows nothing of the exit code of a command whose output it evaluates.
pub(super) fn fail(shell: Shell) -> Result<(), CliError> {
    let text = match shell {
        _ if io::stdout().is_terminal() => return Ok(()),
        Shell::Bash | Shell::Fish => "false\n",
        Shell::Powershell => "throw 'retake env failed'\n",
        Shell::Dotenv | Shell::Json => return Ok(()),
    };
    print(text)
}

/// The same for a command line that cannot be read.
pub(super) fn fail_unread() {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if words.get(1).is_none_or(|verb| verb != "env") || words.iter().any(|word| word == "--json") {
        return;
    }
    let named = |word: &String| Shell::from_str(word.trim_start_matches("--shell="), true).ok();
    // Its reader sees the error whether this can be written or not.
    let _ = fail(words.iter().find_map(named).unwrap_or(Shell::Bash));
}

fn asked(context: &Context, args: &EnvArgs) -> Result<i32, CliError> {
    if let Some(name) = &args.name {
        run_name(Some(name), &[])?;
    }
    let proxy = match (args.port, &args.proxy) {
        (Some(port), _) => format!("http://127.0.0.1:{port}"),
        (None, Some(proxy)) => proxy.clone(),
        (None, None) => format!("http://127.0.0.1:{PORT}"),
    };
    let proxy = BaseUrl::parse(&proxy).map_err(|e| CliError::usage(format!("--proxy: {e}")))?;
    let token = args.token.as_deref().map(str::trim).filter(|token| !token.is_empty());
    let state = ask(&proxy, token);
    if args.check {
        return Ok(if state.is_ok() { exit::OK } else { exit::BROKEN });
    }
    let is_there = state.is_ok();
    let told = told(&proxy, args, token, state)?;
    // A file of variables is for agents that are somewhere else.
    if is_there && args.shell != Shell::Dotenv {
        let here = surroundings::here(&context.directory()?);
        let place = Place { directory: here.directory, home: here.home, temp: here.temp };
        if let Err(error) = tell(&proxy, token, args.name.as_deref(), &place) {
            warn(&format!(
                "the proxy does not take where this is ({error}): its recordings will match in this directory alone"
            ));
        }
    }
    let shell = if context.json { Shell::Json } else { args.shell };
    print(&written(&told, shell)?)?;
    Ok(exit::OK)
}

/// What agents are to be told, by what the proxy says of itself, else by what this environment says.
fn told(
    proxy: &BaseUrl,
    args: &EnvArgs,
    token: Option<&str>,
    state: io::Result<State>,
) -> Result<AgentEnvironment, CliError> {
    let origin = &proxy.origin;
    let state = match state {
        Ok(state) if state.variables.is_some() => Some(state),
        Ok(_) => {
            let hint = "RETAKE_TOKEN or --token: as the proxy printed it";
            return Err(CliError::broken(format!("the proxy at {origin} wants its token")).hint(hint));
        }
        Err(error) => {
            warn(&format!("no retake proxy answers at {origin} ({error}): start one with `retake proxy`"));
            None
        }
    };
    let trust = match (args.intercept, &state) {
        (false, _) => None,
        (true, Some(State { trust: Some(trust), .. })) => Some(trust),
        (true, _) => {
            return Err(CliError::broken(format!("the proxy at {origin} does not look into other traffic"))
                .hint("start it with: retake proxy --intercept"));
        }
    };
    let mut caller = own_environment();
    // What leads to the proxy already says nothing of where the models are.
    caller.retain(|(name, value)| {
        !is_base_url_variable(name) || !BaseUrl::parse(value).is_ok_and(|url| url.origin == *origin)
    });
    // A user in the URL of a forward proxy is how it learns the run; some clients send none without a password.
    let entrance = match (&args.name, trust, origin.split_once("://")) {
        (Some(name), Some(_), Some((scheme, host))) => format!("{scheme}://{name}:run@{host}"),
        _ => origin.clone(),
    };
    // Clients insist on a key, recorded answers need none.
    let dummy_keys = state.as_ref().is_some_and(|state| state.replays.is_some());
    let around = Surroundings {
        caller: &caller,
        proxy: &entrance,
        trust,
        dummy_keys,
        name: args.name.as_deref(),
        ..Surroundings::default()
    };
    let mut told = environment::plan(&around);
    let paths = state.and_then(|state| state.variables).unwrap_or_else(|| {
        let bare = environment::plan(&Surroundings { caller: &caller, ..Surroundings::default() });
        bare.set.into_iter().filter(|(name, _)| is_base_url_variable(name)).collect()
    });
    let front = [("t", token), ("r", args.name.as_deref())]
        .into_iter()
        .filter_map(|(kind, value)| value.map(|value| format!("/{kind}/{value}")))
        .collect::<String>();
    told.set.retain(|name, _| !is_base_url_variable(name));
    for (name, path) in
        paths.iter().filter(|(name, path)| is_base_url_variable(name) && path.starts_with('/'))
    {
        told.set.insert(name.clone(), format!("{origin}{front}{path}"));
    }
    // Servers of tools and wrapped functions find their run by it too.
    told.set.insert("RETAKE_PROXY".into(), format!("{origin}{front}"));
    Ok(told)
}

/// Tells a proxy where the agents of a run are.
fn tell(proxy: &BaseUrl, token: Option<&str>, name: Option<&str>, place: &Place) -> io::Result<()> {
    let target = name.map_or("/retake/place".into(), |name| format!("/r/{name}/place"));
    let body = serde_json::to_string(place).map_err(io::Error::other)?;
    let answer = say(proxy, "PUT", &format!("{}{target}", front(token)), &body)?;
    let status = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or_default();
    if status == b"200" {
        Ok(())
    } else {
        Err(io::Error::other(String::from_utf8_lossy(status).into_owned()))
    }
}

fn front(token: Option<&str>) -> String {
    token.map(|token| format!("/t/{token}")).unwrap_or_default()
}

/// Asks a proxy what it says of itself.
fn ask(proxy: &BaseUrl, token: Option<&str>) -> io::Result<State> {
    let odd = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
    let answer = say(proxy, "GET", &format!("{}/retake/health", front(token)), "")?;
    let body = memchr::memmem::find(&answer, b"\r\n\r\n").and_then(|at| answer.get(at + 4..));
    let state: State = body
        .and_then(|body| serde_json::from_slice(body).ok())
        .ok_or_else(|| odd("something else listens there"))?;
    if state.retake.is_empty() { Err(odd("something else listens there")) } else { Ok(state) }
}

/// Sends a request, and reads the whole answer.
fn say(proxy: &BaseUrl, method: &str, target: &str, body: &str) -> io::Result<Vec<u8>> {
    let odd = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
    let authority = proxy.origin.strip_prefix("http://").ok_or_else(|| odd("a proxy speaks plain http"))?;
    let with_port = if authority.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()) {
        authority.to_string()
    } else {
        format!("{authority}:80")
    };
    let mut refused = odd("no address");
    let connected = with_port.to_socket_addrs()?.find_map(|address| {
        TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| refused = error).ok()
    });
    let Some(mut stream) = connected else { return Err(refused) };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    Ok(answer)
}

/// The variables as a shell reads them.
fn written(told: &AgentEnvironment, shell: Shell) -> Result<String, CliError> {
    if shell == Shell::Json {
        let object = serde_json::to_string_pretty(&told.set).map_err(|e| CliError::broken(e.to_string()))?;
        return Ok(format!("{object}\n"));
    }
    let set = told.set.iter().map(|(name, value)| match shell {
        Shell::Fish => {
            format!("set -gx {name} '{}'\n", value.replace('\\', "\\\\").replace('\'', "\\'"))
        }
        Shell::Powershell => format!("$env:{name} = '{}'\n", value.replace('\'', "''")),
        Shell::Dotenv => format!("{name}={value}\n"),
        Shell::Bash | Shell::Json => format!("export {name}='{}'\n", value.replace('\'', "'\\''")),
    });
    let unset = told.unset.iter().filter_map(|name| match shell {
        Shell::Fish => Some(format!("set -e {name}\n")),
        Shell::Powershell => Some(format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue\n")),
        Shell::Bash => Some(format!("unset {name}\n")),
        Shell::Dotenv | Shell::Json => None,
    });
    Ok(set.chain(unset).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_as_each_shell_does() {
        let mut told = AgentEnvironment::default();
        told.set.insert("A".into(), r"it's \ 1".into());
        told.unset.push("B".into());
        for (shell, wanted) in [
            (Shell::Bash, "export A='it'\\''s \\ 1'\nunset B\n"),
            (Shell::Fish, "set -gx A 'it\\'s \\\\ 1'\nset -e B\n"),
            (Shell::Powershell, "$env:A = 'it''s \\ 1'\nRemove-Item Env:B -ErrorAction SilentlyContinue\n"),
            (Shell::Dotenv, "A=it's \\ 1\n"),
            (Shell::Json, "{\n  \"A\": \"it's \\\\ 1\"\n}\n"),
        ] {
            assert_eq!(written(&told, shell).unwrap(), wanted, "{shell:?}");
        }
    }
}
