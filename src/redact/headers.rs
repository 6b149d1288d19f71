//! Heads of messages: credentials in header fields and in request targets.

use super::scan::{Layer, Scan};
use super::{Redactor, coding::Coding};
use crate::exchange::headers::{latin1, latin1_bytes};
use crate::exchange::{HeaderList, StandIn};
use std::borrow::Cow;
use std::ops::Range;

/// Fields that hold nothing but a credential.
const CREDENTIALS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
    "x-auth-key",
    "x-functions-key",
];
/// Words of a scheme that stay in front of a credential.
const SCHEMES: [&str; 5] = ["Bearer ", "Basic ", "Token ", "ApiKey ", "Key "];
/// Query parameters that hold a credential.
const PARAMETERS: [&str; 16] = [
    "key",
    "api_key",
    "apikey",
    "api-key",
    "access_token",
    "token",
    "sig",
    "signature",
    "secret",
    "client_secret",
    "password",
    "auth",
    "x-amz-signature",
    "x-amz-security-token",
    "x-goog-signature",
    "subscription-key",
];

/// True for a field that holds nothing but a credential, or cookies; `name` in lower case.
pub(super) fn is_credential(name: &str) -> bool {
    CREDENTIALS.contains(&name) || matches!(name, "cookie" | "set-cookie")
}

/// Redacts header values. Names, order and lengths stay.
pub(super) fn redact(redactor: &Redactor, headers: &HeaderList) -> (HeaderList, Vec<StandIn>) {
    let mut scan = Scan::new(redactor);
    let mut out = HeaderList::default();
    for (place, (name, value)) in headers.iter().enumerate() {
        let mut bytes = Cow::Owned(latin1_bytes(value));
        for range in credentials(name, &bytes) {
            replace(&mut scan, &mut bytes, range, &name.to_ascii_lowercase(), place);
        }
        scan.layer(&mut bytes, Layer::within(place));
        out.push(name, latin1(&bytes));
    }
    (out, scan.stand_ins().0)
}

/// Redacts a request target: values of parameters that hold credentials, and whatever else is found.
pub(super) fn target(redactor: &Redactor, target: &str) -> (String, Vec<StandIn>) {
    let mut scan = Scan::new(redactor);
    let mut bytes = Cow::Borrowed(target.as_bytes());
    let mut at = target.find('?').map_or(target.len(), |q| q + 1);
    for pair in target.get(at..).unwrap_or_default().split('&') {
        if let Some((name, value)) = pair.split_once('=')
            && PARAMETERS.contains(&name.to_ascii_lowercase().as_str())
            && value.len() >= 6
        {
            let end = at + pair.len();
            replace(&mut scan, &mut bytes, end - value.len()..end, &name.to_ascii_lowercase(), at);
        }
        at += pair.len() + 1;
    }
    scan.layer(&mut bytes, Layer::body(false, &[]));
    (String::from_utf8_lossy(&bytes).into_owned(), scan.stand_ins().0)
}

fn replace(scan: &mut Scan<'_>, bytes: &mut Cow<'_, [u8]>, range: Range<usize>, label: &str, place: usize) {
    let Some(coded) = bytes.get(range.clone()) else { return };
    let secret = Coding::Percent.decode(coded);
    if secret.is_empty() || scan.is_stand_in(&secret) {
        return;
    }
    let label = scan.label_of(&secret).unwrap_or(label).to_string();
    let stand_in = scan.stand_in(&secret, &label, place);
    if let Some(coded) = bytes.to_mut().get_mut(range) {
        Coding::Percent.rewrite(coded, &stand_in);
    }
}

/// Where the credentials of a field lie.
pub(super) fn credentials(name: &str, value: &[u8]) -> Vec<Range<usize>> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "cookie" => cookies(value, usize::MAX),
        "set-cookie" => cookies(value, 1),
        _ if CREDENTIALS.contains(&name.as_str()) || is_secret_name(&name) => {
            let starts =
                |s: &&&str| value.get(..s.len()).is_some_and(|v| v.eq_ignore_ascii_case(s.as_bytes()));
            let start = SCHEMES.iter().find(starts).map_or(0, |s| s.len());
            std::iter::once(start..value.len()).collect()
        }
        _ => Vec::new(),
    }
}

