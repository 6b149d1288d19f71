"""What a model answered, streamed or not, for the agents that speak both dialects."""

import json


def events(text):
    lines = (line[5:].strip() for line in text.splitlines() if line.startswith("data:"))
    return [json.loads(line) for line in lines if line != "[DONE]"]


def blocks_of(text, streamed):
    """The content blocks of an Anthropic answer."""
    if not streamed:
        return json.loads(text)["content"]
    blocks, partial = [], {}
    for event in events(text):
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
        elif event["type"] == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            if delta["type"] == "input_json_delta":
                partial[event["index"]] = partial.get(event["index"], "") + delta["partial_json"]
            else:
                field = delta["type"].removesuffix("_delta")
                block[field] = block.get(field, "") + delta[field]
    for index, arguments in partial.items():
        blocks[index]["input"] = json.loads(arguments or "{}")
    return blocks


def message_of(text, streamed):
    """The message of an OpenAI answer."""
    if not streamed:
        return json.loads(text)["choices"][0]["message"]
    message, calls = {"role": "assistant", "content": ""}, {}
    for event in events(text):
        for choice in event["choices"]:
            message["content"] += choice["delta"].get("content") or ""
            for part in choice["delta"].get("tool_calls") or []:
                call = calls.setdefault(part["index"], {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
                call["id"] += part.get("id") or ""
                call["function"]["name"] += part["function"].get("name") or ""
                call["function"]["arguments"] += part["function"].get("arguments") or ""
    if calls:
        message["tool_calls"] = list(calls.values())
    return message
