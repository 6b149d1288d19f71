use super::*;
use proptest::prelude::*;

const PROXY: &str = "http://127.0.0.1:9";

fn vars(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn told(caller: &[(&str, &str)]) -> AgentEnvironment {
    plan(&Surroundings { caller: &vars(caller), proxy: PROXY, ..Default::default() })
}

fn origin<'a>(told: &'a AgentEnvironment, provider: &str) -> Option<&'a str> {
    told.upstreams.iter().find(|u| u.provider == provider).map(|u| u.origin.as_str())
}

#[test]
fn an_empty_environment_goes_to_the_providers_through_the_proxy() {
    let told = told(&[]);
    assert_eq!(told.set["OPENAI_BASE_URL"], "http://127.0.0.1:9/openai/v1");
    assert_eq!(told.set["OPENAI_API_BASE"], "http://127.0.0.1:9/openai/v1");
    assert_eq!(told.set["ANTHROPIC_BASE_URL"], "http://127.0.0.1:9/anthropic");
    assert_eq!(told.set["GOOGLE_GEMINI_BASE_URL"], "http://127.0.0.1:9/gemini");
    assert_eq!(told.set["GEMINI_API_BASE"], "http://127.0.0.1:9/gemini/v1beta");
    assert_eq!(told.set["RETAKE_PROXY"], PROXY);
    assert_eq!(told.unset, ["RETAKE_RUN"]);
    assert_eq!(origin(&told, "openai"), Some("https://api.openai.com"));
    assert_eq!(origin(&told, "anthropic"), Some("https://api.anthropic.com"));
    assert_eq!(origin(&told, "azure"), None);
    assert!(!told.set.contains_key("NO_PROXY") && !told.set.contains_key("OPENAI_API_KEY"));
    assert!(told.base_urls.is_empty() && told.destinations.iter().all(|d| d.said == Said::Provider));
}

#[test]
fn the_callers_own_base_url_is_the_upstream_and_keeps_its_path() {
    let told =
        told(&[("OPENAI_BASE_URL", "http://host:4133/custom/v1"), ("ANTHROPIC_BASE_URL", "https://a/v1")]);
    assert_eq!(told.set["OPENAI_BASE_URL"], "http://127.0.0.1:9/openai/custom/v1");
    assert_eq!(told.set["OPENAI_API_BASE"], "http://127.0.0.1:9/openai/custom/v1");
    assert_eq!(told.set["ANTHROPIC_BASE_URL"], "http://127.0.0.1:9/anthropic/v1");
    assert_eq!(origin(&told, "openai"), Some("http://host:4133"));
    assert_eq!(told.base_urls["OPENAI_BASE_URL"], "http://host:4133/custom/v1");
}

#[test]
fn two_addresses_of_one_provider_get_two_prefixes() {
    let told = told(&[("OPENAI_BASE_URL", "http://a/v1"), ("OPENAI_API_BASE", "http://b/v1")]);
    assert_eq!(told.set["OPENAI_BASE_URL"], "http://127.0.0.1:9/openai/v1");
    assert_eq!(told.set["OPENAI_API_BASE"], "http://127.0.0.1:9/openai-2/v1");
    assert_eq!((origin(&told, "openai"), origin(&told, "openai-2")), (Some("http://a"), Some("http://b")));
}

#[test]
fn ollamas_host_needs_no_scheme() {
    let none = told(&[]);
    assert_eq!(none.set["OLLAMA_HOST"], "http://127.0.0.1:9/ollama");
    assert_eq!(origin(&none, "ollama"), Some("http://127.0.0.1:11434"));
    assert!(!none.set.contains_key("OLLAMA_BASE_URL"));
    let told = told(&[("OLLAMA_HOST", "gpu.local"), ("OLLAMA_BASE_URL", "http://gpu.local:11434/v1")]);
    assert_eq!(told.set["OLLAMA_HOST"], "http://127.0.0.1:9/ollama");
    assert_eq!(told.set["OLLAMA_API_BASE"], "http://127.0.0.1:9/ollama");
    assert_eq!(told.set["OLLAMA_BASE_URL"], "http://127.0.0.1:9/ollama/v1");
    assert_eq!(origin(&told, "ollama"), Some("http://gpu.local:11434"));
    assert_eq!(told.base_urls["OLLAMA_HOST"], "http://gpu.local:11434");
}

