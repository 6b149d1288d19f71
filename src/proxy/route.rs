//! Which upstream a path stands for: `/PROVIDER/rest?query`, with an optional `/r/NAME` before it.

use super::Routes;
use super::shim::TOOL;
use crate::exchange::Upstream;
use http::Uri;

/// Name of the way to bridged servers of the Model Context Protocol.
pub const MCP: &str = "mcp";

/// A request's way: who gets it, and the path and query that go there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) upstream: Upstream,
    pub(super) target: String,
}

/// Finds the upstream of a request by the first segment of its path; none when no route has that name.
pub(super) fn resolve(routes: &Routes, uri: &Uri) -> Option<Way> {
    let whole = uri.path_and_query().map_or("/", |target| target.as_str());
    by_prefix(routes, whole).or_else(|| {
        let (_, named) = whole.strip_prefix("/r/")?.split_once('/')?;
        by_prefix(routes, whole.get(whole.len() - named.len() - 1..)?)
    })
}

fn by_prefix(routes: &Routes, whole: &str) -> Option<Way> {
    let path = whole.strip_prefix('/')?;
    if let Some(server) = path.strip_prefix("mcp/") {
        return bridged(server);
    }
    if let Some(function) = path.strip_prefix("tool/") {
        let upstream = Upstream { provider: TOOL.into(), origin: "retake://tool".into() };
        return Some(Way { upstream, target: format!("/{function}") });
    }
    let end = path.find(['/', '?']).unwrap_or(path.len());
    let (provider, rest) = path.split_at(end);
    let upstream = routes.upstreams.iter().find(|upstream| upstream.provider == provider)?;
    let target = if rest.starts_with('/') { rest.to_string() } else { format!("/{rest}") };
    Some(Way { upstream: upstream.clone(), target })
}

/// The way to a server of the Model Context Protocol whose bridge listens on a port of the loopback: `NAME?port=N`. The
/// port is another one each time, and no part of the target.
fn bridged(server: &str) -> Option<Way> {
    let (name, port) = server.split_once("?port=")?;
    let port: u16 = port.parse().ok()?;
    let upstream = Upstream { provider: MCP.into(), origin: format!("http://127.0.0.1:{port}") };
    Some(Way { upstream, target: format!("/{name}") })
}

/// The way of a request that names its own host. A host that is the upstream of a route goes by its name.
pub(super) fn outside(routes: &Routes, origin: &str, uri: &Uri) -> Way {
    let known = routes.upstreams.iter().find(|upstream| upstream.origin.trim_end_matches('/') == origin);
    let upstream = known.cloned().unwrap_or_else(|| Upstream {
        provider: origin.split_once("://").map_or(origin, |(_, host)| host).to_string(),
        origin: origin.to_string(),
    });
    Way { upstream, target: uri.path_and_query().map_or("/", |target| target.as_str()).to_string() }
}

