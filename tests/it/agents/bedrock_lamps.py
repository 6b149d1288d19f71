"""The lamp agent for Amazon Bedrock, on sockets and JSON alone, with a reader of the binary event stream of its own.

API: converse or invoke (Anthropic's bodies); STREAM: 0 or 1; MODELS: the models of the calls, in order. The argument is
the task. Requests look signed: nobody here checks that, but what looks so must arrive as it was sent.
"""

import base64
import http.client
import json
import os
import struct
import sys
import time
import uuid
import zlib
from urllib.parse import quote, urlsplit

API, STREAM = os.environ.get("API", "converse"), os.environ.get("STREAM", "0") == "1"
MODELS = os.environ.get("MODELS", "anthropic.claude-3-haiku-20240307-v1:0").split()
VERB = {("converse", False): "converse", ("converse", True): "converse-stream",
        ("invoke", False): "invoke", ("invoke", True): "invoke-with-response-stream"}[API, STREAM]
TOOLS = {
    "look": lambda item: {"item": item, "stock": 3},
    "price": lambda item: {"item": item, "eur": 20},
}


def messages(stream):
    """The messages of a binary event stream: headers and payload. Checks both sums."""
    while stream:
        if len(stream) < 16:
            sys.exit("cut inside of a message")
        total, length, prelude = struct.unpack(">III", stream[:12])
        assert prelude == zlib.crc32(stream[:8]), "the sum of the lengths"
        if len(stream) < total:
            sys.exit("cut inside of a message")
        message, stream = stream[:total], stream[total:]
        assert struct.unpack(">I", message[-4:])[0] == zlib.crc32(message[:-4]), "the sum of the message"
        headers, at = {}, 12
        while at < 12 + length:
            name = message[at + 1:at + 1 + message[at]].decode()
            at += 1 + message[at]
            assert message[at] == 7, "a text"
            size = struct.unpack(">H", message[at + 1:at + 3])[0]
            headers[name] = message[at + 3:at + 3 + size].decode()
            at += 3 + size
        yield headers, message[12 + length:-4]


def read(response):
    try:
        body = response.read()
    except http.client.IncompleteRead as cut:
        seen = [headers[":event-type"] for headers, _ in messages(cut.partial)]
        sys.exit(f"broken off after {len(seen)}: {' '.join(seen)}")
    if response.status != 200:
        sys.exit(f"failed {response.status} {json.loads(body)['message']}")
    if not STREAM:
        answer = json.loads(body)
        return answer["output"]["message"]["content"] if API == "converse" else answer["content"]
    assert response.getheader("content-type") == "application/vnd.amazon.eventstream"
    blocks = {}
    for headers, payload in messages(body):
        assert headers[":message-type"] == "event", headers
        data = json.loads(payload)
        if API == "invoke":
            data = json.loads(base64.b64decode(data["bytes"]))
            kind, index = data["type"], data.get("index")
            if kind == "content_block_start":
                blocks[index] = dict(data["content_block"], text="", partial_json="")
            elif kind == "content_block_delta":
                for field in ("text", "partial_json"):
                    blocks[index][field] += data["delta"].get(field, "")
            continue
        index = data.get("contentBlockIndex")
        if headers[":event-type"] == "contentBlockStart":
            blocks[index] = {"toolUse": dict(data["start"]["toolUse"], input="")}
        elif headers[":event-type"] == "contentBlockDelta":
            if "text" in data["delta"]:
                blocks.setdefault(index, {"text": ""})["text"] += data["delta"]["text"]
            else:
                blocks[index]["toolUse"]["input"] += data["delta"]["toolUse"]["input"]
    content = [blocks[index] for index in sorted(blocks)]
    for block in content:
        if API == "converse" and "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
        elif API == "invoke":
            text, partial = block.pop("text"), block.pop("partial_json")
            block.update({"text": text} if block["type"] == "text" else {"input": json.loads(partial)})
    return content


def ask(history):
    if API == "converse":
        body = {
            "messages": history,
            "system": [{"text": "You sell lamps."}],
            "toolConfig": {"tools": [{"toolSpec": {"name": n, "inputSchema": {"json": {}}}} for n in TOOLS]},
            "inferenceConfig": {"temperature": 1},
        }
    else:
        body = {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 99,
            "temperature": 1,
            "system": "You sell lamps.",
            "messages": history,
            "tools": [{"name": name, "input_schema": {"type": "object"}} for name in TOOLS],
        }
    base = urlsplit(os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"])
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{stamp[:8]}/us-east-1/bedrock/aws4_request"
    signed = "content-type;host;x-amz-date;x-amz-security-token"
    headers = {
        "Content-Type": "application/json",
        "X-Amz-Date": stamp,
        "X-Amz-Security-Token": "IQoJb3JpZ2luX2VjEXAMPLETOKEN//////////wEaCXVzLWVhc3QtMSJHMEUCIQ",
        "Authorization": f"AWS4-HMAC-SHA256 Credential=AKIDLAMPS0EXAMPLE/{scope}, SignedHeaders={signed}, "
                         f"Signature={'0123456789abcdef' * 4}",
        "amz-sdk-invocation-id": str(uuid.uuid4()),
        "amz-sdk-request": "attempt=1",
    }
    model = MODELS[min(len(history) // 2, len(MODELS) - 1)]
    connection = http.client.HTTPConnection(base.hostname, base.port, timeout=60)
    connection.request("POST", f"{base.path}/model/{quote(model, safe='')}/{VERB}", json.dumps(body), headers)
    return read(connection.getresponse())


def call_of(block):
    if API == "converse":
        call = block.get("toolUse")
        return call and (call["toolUseId"], call["name"], call["input"])
    return (block["id"], block["name"], block["input"]) if block["type"] == "tool_use" else None


def result_of(call):
    identity, name, arguments = call
    result = TOOLS[name](**arguments)
    if API == "converse":
        return {"toolResult": {"toolUseId": identity, "content": [{"json": result}]}}
    return {"type": "tool_result", "tool_use_id": identity, "content": json.dumps(result)}


task = {"text": sys.argv[1]} if API == "converse" else {"type": "text", "text": sys.argv[1]}
history = [{"role": "user", "content": [task]}]
while True:
    content = ask(history)
    history.append({"role": "assistant", "content": content})
    calls = [call for call in map(call_of, content) if call]
    if not calls:
        print("".join(block["text"] for block in content), flush=True)
        break
    history.append({"role": "user", "content": [result_of(call) for call in calls]})
