"""Pydantic AI, streamed. The model is the argument (default: openai-chat:gpt-4o-mini)."""

import asyncio
import sys

from pydantic_ai import Agent
from shop import SYSTEM, TASK, order, stock

agent = Agent(
    sys.argv[1] if len(sys.argv) > 1 else "openai-chat:gpt-4o-mini", instructions=SYSTEM, tools=[stock, order]
)


async def main():
    async with agent.run_stream(TASK) as result:
        print(await result.get_output())


asyncio.run(main())
