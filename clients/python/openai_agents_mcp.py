"""OpenAI's Agents SDK, streamed, with the tools of an MCP server: its command is the arguments."""

import asyncio
import os
import sys

from agents import Agent, Runner
from agents.mcp import MCPServerStdio
from shop import SYSTEM, TASK


async def main():
    command, *arguments = sys.argv[1:]
    server = MCPServerStdio(params={"command": command, "args": arguments, "env": dict(os.environ)})
    async with server:
        agent = Agent(name="Shop", instructions=SYSTEM, model="gpt-5.1", mcp_servers=[server])
        result = Runner.run_streamed(agent, TASK)
        async for _ in result.stream_events():
            pass
        print(result.final_output)


asyncio.run(main())
