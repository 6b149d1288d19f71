//! A proxy that many agents share: which run a request belongs to, and what is asked of the proxy itself.
//!
//! In front of the route a path may have `/t/TOKEN` (where the proxy asks for one) and `/r/NAME` (the run).

use super::refuse::refusal;
use super::tee::AnswerBody;
use super::{Answerer, BoxFuture, SeenExport, Tape};
use crate::exchange::ExchangeId;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, ORIGIN, PROXY_AUTHORIZATION};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Paths are no longer than this, three of them and what is around.
const LONGEST_PLACE: usize = 16 * 1024;
/// The header that names the run of a request.
pub const RUN_HEADER: &str = "x-retake-run";
/// Headers that are for retake alone begin with this.
pub(super) const OWN: &str = "x-retake-";

/// A request's place in a run.
pub struct Seat {
    /// Its number in the run.
    pub id: ExchangeId,
    /// Who is told of it; the request is under way until this is dropped.
    pub tape: Option<Arc<dyn Tape>>,
    /// Who answers; none: the upstream.
    pub answerer: Option<Arc<dyn Answerer>>,
}

impl Seat {
    /// That of a request which nobody is told of.
    pub(super) fn unseen() -> Seat {
        Seat { id: ExchangeId(0), tape: None, answerer: None }
    }
}

/// Where the agents of a run are, as `retake env` tells it of its own shell: directories that their requests speak of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The working directory.
    pub directory: String,
    /// The home directory.
    pub home: String,
    /// The directory for temporary files.
    pub temp: String,
}

impl Place {
    /// None for what names no directories.
    fn read(body: &[u8]) -> Option<Place> {
        let place: Place = serde_json::from_slice(body).ok()?;
        let is_path = |text: &String| text.starts_with('/') && !text.contains(char::is_control);
        let is_one = [&place.directory, &place.home, &place.temp].into_iter().all(is_path);
        is_one.then_some(place)
    }
}

/// The runs of a proxy that many agents share.
pub trait Runs: Send + Sync + 'static {
    /// A place in the run of this name, which begins if there is none; without a name in the unnamed one.
    ///
    /// # Errors
    /// Why no run can be called so.
    fn seat<'a>(&'a self, name: Option<&'a str>) -> BoxFuture<'a, Result<Seat, String>>;
    /// Keeps what was exported in this name with the runs that it belongs to; one begins if there is none. Done when it has
    /// passed `write(2)`, or cannot be written.
    fn export<'a>(&'a self, name: Option<&'a str>, seen: SeenExport) -> BoxFuture<'a, ()>;
    /// Ends a run, once its exchanges under way have ended: what it amounts to, as JSON. None when no such run is open.
    fn end<'a>(&'a self, name: Option<&'a str>, exit_code: Option<i32>) -> BoxFuture<'a, Option<String>>;
    /// Notes where the agents of the next run of this name are, and of those after it.
    fn place(&self, name: Option<&str>, place: Place) -> Result<(), String>;
    /// What the proxy is doing, as JSON, for those who may know.
    fn state(&self) -> String;
}

/// How a proxy is shared.
#[derive(Clone)]
pub struct Attach {
    pub runs: Arc<dyn Runs>,
    /// What every path must have in front; none: whoever reaches the proxy may use it.
    pub token: Option<String>,
}

/// What a request is to a shared proxy.
pub(super) enum Entry {
    /// An exchange of this run.
    Exchange(Request<hyper::body::Incoming>, Option<String>),
    /// Something else, which is answered.
    Answered(Response<AnswerBody>),
}

