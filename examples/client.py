"""A model client in a page of standard Python: OpenAI chat completions and Anthropic messages, streamed or not.

It reads OPENAI_BASE_URL, OPENAI_API_KEY, ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY, as the vendors' SDKs do, and knows
nothing of retake.
"""

import json
import os
import sys
import urllib.error
import urllib.request

import tracing


def _post(url, headers, body):
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **tracing.headers(), **headers})
    try:
        return urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        sys.exit(f"the model answered {error.code}: {error.read().decode(errors='replace')}")
    except OSError as error:
        sys.exit(f"cannot reach {url}: {error}")


def _events(response):
    """The JSON events of a stream; the end mark is the end."""
    for line in response:
        if line.startswith(b"data:"):
            text = line[5:].strip()
            if text == b"[DONE]":
                return
            yield json.loads(text)


@tracing.chat("openai")
def openai_chat(messages, model="small", tools=None, stream=False, **parameters):
    """One chat completion; the assistant's message."""
    base = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1").rstrip("/")
    key = os.environ.get("OPENAI_API_KEY", "no-key")
    body = {"model": model, "messages": messages, **parameters}
    if tools:
        body["tools"] = [{"type": "function", "function": tool} for tool in tools]
    if stream:
        body["stream"] = True
    with _post(base + "/chat/completions", {"authorization": "Bearer " + key}, body) as response:
        if not stream:
            return json.load(response)["choices"][0]["message"]
        text, calls = "", {}
        for event in _events(response):
            for choice in event["choices"]:
                text += choice["delta"].get("content") or ""
                for part in choice["delta"].get("tool_calls") or []:
                    empty = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
                    call = calls.setdefault(part["index"], empty)
                    call["id"] += part.get("id") or ""
                    call["function"]["name"] += part["function"].get("name") or ""
                    call["function"]["arguments"] += part["function"].get("arguments") or ""
    if not text and not calls:
        sys.exit("the stream broke off before an answer")
    message = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return message


@tracing.chat("anthropic")
def anthropic_messages(messages, model="small", system=None, tools=None, stream=False, **parameters):
    """One message; the assistant's content blocks."""
    base = os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com").rstrip("/")
    headers = {"x-api-key": os.environ.get("ANTHROPIC_API_KEY", "no-key"), "anthropic-version": "2023-06-01"}
    body = {"model": model, "max_tokens": 1024, "messages": messages, **parameters}
    if system:
        body["system"] = system
    if tools:
        names = {"name": "name", "description": "description", "parameters": "input_schema"}
        body["tools"] = [{names[key]: value for key, value in tool.items()} for tool in tools]
    if stream:
        body["stream"] = True
    with _post(base + "/v1/messages", headers, body) as response:
        if not stream:
            return json.load(response)["content"]
        blocks, ended = [], False
        for event in _events(response):
            if event["type"] == "content_block_start":
                blocks.append(dict(event["content_block"], json=""))
            elif event["type"] == "content_block_delta":
                delta = event["delta"]
                if delta["type"] == "text_delta":
                    blocks[event["index"]]["text"] += delta["text"]
                elif delta["type"] == "input_json_delta":
                    blocks[event["index"]]["json"] += delta["partial_json"]
            elif event["type"] == "message_stop":
                ended = True
                break
    if not ended:
        sys.exit("the stream broke off before an answer")
    for block in blocks:
        arguments = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(arguments or "{}")
    return blocks


def ask(question, model="small", system=None, provider="openai", stream=False, **parameters):
    """A question without tools; the text of the answer."""
    if provider == "anthropic":
        blocks = anthropic_messages([{"role": "user", "content": question}], model, system, stream=stream, **parameters)
        return "".join(block.get("text", "") for block in blocks)
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question})
    return openai_chat(messages, model, stream=stream, **parameters)["content"]
