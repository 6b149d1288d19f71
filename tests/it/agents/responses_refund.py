"""A refund agent on the Responses API of the official OpenAI SDK. MODE: sync, async; STREAM: 0, 1; CHAIN: how it goes on,
with its history (0), an answer's id (1), or the id of a conversation."""
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
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, "strict": False}
    for name in TOOLS
]
STREAM = os.environ.get("STREAM") == "1"
CHAIN = os.environ.get("CHAIN", "0")


def request(items, previous):
    chained = {"previous_response_id": previous} if CHAIN == "1" and previous else {}
    if CHAIN not in ("0", "1"):
        chained = {"conversation": CHAIN}
    return dict(model="gpt-small", instructions="You handle refunds.", input=items, tools=SCHEMAS, **chained)


def after(items, answer):
    """What to send next; nothing when the answer is the last."""
    calls = [item for item in answer.output if item.type == "function_call"]
    results = [
        {"type": "function_call_output", "call_id": call.call_id,
         "output": json.dumps(TOOLS[call.name](**json.loads(call.arguments)))}
        for call in calls
    ]
    said = [item.model_dump(exclude={"parsed_arguments"}, exclude_none=True) for item in answer.output]
    return (items + said + results if CHAIN == "0" else results) if calls else None


def sync(items):
    client, previous = openai.OpenAI(), None
    while True:
        if STREAM:
            with client.responses.stream(**request(items, previous)) as stream:
                answer = stream.until_done().get_final_response()
        else:
            answer = client.responses.create(**request(items, previous))
        items, previous = after(items, answer), answer.id
        if items is None:
            return answer.output_text


async def asynchronous(items):
    client, previous = openai.AsyncOpenAI(), None
    while True:
        if STREAM:
            async with client.responses.stream(**request(items, previous)) as stream:
                answer = await stream.get_final_response()
        else:
            answer = await client.responses.create(**request(items, previous))
        items, previous = after(items, answer), answer.id
        if items is None:
            return answer.output_text


task = [{"role": "user", "content": sys.argv[1]}]
print(sync(task) if os.environ.get("MODE") != "async" else asyncio.run(asynchronous(task)))
