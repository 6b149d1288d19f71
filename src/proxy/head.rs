//! Message heads between hyper's form and the recorded one.

use super::attach::OWN;
use super::wire::WireState;
use crate::exchange::HeaderList;
use crate::exchange::headers::{latin1, latin1_bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, TRAILER};
use http::{Extensions, HeaderMap, HeaderValue, Request};

/// Header fields that a message may have; hyper's default is 100.
pub(super) const MOST_HEADERS: usize = 256;

/// The fields of a head in wire order and original case: from the captured bytes where they agree with what hyper
/// parsed, else from hyper's map.
pub(super) fn header_list(wire: Option<&WireState>, parsed: &HeaderMap) -> HeaderList {
    wire.and_then(WireState::take_head)
        .and_then(|raw| fields(&raw))
        .filter(|list| agrees(list, parsed))
        .unwrap_or_else(|| from_map(parsed))
}

fn fields(raw: &[u8]) -> Option<HeaderList> {
    let mut lines = raw.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.next()?;
    let mut list = HeaderList::default();
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = line.split_at(colon);
        list.push(latin1(name), latin1(value.get(1..).unwrap_or_default().trim_ascii()));
    }
    Some(list)
}

fn agrees(list: &HeaderList, parsed: &HeaderMap) -> bool {
    list.0.len() == parsed.len() && list.iter().all(|(name, _)| parsed.contains_key(name))
}

/// hyper's map as a list: names in lower case, repeated fields side by side.
pub(super) fn from_map(map: &HeaderMap) -> HeaderList {
    HeaderList(map.iter().map(|(n, v)| (n.as_str().to_string(), latin1(v.as_bytes()))).collect())
}

/// A list as hyper's map; fields that HTTP does not allow are left out.
pub(super) fn to_map(list: &HeaderList) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(list.0.len());
    for (name, value) in list.iter() {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(&latin1_bytes(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// What of a head is passed on: all but the fields of one connection, in their order. `Trailer` stays, since hyper
/// passes on only the trailers that it announces.
pub(super) fn passed_on(map: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = map
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|token| token.trim().to_ascii_lowercase())
        .collect();
    let mut kept = HeaderMap::with_capacity(map.len());
    for (name, value) in map {
        let bound = HOP_BY_HOP.contains(&name.as_str()) || named.iter().any(|n| n == name.as_str());
        if !bound || name == TRAILER || name == CONTENT_LENGTH {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// The map without one field; the others keep their order (`HeaderMap::remove` moves the last one).
pub(super) fn without(map: &HeaderMap, unwanted: &HeaderName) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(map.len());
    for (name, value) in map.iter().filter(|(name, _)| *name != unwanted) {
        kept.append(name.clone(), value.clone());
    }
    kept
}

/// These fields, with others in the place of those of the same names, or in no place when they are empty.
pub(super) fn with(map: &HeaderMap, others: &HeaderList) -> HeaderMap {
    let mut kept = map.clone();
    for (name, value) in &to_map(others) {
        kept = without(&kept, name);
        if !value.is_empty() {
            kept.insert(name.clone(), value.clone());
        }
    }
    kept
}

/// The content-length a head states, if it is one number.
pub(super) fn content_length(map: &HeaderMap) -> Option<u64> {
    map.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Gives a request of HTTP/2 the `Host` that it has in its address, and its cookies as one field, as HTTP/1.1 has them.
pub(super) fn name_host<B>(request: &mut Request<B>) {
    let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    let headers = request.headers_mut();
    if let (Some(host), false) = (host, headers.contains_key(HOST)) {
        headers.insert(HOST, host);
    }
    let cookies: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(one) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, one);
    }
}

/// What of a request's head goes upstream: what is passed on, without the fields that are for retake alone.
pub(super) fn sent_on(map: &HeaderMap) -> HeaderMap {
    let mut kept = passed_on(map);
    let own: Vec<HeaderName> = kept.keys().filter(|name| name.as_str().starts_with(OWN)).cloned().collect();
    for name in own {
        kept = without(&kept, &name);
    }
    kept
}

/// What hyper noted of a head beyond its fields (the case of names, the reason phrase), without what belongs to
/// the connection it came on.
pub(super) fn carried(mut extensions: Extensions) -> Extensions {
    extensions.remove::<WireState>();
    extensions.remove::<hyper::upgrade::OnUpgrade>();
    extensions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        to_map(&HeaderList(fields.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()))
    }

    #[test]
    fn raw_fields_keep_order_case_and_bytes() {
        let list = fields(b"HTTP/1.1 200 OK\r\nX-B: 1\r\nx-a:\xe9 \r\nX-B: 2\r\nEmpty:\r\n\r\n").unwrap();
        let want = [("X-B", "1"), ("x-a", "\u{e9}"), ("X-B", "2"), ("Empty", "")];
        assert_eq!(list.iter().collect::<Vec<_>>(), want);
        assert_eq!(fields(b"{\"model\":1}\nnot a head\n\n"), None);
    }

    #[test]
    fn a_head_that_disagrees_is_not_believed() {
        let parsed = map(&[("a", "1"), ("b", "2")]);
        assert!(agrees(&fields(b"G\r\nB: 2\r\nA: 1\r\n\r\n").unwrap(), &parsed));
        assert!(!agrees(&fields(b"G\r\nA: 1\r\n\r\n").unwrap(), &parsed));
        assert!(!agrees(&fields(b"G\r\nA: 1\r\nC: 1\r\n\r\n").unwrap(), &parsed));
    }

    #[test]
    fn order_survives_what_is_dropped() {
        let all =
            map(&[("a", "1"), ("connection", "close, b"), ("b", "2"), ("c", "3"), ("a", "4"), ("d", "5")]);
        let names = |m: &HeaderMap| m.keys().map(|k| k.to_string()).collect::<Vec<_>>();
        let kept = passed_on(&all);
        assert_eq!(names(&kept), ["a", "c", "d"]);
        assert_eq!(kept.get_all("a").iter().count(), 2);
        assert_eq!(names(&without(&kept, &HeaderName::from_static("a"))), ["c", "d"]);
    }
}
