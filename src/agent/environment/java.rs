//! Java goes by system properties and by no variable for proxies and certificates. `JAVA_TOOL_OPTIONS` gives them to every
//! Java that is started.

use crate::agent::trust::TrustFiles;

/// The variable.
pub(super) const OPTIONS: &str = "JAVA_TOOL_OPTIONS";
/// Properties that are set here: what the caller said of them would not count.
const OWN: &[&str] = &["javax.net.ssl.trustStore", "https.proxy", "http.proxy", "http.nonProxyHosts"];

/// The options that lead Java through the proxy, behind those that the caller gave. None for a proxy that is entered with
/// a name, which Java does not send by itself.
pub(super) fn options(proxy: &str, trust: &TrustFiles, exempt: &[&str], caller: &str) -> Option<String> {
    let (host, port) = proxy.strip_prefix("http://")?.trim_end_matches('/').rsplit_once(':')?;
    if host.contains('@') {
        return None;
    }
    let is_own = |option: &&str| {
        let name = option.strip_prefix("-D").unwrap_or_default();
        OWN.iter().any(|own| name.starts_with(own)) && !option.contains(['"', '\''])
    };
    let mut options: Vec<String> =
        caller.split_whitespace().filter(|option| !is_own(option)).map(str::to_string).collect();
    let store = trust.java.display().to_string();
    let quote = if store.contains(char::is_whitespace) { "\"" } else { "" };
    options.push(format!("{quote}-Djavax.net.ssl.trustStore={store}{quote}"));
    options.push("-Djavax.net.ssl.trustStoreType=JKS".into());
    for scheme in ["http", "https"] {
        options.push(format!("-D{scheme}.proxyHost={host}"));
        options.push(format!("-D{scheme}.proxyPort={port}"));
    }
    // Empty, it takes the loopback in; with anything in it Java adds the loopback again.
    let exempt: Vec<String> = exempt
        .iter()
        .map(|name| name.trim_start_matches("*.").trim_start_matches('.'))
        .flat_map(|name| [name.to_string(), format!("*.{name}")])
        .collect();
    options.push(format!("-Dhttp.nonProxyHosts={}", exempt.join("|")));
    Some(options.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(proxy: &str, exempt: &[&str], caller: &str) -> Option<String> {
        let trust = TrustFiles { java: "/t/trusted.jks".into(), ..TrustFiles::default() };
        options(proxy, &trust, exempt, caller)
    }

    #[test]
    fn what_the_caller_said_is_kept_and_said_first() {
        let ours = "-Djavax.net.ssl.trustStore=/t/trusted.jks -Djavax.net.ssl.trustStoreType=JKS -Dhttp.proxyHost=127.0.0.1 \
                    -Dhttp.proxyPort=9 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9 -Dhttp.nonProxyHosts=";
        let proxy = "http://127.0.0.1:9";
        assert_eq!(told(proxy, &[], "").unwrap(), ours);
        let caller = "-Xmx2g -Dhttps.proxyPort=3128 '-Da=b c'";
        assert_eq!(told(proxy, &[], caller).unwrap(), format!("-Xmx2g '-Da=b c' {ours}"));
        let again = told(proxy, &[], ours).unwrap();
        assert_eq!(again, ours);
        assert!(told(proxy, &["a.b", ".c"], "").unwrap().ends_with("=a.b|*.a.b|c|*.c"));
        assert_eq!(told("http://run:run@127.0.0.1:9", &[], ""), None);
    }

    #[test]
    fn a_directory_with_a_space_stays_one_option() {
        let trust = TrustFiles { java: "/a b/t.jks".into(), ..TrustFiles::default() };
        let told = options("http://127.0.0.1:9", &trust, &[], "").unwrap();
        assert!(told.starts_with("\"-Djavax.net.ssl.trustStore=/a b/t.jks\" -D"), "{told}");
    }
}
