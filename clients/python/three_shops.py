"""Three agents at once, for OpenAI's Chat Completions and Anthropic's Messages each: only the item differs."""

import asyncio
import json

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from shop import SCHEMAS, SYSTEM, TASK, TOOLS

ITEMS = ["widget", "gadget", "gizmo"]


async def chat(client, item):
    tools = [
        {"type": "function", "function": {"name": name, "description": tool.__doc__, "parameters": SCHEMAS[name]}}
        for name, tool in TOOLS.items()
    ]
    asked = TASK.replace("widget", item)
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked}]
    while True:
        made = await client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=tools)
        message = made.choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            result = TOOLS[call.function.name](**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})


async def talk(client, item):
    tools = [{"name": name, "description": tool.__doc__, "input_schema": SCHEMAS[name]} for name, tool in TOOLS.items()]
    messages = [{"role": "user", "content": TASK.replace("widget", item)}]
    while True:
        message = await client.messages.create(
            model="claude-sonnet-4-5", max_tokens=1024, system=SYSTEM, tools=tools, messages=messages
        )
        if message.stop_reason != "tool_use":
            return "".join(block.text for block in message.content if block.type == "text")
        messages.append({"role": "assistant", "content": message.model_dump(exclude_none=True)["content"]})
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": json.dumps(TOOLS[block.name](**block.input))}
            for block in message.content
            if block.type == "tool_use"
        ]
        messages.append({"role": "user", "content": results})


async def main():
    async with AsyncOpenAI() as openai, AsyncAnthropic() as anthropic:
        said = await asyncio.gather(*[chat(openai, item) for item in ITEMS], *[talk(anthropic, item) for item in ITEMS])
    print("\n".join(said))


asyncio.run(main())
