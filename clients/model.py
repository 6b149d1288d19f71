"""A scripted model that computes its answers from the conversation, so that an edited tool result leads to another one.

It speaks OpenAI Chat Completions and Responses, Anthropic Messages and Google Gemini, streamed and not. What it says is
the same every time; the ids of its answers are random, as those of a provider are.

    python3 model.py PORT [LOG [ANSWERS]]      one line a request goes to LOG: method and path

With ANSWERS it takes a moment to think, as models do, and what it said when to which call goes there, a JSON object a line.
"""

import json
import random
import re
import secrets
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WANTED = 20  # so many of an item are to be in stock
KEPT = {}  # Responses: the items of an answer that was kept, by its id


class Conversation:
    """What a request says, whatever its dialect: tools on offer by name (with their schema), all that the user and the
    system said, and the tool results so far as (tool, text)."""

    def __init__(self):
        self.tools, self.words, self.results = {}, [], []

    def result(self, tool):
        """The last result of a tool: tools of MCP servers come with a prefix."""
        return next((text for name, text in reversed(self.results) if name.endswith(tool)), None)

    def offered(self, *names):
        return next((have for name in names for have in self.tools if have.endswith(name)), None)


# ---------------------------------------------------------------------------------------------------------- what it thinks


def think(talk):
    """The next move: ("call", tool, arguments) or ("say", text)."""
    if stock := talk.offered("stock"):
        return shop(talk, stock)
    if shell := talk.offered("Bash", "exec_command", "run_shell_command", "shell"):
        return read_number(talk, shell)
    return "say", "All good."


def shop(talk, stock):
    """Looks up how many there are, and orders what is missing."""
    item = re.search(r"enough (\w+?)s?\b", " ".join(talk.words))
    if (seen := talk.result("stock")) is None:
        return "call", stock, {"item": item.group(1) if item else "widget"}
    units = re.search(r'units"*:? *(\d+)', seen.replace("\\", ""))
    if not units:
        return "say", f"I cannot read the stock: {seen}"
    missing = WANTED - int(units.group(1))
    order = talk.offered("order")
    if missing <= 0 or not order:
        return "say", f"There are {units.group(1)}, which is enough."
    if talk.result("order") is None:
        return "call", order, {"item": item.group(1) if item else "widget", "quantity": missing}
    return "say", f"There were {units.group(1)}, so {missing} more are ordered."


def read_number(talk, shell):
    """Reads a file with the agent's own shell, and tells the square of what is in it."""
    if (seen := talk.result(shell)) is None:
        return "call", shell, shell_arguments(talk.tools[shell], "cat NUMBER.txt")
    number = re.search(r"number=(\d+)", seen)
    return "say", f"Its square is {int(number.group(1)) ** 2}." if number else f"I cannot read it: {seen[:200]}"


def shell_arguments(schema, command):
    """A shell command in the form that the tool's schema asks for."""
    known = schema.get("properties") or {}
    name = next((n for n in ("command", "cmd") if n in known), "command")
    listed = (known.get(name) or {}).get("type", "").lower() == "array"
    arguments = {name: ["bash", "-lc", command] if listed else command}
    for other in schema.get("required") or []:
        arguments.setdefault(other, "Reads the number")
    return arguments


# ----------------------------------------------------------------------------------------------------------- what it reads


def texts(content):
    """The text of a message's content, which may be a string or a list of parts."""
    if isinstance(content, list):
        return "\n".join(texts(part) for part in content)
    if isinstance(content, dict):
        return next((texts(content[key]) for key in ("text", "content", "output") if key in content), "")
    return content if isinstance(content, str) else ""


def read_chat(body):
    talk, calls = Conversation(), {}
    for tool in body.get("tools") or []:
        function = tool.get("function") or {}
        talk.tools[function.get("name", "")] = function.get("parameters") or {}
    for message in body.get("messages") or []:
        for call in message.get("tool_calls") or []:
            calls[call["id"]] = call["function"]["name"]
        if message.get("role") == "tool":
            talk.results.append((calls.get(message.get("tool_call_id"), ""), texts(message.get("content"))))
        elif message.get("role") != "assistant":
            talk.words.append(texts(message.get("content")))
    return talk


