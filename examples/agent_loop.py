"""An agent loop with tools: ask the model, run the tools it calls, until it answers.

    python examples/agent_loop.py [--api openai|anthropic] [--stream] [--model NAME] [QUESTION]
"""

import argparse
import json

import tracing
from client import anthropic_messages, openai_chat

QUESTION = "Which of gadget and widget do we have fewer of, and what does it cost to order 5 more of it?"
SYSTEM = "You are the clerk of a shop. Use the tools; never guess a number."
SHOP = {"gadget": {"stock": 7, "price": 9.5}, "widget": {"stock": 12, "price": 6.8}}
MOST_TURNS = 8


def get_stock(item):
    return {"item": item, "stock": SHOP[item]["stock"]}


def get_price(item):
    return {"item": item, "price": SHOP[item]["price"], "currency": "USD"}


def order(item, quantity):
    return {"item": item, "quantity": quantity, "total": round(SHOP[item]["price"] * quantity, 2)}


def describe(function, what, **fields):
    kinds = {name: {"type": kind} for name, kind in fields.items()}
    parameters = {"type": "object", "properties": kinds, "required": list(fields)}
    return {"name": function.__name__, "description": what, "parameters": parameters}


TOOLS = [
    describe(get_stock, "How many of an item there are.", item="string"),
    describe(get_price, "The price of one.", item="string"),
    describe(order, "What an order comes to.", item="string", quantity="integer"),
]


def run(name, arguments, call_id):
    """A tool's result as JSON text. What goes wrong is told to the model: it may try another way."""
    with tracing.tool(name, call_id):
        try:
            return json.dumps({"get_stock": get_stock, "get_price": get_price, "order": order}[name](**arguments))
        except (KeyError, TypeError) as error:
            return json.dumps({"error": f"{type(error).__name__}: {error}"})


def with_openai(question, options):
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    for turn in range(1, MOST_TURNS + 1):
        with tracing.span(f"turn {turn}"):
            message = openai_chat(messages, options.model, TOOLS, options.stream)
            messages.append(message)
            if not message.get("tool_calls"):
                return message["content"]
            for call in message["tool_calls"]:
                result = run(call["function"]["name"], json.loads(call["function"]["arguments"]), call["id"])
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    raise SystemExit(f"no answer after {MOST_TURNS} turns")


def with_anthropic(question, options):
    messages = [{"role": "user", "content": question}]
    for turn in range(1, MOST_TURNS + 1):
        with tracing.span(f"turn {turn}"):
            blocks = anthropic_messages(messages, options.model, SYSTEM, TOOLS, options.stream)
            messages.append({"role": "assistant", "content": blocks})
            calls = [block for block in blocks if block["type"] == "tool_use"]
            if not calls:
                return "".join(block.get("text", "") for block in blocks)
            results = [
                {"type": "tool_result", "tool_use_id": call["id"], "content": run(call["name"], call["input"], call["id"])}
                for call in calls
            ]
            messages.append({"role": "user", "content": results})
    raise SystemExit(f"no answer after {MOST_TURNS} turns")


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("question", nargs="?", default=QUESTION)
    flags.add_argument("--api", choices=["openai", "anthropic"], default="openai")
    flags.add_argument("--stream", action="store_true")
    flags.add_argument("--model", default="small")
    options = flags.parse_args()
    with tracing.agent("clerk"):
        answer = (with_openai if options.api == "openai" else with_anthropic)(options.question, options)
    print("ANSWER:", answer)


if __name__ == "__main__":
    main()
