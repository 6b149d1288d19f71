//! Requests that are signed for Amazon (AWS Signature Version 4). They pass through as they are; but a signature covers
//! path, host and body, so that a request which goes out changed needs another one.

use super::sent::SentBody;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri};
use sha2::{Digest, Sha256};
use std::fmt::Write;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The field with the hash of the body, where a service wants one.
const CONTENT_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// A key to sign with. A session's token is in the requests themselves.
#[derive(Clone)]
pub struct AwsKey {
    id: String,
    secret: String,
}

impl AwsKey {
    /// The key in the environment, where SDKs look for it first.
    pub fn of_environment(vars: &[(String, String)]) -> Option<AwsKey> {
        let value =
            |name: &str| vars.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.clone());
        Some(AwsKey { id: value("AWS_ACCESS_KEY_ID")?, secret: value("AWS_SECRET_ACCESS_KEY")? })
    }
}

/// What a request's `Authorization` says.
struct Signed {
    key_id: String,
    /// Date, region, service and `aws4_request`.
    scope: String,
    headers: Vec<String>,
}

impl Signed {
    fn of(headers: &HeaderMap) -> Option<Signed> {
        let text = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix(ALGORITHM)?;
        let field =
            |name: &str| text.split([',', ' ']).find_map(|f| f.trim().strip_prefix(name)?.strip_prefix('='));
        let (key_id, scope) = field("Credential")?.split_once('/')?;
        let headers = field("SignedHeaders")?.split(';').map(str::to_ascii_lowercase).collect();
        Some(Signed { key_id: key_id.to_string(), scope: scope.to_string(), headers })
    }
}

/// True for a request with a signature.
pub(super) fn is_signed(headers: &HeaderMap) -> bool {
    Signed::of(headers).is_some()
}

/// True for an address of Amazon's own, where signatures are looked at.
pub(super) fn is_amazon(to: &Uri) -> bool {
    let host = to.host().unwrap_or_default().to_ascii_lowercase();
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|end| host.ends_with(end))
}

/// Signs a request anew, with the key that signed it before.
///
/// # Errors
/// What is missing, in words for the person who runs the agent.
pub(super) fn sign_again(request: &mut Request<SentBody>, key: Option<&AwsKey>) -> Result<(), String> {
    let signed = Signed::of(request.headers()).ok_or("the request's signature cannot be read")?;
    let Some(key) = key.filter(|key| key.id == signed.key_id) else {
        return Err(
            "this request goes out with another body, path or host than the agent signed it for (AWS Signature Version 4), \
             and Amazon would refuse it. To sign it again retake needs the agent's key: put AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN) into the environment, or use AWS_BEARER_TOKEN_BEDROCK, which signs \
             nothing"
                .to_string(),
        );
    };
    let body = match request.body() {
        SentBody::Whole(body) => body.clone().unwrap_or_default(),
        SentBody::Tee(_) => return Err("a request that is still being read cannot be signed".into()),
    };
    let mut hash = hex(&Sha256::digest(&body));
    match request.headers().get(&CONTENT_HASH).map(|v| v.as_bytes() == b"UNSIGNED-PAYLOAD") {
        Some(true) => hash = "UNSIGNED-PAYLOAD".into(),
        Some(false) => {
            let value = HeaderValue::from_str(&hash).map_err(|e| e.to_string())?;
            request.headers_mut().insert(CONTENT_HASH, value);
        }
        None => {}
    }
    let date = request.headers().get("x-amz-date").and_then(|v| v.to_str().ok());
    let date = date.ok_or("a signed request without x-amz-date cannot be signed again")?.to_string();
    let names: Vec<&String> =
        signed.headers.iter().filter(|n| request.headers().contains_key(n.as_str())).collect();
    let list = names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(";");
    let mut canonical = format!("{}\n{}\n{}\n", request.method(), path(request.uri()), query(request.uri()));
    for name in names {
        let values = request.headers().get_all(name.as_str()).iter();
        let values: Vec<String> =
            values.map(|v| single_spaced(&String::from_utf8_lossy(v.as_bytes()))).collect();
        let _ = writeln!(canonical, "{name}:{}", values.join(","));
    }
    let _ = write!(canonical, "\n{list}\n{hash}");
    let told =
        format!("{ALGORITHM}\n{date}\n{}\n{}", signed.scope, hex(&Sha256::digest(canonical.as_bytes())));
    let mut signing = format!("AWS4{}", key.secret).into_bytes();
    for part in signed.scope.split('/') {
        signing = mac(&signing, part)?;
    }
    let signature = hex(&mac(&signing, &told)?);
    let scope = &signed.scope;
    let field =
        format!("{ALGORITHM} Credential={}/{scope}, SignedHeaders={list}, Signature={signature}", key.id);
    let mut field = HeaderValue::from_str(&field).map_err(|e| e.to_string())?;
    field.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, field);
    Ok(())
}

