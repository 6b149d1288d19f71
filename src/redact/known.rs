//! Which environment variables hold secrets.

use super::{KnownSecret, needles, rules};

/// A variable whose name holds one of these, in upper case, may hold a secret.
const NAMES: [&str; 12] = [
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "APIKEY",
    "API_KEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "AUTH",
    "COOKIE",
];
/// … or ends with one of these.
const ENDS: [&str; 7] = ["_KEY", "_PAT", "_PWD", "_PW", "_PASS", "_DSN", "_SALT"];
/// A variable whose name ends so holds header fields, credentials among them.
const HEADERS: &str = "_HEADERS";
/// Words that make such a name harmless.
const HARMLESS_ENDS: [&str; 18] = [
    "_FILE",
    "_PATH",
    "_DIR",
    "_SOCK",
    "_NAME",
    "_LIMIT",
    "_COUNT",
    "_TTL",
    "_TYPE",
    "_MODE",
    "_HOST",
    "_PORT",
    "_REGION",
    "_METHOD",
    "_ENABLED",
    "_TIMEOUT",
    "_PARALLELISM",
    "_TOKENS",
];
/// Values that are words rather than secrets: replacing them everywhere would garble text.
const WORDS: [&str; 16] = [
    "disabled",
    "required",
    "optional",
    "undefined",
    "password",
    "anonymous",
    "localhost",
    "postgres",
    "username",
    "changeme",
    "development",
    "production",
    "keychain",
    "internal",
    "external",
    "plaintext",
];

/// The secrets among some environment variables.
pub(super) fn of_environment(vars: &[(String, String)]) -> Vec<KnownSecret> {
    let mut found: Vec<KnownSecret> = Vec::new();
    for (name, value) in vars {
        let value = value.trim();
        if name.to_ascii_uppercase().ends_with(HEADERS) {
            for secret in header_secrets(value) {
                if !found.iter().any(|known| known.value == secret) {
                    found.push(KnownSecret { label: name.clone(), value: secret });
                }
            }
            continue;
        }
        let secret = match url_password(value) {
            Some(password) if password.len() >= needles::SHORTEST => password,
            Some(_) => value,
            None if value.contains("://") || !is_secret_name(name) => continue,
            None => value,
        };
        if is_harmless(secret) || found.iter().any(|k| k.value == secret) {
            continue;
        }
        found.push(KnownSecret { label: name.clone(), value: secret.to_string() });
    }
    found
}

/// The credentials in a list of header fields: `api-key=x,authorization=Basic%20y`, or one a line, `api-key: x`.
fn header_secrets(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    for field in value.split([',', '\n']) {
        let Some((name, value)) = field.split_once(['=', ':']) else { continue };
        let plain = percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
        // As it is written, and as it goes over the wire.
        for text in [value.trim(), plain.trim()] {
            let word = text.rsplit(' ').next().unwrap_or_default();
            let word = word.strip_prefix("Basic%20").or(word.strip_prefix("Bearer%20")).unwrap_or(word);
            let name = name.trim().replace('-', "_");
            let is_secret = is_secret_name(&name) || rules::looks_random(word.as_bytes());
            if is_secret && !is_harmless(word) && !found.iter().any(|known| known == word) {
                found.push(word.to_string());
            }
        }
    }
    found
}

fn is_secret_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let named =
        NAMES.iter().any(|n| upper.contains(n)) || ENDS.iter().any(|e| upper.ends_with(e)) || upper == "KEY";
    named
        && !HARMLESS_ENDS.iter().any(|e| upper.ends_with(e))
        && upper != "XAUTHORITY"
        && !upper.contains("MAX_TOKEN")
}

/// The password of `scheme://user:password@host`.
fn url_password(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    (!password.is_empty()).then_some(password)
}

pub(super) fn is_harmless(value: &str) -> bool {
    value.len() < needles::SHORTEST
        || WORDS.contains(&value.to_ascii_lowercase().as_str())
        || (value.len() < 12 && value.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        || is_path(value)
}

pub(super) fn is_path(value: &str) -> bool {
    let rooted =
        ["/", "~/", "./", "../"].iter().any(|p| value.starts_with(p)) || value.get(1..3) == Some(":\\");
    // A base64 secret may begin with a slash as well.
    rooted && !value.split(['/', '\\']).any(|part| part.len() >= 12 && rules::looks_random(part.as_bytes()))
}

/// True for a value of letters alone: it counts only where it stands as a word of its own.
pub(super) fn is_word(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_among_header_fields_are_secrets() {
        for (value, wanted) in [
            ("x-team=7,authorization=Basic%20bWU6c2VjcmV0c2VjcmV0", &["bWU6c2VjcmV0c2VjcmV0"][..]),
            ("api-key=sunshine-state", &["sunshine-state"]),
            ("Authorization: Bearer a8f5f167f44f4964\nX-App: the-shop-of-ada", &["a8f5f167f44f4964"]),
            ("x-honeycomb-team=hcaik_01j9Zr8Kq2Xw7Lm4Vt6Pb3Nd5Hs", &["hcaik_01j9Zr8Kq2Xw7Lm4Vt6Pb3Nd5Hs"]),
            ("x-project=storefront,x-mode=development", &[]),
            ("", &[]),
        ] {
            let vars = [("OTEL_EXPORTER_OTLP_HEADERS".to_string(), value.to_string())];
            let found: Vec<String> = of_environment(&vars).into_iter().map(|known| known.value).collect();
            assert_eq!(found, wanted, "{value}");
        }
    }

    #[test]
    fn secrets_are_told_from_settings() {
        let vars = [
            ("OPENAI_API_KEY", "sk-dummy-key"),
            ("GITHUB_TOKEN", "a8f5f167f44f4964"),
            ("DATABASE_URL", "postgres://app:s3cr3t-pw@db/x"),
            ("AWS_SECRET_ACCESS_KEY", "/Jal9XUtnFEMIK7MDENGbPxRfiCYzT3kQ9s1Ab"),
            ("MY_PASSWORD", "  sunshine  "),
            ("COPY_OF_TOKEN", "a8f5f167f44f4964"),
            ("TOKENIZERS_PARALLELISM", "disabled1"),
            ("SSH_AUTH_SOCK", "/run/user/1000/ssh"),
            ("MAX_TOKENS", "100000000"),
            ("SECRET_DIR", "some-directory"),
            ("API_TOKEN_STORE", "/home/me/.tokens"),
            ("AUTH_URL", "https://auth.example.com/login"),
            ("DB_PASSWORD", "password"),
            ("PATH", "/usr/bin:/bin"),
            ("SHORT_KEY", "abc"),
        ];
        let vars: Vec<_> = vars.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let found: Vec<_> = of_environment(&vars).into_iter().map(|k| (k.label, k.value)).collect();
        let expected = [
            ("OPENAI_API_KEY", "sk-dummy-key"),
            ("GITHUB_TOKEN", "a8f5f167f44f4964"),
            ("DATABASE_URL", "s3cr3t-pw"),
            ("AWS_SECRET_ACCESS_KEY", "/Jal9XUtnFEMIK7MDENGbPxRfiCYzT3kQ9s1Ab"),
            ("MY_PASSWORD", "sunshine"),
        ];
        assert_eq!(found, expected.map(|(n, v)| (n.to_string(), v.to_string())));
    }
}
