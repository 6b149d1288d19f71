mod answers;
mod edits;
mod requests;

use super::*;
use crate::exchange::HeaderList;

const TARGET: &str = "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse";

const BODY: &str = r#"{"system_instruction":{"parts":{"text":"You help."}},
 "contents":[
  {"parts":[{"text":"Hi"}]},
  {"role":"model","parts":[{"text":"hm","thought":true},{"text":"Look:","thoughtSignature":"c2ln"},{"functionCall":{"name":"f","args":{"n":1.50}},"thought_signature":"c2ln"},{"functionCall":{"id":"c2","name":"g"}}]},
  {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"result":"high"}}},{"function_response":{"id":"c2","name":"g","response":{"b":1,"a":[2.0]},"parts":[{"inlineData":{"mimeType":"image/png","data":""}}]}},{"functionResponse":{"name":"h","response":{"error":"none"}}},{"functionResponse":{"name":"i"}}]},
  {"role":"function","parts":[{"functionResponse":{"name":"j","response":{"output":{"k":7}}}},{"inline_data":{"mime_type":"image/png","data":"AA=="}}]}
 ],
 "tools":[{"functionDeclarations":[{"name":"f"},{"name":"g"}],"googleSearch":{}},{"codeExecution":{}}],
 "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f","g"]}},
 "generation_config":{"temperature":0.70,"max_output_tokens":9,"seed":null},"safetySettings":[],"labels":{"team":"x"},"cachedContent":"cachedContents/1"}"#;

fn head(status: u16, kind: &str) -> ResponseHead {
    ResponseHead { status, headers: HeaderList(vec![("content-type".into(), kind.into())]) }
}

fn text(s: &str) -> Block {
    Block::Text { text: s.into() }
}

fn thought(text: &str, signed: bool) -> Block {
    Block::Reasoning { text: text.into(), signed }
}
