"""LangGraph's agent, as LangChain makes it, with an OpenAI chat model, streamed."""

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from shop import SYSTEM, TASK, order, stock

model = ChatOpenAI(model="gpt-4o-mini", streaming=True)
agent = create_agent(model, [tool(stock), tool(order)], system_prompt=SYSTEM)
for state in agent.stream({"messages": [("user", TASK)]}, stream_mode="values"):
    pass
print(state["messages"][-1].text)
