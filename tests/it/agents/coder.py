"""A coding agent on sockets and JSON alone: sub-agents in threads, tools that know what they made, results in the order
in which they come.

PROVIDER: anthropic, openai; STREAM, THINK, GZIP: 0, 1; NAMES=1: its agents are named in headers; REMIND=0: no reminder on
the last result; LOG: a file for what it got. The argument is the task.
"""

import base64
import gzip
import http.client
import json
import os
import random
import re
import sys
import tempfile
import threading
import time
import uuid
from urllib.parse import urlsplit

from answers import blocks_of, message_of

ANTHROPIC = os.environ.get("PROVIDER") == "anthropic"
STREAM = os.environ.get("STREAM") == "1"
NAMES = os.environ.get("NAMES") == "1"
SESSION = str(uuid.uuid4())
TICKETS = set()
MADE = {}
LOG, LOCK = [], threading.Lock()


def fail(why):
    print("failed:", why, flush=True)
    os._exit(9)


def note_log():
    with open(os.environ["LOG"], "w") as log:
        log.write(json.dumps(MADE) + "\n")
        for line in sorted(LOG, key=lambda line: (line["agent"], line["turn"])):
            log.write(json.dumps(line) + "\n")


# Tools. They refuse what they have not made or cannot see.


def read(agent, file_path):
    if not os.path.exists(file_path):
        fail("no such file: " + file_path)
    return open(file_path).read()


def write(agent, file_path, content):
    if not os.path.isdir(os.path.dirname(file_path)):
        fail("no such directory: " + file_path)
    with open(file_path, "w") as file:
        file.write(content)
    return {"written": file_path}


def scratch(agent):
    made = tempfile.mkdtemp()
    with LOCK:
        MADE.setdefault(agent, {})["scratch"] = made
    return "Made " + made + " for you."


def open_ticket(agent):
    ticket = str(uuid.uuid4())
    with LOCK:
        TICKETS.add(ticket)
        MADE.setdefault(agent, {})["ticket"] = ticket
    return {"ticket": ticket, "opened": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def close_ticket(agent, id, on):
    ticket = id
    with LOCK:
        if ticket not in TICKETS:
            fail("unknown ticket: " + ticket)
        TICKETS.discard(ticket)
    if on != time.strftime("%Y-%m-%d"):
        fail("not today: " + on)
    return "closed"


def sub_agent(agent, prompt):
    started = time.time()
    name = "a" + uuid.uuid4().hex[:16]
    text = loop(agent[0], prompt, name, agent[1])
    took = int((time.time() - started) * 1000)
    return (
        f"{text}\nagentId: {name} (use SendMessage with to: '{name}' to continue this agent)\n"
        f"<usage>subagent_tokens: 19\ntool_uses: 2\nduration_ms: {took}</usage>"
    )


TOOLS = {"Read": read, "Write": write, "Scratch": scratch, "OpenTicket": open_ticket, "CloseTicket": close_ticket}


def post(body, agent, turn, name, parent):
    base = urlsplit(os.environ["ANTHROPIC_BASE_URL" if ANTHROPIC else "OPENAI_BASE_URL"])
    path = base.path + ("/v1/messages?beta=true" if ANTHROPIC else "/chat/completions")
    headers = {"content-type": "application/json"}
    if os.environ.get("GZIP") == "1":
        headers["accept-encoding"] = "gzip"
    if NAMES:
        headers["x-claude-code-session-id"] = SESSION
        if name:
            headers["x-claude-code-agent-id"] = name
        if parent:
            headers["x-claude-code-parent-agent-id"] = parent
    time.sleep(random.random() * float(os.environ.get("DELAY", "0.03")))
    connection = http.client.HTTPConnection(base.hostname, base.port, timeout=60)
    connection.request("POST", path, json.dumps(body), headers)
    response = connection.getresponse()
    raw = response.read()
    coding = response.getheader("content-encoding")
    with LOCK:
        LOG.append({"agent": agent, "turn": turn, "status": response.status, "coding": coding, "body": base64.b64encode(raw).decode()})
    text = (gzip.decompress(raw) if coding == "gzip" else raw).decode()
    if response.status != 200:
        note_log()
        fail(f"{response.status} {text}")
    return text


def run_calls(calls, agent, name):
    """All at once; the results as they come, a reminder on the last."""
    results = []

    def run(index, ident, tool, args):
        time.sleep(random.random() * float(os.environ.get("DELAY", "0.03")))
        if tool == "Agent":
            result = sub_agent((f"{agent}/{index}", name), **args)
        else:
            result = TOOLS[tool](agent, **args)
        result = result if isinstance(result, str) else json.dumps(result)
        with LOCK:
            results.append([ident, result])

    threads = [threading.Thread(target=run, args=(index, *call)) for index, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if os.environ.get("REMIND") != "0":
        results[-1][1] += "\n\n<system-reminder>\nKeep to the task.\n</system-reminder>"
    return results


def loop(agent, task, name=None, parent=None):
    cwd, home = os.getcwd(), os.environ["HOME"]
    slug = re.sub("[^A-Za-z0-9]", "-", cwd)
    system = (
        f"You are a coding agent.\nPrimary working directory: {cwd}\n"
        f"Memory: {home}/.claude/projects/{slug}/memory/\nScratch: {tempfile.gettempdir()}\n"
        f"Today's date is {time.strftime('%Y-%m-%d')}."
    )
    deep = agent.count("/")
    offered = (["Agent"] if deep < 2 else []) + list(TOOLS)
    messages = [{"role": "user", "content": task}]
    for turn in range(20):
        who = agent, turn, name, parent
        if ANTHROPIC:
            tools = [{"name": tool, "input_schema": {"type": "object"}} for tool in offered]
            body = {"model": "claude-small", "max_tokens": 4000, "system": system, "messages": messages, "tools": tools}
            if os.environ.get("THINK") == "1":
                body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
            if STREAM:
                body["stream"] = True
            blocks = blocks_of(post(body, *who), STREAM)
            messages.append({"role": "assistant", "content": blocks})
            calls = [(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"]
            if not calls:
                return "".join(b["text"] for b in blocks if b["type"] == "text")
            results = [
                {"type": "tool_result", "tool_use_id": ident, "content": text}
                for ident, text in run_calls(calls, agent, name)
            ]
            messages.append({"role": "user", "content": results})
        else:
            tools = [{"type": "function", "function": {"name": tool, "parameters": {}}} for tool in offered]
            body = {"model": "small", "messages": [{"role": "system", "content": system}] + messages, "tools": tools}
            if STREAM:
                body["stream"] = True
            message = message_of(post(body, *who), STREAM)
            messages.append(message)
            calls = [
                (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"]))
                for c in message.get("tool_calls") or []
            ]
            if not calls:
                return message["content"]
            messages += [
                {"role": "tool", "tool_call_id": ident, "content": text} for ident, text in run_calls(calls, agent, name)
            ]


final = loop("main", sys.argv[1])
note_log()
print(final, flush=True)