def read_responses(body):
    talk, calls = Conversation(), {}
    for tool in body.get("tools") or []:
        if tool.get("type") == "function":
            talk.tools[tool["name"]] = tool.get("parameters") or {}
        for inner in tool.get("tools") or [] if tool.get("type") == "namespace" else []:
            talk.tools[f"{tool['name']}/{inner['name']}"] = inner.get("parameters") or {}
    for item in responses_items(body):
        kind = item.get("type", "message")
        if kind == "function_call":
            calls[item["call_id"]] = item["name"]
        elif kind == "function_call_output":
            talk.results.append((calls.get(item["call_id"], ""), texts(item.get("output"))))
        elif kind == "message" and item.get("role") != "assistant":
            talk.words.append(texts(item.get("content")))
    return talk


def responses_items(body):
    given = body.get("input") or []
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    return KEPT.get(body.get("previous_response_id"), []) + given


def read_messages(body):
    talk, calls = Conversation(), {}
    for tool in body.get("tools") or []:
        talk.tools[tool["name"]] = tool.get("input_schema") or {}
    for message in body.get("messages") or []:
        parts = message["content"] if isinstance(message["content"], list) else [message["content"]]
        for part in parts:
            kind = part.get("type") if isinstance(part, dict) else "text"
            if kind == "tool_use":
                calls[part["id"]] = part["name"]
            elif kind == "tool_result":
                talk.results.append((calls.get(part["tool_use_id"], ""), texts(part.get("content"))))
            elif message["role"] == "user":
                talk.words.append(texts(part))
    return talk


def read_gemini(body):
    """Both spellings of names, as the API takes them."""
    talk = Conversation()
    for tool in body.get("tools") or []:
        for function in tool.get("functionDeclarations") or tool.get("function_declarations") or []:
            schema = function.get("parametersJsonSchema") or function.get("parameters") or {}
            talk.tools[function["name"]] = schema
    for content in body.get("contents") or []:
        for part in content.get("parts") or []:
            if answer := part.get("functionResponse") or part.get("function_response"):
                talk.results.append((answer["name"], json.dumps(answer.get("response"))))
            elif "text" in part and content.get("role") != "model":
                talk.words.append(part["text"])
    return talk


# ----------------------------------------------------------------------------------------------------------- what it writes


def made_up(prefix):
    return prefix + secrets.token_hex(12)


def pieces(text):
    """A text in the pieces of a stream."""
    return re.findall(r"\S+\s*|\s+", text) or [""]


def tokens(body, said):
    return len(json.dumps(body)) // 4, len(json.dumps(said)) // 4