#[test]
fn a_variable_that_says_something_by_being_there_stays_unset() {
    let one = told(&[("AZURE_OPENAI_ENDPOINT", "https://me.openai.azure.com")]);
    assert!(!one.set.contains_key("AZURE_OPENAI_BASE_URL"));
    let all = told(&[("AZURE_OPENAI_BASE_URL", "https://me.openai.azure.com/openai/v1/")]);
    assert_eq!(all.set["AZURE_OPENAI_BASE_URL"], "http://127.0.0.1:9/azure/openai/v1/");
    assert_eq!(all.set["AZURE_OPENAI_ENDPOINT"], "http://127.0.0.1:9/azure");
    // What was set when it was recorded is set again.
    let recorded = all.base_urls.clone();
    let again = plan(&Surroundings { proxy: PROXY, recorded: Some(&recorded), ..Default::default() });
    assert_eq!(again.set["AZURE_OPENAI_BASE_URL"], "http://127.0.0.1:9/azure/openai/v1/");
}

#[test]
fn a_password_in_the_address_stays_with_the_client() {
    let told = told(&[("OPENAI_BASE_URL", "http://me:hunter2@h/v1")]);
    assert_eq!(told.set["OPENAI_BASE_URL"], "http://me:hunter2@127.0.0.1:9/openai/v1");
    assert_eq!(origin(&told, "openai"), Some("http://h"));
    assert_eq!(told.base_urls["OPENAI_BASE_URL"], "http://h/v1");
}

#[test]
fn what_is_no_address_is_left_alone_and_told() {
    let told = told(&[
        ("OPENAI_BASE_URL", "llama.local:80"),
        ("AZURE_OPENAI_ENDPOINT", "x"),
        ("MISTRAL_API_BASE", " "),
    ]);
    assert!(!told.set.contains_key("OPENAI_BASE_URL"));
    assert_eq!(told.set["OPENAI_API_BASE"], "http://127.0.0.1:9/openai/v1");
    assert_eq!(told.set["MISTRAL_API_BASE"], "http://127.0.0.1:9/mistral/v1");
    let names: Vec<&str> = told.left_alone.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT"]);
}

