// Agents of OpenAI's and Anthropic's SDKs, one after the other.
await import('./openai.mjs');
await import('./anthropic.mjs');
