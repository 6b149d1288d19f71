"""OpenAI's Agents SDK: by Responses and by Chat Completions, one after the other and streamed, then some at once."""

import asyncio
import json
from functools import wraps

from agents import Agent, AsyncOpenAI, OpenAIChatCompletionsModel, Runner, function_tool
from shop import SYSTEM, TASK, order, stock


def told(tool):
    """The tool with a result in JSON: the SDK would tell the model what Python prints."""

    @wraps(tool)
    def function(*places, **names):
        return json.dumps(tool(*places, **names))

    return function_tool(function)


async def main():
    tools = [told(stock), told(order)]
    models = ["gpt-5.1", OpenAIChatCompletionsModel("gpt-4o-mini", AsyncOpenAI())]
    agents = [Agent(name="Shop", instructions=SYSTEM, model=model, tools=tools) for model in models]
    for agent in agents:
        result = Runner.run_streamed(agent, TASK)
        async for _ in result.stream_events():
            pass
        print(result.final_output)
    tasks = [TASK.replace("widget", item) for item in ("gadget", "gizmo")]
    for result in await asyncio.gather(*[Runner.run(agent, task) for agent in agents for task in tasks]):
        print(result.final_output)


asyncio.run(main())
