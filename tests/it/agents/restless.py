"""Changes from run to run as it is told, on the standard library alone.

CLOCK=1: the time in its prompt. SESSION=1: a uuid in its system prompt. TOOL=1: a tool gives another id each time.
TEMP=1: another number in a parameter. RACE=note: two calls at once, the text of the first one in is used; RACE=exit: it
is the exit code. EXTRA=1: one more question in the second run, FLIP=1: the two calls the other way round in it.
TICKET=1: a number in its prompt that only this agent knows to vary. NOTE: what else its prompt says.
"""

import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid


def ask(messages, **params):
    body = json.dumps({"model": "small", "messages": messages, **params})
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions", body.encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["choices"][0]["message"]


def said(content, **params):
    return ask([{"role": "system", "content": system}, {"role": "user", "content": content}], **params)


system = "You are brief."
if os.environ.get("SESSION"):
    system += " Session %s." % uuid.uuid4()
task = "Look up the lamp."
if os.environ.get("CLOCK"):
    task += " It is %d now." % time.time_ns()
if os.environ.get("TICKET"):
    task += " Ticket %d is yours." % os.getpid()
if os.environ.get("NOTE"):
    task += " " + os.environ["NOTE"]
params = {"seed": 500000000000 + uuid.uuid4().int % 1000000007} if os.environ.get("TEMP") else {}

if os.environ.get("RACE"):
    answers = []

    def one(question):
        answers.append(said(question)["content"])

    threads = [threading.Thread(target=one, args=["Vote on %s." % name]) for name in "ab"]
    if os.environ.get("FLIP") and os.path.exists("left"):
        threads.reverse()
    # The first begins first, so that the recording has an order.
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    open("left", "w").close()
    if os.environ["RACE"] == "exit":
        sys.exit(0 if answers[0].endswith("a.") else 3)
    if os.environ["RACE"] == "note":
        print(said("The first said: " + answers[0])["content"])
    else:
        print(said("All said: " + " ".join(sorted(answers)))["content"])
    sys.exit(0)

messages = [{"role": "system", "content": system}, {"role": "user", "content": task}]
while True:
    message = ask(messages, **params)
    messages.append(message)
    if not message.get("tool_calls"):
        print(message["content"])
        break
    for call in message["tool_calls"]:
        result = {"stock": 3}
        if os.environ.get("TOOL"):
            result["trace"] = str(uuid.uuid4())
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})
if os.environ.get("EXTRA") and os.path.exists("left"):
    print(said("And the chair?")["content"])
open("left", "w").close()
