"""A refund agent on the official OpenAI SDK. MODE: sync, async; STREAM: 0, 1."""
import asyncio, json, os, sys, uuid
import openai

TOOLS = {
    "lookup_order": lambda order_id: {"amount": 4999, "currency": "USD", "sku": "LAP-1", "customer_id": "c9"},
    "get_policy": lambda sku: {"refundable": True, "window_days": 30},
    "get_customer": lambda customer_id: {"id": "c9", "name": "Ada"},
    "check_fraud": lambda order_id, amount: {"risk": "low", "score": 0.07, "trace": uuid.uuid4().hex},
    "issue_refund": lambda order_id, amount_usd: {"ok": True, "refunded": amount_usd},
}
SCHEMAS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in TOOLS
]
STREAM = os.environ.get("STREAM") == "1"


def request(messages):
    return dict(model="gpt-small", messages=messages, tools=SCHEMAS, stream=STREAM)


def assemble(chunks):
    text, calls = "", {}
    for chunk in chunks:
        if not chunk.choices:
            continue
        delta = chunk.choices[0].delta
        text += delta.content or ""
        for part in delta.tool_calls or []:
            call = calls.setdefault(part.index, {"id": "", "name": "", "args": ""})
            call["id"] += part.id or ""
            call["name"] += part.function.name or ""
            call["args"] += part.function.arguments or ""
    return text, [(c["id"], c["name"], c["args"]) for _, c in sorted(calls.items())]


def plain(answer):
    message = answer.choices[0].message
    return message.content, [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or []]


def take_turn(messages, text, calls):
    if not calls:
        return text
    messages.append({"role": "assistant", "content": text or None, "tool_calls": [
        {"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]})
    for call_id, name, args in calls:
        result = TOOLS[name](**json.loads(args))
        messages.append({"role": "tool", "tool_call_id": call_id, "content": json.dumps(result)})
    return None


def sync(messages):
    client = openai.OpenAI()
    while True:
        answer = client.chat.completions.create(**request(messages))
        final = take_turn(messages, *(assemble(answer) if STREAM else plain(answer)))
        if final is not None:
            return final


async def asynchronous(messages):
    client = openai.AsyncOpenAI()
    while True:
        answer = await client.chat.completions.create(**request(messages))
        turn = assemble([c async for c in answer]) if STREAM else plain(answer)
        final = take_turn(messages, *turn)
        if final is not None:
            return final


task = [{"role": "system", "content": "You handle refunds."}, {"role": "user", "content": sys.argv[1]}]
print(sync(task) if os.environ.get("MODE") != "async" else asyncio.run(asynchronous(task)))
