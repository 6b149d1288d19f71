"""OpenAI's SDK, Chat Completions, streamed."""

import json

from openai import OpenAI
from shop import SCHEMAS, SYSTEM, TASK, TOOLS

client = OpenAI()
tools = [
    {"type": "function", "function": {"name": name, "description": tool.__doc__, "parameters": SCHEMAS[name]}}
    for name, tool in TOOLS.items()
]
messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TASK}]
while True:
    with client.chat.completions.stream(model="gpt-4o-mini", messages=messages, tools=tools) as stream:
        message = stream.get_final_completion().choices[0].message
    if not message.tool_calls:
        break
    messages.append(message.model_dump(exclude_none=True, exclude={"parsed"}))
    for call in message.tool_calls:
        result = TOOLS[call.function.name](**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
print(message.content)
