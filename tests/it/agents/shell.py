"""Gives commands to shells and prints what came of each. COMMANDS: JSON, a list of [words, …options of subprocess.run]."""

import json
import os
import subprocess

for words, options in json.loads(os.environ["COMMANDS"]):
    if "input" in options:
        options["input"] = options["input"].encode()
    if options.pop("merged", False):
        options.update(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    else:
        options["capture_output"] = True
    try:
        ran = subprocess.run(words, **options)
        print(ran.returncode, ran.stdout, ran.stderr, flush=True)
    except subprocess.TimeoutExpired:
        print("timeout", flush=True)
