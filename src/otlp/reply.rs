//! What a receiver answers an export with (OTLP/HTTP, section "Response").

use super::Encoding;
use super::proto::{PartialSuccess, Response, RpcStatus};
use prost::Message;
use serde_json::json;

/// An answer: its status and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Of HTTP. Only 429, 502, 503 and 504 make an exporter try again.
    pub status: u16,
    /// In the encoding of the request.
    pub encoding: Encoding,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Everything was taken.
    pub fn taken(encoding: Encoding) -> Reply {
        let body = match encoding {
            Encoding::Protobuf => Vec::new(),
            Encoding::Json => b"{}".to_vec(),
        };
        Reply { status: 200, encoding, body }
    }

    /// All but so many were taken. `member` is what JSON calls their number: `rejectedSpans`.
    pub fn partly(encoding: Encoding, rejected: usize, member: &str, why: &str) -> Reply {
        let rejected = i64::try_from(rejected).unwrap_or(i64::MAX);
        let body = match encoding {
            Encoding::Protobuf => {
                let partial_success = Some(PartialSuccess { rejected, error_message: why.into() });
                Response { partial_success }.encode_to_vec()
            }
            Encoding::Json => {
                json!({ "partialSuccess": { member: rejected.to_string(), "errorMessage": why } })
                    .to_string()
                    .into_bytes()
            }
        };
        Reply { status: 200, encoding, body }
    }

    /// It is refused. `code` is that of gRPC: 3 for an argument that is wrong, 8 for one too large.
    pub fn refused(encoding: Encoding, status: u16, code: i32, why: &str) -> Reply {
        let body = match encoding {
            Encoding::Protobuf => RpcStatus { code, message: why.into() }.encode_to_vec(),
            Encoding::Json => json!({ "code": code, "message": why }).to_string().into_bytes(),
        };
        Reply { status, encoding, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_in_the_encoding_of_the_request() {
        assert_eq!(Reply::taken(Encoding::Protobuf).body, b"");
        assert_eq!(Reply::taken(Encoding::Json).body, b"{}");
        let partly = Reply::partly(Encoding::Json, 2, "rejectedSpans", "no id");
        assert_eq!(partly.body, br#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"no id"}}"#);
        let partly = Reply::partly(Encoding::Protobuf, 2, "rejectedSpans", "no id");
        assert_eq!(partly.body, b"\x0a\x09\x08\x02\x12\x05no id");
        let refused = Reply::refused(Encoding::Protobuf, 400, 3, "no");
        assert_eq!((refused.status, refused.body.as_slice()), (400, &b"\x08\x03\x12\x02no"[..]));
        assert_eq!(Reply::refused(Encoding::Json, 413, 8, "big").body, br#"{"code":8,"message":"big"}"#);
    }
}
