//! A base URL, cut into the parts that the proxy keeps, hides and passes on.

/// A base URL that a client can be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// Scheme, host and port, without a trailing slash: `http://host:4133`.
    pub origin: String,
    /// `user:password`, when it has one. It stays in the client's URL, where it becomes a header, and goes nowhere else.
    pub userinfo: Option<String>,
    /// What follows the origin, query included: `/custom/v1`, or nothing.
    pub path: String,
}

/// A text that is no base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no http:// or https:// address, such as http://localhost:8000/v1")]
pub struct BadBaseUrl(
    /// The text, without what may be a user and a password.
    pub String,
);

/// A text that was meant to be an address, with dots for what stands before the last `@`.
fn without_userinfo(text: &str) -> String {
    let Some((user, host)) = text.rsplit_once('@') else { return text.to_string() };
    let scheme = user.split_once("://").map(|(scheme, _)| format!("{scheme}://")).unwrap_or_default();
    format!("{scheme}…@{host}")
}

impl BaseUrl {
    /// Reads one.
    ///
    /// # Errors
    /// [`BadBaseUrl`] without an `http` or `https` scheme and a host.
    pub fn parse(text: &str) -> Result<BaseUrl, BadBaseUrl> {
        let bad = || BadBaseUrl(without_userinfo(text));
        let (scheme, rest) = text.trim().split_once("://").ok_or_else(bad)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(bad());
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_string()), host),
            None => (None, authority),
        };
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if host.is_empty() || host.starts_with(':') || rest.contains(odd) {
            return Err(bad());
        }
        Ok(BaseUrl { origin: format!("{scheme}://{host}"), userinfo, path: path.to_string() })
    }

    /// Reads one that may be a host alone, or a host and a port, as Ollama's clients do: `localhost`, `:8080`,
    /// `0.0.0.0:11434`. `port` is meant where none is said.
    ///
    /// # Errors
    /// [`BadBaseUrl`] as in [`BaseUrl::parse`].
    pub fn parse_host(text: &str, port: u16) -> Result<BaseUrl, BadBaseUrl> {
        let text = text.trim();
        if text.contains("://") {
            return BaseUrl::parse(text);
        }
        let (authority, path) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (format!("{user}@"), place),
            None => (String::new(), authority),
        };
        // The colons of an IPv6 address stand in brackets, or there are several.
        let (host, said) = match place.rsplit_once(':') {
            Some((host, said)) if !host.contains(':') || host.ends_with(']') => (host, Some(said)),
            _ => (place, None),
        };
        let said = said.map_or(Some(port), |said| said.parse().ok());
        let host = match host {
            // What a server listens on is no place to go to.
            "" | "0.0.0.0" => "127.0.0.1".to_string(),
            "[::]" | "::" => "[::1]".to_string(),
            host if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
            host => host.to_string(),
        };
        let whole = said.map(|port| format!("http://{user}{host}:{port}{path}"));
        let bad = || BadBaseUrl(without_userinfo(text));
        BaseUrl::parse(&whole.ok_or_else(bad)?).map_err(|_| bad())
    }

    /// The same place as clients see it whose base URL ends in `theirs`, when this one was written for clients whose
    /// base URL ends in `own`: `/custom/v1` for `/v1` is `/custom/v1beta` for `/v1beta`.
    pub fn for_path(&self, own: &str, theirs: &str) -> BaseUrl {
        let bare = self.path.trim_end_matches('/');
        let path = match bare.strip_suffix(own) {
            _ if own == theirs && !bare.is_empty() => self.path.clone(),
            Some(prefix) => format!("{prefix}{theirs}"),
            None if bare.is_empty() => theirs.to_string(),
            None => self.path.clone(),
        };
        BaseUrl { path, ..self.clone() }
    }

    /// Origin and path, without the userinfo.
    pub fn bare(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }

    /// The URL that leads through `proxy` (`http://127.0.0.1:PORT`) under the prefix `provider`.
    pub fn through(&self, proxy: &str, provider: &str) -> String {
        let slash = if self.path.is_empty() || self.path.starts_with('/') { "" } else { "/" };
        match (&self.userinfo, proxy.split_once("://")) {
            (Some(user), Some((scheme, host))) => {
                format!("{scheme}://{user}@{host}/{provider}{slash}{}", self.path)
            }
            _ => format!("{proxy}/{provider}{slash}{}", self.path),
        }
    }
}

/// Another server than the caller's environment says: `--upstream URL` (for every provider), or
/// `--upstream PROVIDER=URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamOverride {
    /// The provider it is for; none: all of them.
    pub provider: Option<String>,
    /// Where it goes.
    pub base: BaseUrl,
}