impl Attach {
    /// Takes what is in front of the route from a request's path. `inside`: the run that its connection named, of a
    /// request that was not sent to the proxy itself.
    pub(super) async fn enter(
        &self,
        mut request: Request<hyper::body::Incoming>,
        inside: Option<Option<String>>,
    ) -> Entry {
        if let Some(connection) = inside {
            let name = run_of(request.headers()).or(connection);
            return Entry::Exchange(request, name);
        }
        let whole = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_string();
        let front = Front::of(&whole);
        let path = front.rest.split('?').next().unwrap_or_default();
        let may = self.token.as_deref().is_none_or(|token| front.token.is_some_and(|t| same(token, t)));
        if request.method() == Method::GET && front.run.is_none() && ["/", "/retake/health"].contains(&path) {
            let state = if may { self.runs.state() } else { hello() };
            return Entry::Answered(json(StatusCode::OK, state));
        }
        if !may {
            let message = "this retake proxy is for those who know its token: base URLs begin with \
                           http://HOST:PORT/t/TOKEN (`retake env --token TOKEN` prints them)";
            return Entry::Answered(refusal(StatusCode::FORBIDDEN, "retake_token", message));
        }
        let ends = match front.run {
            Some(_) => path == "/end",
            None => path == "/retake/end",
        };
        let places = match front.run {
            Some(_) => path == "/place",
            None => path == "/retake/place",
        };
        if places {
            let run = front.run.map(str::to_string);
            return Entry::Answered(self.place(request, run.as_deref()).await);
        }
        if ends {
            return Entry::Answered(self.end(&request, &front).await);
        }
        let name = run_of(request.headers()).or(front.run.map(str::to_string));
        if let Ok(uri) = front.rest.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
        Entry::Exchange(request, name)
    }

    async fn place(
        &self,
        request: Request<hyper::body::Incoming>,
        run: Option<&str>,
    ) -> Response<AnswerBody> {
        if request.method() != Method::PUT || request.headers().contains_key(ORIGIN) {
            let message = "`retake env` tells by PUT /r/NAME/place where agents are, a web page does not";
            return refusal(StatusCode::METHOD_NOT_ALLOWED, "retake_bad_request", message);
        }
        let body = Limited::new(request.into_body(), LONGEST_PLACE).collect().await;
        let Some(place) = body.ok().and_then(|body| Place::read(&body.to_bytes())) else {
            let message = r#"a place is {"directory": "/…", "home": "/…", "temp": "/…"}"#;
            return refusal(StatusCode::BAD_REQUEST, "retake_bad_request", message);
        };
        match self.runs.place(run, place) {
            Ok(()) => json(StatusCode::OK, "{}".into()),
            Err(why) => refusal(StatusCode::BAD_REQUEST, "retake_bad_run_name", &why),
        }
    }

    async fn end(&self, request: &Request<hyper::body::Incoming>, front: &Front<'_>) -> Response<AnswerBody> {
        if request.method() != Method::POST {
            let message = "a run is ended by POST /r/NAME/end, the unnamed one by POST /retake/end";
            return refusal(StatusCode::METHOD_NOT_ALLOWED, "retake_bad_request", message);
        }
        // Only pages in a browser send it: none of them is to end somebody's run.
        if request.headers().contains_key(ORIGIN) {
            return refusal(StatusCode::FORBIDDEN, "retake_bad_request", "a web page cannot end a run");
        }
        let Ok(exit_code) = exit_code(front.rest) else {
            let message = "exit is the exit code of the agent, a number: POST /r/NAME/end?exit=0";
            return refusal(StatusCode::BAD_REQUEST, "retake_bad_request", message);
        };
        match self.runs.end(front.run, exit_code).await {
            Some(ended) => json(StatusCode::OK, ended),
            None => {
                let what = front.run.map_or("no unnamed run".into(), |name| format!("no run {name}"));
                let message = format!("{what} is open: it has ended, or nothing was asked in its name yet");
                refusal(StatusCode::NOT_FOUND, "retake_no_run", &message)
            }
        }
    }
}

/// What stands in front of a route, and the rest.
#[derive(Debug, PartialEq, Eq)]
struct Front<'a> {
    token: Option<&'a str>,
    run: Option<&'a str>,
    rest: &'a str,
}

impl Front<'_> {
    fn of(whole: &str) -> Front<'_> {
        let (token, rest) = segment(whole, "/t/");
        let (run, rest) = segment(rest, "/r/");
        Front { token, run, rest }
    }
}

/// The segment behind a prefix, and what follows it, with its slash.
fn segment<'a>(path: &'a str, prefix: &str) -> (Option<&'a str>, &'a str) {
    let Some(behind) = path.strip_prefix(prefix) else { return (None, path) };
    let (name, rest) = behind.split_at(behind.find(['/', '?']).unwrap_or(behind.len()));
    (Some(name), if rest.is_empty() { "/" } else { rest })
}

