"""Anthropic's SDK, streamed."""

import json

from anthropic import Anthropic
from shop import SCHEMAS, SYSTEM, TASK, TOOLS

client = Anthropic()
tools = [{"name": name, "description": tool.__doc__, "input_schema": SCHEMAS[name]} for name, tool in TOOLS.items()]
messages = [{"role": "user", "content": TASK}]
while True:
    with client.messages.stream(
        model="claude-sonnet-4-5", max_tokens=1024, system=SYSTEM, tools=tools, messages=messages
    ) as stream:
        message = stream.get_final_message()
    if message.stop_reason != "tool_use":
        break
    messages.append({"role": "assistant", "content": message.content})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": json.dumps(TOOLS[block.name](**block.input))}
        for block in message.content
        if block.type == "tool_use"
    ]
    messages.append({"role": "user", "content": results})
print("".join(block.text for block in message.content if block.type == "text"))
