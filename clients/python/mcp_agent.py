"""The MCP SDK's client with OpenAI's SDK: an agent whose tools are those of a server. Its command is the arguments."""

import asyncio
import json
import os
import sys

from mcp import ClientSession, StdioServerParameters, stdio_client
from openai import AsyncOpenAI
from shop import SYSTEM, TASK


async def loop(session):
    client, tools = AsyncOpenAI(), []
    for tool in (await session.list_tools()).tools:
        schema = tool.model_dump(by_alias=True)["inputSchema"]
        function = {"name": tool.name, "description": tool.description, "parameters": schema}
        tools.append({"type": "function", "function": function})
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TASK}]
    while True:
        made = await client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=tools)
        message = made.choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            result = await session.call_tool(call.function.name, json.loads(call.function.arguments))
            text = "".join(part.text for part in result.content if part.type == "text")
            messages.append({"role": "tool", "tool_call_id": call.id, "content": text})


async def main():
    command, *arguments = sys.argv[1:]
    server = StdioServerParameters(command=command, args=arguments, env=dict(os.environ))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        print(await loop(session))


asyncio.run(main())