/// What a target is at an upstream where paths begin in another way; none where it is the same.
pub(super) fn moved(routes: &Routes, upstream: &Upstream, target: &str) -> Option<String> {
    let own = routes.moved.iter().filter(|moved| moved.provider == upstream.provider);
    let fits = own.filter_map(|moved| {
        let rest = target.strip_prefix(moved.from.as_str())?;
        (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((moved, rest))
    });
    let (moved, rest) = fits.max_by_key(|(moved, _)| moved.from.len())?;
    (moved.from != moved.to).then(|| format!("{}{rest}", moved.to))
}

/// The address of a target at an upstream.
///
/// # Errors
/// Says what is wrong with the origin.
pub(super) fn address(upstream: &Upstream, target: &str) -> Result<Uri, String> {
    let origin = upstream.origin.trim_end_matches('/');
    let uri: Uri = format!("{origin}{target}")
        .parse()
        .map_err(|error| format!("the upstream of `{}`, {origin}, is no URL: {error}", upstream.provider))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err(format!(
            "the upstream of `{}`, {origin}, must be http://HOST or https://HOST",
            upstream.provider
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Moved;

    fn routes() -> Routes {
        let to = |provider: &str| Upstream {
            provider: provider.into(),
            origin: format!("https://api.{provider}.test"),
        };
        Routes::to(vec![to("openai"), to("anthropic")])
    }

    fn way(target: &str) -> Option<(String, String)> {
        resolve(&routes(), &target.parse().unwrap()).map(|way| (way.upstream.provider, way.target))
    }

    #[test]
    fn the_first_segment_names_the_upstream_and_the_rest_goes_there() {
        let cases = [
            ("/openai/v1/chat/completions", "openai", "/v1/chat/completions"),
            ("/anthropic/v1/messages?beta=true&x=%2F", "anthropic", "/v1/messages?beta=true&x=%2F"),
            ("/openai", "openai", "/"),
            ("/openai/", "openai", "/"),
            ("/openai?a=b", "openai", "/?a=b"),
            ("/openai//double//slash", "openai", "//double//slash"),
            ("/r/run-1/openai/v1/x?q", "openai", "/v1/x?q"),
            ("http://127.0.0.1:9/openai/v1", "openai", "/v1"),
            ("/mcp/shop?port=4000", "mcp", "/shop"),
            ("/tool/stock/done", "tool", "/stock/done"),
            ("/r/run-1/mcp/shop?port=4000", "mcp", "/shop"),
        ];
        for (asked, provider, target) in cases {
            assert_eq!(way(asked), Some((provider.into(), target.into())), "{asked}");
        }
    }

    #[test]
    fn unknown_names_have_no_way() {
        for asked in [
            "/",
            "/v1/chat",
            "/openaix/v1",
            "/r/openai",
            "/r/run/other/v1",
            "*",
            "/mcp/shop",
            "/mcp/shop?port=x",
        ] {
            assert_eq!(way(asked), None, "{asked}");
        }
    }

    #[test]
    fn a_request_that_names_its_host_goes_there() {
        let way = |origin: &str, target: &str| outside(&routes(), origin, &target.parse().unwrap());
        let known = way("https://api.openai.test", "/v1/responses?a=b");
        assert_eq!(
            (known.upstream.provider.as_str(), known.target.as_str()),
            ("openai", "/v1/responses?a=b")
        );
        let other = way("http://127.0.0.1:4000", "http://127.0.0.1:4000/stock");
        assert_eq!(other.upstream.provider, "127.0.0.1:4000");
        assert_eq!(
            (other.upstream.origin.as_str(), other.target.as_str()),
            ("http://127.0.0.1:4000", "/stock")
        );
    }

    #[test]
    fn paths_begin_as_they_do_at_the_upstream_of_today() {
        let moved = |provider: &str, from: &str, to: &str| Moved {
            provider: provider.into(),
            from: from.into(),
            to: to.into(),
        };
        let all = vec![
            moved("openai", "/v1", "/team/v1"),
            moved("openai", "/v1/beta", "/beta"),
            moved("anthropic", "", "/proxy"),
            moved("same", "/v1", "/v1"),
        ];
        let routes = Routes { upstreams: Vec::new(), moved: all };
        for (provider, target, wanted) in [
            ("openai", "/v1/chat?x=1", Some("/team/v1/chat?x=1")),
            ("openai", "/v1?x", Some("/team/v1?x")),
            ("openai", "/v1/beta/chat", Some("/beta/chat")),
            ("openai", "/v12/chat", None),
            ("anthropic", "/v1/messages", Some("/proxy/v1/messages")),
            ("gemini", "/v1/x", None),
            ("same", "/v1/x", None),
        ] {
            let upstream = Upstream { provider: provider.into(), origin: "http://h".into() };
            assert_eq!(super::moved(&routes, &upstream, target).as_deref(), wanted, "{provider} {target}");
        }
    }

    #[test]
    fn an_origin_must_be_an_http_url() {
        let at = |origin: &str| address(&Upstream { provider: "p".into(), origin: origin.into() }, "/v1?q=1");
        assert_eq!(at("https://h:8443").unwrap(), "https://h:8443/v1?q=1");
        assert_eq!(at("http://h/base/").unwrap(), "http://h/base/v1?q=1");
        for origin in ["", "h", "ftp://h", "http://", "https://a b"] {
            assert!(at(origin).unwrap_err().contains("upstream of `p`"), "{origin}");
        }
    }
}
