"""OpenAI's Agents SDK, streamed: by Responses, then by Chat Completions."""

import asyncio

from agents import Agent, AsyncOpenAI, OpenAIChatCompletionsModel, Runner, function_tool
from shop import SYSTEM, TASK, order, stock


async def main():
    tools = [function_tool(stock), function_tool(order)]
    for model in ("gpt-5.1", OpenAIChatCompletionsModel("gpt-4o-mini", AsyncOpenAI())):
        agent = Agent(name="Shop", instructions=SYSTEM, model=model, tools=tools)
        result = Runner.run_streamed(agent, TASK)
        async for _ in result.stream_events():
            pass
        print(result.final_output)


asyncio.run(main())