#[test]
fn bedrock_is_routed_when_an_endpoint_is_set_and_amazons_own_is_warned_of() {
    assert!(!told(&[]).set.contains_key("AWS_ENDPOINT_URL_BEDROCK_RUNTIME"));
    let gateway = told(&[("AWS_ENDPOINT_URL", "http://localhost:4566")]);
    assert_eq!(gateway.set["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"], "http://127.0.0.1:9/bedrock");
    assert!(!gateway.set.contains_key("AWS_ENDPOINT_URL"), "the other services go where they went");
    assert_eq!(origin(&gateway, "bedrock"), Some("http://localhost:4566"));
    assert_eq!(gateway.refused_by_amazon(&[]), None);
    let amazon = "https://bedrock-runtime.us-east-1.amazonaws.com";
    let own = told(&[("AWS_ENDPOINT_URL", "http://x"), ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", amazon)]);
    assert_eq!(own.refused_by_amazon(&[]), Some(amazon));
    assert_eq!(own.refused_by_amazon(&vars(&[("AWS_BEARER_TOKEN_BEDROCK", "key")])), None);
}

#[test]
fn amazons_clients_get_a_dummy_key_only_where_nothing_goes_live() {
    let with = |dials: bool, caller: &[(&str, &str)]| {
        let caller = vars(caller);
        let around =
            Surroundings { caller: &caller, proxy: PROXY, dummy_keys: true, dials, ..Default::default() };
        plan(&around).set.contains_key("AWS_BEARER_TOKEN_BEDROCK")
    };
    assert!(with(false, &[]) && !with(true, &[]));
    assert!(!with(false, &[("AWS_ACCESS_KEY_ID", "AKID")]));
}

#[test]
fn a_provider_without_an_address_of_its_own_is_routed_when_set() {
    let told = told(&[("AZURE_OPENAI_ENDPOINT", "https://me.openai.azure.com/")]);
    assert_eq!(told.set["AZURE_OPENAI_ENDPOINT"], "http://127.0.0.1:9/azure/");
    assert_eq!(origin(&told, "azure"), Some("https://me.openai.azure.com"));
}

#[test]
fn overrides_replace_addresses() {
    let caller = vars(&[("OPENAI_BASE_URL", "http://host/custom/v1")]);
    let of = |flags: &[&str]| {
        let overrides: Vec<_> = flags.iter().map(|f| UpstreamOverride::parse(f).unwrap()).collect();
        plan(&Surroundings { caller: &caller, proxy: PROXY, overrides: &overrides, ..Default::default() })
    };
    let all = of(&["http://test:1/v1"]);
    assert_eq!(all.set["OPENAI_BASE_URL"], "http://127.0.0.1:9/openai/v1");
    assert_eq!(all.set["ANTHROPIC_BASE_URL"], "http://127.0.0.1:9/anthropic");
    assert_eq!(all.set["GEMINI_API_BASE"], "http://127.0.0.1:9/gemini/v1beta");
    assert_eq!(all.set["GROQ_API_BASE"], "http://127.0.0.1:9/groq/openai/v1");
    assert!(all.upstreams.iter().all(|u| u.origin == "http://test:1"));
    assert_eq!(origin(&all, "azure"), None);
    assert_eq!(of(&["http://test:1"]), all);

    let one = of(&["http://a", "openai=http://b/x/v1", "http://c"]);
    assert_eq!(one.set["OPENAI_BASE_URL"], "http://127.0.0.1:9/openai/x/v1");
    assert_eq!((origin(&one, "openai"), origin(&one, "anthropic")), (Some("http://b"), Some("http://c")));
}

#[test]
fn loopback_goes_past_the_callers_proxy() {
    let upper = told(&[("HTTPS_PROXY", "http://p"), ("NO_PROXY", "corp,localhost")]);
    assert_eq!(upper.set["NO_PROXY"], "corp,localhost,127.0.0.1");
    assert_eq!(upper.set["no_proxy"], "corp,localhost,127.0.0.1");
    let lower = told(&[("http_proxy", "http://p")]);
    assert_eq!(lower.set["NO_PROXY"], "127.0.0.1,localhost");
    let star = told(&[("no_proxy", "*")]);
    assert_eq!((star.set["no_proxy"].as_str(), star.set["NO_PROXY"].as_str()), ("*", "*"));
}

#[test]
fn dummy_keys_only_where_there_is_none() {
    let caller = vars(&[("ANTHROPIC_AUTH_TOKEN", "real"), ("OPENAI_API_KEY", "")]);
    let told = plan(&Surroundings { caller: &caller, proxy: PROXY, dummy_keys: true, ..Default::default() });
    assert_eq!(told.set["OPENAI_API_KEY"], DUMMY_KEY);
    assert_eq!(told.set["GEMINI_API_KEY"], DUMMY_KEY);
    assert!(!told.set.contains_key("ANTHROPIC_API_KEY") && !told.set.contains_key("GOOGLE_API_KEY"));
}

#[test]
fn a_recording_made_here_goes_where_it_went_unless_today_says_otherwise() {
    let recorded: BTreeMap<String, String> = vars(&[
        ("OPENAI_BASE_URL", "http://gateway.example/custom/v1"),
        ("AZURE_OPENAI_ENDPOINT", "https://me.azure.example"),
    ])
    .into_iter()
    .collect();
    let caller = vars(&[("AZURE_OPENAI_ENDPOINT", "https://other.azure.example")]);
    let told = plan(&Surroundings {
        caller: &caller,
        proxy: PROXY,
        recorded: Some(&recorded),
        own_recording: true,
        ..Default::default()
    });
    let of = |provider: &str| told.destinations.iter().find(|d| d.provider == provider).unwrap();
    assert_eq!(origin(&told, "openai"), Some("http://gateway.example"));
    assert_eq!(origin(&told, "azure"), Some("https://other.azure.example"));
    assert_eq!(of("openai").said, Said::Recording);
    assert_eq!(of("azure").said, Said::Variable("AZURE_OPENAI_ENDPOINT"));
    assert_eq!(
        (of("anthropic").said, origin(&told, "anthropic")),
        (Said::Provider, Some("https://api.anthropic.com"))
    );
    assert_eq!(
        told.base_urls["OPENAI_BASE_URL"], "http://gateway.example/custom/v1",
        "a fork of the fork goes there too"
    );
}

#[test]
fn a_recording_of_others_has_its_paths_and_never_its_address() {
    let recorded: BTreeMap<String, String> = vars(&[
        ("OPENAI_BASE_URL", "http://gateway.example/custom/v1"),
        ("AZURE_OPENAI_ENDPOINT", "https://me.azure.example"),
        ("AGENT_MODE", "cautious"),
        ("RETAKE_RUN", "old.1"),
    ])
    .into_iter()
    .collect();
    let told = plan(&Surroundings {
        proxy: PROXY,
        recorded: Some(&recorded),
        restore: true,
        run: Some("refund.2"),
        ..Default::default()
    });
    assert_eq!(told.set["OPENAI_BASE_URL"], "http://127.0.0.1:9/openai/custom/v1");
    assert_eq!(origin(&told, "openai"), Some("https://api.openai.com"));
    assert_eq!(told.set["AZURE_OPENAI_ENDPOINT"], "http://127.0.0.1:9/azure");
    assert_eq!(origin(&told, "azure"), Some(NOWHERE));
    assert_eq!((told.set["AGENT_MODE"].as_str(), told.set["RETAKE_RUN"].as_str()), ("cautious", "refund.2"));
    let of = |provider: &str| told.destinations.iter().find(|d| d.provider == provider).unwrap();
    assert_eq!(of("openai").origin, "https://api.openai.com/v1", "where its paths go");
    assert_eq!(of("openai").recorded.as_deref(), Some("http://gateway.example/custom/v1"));
    assert_eq!((of("openai").said, of("azure").said), (Said::Provider, Said::Nobody));
}

#[test]
fn what_was_kept_plans_the_same_routes_again() {
    let caller = vars(&[("OPENAI_BASE_URL", "http://a/x/v1"), ("OPENAI_API_BASE", "http://b/v1")]);
    let first = plan(&Surroundings { caller: &caller, proxy: PROXY, ..Default::default() });
    let again = plan(&Surroundings {
        caller: &caller,
        proxy: PROXY,
        recorded: Some(&first.base_urls),
        ..Default::default()
    });
    assert_eq!((&again.set, &again.upstreams), (&first.set, &first.upstreams));
    assert!(again.destinations.iter().all(|d| d.recorded.as_ref() == Some(&d.origin)));
}

proptest! {
    #[test]
    fn every_variable_leads_to_a_route(openai in "(http://[ab]{1,3}(/[a-z]{0,3})?)?", base in "(http://[ab]{1,3})?") {
        let told = told(&[("OPENAI_BASE_URL", &openai), ("OPENAI_API_BASE", &base)]);
        for name in PROVIDERS.iter().flat_map(|p| p.base_urls).map(|v| v.name) {
            if let Some(url) = told.set.get(name) {
                let prefix = url.strip_prefix("http://127.0.0.1:9/").unwrap().split('/').next().unwrap();
                prop_assert_eq!(told.upstreams.iter().filter(|u| u.provider == prefix).count(), 1);
            }
        }
    }
}

#[test]
fn clients_without_a_base_url_are_led_through_and_trust_the_run() {
    let trust =
        TrustFiles { own: "/t/own.pem".into(), whole: "/t/all.pem".into(), java: "/t/all.jks".into() };
    let caller =
        vars(&[("NO_PROXY", "localhost, 127.0.0.1,git.internal,*"), ("JAVA_TOOL_OPTIONS", "-Xmx2g")]);
    let told =
        plan(&Surroundings { caller: &caller, proxy: PROXY, trust: Some(&trust), ..Default::default() });
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        assert_eq!(told.set[name], PROXY);
    }
    assert_eq!(
        (told.set["NO_PROXY"].as_str(), told.set["no_proxy"].as_str()),
        ("git.internal", "git.internal")
    );
    assert_eq!(told.set["SSL_CERT_FILE"], "/t/all.pem");
    assert_eq!(told.set["NODE_EXTRA_CA_CERTS"], "/t/own.pem");
    let java = &told.set["JAVA_TOOL_OPTIONS"];
    assert!(java.starts_with("-Xmx2g -Djavax.net.ssl.trustStore=/t/all.jks "), "{java}");
    assert!(java.ends_with("-Dhttps.proxyPort=9 -Dhttp.nonProxyHosts=git.internal|*.git.internal"), "{java}");
    assert_eq!(told.set["OPENAI_BASE_URL"], "http://127.0.0.1:9/openai/v1");
}

#[test]
fn without_interception_java_is_told_nothing() {
    assert!(!told(&[("JAVA_TOOL_OPTIONS", "-Xmx2g")]).set.contains_key("JAVA_TOOL_OPTIONS"));
}

#[test]
fn a_base_url_with_another_path_leads_there_from_the_recorded_one() {
    let recorded = BTreeMap::from([("OPENAI_BASE_URL".to_string(), "http://then/foo/v1".to_string())]);
    let caller = vars(&[("OPENAI_BASE_URL", "http://now/bar/v1"), ("ANTHROPIC_BASE_URL", "http://now/team")]);
    let around =
        Surroundings { caller: &caller, proxy: PROXY, recorded: Some(&recorded), ..Default::default() };
    let told = plan(&around);
    assert_eq!(told.set["OPENAI_BASE_URL"], "http://127.0.0.1:9/openai/foo/v1", "requests look as they did");
    let moved = |provider: &str, from: &str, to: &str| Moved {
        provider: provider.into(),
        from: from.into(),
        to: to.into(),
    };
    assert_eq!(told.moved, [moved("openai", "/foo/v1", "/bar/v1"), moved("anthropic", "", "/team")]);
    let at = told.destinations.iter().find(|to| to.provider == "openai").unwrap();
    assert_eq!(
        (at.origin.as_str(), at.recorded.as_deref()),
        ("http://now/bar/v1", Some("http://then/foo/v1"))
    );
}

#[test]
fn a_fork_does_not_go_to_the_proxy_that_recorded() {
    let recorded = BTreeMap::from([("OPENAI_BASE_URL".to_string(), "http://then/v1".to_string())]);
    let caller = vars(&[
        ("RETAKE_PROXY", "http://127.0.0.1:7878/r/x"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:7878/r/x/openai/v1"),
    ]);
    let around = Surroundings {
        caller: &caller,
        proxy: PROXY,
        recorded: Some(&recorded),
        own_recording: true,
        ..Default::default()
    };
    let told = plan(&around);
    assert_eq!(origin(&told, "openai"), Some("http://then"));
    assert_eq!(told.moved, []);
}
