"""One client, tried: recorded, replayed with the model stopped, also elsewhere, forked with an edit, and compared."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from environments import HERE, TARGET

SECONDS = 180
KEYS = {  # none of them is a key: clients insist on one
    "OPENAI_API_KEY": "sk-no-key-at-all",
    "CODEX_API_KEY": "sk-no-key-at-all",
    "ANTHROPIC_API_KEY": "no-key-at-all",
    "GEMINI_API_KEY": "no-key-at-all",
}


class Failed(Exception):
    """What was not as it must be, in a few words."""


def demand(condition, what):
    if not condition:
        raise Failed(what)


class Model:
    """The scripted model, which is stopped for replays; its log counts the requests that it got."""

    def __init__(self, log: Path, answers: Path | None = None):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log, self.answers, self.process = log, answers, None

    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self):
        logs = [str(log) for log in (self.log, self.answers) if log]
        self.process = subprocess.Popen([sys.executable, str(HERE / "model.py"), str(self.port), *logs])
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise Failed("the scripted model does not start")

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def asked(self):
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


class Trial:
    """A client in a directory, a home and a store of its own. `options` are those that `retake run` has beside."""

    options = ()

    def __init__(self, client, ready, retake):
        self.client, self.ready, self.retake = client, ready, retake
        self.root = TARGET / "work" / client.name
        shutil.rmtree(self.root, ignore_errors=True)
        self.place("here"), self.place("elsewhere")
        self.model = Model(self.root / "model.log")
        self.starts = self.root / "starts"

    def place(self, name):
        """A working directory and a home."""
        work, home = self.root / name / "work", self.root / name / "home"
        work.mkdir(parents=True), home.mkdir()
        (work / "NUMBER.txt").write_text("number=7\n")
        for path, text in self.ready.home_files.items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(text)

    def do(self, verb, *arguments, place="here"):
        """Runs retake; (exit code, standard output, standard error). All of it goes to the log."""
        environment = {
            **KEYS,
            **self.client.settings,
            "HOME": str(self.root / place / "home"),
            "LANG": "C.UTF-8",
            "PATH": os.pathsep.join([*self.ready.path, str(self.retake.parent), os.environ["PATH"]]),
            "RETAKE_STORE": str(self.root / "store"),
            "STOCK_STARTS": str(self.starts),
        }
        command = [str(self.retake), verb, *arguments]
        process = subprocess.Popen(
            command, cwd=self.root / place / "work", env=environment, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            err += f"\nstopped after {SECONDS} seconds\n"
        with (self.root / "log").open("a") as log:
            log.write(f"$ {' '.join(command)}\n[exit {process.returncode}]\n{out}\n{err}\n\n")
        return process.returncode, out, err

    def started(self):
        """How often the MCP server was started since the last call."""
        count = len(self.starts.read_text().splitlines()) if self.starts.exists() else 0
        self.starts.unlink(missing_ok=True)
        return count

    # --------------------------------------------------------------------------------------------- the columns

    def record(self):
        self.model.start()
        code, out, err = self.do(
            "run", "--name", "client", "--upstream", self.model.url(), *self.options, "--", *self.ready.command
        )
        demand(code == 0, f"exit {code}")
        demand(self.client.task["answer"] in out, "another answer than the model's")
        demand(self.model.asked() > 0, "the model was not asked")
        steps = self.data("show", "client.1")["steps"]
        models = sum(1 for step in steps if "model" in step)
        demand(models > 0 and len(steps) > models, f"{models} model calls, {len(steps) - models} tool calls seen")
        self.started()
        return f"{models} model, {len(steps) - models} tool"

    def replay(self, place="here"):
        self.model.stop()
        again = ["--", *self.ready.command] if place != "here" else []
        code, out, err = self.do("replay", "client.1", "--json", *again, place=place)
        told = json.loads(out or "{}")
        answers = told.get("replay", {}).get("answers", {})
        demand(code == 0, f"exit {code}")
        demand(answers.get("live") == 0 and answers.get("refused") == 0, f"answers: {answers}")
        demand(told["replay"]["outcome"]["outcome"] == "same", "another outcome")
        demand(told["replay"]["replayed"] == told["replay"]["steps"], "steps that were not asked for")
        demand(self.client.task["answer"] in err, "the agent says something else")
        self.tools = "not started" if self.client.mcp and not self.started() else "run again"
        classes = ", ".join(f"{n} {name}" for name, n in told["classes"].items() if n)
        return f"0 live, same outcome ({classes})"

    def elsewhere(self):
        return self.replay("elsewhere")

    def fork(self):
        before = self.model.asked()
        self.model.start()
        steps = self.data("show", "client.1")["steps"]
        wanted = self.client.task["tool"]
        tools = [s for s in steps if "tool" in s and (not wanted or s["tool"].endswith(wanted))]
        demand(tools, "no step of the tool")
        self.edit = f"{tools[0]['step']}:{self.client.task['edit']}"
        code, out, err = self.do("fork", "client.1", "--set", self.edit, "--upstream", self.model.url())
        demand(code == 0, f"exit {code}")
        demand(self.client.task["other"] in out, "the edit did not lead to the other answer")
        return f"`{self.edit}`: {self.model.asked() - before} live, another outcome"

    def diff(self):
        code, out, err = self.do("diff", "client.1", "client.2", "--json")
        demand(code == 1, f"exit {code}")
        told = json.loads(out)
        cause = told.get("first", {}).get("cause", {})
        demand(cause.get("cause") == "edit" and self.edit in cause.get("edits", []), f"why: {cause.get('cause')}")
        demand(told["levels"]["outcome"] is True, "outcomes do not differ")
        rows = [row for row in told["rows"] if row.get("edit") == self.edit]
        demand(rows, "no row names the edit")
        other = [row for row in told["rows"][: told["rows"].index(rows[0])] if row["status"] != "same"]
        demand(not other, "steps before the edit differ")
        return "names the edit"

    def data(self, *arguments):
        code, out, err = self.do(*arguments, "--json")
        demand(code == 0, f"{arguments[0]}: exit {code}")
        return json.loads(out)

    def run(self):
        """The cells of the row by column; after a failure of the recording the others are empty."""
        cells = {}
        try:
            for column in ("record", "replay", "elsewhere", "fork", "diff"):
                try:
                    cells[column] = getattr(self, column)()
                except (Failed, KeyError, TypeError, ValueError) as error:
                    what = str(error) if isinstance(error, Failed) else f"unreadable: {error!r}"
                    cells[column] = f"**no**: {what}"
                    if column in ("record", "fork"):
                        break
        finally:
            self.model.stop()
        cells["tools"] = getattr(self, "tools", "")
        return cells
