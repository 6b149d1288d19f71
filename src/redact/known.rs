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