def write_chat(body, move):
    count = tokens(body, move)
    usage = {
        "prompt_tokens": count[0], "completion_tokens": count[1], "total_tokens": sum(count),
        "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip
    frame = {"id": made_up("chatcmpl-"), "created": 1700000000, "model": body.get("model"), "system_fingerprint": "fp_1"}
    finish, message = "stop", {"role": "assistant", "content": move[1], "refusal": None}
    if move[0] == "call":
        function = {"name": move[1], "arguments": json.dumps(move[2])}
        call = {"id": made_up("call_"), "type": "function", "function": function}
        finish, message = "tool_calls", {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        return {**frame, "object": "chat.completion", "choices": [choice], "usage": usage}
    deltas = [{"role": "assistant", "content": None if move[0] == "call" else ""}]
    if move[0] == "call":
        start = {**call, "index": 0, "function": {"name": move[1], "arguments": ""}}
        deltas.append({"tool_calls": [start]})
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": p}}]} for p in pieces(function["arguments"])]
    else:
        deltas += [{"content": p} for p in pieces(move[1])]
    chunk = {**frame, "object": "chat.completion.chunk"}
    events = [{**chunk, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
    events.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append({**chunk, "choices": [], "usage": usage})
    return [(None, event) for event in events] + [(None, "[DONE]")]


def write_responses(body, move):
    count = tokens(body, move)
    usage = {
        "input_tokens": count[0], "input_tokens_details": {"cached_tokens": 0}, "output_tokens": count[1],
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": sum(count),
    }  # fmt: skip
    if move[0] == "call":
        full, (namespace, _, name) = json.dumps(move[2]), move[1].rpartition("/")
        item = {"type": "function_call", "id": made_up("fc_"), "call_id": made_up("call_"), "name": name,
                "arguments": full, "status": "completed", **({"namespace": namespace} if namespace else {})}  # fmt: skip
        begun, kind = {**item, "arguments": "", "status": "in_progress"}, "response.function_call_arguments"
        where, done = {}, {"arguments": full, "name": name}
    else:
        full, part = move[1], {"type": "output_text", "text": move[1], "annotations": [], "logprobs": []}
        item = {"type": "message", "id": made_up("msg_"), "role": "assistant", "status": "completed", "content": [part]}
        begun, kind = {**item, "content": [], "status": "in_progress"}, "response.output_text"
        where, done = {"content_index": 0, "logprobs": []}, {"text": full}
    whole = {
        "id": made_up("resp_"), "object": "response", "created_at": 1700000000, "status": "completed", "error": None,
        "incomplete_details": None, "instructions": body.get("instructions"), "metadata": {}, "model": body.get("model"),
        "output": [item], "parallel_tool_calls": True, "previous_response_id": body.get("previous_response_id"),
        "store": body.get("store", True), "temperature": 1.0, "tool_choice": "auto", "tools": body.get("tools") or [],
        "top_p": 1.0, "usage": usage,
    }  # fmt: skip
    if whole["store"]:
        KEPT[whole["id"]] = responses_items(body) + [item]
    if not body.get("stream"):
        return whole
    empty = {**whole, "status": "in_progress", "output": [], "usage": None}
    at = {"item_id": item["id"], "output_index": 0, **where}
    events = [("response.created", {"response": empty}), ("response.in_progress", {"response": empty})]
    events.append(("response.output_item.added", {"output_index": 0, "item": begun}))
    if move[0] == "say":
        events.append(("response.content_part.added", {**at, "part": {**part, "text": ""}}))
    events += [(f"{kind}.delta", {**at, "delta": p}) for p in pieces(full)]
    events.append((f"{kind}.done", {**at, **done}))
    if move[0] == "say":
        events.append(("response.content_part.done", {**at, "part": part}))
    events.append(("response.output_item.done", {"output_index": 0, "item": item}))
    events.append(("response.completed", {"response": whole}))
    return [(name, {"type": name, "sequence_number": n, **event}) for n, (name, event) in enumerate(events)]


def write_messages(body, move):
    count = tokens(body, move)
    block, delta = {"type": "text", "text": move[1]}, None
    if move[0] == "call":
        block = {"type": "tool_use", "id": made_up("toolu_"), "name": move[1], "input": move[2]}
    stop = "tool_use" if move[0] == "call" else "end_turn"
    whole = {
        "id": made_up("msg_"), "type": "message", "role": "assistant", "model": body.get("model"), "content": [block],
        "stop_reason": stop, "stop_sequence": None, "usage": {"input_tokens": count[0], "output_tokens": count[1]},
    }  # fmt: skip
    if not body.get("stream"):
        return whole
    if move[0] == "call":
        begun = {**block, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": p} for p in pieces(json.dumps(move[2]))]
    else:
        begun = {**block, "text": ""}
        deltas = [{"type": "text_delta", "text": p} for p in pieces(move[1])]
    started = {**whole, "content": [], "stop_reason": None, "usage": {"input_tokens": count[0], "output_tokens": 1}}
    events = [{"type": "message_start", "message": started}]
    events.append({"type": "content_block_start", "index": 0, "content_block": begun})
    events += [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
    events.append({"type": "content_block_stop", "index": 0})
    ended = {"stop_reason": stop, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": count[1]}})
    return [(event["type"], event) for event in [*events, {"type": "message_stop"}]]


def write_gemini(body, move, streamed):
    count = tokens(body, move)
    usage = {"promptTokenCount": count[0], "candidatesTokenCount": count[1], "totalTokenCount": sum(count)}
    frame = {"usageMetadata": usage, "modelVersion": "scripted", "responseId": made_up("")}
    if move[0] == "call":
        parts = [{"functionCall": {"name": move[1], "args": move[2]}}]
    else:
        parts = [{"text": p} for p in (pieces(move[1]) if streamed else [move[1]])]
    chunks = [{**frame, "candidates": [{"index": 0, "content": {"role": "model", "parts": [p]}}]} for p in parts]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    return [(None, chunk) for chunk in chunks] if streamed else chunks[0]


def answer(path, body):
    """A JSON object, or a list of (event, JSON) to be streamed; None for a path that is not known."""
    if path.endswith("/chat/completions"):
        return write_chat(body, think(read_chat(body)))
    if path.endswith("/responses"):
        return write_responses(body, think(read_responses(body)))
    if path.endswith("/messages"):
        return write_messages(body, think(read_messages(body)))
    if path.endswith("/count_tokens"):
        return {"input_tokens": tokens(body, "")[0]}
    if path.endswith(":countTokens"):
        return {"totalTokens": tokens(body, "")[0]}
    if path.endswith((":generateContent", ":streamGenerateContent")):
        return write_gemini(body, think(read_gemini(body)), path.endswith(":streamGenerateContent"))
    return None


# ------------------------------------------------------------------------------------------------------------- the server


def mentioned(value, keys):
    """All texts under these keys, wherever they are, in order."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in keys and isinstance(inner, str):
                yield inner
            yield from mentioned(inner, keys)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from mentioned(inner, keys)


def account(path, body, reply, request_id, headers):
    """What was said to a call: the ids in the answer, the calls that it asks for, the calls that it knows of, and the
    spans that it names as its parents."""
    told = list(mentioned(reply, ("id", "call_id", "responseId")))
    asked = responses_items(body) if path.endswith("/responses") else body
    known = [i for i in mentioned(asked, ("tool_call_id", "call_id", "tool_use_id")) if i]
    return {
        "path": path,
        "answer": next((i for i in told if i.startswith(("chatcmpl-", "resp_", "msg_"))), None),
        "request": request_id,
        "calls": sorted({i for i in told if i.startswith(("call_", "toolu_"))}),
        "after": known,
        "parents": ["-".join(value.split("-")[1:3]) for value in headers.get_all("traceparent") or []],
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log_path = answers_path = None
    writing = threading.Lock()

    def do_GET(self):
        self.note()
        if "websocket" in self.headers.get("upgrade", "").lower():
            return self.send(426, {"error": {"message": "no websockets here"}})
        self.send(404, {"error": {"message": "not here"}})

    do_HEAD = do_GET

    def do_POST(self):
        self.note()
        self.request_id, began = made_up("req_"), time.time_ns()
        given = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        try:
            body = json.loads(given or b"{}")
            reply = answer(path, body)
            said = account(path, body, reply, self.request_id, self.headers)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self.send(400, {"error": {"message": f"cannot read this: {error!r}"}})
        if reply is None:
            return self.send(404, {"error": {"message": f"no such path: {self.path}"}})
        if self.answers_path:
            time.sleep(random.uniform(0.02, 0.15))
        self.give(reply)
        if self.answers_path:
            with self.writing, open(self.answers_path, "a") as answers:
                answers.write(json.dumps({**said, "began_ns": began, "ended_ns": time.time_ns()}) + "\n")

    def give(self, reply):
        if isinstance(reply, dict):
            return self.send(200, reply)
        self.send_response(200)
        self.name_request()
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for name, event in reply:
            data = event if isinstance(event, str) else json.dumps(event)
            self.chunk((f"event: {name}\n" if name else "") + f"data: {data}\n\n")
        self.chunk("")

    def chunk(self, text):
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def send(self, status, reply):
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.name_request()
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def name_request(self):
        """The id of the request, in the headers of both providers."""
        if name := getattr(self, "request_id", None):
            self.send_header("request-id", name)
            self.send_header("x-request-id", name)

    def note(self):
        if self.log_path:
            with open(self.log_path, "a") as log:
                log.write(f"{self.command} {self.path}\n")

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients hang up as soon as they have what they want: that is no fault."""


if __name__ == "__main__":
    Handler.log_path = sys.argv[2] if len(sys.argv) > 2 else None
    Handler.answers_path = sys.argv[3] if len(sys.argv) > 3 else None
    with Server(("127.0.0.1", int(sys.argv[1])), Handler) as server:
        server.serve_forever()