/// The run that the headers of a request name: its own header, or the user of a forward proxy's URL
/// (`http://NAME:run@127.0.0.1:7878`).
pub(super) fn run_of(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let own = text(RUN_HEADER).filter(|name| !name.is_empty()).map(str::to_string);
    own.or_else(|| user_of(text(PROXY_AUTHORIZATION.as_str())?))
}

/// The user of a `Proxy-Authorization` value.
pub(super) fn user_of(credentials: &str) -> Option<String> {
    let (scheme, coded) = credentials.split_once(' ')?;
    let decoded = STANDARD.decode(coded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(decoded).ok()?;
    let user = text.split(':').next().unwrap_or_default();
    (!user.is_empty()).then(|| user.to_string())
}

/// The exit code in a query; an error when it is none.
fn exit_code(rest: &str) -> Result<Option<i32>, std::num::ParseIntError> {
    let query = rest.split_once('?').map(|(_, query)| query).unwrap_or_default();
    query.split('&').find_map(|pair| pair.strip_prefix("exit=")).map(str::parse).transpose()
}

/// Compares in a time that does not tell how much of it is right.
fn same(token: &str, given: &str) -> bool {
    let differs = token.bytes().zip(given.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    token.len() == given.len() && differs == 0
}

/// What everybody may know.
fn hello() -> String {
    serde_json::json!({ "retake": env!("CARGO_PKG_VERSION") }).to_string()
}

fn json(status: StatusCode, text: String) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Plain(Some(Bytes::from(text))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_front_of_a_route() {
        let front = |token, run, rest| Front { token, run, rest };
        for (path, wanted) in [
            ("/openai/v1/x?q", front(None, None, "/openai/v1/x?q")),
            ("/r/fix/openai/v1", front(None, Some("fix"), "/openai/v1")),
            ("/t/abc/openai/v1", front(Some("abc"), None, "/openai/v1")),
            ("/t/abc/r/fix/anthropic", front(Some("abc"), Some("fix"), "/anthropic")),
            ("/r/fix", front(None, Some("fix"), "/")),
            ("/r/fix?a=b", front(None, Some("fix"), "?a=b")),
            ("/r//openai", front(None, Some(""), "/openai")),
            ("/rest/v1", front(None, None, "/rest/v1")),
        ] {
            assert_eq!(Front::of(path), wanted, "{path}");
        }
    }

    #[test]
    fn the_run_that_headers_name() {
        let named = |fields: &[(&'static str, &str)]| {
            let pairs = fields.iter().map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap()));
            run_of(&pairs.collect())
        };
        let basic = format!("Basic {}", STANDARD.encode("fix:"));
        assert_eq!(named(&[("x-retake-run", " a "), ("proxy-authorization", &basic)]).as_deref(), Some("a"));
        assert_eq!(named(&[("proxy-authorization", &basic)]).as_deref(), Some("fix"));
        for nobody in ["", "Basic", "Basic !", "Bearer Zml4Og==", "Basic Og=="] {
            assert_eq!(named(&[("proxy-authorization", nobody)]), None, "{nobody}");
        }
        assert_eq!(named(&[("x-retake-run", "")]), None);
    }

    #[test]
    fn a_place_names_three_directories() {
        let body = br#"{"directory": "/w", "home": "/h", "temp": "/t", "more": 1}"#;
        let place = Place { directory: "/w".into(), home: "/h".into(), temp: "/t".into() };
        assert_eq!(Place::read(body), Some(place));
        for bad in [r#"{"directory": "/w"}"#, r#"{"directory":"w","home":"/h","temp":"/t"}"#, "", "[]"] {
            assert_eq!(Place::read(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Place::read(br#"{"directory":"/w\n","home":"/h","temp":"/t"}"#), None);
    }

    #[test]
    fn tokens_and_exit_codes() {
        assert!(same("abc", "abc") && !same("abc", "abd") && !same("abc", "ab") && !same("abc", ""));
        assert_eq!(exit_code("/end"), Ok(None));
        assert_eq!(exit_code("/end?x=1&exit=-3"), Ok(Some(-3)));
        assert!(exit_code("/end?exit=").is_err() && exit_code("/end?exit=ok").is_err());
    }
}
