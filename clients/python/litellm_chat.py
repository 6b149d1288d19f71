"""LiteLLM, streamed: one call for all providers. The model is the argument (default: openai/gpt-4o-mini)."""

import json
import os
import sys

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no download of prices at import

import litellm
from shop import SCHEMAS, SYSTEM, TASK, TOOLS

model = sys.argv[1] if len(sys.argv) > 1 else "openai/gpt-4o-mini"
tools = [
    {"type": "function", "function": {"name": name, "description": tool.__doc__, "parameters": SCHEMAS[name]}}
    for name, tool in TOOLS.items()
]
messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TASK}]
while True:
    chunks = list(litellm.completion(model=model, messages=messages, tools=tools, stream=True))
    message = litellm.stream_chunk_builder(chunks, messages=messages).choices[0].message
    if not message.tool_calls:
        break
    messages.append(message.model_dump(exclude_none=True))
    for call in message.tool_calls:
        result = TOOLS[call.function.name](**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
print(message.content)
