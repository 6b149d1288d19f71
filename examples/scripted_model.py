"""A model without a model: a server that answers the four example agents, offline and always in the same way.

    python examples/scripted_model.py [--port N] [--delay-jitter SECONDS] [--vary]

It speaks OpenAI chat completions and Anthropic messages, streamed and not, and prints its port. The answers are worked
out of the conversation it is sent, so that an edited conversation gets another answer.
"""

import argparse
import ast
import hashlib
import json
import operator
import random
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# --- what it says -----------------------------------------------------------------------------------------------------

OPERATORS = {ast.Add: ("+", operator.add), ast.Sub: ("-", operator.sub), ast.Mult: ("*", operator.mul)}


def arithmetic(node):
    if isinstance(node, ast.Expression):
        return arithmetic(node.body)
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -arithmetic(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)][1](arithmetic(node.left), arithmetic(node.right))
    raise ValueError("no arithmetic")


def compute(text):
    try:
        return str(arithmetic(ast.parse(text.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError):
        return "unknown"


def split(text):
    """The two sides of an expression's outermost operator, when at least one of them is an expression again."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        return "SMALL"
    if not isinstance(node, ast.BinOp) or type(node.op) not in OPERATORS:
        return "SMALL"
    if not any(isinstance(side, ast.BinOp) for side in (node.left, node.right)):
        return "SMALL"
    return f"{ast.unparse(node.left)} | {OPERATORS[type(node.op)][0]} | {ast.unparse(node.right)}"


def classify(question):
    words = question.lower()
    if re.search(r"refund|send back|return|money", words):
        return "refund"
    return "technical" if re.search(r"broken|error|crash|does not work", words) else "other"


def expert(system, question):
    days = re.search(r"(\d+) days", system)
    if "refund" in system.lower():
        return f"You have {days.group(1) if days else 'some'} days from the delivery to send it back."
    if "broken" in system.lower():
        return "Please hold the power button for ten seconds, then tell me what you see."
    return "Hello! The front desk will know more about that."


def pick(words, seed, nth=0):
    """One of the words: always the same one for the same seed, the one after it for the next `nth`."""
    return words[(hashlib.sha256(seed.encode()).digest()[0] + nth) % len(words)]


def clerk(results, question):
    """The shop clerk of agent_loop.py: results are the tools' answers so far, by name."""
    items = re.findall(r"gadget|widget", question)
    items = list(dict.fromkeys(items)) or ["gadget"]
    stock = {r["item"]: r["stock"] for name, r in results if name == "get_stock" and "stock" in r}
    missing = [item for item in items if item not in stock]
    if any("error" in result for _, result in results):
        return "I could not find out: one of the tools failed.", []
    if missing:
        return None, [("get_stock", {"item": item}) for item in missing]
    scarce = min(items, key=lambda item: stock[item])
    if not any(name == "get_price" and r["item"] == scarce for name, r in results):
        return None, [("get_price", {"item": scarce})]
    many = re.search(r"\d+", question)
    quantity = int(many.group()) if many else 1
    totals = [r["total"] for name, r in results if name == "order" and r["item"] == scarce]
    if not totals:
        return None, [("order", {"item": scarce, "quantity": quantity})]
    return f"We have fewer of {scarce} ({stock[scarce]} left); {quantity} more cost {totals[-1]:.2f} USD.", []


def reply(talk, nth):
    """Text and tool calls that answer a conversation. `nth`: how often the same was asked before."""
    question, said = talk["users"][-1] if talk["users"] else "", talk["users"]
    after = lambda mark: question.split(mark, 1)[1].strip()
    if talk["tools"]:
        return clerk(talk["results"], said[0] if said else "")
    if question.startswith("Split into"):
        return split(after(":")), []
    if question.startswith("Answer with a number:") or question.startswith("Combine:"):
        return compute(after(":")), []
    if question.startswith("Classify as"):
        return classify(after(":")), []
    if question.startswith("Is this answer safe"):
        return ("UNSAFE" if re.search(r"password|explos", question.lower()) else "SAFE"), []
    if question.startswith("Give one angle on the topic:"):
        topic = after(":")
        return f"the {pick(['history', 'physics', 'economy', 'poetry'], topic, nth)} of {topic}", []
    if question.startswith("Go deeper on:"):
        subject = after(":")
        return f"{subject}: {pick(['well understood', 'disputed', 'older than thought'], subject)}", []
    if question.startswith("Write a synthesis"):
        findings = re.findall(r"^- (.*)$", question, re.M)
        return f"{len(findings)} findings: " + "; ".join(findings), []
    return expert(talk["system"], question), []


# --- how it is asked and how it answers -------------------------------------------------------------------------------


def text_of(content):
    if isinstance(content, list):
        return "".join(block.get("text", "") for block in content if isinstance(block, dict))
    return content or ""


def parsed(text):
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"error": text}


def read_openai(body):
    talk = {"system": "", "users": [], "results": [], "tools": bool(body.get("tools"))}
    names = {}
    for message in body["messages"]:
        for call in message.get("tool_calls") or []:
            names[call["id"]] = call["function"]["name"]
        text = text_of(message.get("content"))
        if message["role"] in ("system", "developer"):
            talk["system"] += text
        elif message["role"] == "user":
            talk["users"].append(text)
        elif message["role"] == "tool":
            talk["results"].append((names.get(message["tool_call_id"], ""), parsed(text)))
    return talk


def read_anthropic(body):
    talk = {"system": text_of(body.get("system")), "users": [], "results": [], "tools": bool(body.get("tools"))}
    names = {}
    for message in body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for block in blocks:
            if block["type"] == "tool_use":
                names[block["id"]] = block["name"]
            elif block["type"] == "tool_result":
                result = parsed(text_of(block.get("content")))
                talk["results"].append((names.get(block["tool_use_id"], ""), result))
            elif block["type"] == "text" and message["role"] == "user":
                talk["users"].append(block["text"])
    return talk


def pieces(text, size=12):
    return [text[i : i + size] for i in range(0, len(text), size)]


def openai_answer(body, mark, text, calls):
    message = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{mark}{i}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for i, (name, arguments) in enumerate(calls)
        ]
    used, made = len(json.dumps(body["messages"])) // 4, len(json.dumps(message)) // 4
    usage = {"prompt_tokens": used, "completion_tokens": made, "total_tokens": used + made}
    whole = {"id": f"chatcmpl-{mark}", "object": "chat.completion", "created": 1795000000, "model": body["model"]}
    finish = "tool_calls" if calls else "stop"
    if not body.get("stream"):
        return {**whole, "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}

    def chunk(delta, reason=None):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {**whole, "object": "chat.completion.chunk", "choices": [choice]}

    events = [chunk({"role": "assistant", "content": "" if text else None})]
    events += [chunk({"content": piece}) for piece in pieces(text or "")]
    for i, call in enumerate(message.get("tool_calls", [])):
        function = call["function"]
        events.append(chunk({"tool_calls": [{"index": i, **call, "function": {"name": function["name"], "arguments": ""}}]}))
        for piece in pieces(function["arguments"]):
            events.append(chunk({"tool_calls": [{"index": i, "function": {"arguments": piece}}]}))
    events.append(chunk({}, finish))
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append({**whole, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    return [f"data: {json.dumps(event)}\n\n" for event in events] + ["data: [DONE]\n\n"]


def anthropic_answer(body, mark, text, calls):
    blocks = [{"type": "text", "text": text}] if text else []
    for i, (name, arguments) in enumerate(calls):
        blocks.append({"type": "tool_use", "id": f"toolu_{mark}{i}", "name": name, "input": arguments})
    usage = {"input_tokens": len(json.dumps(body["messages"])) // 4, "output_tokens": len(json.dumps(blocks)) // 4}
    stop = "tool_use" if calls else "end_turn"
    head = {"id": f"msg_{mark}", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
    if not body.get("stream"):
        return {**head, "content": blocks, "stop_reason": stop, "usage": usage}
    begun = {**head, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for i, block in enumerate(blocks):
        if block["type"] == "text":
            empty, kind, key, whole = {"type": "text", "text": ""}, "text_delta", "text", block["text"]
        else:
            empty, kind, key, whole = {**block, "input": {}}, "input_json_delta", "partial_json", json.dumps(block["input"])
        events.append({"type": "content_block_start", "index": i, "content_block": empty})
        events += [
            {"type": "content_block_delta", "index": i, "delta": {"type": kind, key: piece}} for piece in pieces(whole)
        ]
        events.append({"type": "content_block_stop", "index": i})
    delta = {"stop_reason": stop, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage["output_tokens"]}})
    events.append({"type": "message_stop"})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


DIALECTS = {"/chat/completions": (read_openai, openai_answer), "/messages": (read_anthropic, anthropic_answer)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    asked, lock = {}, threading.Lock()
    jitter, vary = 0.0, False

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.split("?")[0]
        dialect = next((both for end, both in DIALECTS.items() if path.endswith(end)), None)
        if not dialect:
            return self.problem(404, f"there is nothing at {path}")
        try:
            body = json.loads(raw)
            talk = dialect[0](body)
            mark = hashlib.sha256(raw).hexdigest()[:16]
            with self.lock:
                nth = self.asked[mark] = self.asked.get(mark, -1) + 1
            nth = nth if self.vary else 0
            answer = dialect[1](body, f"{mark}{nth}", *reply(talk, nth))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            return self.problem(400, f"this request cannot be understood: {type(error).__name__}: {error}")
        time.sleep(random.uniform(0, self.jitter))
        if not isinstance(answer, list):
            return self.send(200, json.dumps(answer).encode())
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in answer:
            self.wfile.write(f"{len(event.encode()):x}\r\n{event}\r\n".encode())
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def problem(self, status, what):
        self.send(status, json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": what}}).encode())

    def send(self, status, data):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is no news


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    flags.add_argument("--delay-jitter", type=float, default=0.0, help="wait up to so many seconds before an answer")
    flags.add_argument("--vary", action="store_true", help="answer differently when the same is asked again")
    options = flags.parse_args()
    Handler.jitter, Handler.vary = options.delay_jitter, options.vary
    server = Server(("127.0.0.1", options.port), Handler)
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
