//! The table of providers: which variables their SDKs read, and where they go when nobody set one.

/// A variable that holds a base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseUrlVariable {
    /// Its name: `OPENAI_BASE_URL`.
    pub name: &'static str,
    /// The path that clients reading it expect in it: `/v1`, or nothing.
    pub path: &'static str,
    /// The port that is meant where its value is a host alone, for a variable that takes one: `localhost`.
    pub bare_port: Option<u16>,
    /// Set only when the caller set it, or the recording has it: some clients take its presence for a choice.
    pub only_when_set: bool,
}

/// One provider: its name in the proxy's path and the variables its clients read.
#[derive(Debug, Clone, Copy)]
pub struct Provider {
    /// Path prefix on the proxy: `openai`.
    pub name: &'static str,
    /// Where its clients go when no variable is set; none: there is no such place, and the provider is routed only
    /// when the caller set one of its variables.
    pub origin: Option<&'static str>,
    /// Base-URL variables, the one that most clients read first.
    pub base_urls: &'static [BaseUrlVariable],
    /// Key variables; a client is content with any one of them. The first gets the dummy key.
    pub keys: &'static [&'static str],
}

/// Amazon Bedrock.
pub(super) const BEDROCK: &str = "bedrock";
/// The variable of all of Amazon's services, which holds for Bedrock where its own is not set.
pub(super) const AMAZON: (&str, &str) = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME");

const fn url(name: &'static str, path: &'static str) -> BaseUrlVariable {
    BaseUrlVariable { name, path, bare_port: None, only_when_set: false }
}

/// A variable that may hold a host and a port without a scheme.
const fn host(name: &'static str, port: u16) -> BaseUrlVariable {
    BaseUrlVariable { bare_port: Some(port), ..url(name, "") }
}

/// A variable that is left unset where it was.
const fn given(name: &'static str, path: &'static str) -> BaseUrlVariable {
    BaseUrlVariable { only_when_set: true, ..url(name, path) }
}

/// Every provider that can be reached through a variable.
///
/// The paths are those of the clients, and differ inside one provider: LiteLLM posts to `{GEMINI_API_BASE}/models/…`,
/// Google's own SDK to `{GOOGLE_GEMINI_BASE_URL}/v1beta/models/…`.
pub const PROVIDERS: &[Provider] = &[
    Provider {
        name: "openai",
        origin: Some("https://api.openai.com"),
        base_urls: &[url("OPENAI_BASE_URL", "/v1"), url("OPENAI_API_BASE", "/v1")],
        keys: &["OPENAI_API_KEY"],
    },
    Provider {
        name: "anthropic",
        origin: Some("https://api.anthropic.com"),
        base_urls: &[url("ANTHROPIC_BASE_URL", ""), url("ANTHROPIC_API_BASE", "")],
        keys: &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"],
    },
    Provider {
        name: "gemini",
        origin: Some("https://generativelanguage.googleapis.com"),
        base_urls: &[url("GOOGLE_GEMINI_BASE_URL", ""), url("GEMINI_API_BASE", "/v1beta")],
        keys: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
    },
    Provider {
        name: "groq",
        origin: Some("https://api.groq.com"),
        base_urls: &[url("GROQ_BASE_URL", ""), url("GROQ_API_BASE", "/openai/v1")],
        keys: &["GROQ_API_KEY"],
    },
    Provider {
        name: "mistral",
        origin: Some("https://api.mistral.ai"),
        base_urls: &[url("MISTRAL_API_BASE", "/v1"), url("MISTRAL_BASE_URL", "/v1")],
        keys: &["MISTRAL_API_KEY"],
    },
    Provider {
        name: "openrouter",
        origin: Some("https://openrouter.ai"),
        base_urls: &[url("OPENROUTER_API_BASE", "/api/v1"), given("OPENROUTER_BASE_URL", "/api/v1")],
        keys: &["OPENROUTER_API_KEY"],
    },
    Provider {
        name: "azure",
        origin: None,
        base_urls: &[
            url("AZURE_OPENAI_ENDPOINT", ""),
            url("AZURE_API_BASE", ""),
            given("AZURE_OPENAI_BASE_URL", "/openai/v1"),
        ],
        keys: &["AZURE_OPENAI_API_KEY", "AZURE_API_KEY"],
    },
    // Amazon's own address is left to interception: what its clients sign is signed for the host that they ask.
    Provider {
        name: BEDROCK,
        origin: None,
        base_urls: &[url("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", ""), url("ANTHROPIC_BEDROCK_BASE_URL", "")],
        keys: &["AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"],
    },
    Provider {
        name: "deepseek",
        origin: Some("https://api.deepseek.com"),
        // It offers all that `/v1` does, and LiteLLM goes there by itself.
        base_urls: &[url("DEEPSEEK_API_BASE", "/beta"), given("DEEPSEEK_BASE_URL", "/v1")],
        keys: &["DEEPSEEK_API_KEY"],
    },
    Provider {
        name: "ollama",
        origin: Some("http://127.0.0.1:11434"),
        base_urls: &[host("OLLAMA_HOST", 11434), url("OLLAMA_API_BASE", ""), given("OLLAMA_BASE_URL", "/v1")],
        keys: &["OLLAMA_API_KEY"],
    },
    Provider {
        name: "together",
        origin: Some("https://api.together.xyz"),
        base_urls: &[url("TOGETHER_BASE_URL", "/v1")],
        keys: &["TOGETHER_API_KEY"],
    },
    Provider {
        name: "fireworks",
        origin: Some("https://api.fireworks.ai"),
        base_urls: &[
            url("FIREWORKS_API_BASE", "/inference/v1"),
            given("FIREWORKS_BASE_URL", "/inference/v1"),
        ],
        keys: &["FIREWORKS_API_KEY"],
    },
    Provider {
        name: "cerebras",
        origin: Some("https://api.cerebras.ai"),
        base_urls: &[url("CEREBRAS_BASE_URL", ""), url("CEREBRAS_API_BASE", "/v1")],
        keys: &["CEREBRAS_API_KEY"],
    },
    Provider {
        name: "xai",
        origin: Some("https://api.x.ai"),
        base_urls: &[url("XAI_API_BASE", "/v1")],
        keys: &["XAI_API_KEY"],
    },
    Provider {
        name: "vllm",
        origin: None,
        base_urls: &[url("HOSTED_VLLM_API_BASE", "/v1"), given("VLLM_API_BASE", "/v1")],
        keys: &["HOSTED_VLLM_API_KEY"],
    },
];

/// True for a variable that [`super::environment::plan`] sets itself.
pub fn is_base_url_variable(name: &str) -> bool {
    PROVIDERS.iter().flat_map(|p| p.base_urls).any(|v| v.name == name)
        || super::environment::is_exporter_variable(name)
}
