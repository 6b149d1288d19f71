"""OpenAI's SDK, Responses, streamed; the provider keeps the conversation (`previous_response_id`)."""

import json

from openai import OpenAI
from shop import SCHEMAS, SYSTEM, TASK, TOOLS

client = OpenAI()
tools = [
    {"type": "function", "name": name, "description": tool.__doc__, "parameters": SCHEMAS[name], "strict": True}
    for name, tool in TOOLS.items()
]
given, before = TASK, None
while True:
    with client.responses.stream(
        model="gpt-5.1", instructions=SYSTEM, tools=tools, input=given, previous_response_id=before
    ) as stream:
        for _ in stream:
            pass
        response = stream.get_final_response()
    before = response.id
    calls = [item for item in response.output if item.type == "function_call"]
    if not calls:
        break
    given = [
        {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": json.dumps(TOOLS[call.name](**json.loads(call.arguments))),
        }
        for call in calls
    ]
print(response.output_text)