fn mac(key: &[u8], text: &str) -> Result<Vec<u8>, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|e| e.to_string())?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The path, encoded once more than it is on the wire, as all services but S3 want it.
fn path(uri: &Uri) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    let bytes = uri.path().bytes();
    bytes.map(|b| if is_plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The query with its fields in order.
fn query(uri: &Uri) -> String {
    let mut fields: Vec<(&str, &str)> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|f| !f.is_empty())
        .map(|f| f.split_once('=').unwrap_or((f, "")))
        .collect();
    fields.sort_unstable();
    fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn single_spaced(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AKIDEXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn key(id: &str) -> Option<AwsKey> {
        let vars = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", SECRET)];
        AwsKey::of_environment(&vars.map(|(n, v)| (n.to_string(), v.to_string())))
    }

    fn request(uri: &str, scope: &str, fields: &[(&str, &str)], body: &str) -> Request<SentBody> {
        let names: Vec<&str> = fields.iter().map(|(n, _)| *n).collect();
        let names = names.join(";");
        let auth = format!("{ALGORITHM} Credential={ID}/{scope}, SignedHeaders={names};gone, Signature=0");
        let method = if body.is_empty() { "GET" } else { "POST" };
        let mut request = Request::builder().method(method).uri(uri).header("authorization", auth);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let body = (!body.is_empty()).then(|| bytes::Bytes::copy_from_slice(body.as_bytes()));
        request.body(SentBody::Whole(body)).unwrap()
    }

    fn authorization(request: &Request<SentBody>) -> &str {
        request.headers()["authorization"].to_str().unwrap()
    }

    #[test]
    fn the_example_of_amazons_documentation() {
        let fields = [
            ("content-type", "application/x-www-form-urlencoded;   charset=utf-8"),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ];
        let uri = "https://iam.amazonaws.com/?Version=2010-05-08&Action=ListUsers";
        let mut request = request(uri, "20150830/us-east-1/iam/aws4_request", &fields, "");
        sign_again(&mut request, key(ID).as_ref()).unwrap();
        let wanted = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                      SignedHeaders=content-type;host;x-amz-date, \
                      Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        assert_eq!(authorization(&request), wanted);
    }

    #[test]
    fn only_the_key_that_signed_signs_again() {
        let fields = [("host", "h"), ("x-amz-date", "20150830T123600Z")];
        let scope = "20150830/us-east-1/bedrock/aws4_request";
        let uri = "https://bedrock-runtime.us-east-1.amazonaws.com/model/a%3A0/converse";
        let mut first = request(uri, scope, &fields, "{}");
        for other in [None, key("AKIDOTHER")] {
            assert!(sign_again(&mut first, other.as_ref()).unwrap_err().contains("AWS_ACCESS_KEY_ID"));
        }
        sign_again(&mut first, key(ID).as_ref()).unwrap();
        let mut second = request(uri, scope, &fields, "{ }");
        sign_again(&mut second, key(ID).as_ref()).unwrap();
        assert_ne!(authorization(&first), authorization(&second), "the body counts");
        assert!(is_signed(first.headers()) && is_amazon(first.uri()));
        let mut bearer = Request::new(SentBody::Whole(None));
        bearer.headers_mut().insert("authorization", HeaderValue::from_static("Bearer x"));
        assert!(!is_signed(bearer.headers()) && sign_again(&mut bearer, key(ID).as_ref()).is_err());
        assert!(!is_amazon(&"http://localhost:4566/model".parse().unwrap()));
    }

    #[test]
    fn the_hash_of_the_body_is_said_where_it_was_said() {
        let scope = "20150830/us-east-1/bedrock/aws4_request";
        let hash = |said: &str| {
            let fields = [("host", "h"), ("x-amz-content-sha256", said), ("x-amz-date", "20150830T123600Z")];
            let mut request = request("https://h/model/a%3A0/converse", scope, &fields, "{}");
            sign_again(&mut request, key(ID).as_ref()).unwrap();
            request.headers()["x-amz-content-sha256"].to_str().unwrap().to_string()
        };
        assert_eq!(hash("0"), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
        assert_eq!(hash("UNSIGNED-PAYLOAD"), "UNSIGNED-PAYLOAD");
    }
}