/// `x-auth-token`, `client-secret`, `my-apikey`; not `x-ratelimit-remaining-tokens`, `x-amzn-bedrock-input-token-count`.
fn is_secret_name(name: &str) -> bool {
    let word = |w: &str| {
        w.ends_with("token") || w.ends_with("secret") || w.ends_with("apikey") || w.ends_with("password")
    };
    !name.contains("ratelimit")
        && !name.ends_with("count")
        && (name.split(['-', '_']).any(word) || name.ends_with("api-key") || name.ends_with("access-key"))
}

/// The values of the first cookies of a field.
fn cookies(value: &[u8], count: usize) -> Vec<Range<usize>> {
    let mut at = 0;
    let mut found = Vec::new();
    for pair in value.split(|b| *b == b';').take(count) {
        let start = memchr::memchr(b'=', pair).map_or(0, |e| e + 1);
        let spaces = pair.get(start..).unwrap_or_default().iter().take_while(|b| **b == b' ').count();
        found.push(at + start + spaces..at + pair.len());
        at += pair.len() + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::KnownSecret;
    use super::*;

    fn redactor() -> Redactor {
        let known =
            KnownSecret { label: "OPENAI_API_KEY".into(), value: "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x".into() };
        Redactor::new([1; 32], vec![known], &[]).unwrap()
    }

    #[test]
    fn credentials_never_stay() {
        let list = HeaderList(
            [
                ("Authorization", "Bearer sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x"),
                ("X-Api-Key", "dummy"),
                ("Cookie", "a=one1; session=two2"),
                ("Set-Cookie", "__cf_bm=three3; Path=/; Secure"),
                ("x-amz-security-token", "four4"),
                ("x-other", "see sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x"),
                ("anthropic-ratelimit-tokens-remaining", "40000"),
                ("x-ratelimit-limit-tokens", "40000"),
                ("x-amzn-bedrock-input-token-count", "38"),
                ("Content-Type", "application/json"),
            ]
            .map(|(n, v)| (n.to_string(), v.to_string()))
            .to_vec(),
        );
        let redactor = redactor();
        let (out, stand_ins) = redactor.headers(&list);
        for ((n, before), (_, after)) in list.iter().zip(out.iter()) {
            assert_eq!(before.len(), after.len());
            let same = matches!(
                n,
                "anthropic-ratelimit-tokens-remaining"
                    | "x-ratelimit-limit-tokens"
                    | "x-amzn-bedrock-input-token-count"
                    | "Content-Type"
            );
            assert_eq!(before == after, same, "{n}: {after}");
        }
        let all: String = out.iter().map(|(_, v)| v).collect();
        for secret in ["Ab3dEf6hIj9lMn2pQr5tUv8x", "dummy", "one1", "two2", "three3", "four4"] {
            assert!(!all.contains(secret), "{all}");
        }
        assert!(out.0[0].1.starts_with("Bearer sk-proj-"));
        assert!(out.0[3].1.ends_with("; Path=/; Secure"));
        assert_eq!(stand_ins[0].label, "OPENAI_API_KEY");
        assert_eq!(stand_ins[1].label, "x-api-key");
        assert_eq!(stand_ins.len(), 7);
        assert_eq!(redactor.reveal(&stand_ins[0].text).as_deref(), Some("sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x"));
    }

    #[test]
    fn parameters_of_targets_never_stay() {
        let redactor = redactor();
        let (out, stand_ins) = redactor.target(
            "/v1/models?alt=sse&key=AIzaSyA1b2C3d4&sig=a%2Fb%3Dcd&x=%73k-proj-Ab3dEf6hIj9lMn2pQr5tUv8x",
        );
        assert!(out.starts_with("/v1/models?alt=sse&key="), "{out}");
        assert!(
            !out.contains("SyA1b2C3d4") && !out.contains("%2Fb%3Dcd") && !out.contains("Ab3dEf6h"),
            "{out}"
        );
        assert_eq!(stand_ins.len(), 3);
        assert_eq!(redactor.target("/v1/messages?beta=true").0, "/v1/messages?beta=true");
    }
}