impl UpstreamOverride {
    /// Reads the flag's value.
    ///
    /// # Errors
    /// [`BadBaseUrl`] when there is no address in it.
    pub fn parse(text: &str) -> Result<UpstreamOverride, BadBaseUrl> {
        let is_name = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        match text.split_once('=') {
            Some((name, url)) if is_name(name) => {
                Ok(UpstreamOverride { provider: Some(name.to_string()), base: BaseUrl::parse(url)? })
            }
            _ => Ok(UpstreamOverride { provider: None, base: BaseUrl::parse(text)? }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_of_an_address() {
        let url = BaseUrl::parse(" HTTPS://me:pa@ss@Host:4133/custom/v1?api-version=2 ").unwrap();
        assert_eq!(url.origin, "https://Host:4133");
        assert_eq!(url.userinfo.as_deref(), Some("me:pa@ss"));
        assert_eq!(url.path, "/custom/v1?api-version=2");
        assert_eq!(BaseUrl::parse("http://[::1]:80").unwrap().origin, "http://[::1]:80");
    }

    #[test]
    fn what_is_no_address() {
        for text in [
            "",
            "localhost:11434",
            "ftp://h",
            "http://",
            "http:///v1",
            "http://:80/",
            "http://a b/",
            "unix:/x",
        ] {
            assert_eq!(BaseUrl::parse(text), Err(BadBaseUrl(text.to_string())));
        }
    }

    #[test]
    fn a_host_alone() {
        let origin = |text: &str| BaseUrl::parse_host(text, 11434).map(|url| (url.origin, url.path));
        for (text, wanted, path) in [
            ("localhost", "http://localhost:11434", ""),
            ("0.0.0.0", "http://127.0.0.1:11434", ""),
            (":8080", "http://127.0.0.1:8080", ""),
            (" gpu.local:80/ollama ", "http://gpu.local:80", "/ollama"),
            ("[::1]:9", "http://[::1]:9", ""),
            ("::1", "http://[::1]:11434", ""),
            ("https://ollama.com", "https://ollama.com", ""),
        ] {
            assert_eq!(origin(text).unwrap(), (wanted.to_string(), path.to_string()), "{text}");
        }
        for text in ["host:port", "a b", "ftp://h", "h:70000"] {
            assert_eq!(origin(text), Err(BadBaseUrl(text.to_string())));
        }
        let said = BaseUrl::parse_host("me:s3cr3t@h:x", 1).unwrap_err().to_string();
        assert!(!said.contains("s3cr3t"), "{said}");
    }

    #[test]
    fn a_complaint_keeps_the_password() {
        for text in ["ftp://me:s3cr3t@h/v1", "me:s3cr3t@h", "http://me:s3cr3t@", "http://me:s3cr3t@a b@h h"] {
            let said = BaseUrl::parse(text).unwrap_err().to_string();
            assert!(!said.contains("s3cr3t") && !said.contains("me"), "{said}");
        }
        let url = BaseUrl::parse("http://me:s3cr3t@h/v1").unwrap();
        assert_eq!(url.bare(), "http://h/v1");
    }

    #[test]
    fn a_path_for_other_clients() {
        let at = |url: &str, own: &str, theirs: &str| BaseUrl::parse(url).unwrap().for_path(own, theirs).path;
        assert_eq!(at("http://h", "/v1", "/v1"), "/v1");
        assert_eq!(at("http://h/", "/v1", "/v1"), "/v1");
        assert_eq!(at("http://h/odd", "/v1", "/v1"), "/odd");
        assert_eq!(at("http://h/v1/", "/v1", "/v1"), "/v1/");
        assert_eq!(at("http://h/v1", "/v1", ""), "");
        assert_eq!(at("http://h/custom/v1", "/v1", "/v1beta"), "/custom/v1beta");
        assert_eq!(at("http://h/custom", "", "/v1beta"), "/custom/v1beta");
        assert_eq!(at("http://h/odd", "/v1", ""), "/odd");
    }

    #[test]
    fn through_the_proxy() {
        let through = |url: &str| BaseUrl::parse(url).unwrap().through("http://127.0.0.1:9", "openai");
        assert_eq!(through("https://api.openai.com/v1"), "http://127.0.0.1:9/openai/v1");
        assert_eq!(through("https://u:p@h"), "http://u:p@127.0.0.1:9/openai");
        assert_eq!(through("https://h?v=1"), "http://127.0.0.1:9/openai/?v=1");
    }

    #[test]
    fn overrides() {
        let named = UpstreamOverride::parse("anthropic=http://h/x").unwrap();
        assert_eq!((named.provider.as_deref(), named.base.path.as_str()), (Some("anthropic"), "/x"));
        let all = UpstreamOverride::parse("http://h/x?a=b").unwrap();
        assert_eq!((all.provider, all.base.path.as_str()), (None, "/x?a=b"));
        assert!(UpstreamOverride::parse("anthropic=h").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*", own in "/?[a-z1]{0,3}", theirs in "/?[a-z1]{0,3}") {
            if let Ok(url) = BaseUrl::parse(&text) {
                url.for_path(&own, &theirs).through("http://127.0.0.1:9", "openai");
            }
            let _ = UpstreamOverride::parse(&text);
            let _ = BaseUrl::parse_host(&text, 1);
        }
    }
}
