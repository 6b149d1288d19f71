"""A refund agent on the official Anthropic SDK. MODE: sync, async; STREAM: 0, 1."""
import asyncio, json, os, sys, uuid
import anthropic

TOOLS = {
    "lookup_order": lambda order_id: {"amount": 4999, "currency": "USD", "sku": "LAP-1", "customer_id": "c9"},
    "get_policy": lambda sku: {"refundable": True, "window_days": 30},
    "get_customer": lambda customer_id: {"id": "c9", "name": "Ada"},
    "check_fraud": lambda order_id, amount: {"risk": "low", "score": 0.07, "trace": uuid.uuid4().hex},
    "issue_refund": lambda order_id, amount_usd: {"ok": True, "refunded": amount_usd},
}
SCHEMAS = [{"name": name, "input_schema": {"type": "object", "properties": {}}} for name in TOOLS]
STREAM = os.environ.get("STREAM") == "1"


def request(messages):
    return dict(model="claude-small", max_tokens=1000, system="You handle refunds.", messages=messages, tools=SCHEMAS)


def take_turn(messages, answer):
    messages.append({"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in answer.content]})
    results = [
        {"type": "tool_result", "tool_use_id": b.id, "content": json.dumps(TOOLS[b.name](**b.input))}
        for b in answer.content if b.type == "tool_use"
    ]
    if not results:
        return "".join(b.text for b in answer.content if b.type == "text")
    messages.append({"role": "user", "content": results})
    return None


def sync(messages):
    client = anthropic.Anthropic()
    while True:
        if STREAM:
            with client.messages.stream(**request(messages)) as stream:
                answer = stream.get_final_message()
        else:
            answer = client.messages.create(**request(messages))
        final = take_turn(messages, answer)
        if final is not None:
            return final


async def asynchronous(messages):
    client = anthropic.AsyncAnthropic()
    while True:
        if STREAM:
            async with client.messages.stream(**request(messages)) as stream:
                answer = await stream.get_final_message()
        else:
            answer = await client.messages.create(**request(messages))
        final = take_turn(messages, answer)
        if final is not None:
            return final


task = [{"role": "user", "content": sys.argv[1]}]
print(sync(task) if os.environ.get("MODE") != "async" else asyncio.run(asynchronous(task)))
