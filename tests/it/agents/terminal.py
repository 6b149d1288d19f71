"""Has one tool, Bash, that gives its command to a shell. WRAP=1: as Claude Code does, in an eval. FIRST and MORE: what it
puts before and behind it. BESIDE: a command of its own before every answer."""

import json
import os
import subprocess
import sys
import urllib.request

TOOL = {"type": "function", "function": {"name": "Bash", "parameters": {"type": "object"}}}


def ask(messages):
    body = json.dumps({"model": "gpt-small", "messages": messages, "tools": [TOOL]}).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer none"}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)["choices"][0]["message"]


def bash(command):
    if os.environ.get("WRAP"):
        quoted = command.replace("'", "'\\''")
        command = "true && eval '%s' \\< /dev/null && pwd -P >| /tmp/wrap-%s-cwd" % (quoted, os.urandom(2).hex())
    ran = subprocess.run(["bash", "-c", os.environ.get("FIRST", "") + command + os.environ.get("MORE", "")], capture_output=True, text=True)
    return "%d %s%s" % (ran.returncode, ran.stdout, ran.stderr)


messages = [{"role": "user", "content": sys.argv[1]}]
while True:
    if "BESIDE" in os.environ:
        bash(os.environ["BESIDE"])
    answer = ask(messages)
    messages.append(answer)
    if not answer.get("tool_calls"):
        print(answer["content"])
        break
    for call in answer["tool_calls"]:
        result = bash(json.loads(call["function"]["arguments"])["command"])
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
