"""One set-up, tried: what its instrumentation exports, whether retake joins it to the right calls, and whether the user's
own collector has it all the same.

Who is right is found without retake: the model notes the ids of its answers and when it gave them, the collector has the
spans. A span is about the call whose answer it names; one that names none, about the only call that is in its time.
"""

import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import sink
from trial import KEYS, SECONDS, Failed, Model, Trial, demand

SLACK_NS = 25_000_000
# What a span says of what went before its call names other answers.
BEFORE = ("input", "prompt", "previous", "request_data", "invocation_parameters", "messages")


class Witness(Trial):
    def __init__(self, setup, ready, retake):
        super().__init__(setup, ready, retake)
        self.answers = self.root / "answers.jsonl"
        self.model = Model(self.root / "model.log", self.answers)
        self.sink = self.collector()
        self.setup, self.details = setup, {}
        self.client.settings = {
            **setup.settings,
            **{name: self.sink.url for name in setup.exports},
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }

    def collector(self):
        return sink.Sink()

    # --------------------------------------------------------------------------------------------- the columns

    def alone(self):
        """The set-up without retake: what its collector gets then."""
        self.model.start()
        environment = {
            **KEYS, **self.client.settings, "HOME": str(self.root / "elsewhere" / "home"), "LANG": "C.UTF-8",
            "PATH": os.pathsep.join([*self.ready.path, os.environ["PATH"]]),
            "OPENAI_BASE_URL": self.model.url(), "ANTHROPIC_BASE_URL": self.model.url().removesuffix("/v1"),
        }  # fmt: skip
        done = subprocess.run(self.ready.command, env=environment, cwd=self.root / "elsewhere" / "work", text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS)  # fmt: skip
        with (self.root / "log").open("a") as log:
            log.write(f"$ {' '.join(self.ready.command)}\n[exit {done.returncode}]\n{done.stdout}\n{done.stderr}\n\n")
        demand(done.returncode == 0, f"exit {done.returncode} without retake")
        self.model.stop()
        self.answers.unlink(missing_ok=True)
        taken = self.sink.take()
        self.before, self.signals = sink.spans(taken), sink.signals(taken)
        demand(self.before, "no spans without retake")
        return f"{len(self.before)} spans"

    def record(self):
        seen = super().record()
        self.model.stop()
        self.taken = self.sink.take()
        self.spans = {(span.trace, span.id): span for span in sink.spans(self.taken)}
        self.said = [json.loads(line) for line in self.answers.read_text().splitlines()]
        kept = [json.dumps(vars(span)) for span in self.spans.values()]
        self.nodes = list(self.walk(self.data("show", "client.1", "--tree", "--full")))
        (self.root / "spans.jsonl").write_text("\n".join(kept))
        return seen

    def backend(self):
        """The collector has what it has without retake, and retake has every span of it."""
        names = Counter((span.scope, span.name) for span in self.spans.values() if not is_announcement(span))
        expected = Counter((span.scope, span.name) for span in self.before if not is_announcement(span))
        if not self.setup.steady:
            names, expected = Counter(set(names)), Counter(set(expected))
        lost, more = expected - names, names - expected
        demand(not lost, f"lost: {dict(lost)}")
        demand(not more, f"not there without retake: {dict(more)}")
        known = {self.key(node) for node, _ in self.nodes if "span" in node}
        missing = [span.name for key, span in self.spans.items() if key not in known and not is_note(span)]
        demand(not missing, f"{len(missing)} spans that retake has not: {missing[:3]}")
        demand(known <= set(self.spans), f"{len(known - set(self.spans))} spans that only retake has")
        signals = sink.signals(self.taken)
        demand(signals == self.signals, f"{signals}, without retake {self.signals}")
        beside = sorted(signals & {"logs", "metrics"})
        return ", ".join([f"all {len(self.spans)} spans", *beside])

    def key(self, node):
        return node["span"]["trace_id"], node["span"]["span_id"]

    def joined(self):
        """Each call of the model stands at a span that is about it."""
        if not self.setup.models:
            return self.beside()
        by_call = {key_of(said["calls"], said["after"][-1:]): said for said in self.said if said["answer"]}
        joined, wrong, none, bare = 0, [], [], 0
        for node, _ in self.nodes:
            if node["kind"] != "model" or "step" not in node:
                continue
            said = by_call.get(self.call(node["step"]))
            demand(said, f"step {node['step']} is no call of the model")
            span = self.span_of(node)
            if span is None:
                told = any(self.is_about(span, said) for span in self.spans.values())
                (none.append(node["step"]) if told else None)
                bare += not told
            elif self.is_about(span, said):
                joined += 1
            else:
                wrong.append(node["step"])
        demand(not wrong, f"steps at spans of other calls: {wrong}")
        demand(not none, f"{joined} joined, but not steps {none}")
        demand(joined, "nothing is joined")
        return f"{joined} of {joined}" + (f" ({bare} without a span)" if bare else "")

    def beside(self):
        """Where no span is about a call: each stands below the agent that goes on from what it asked for."""
        by_call = {key_of(said["calls"], said["after"][-1:]): said for said in self.said if said["answer"]}
        by_agent = {}
        for node, above in self.nodes:
            if node["kind"] == "model" and "step" in node:
                agent = next((self.key(up) for up in reversed(above) if up["kind"] == "agent" and "span" in up), None)
                demand(agent, f"step {node['step']} is below no agent")
                by_agent.setdefault(agent, []).append(by_call[self.call(node["step"])])
        for told in by_agent.values():
            calls = {call for said in told for call in said["calls"]}
            demand(all(set(said["after"]) <= calls for said in told), "calls of several agents below one")
        return f"below their agents: {sum(map(len, by_agent.values()))}"

    def call(self, step):
        """What tells a step from others: the calls in its answer and the last before it."""
        detail = self.detail(step)
        calls = [block["id"] for block in detail["answer"] if block["kind"] == "tool_call"]
        blocks = [block for message in detail["messages"] for block in message["blocks"]]
        results = [block.get("id") or block.get("call_id") for block in blocks if block["kind"] == "tool_result"]
        return key_of(calls, results[-1:])

    def is_about(self, span, said):
        """True for a span that names the answer or the request, or that the request named as its parent or one above it, or
        with the calls that it asks for or goes on from; else for one that holds this call and no other."""
        told = "\n".join(str(text) for name, text in span.says.items() if not any(word in name for word in BEFORE))
        names = lambda other: any(other[key] and other[key] in told for key in ("answer", "request"))  # noqa: E731
        if named := [other for other in self.said if names(other)]:
            return said in named
        above = [other for other in self.said if any(self.is_above(span, parent) for parent in other["parents"])]
        if above:
            return above == [said]
        called = [other for other in self.said if any(call in told for call in other["calls"])]
        if called:
            return said in called
        every = {call for other in self.said for call in other["calls"]}
        before = {call for call in every if call in "\n".join(map(str, span.says.values()))}
        if before:
            return set(said["after"]) == before
        held = [other for other in self.said if span.start_ns <= other["began_ns"] + SLACK_NS
                and other["ended_ns"] - SLACK_NS <= span.end_ns]  # fmt: skip
        return held == [said]

    def is_above(self, span, parent):
        """True when a request's parent (`trace-span`) is a span or stands below it."""
        trace, at = parent.split("-")
        for _ in range(32):
            if (trace, at) == (span.trace, span.id):
                return True
            if (known := self.spans.get((trace, at))) is None:
                return False
            at = known.parent
        return False

    def placed(self):
        """Tools: those with a span of their own stand at it. A span that names a call names one with that tool and these
        arguments."""
        calls = {}
        for node, _ in self.nodes:
            if node["kind"] == "model" and "step" in node:
                for block in self.detail(node["step"])["answer"]:
                    if block["kind"] == "tool_call":
                        calls.setdefault(said_by(block["name"], block["args"]), set()).add(block["id"])
        tools = [node for node, _ in self.nodes if node["kind"] == "tool" and "step" in node]
        spanned = [node for node in tools if "span" in node]
        every = set().union(*calls.values()) if calls else set()
        told_by = {node["step"]: values(self.detail(node["step"])) for node in tools}
        known = set().union(*told_by.values())
        for node in spanned:
            span, detail = self.span_of(node), self.detail(node["step"])
            told = "\n".join(map(str, span.says.values()))
            own = {call for call in every if call in told}
            other = {value for value in known if value in told} - told_by[node["step"]]
            demand(not other, f"tool step {node['step']} at a span that tells of {', '.join(sorted(other))}")
            right = calls.get(said_by(detail["tool"], detail["args"]), set())
            demand(not own or own & right, f"tool step {node['step']} at the span of another call")
            demand(own or detail["tool"].rsplit("__")[-1] in f"{span.name} {told}", f"tool step {node['step']} at another tool")
        demand(len({self.key(node) for node in spanned}) == len(spanned), "two at one span")
        if not self.setup.tools:
            return f"{len(tools)}, none has a span"
        demand(len(spanned) == len(tools), f"{len(spanned)} of {len(tools)} at spans")
        return f"{len(tools)} of {len(tools)}"

    def detail(self, step):
        if step not in self.details:
            self.details[step] = self.data("show", "client.1", str(step))["detail"]
        return self.details[step]

    def span_of(self, node):
        return self.spans.get(self.key(node)) if "span" in node else None

    def again(self):
        seen = super().replay()
        demand(not self.sink.take(), "the collector gets what the replay exports")
        return seen

    def walk(self, node, above=()):
        yield node, above
        for child in node.get("children", []):
            yield from self.walk(child, (*above, node))

    def run(self):
        """The cells of the row by column; after a failure of what others stand on, these are empty."""
        cells = {}
        try:
            for column in ("alone", "record", "backend", "joined", "placed", "again"):
                try:
                    cells[column] = getattr(self, column)()
                except (Failed, KeyError, TypeError, ValueError, OSError, subprocess.SubprocessError) as error:
                    what = str(error) if isinstance(error, Failed) else f"unreadable: {error!r}"
                    cells[column] = f"**no**: {what}"
                    if column in ("alone", "record"):
                        break
        finally:
            self.model.stop()
            self.sink.stop()
        return cells


def key_of(calls, before):
    return tuple(sorted(calls)), tuple(before)


def values(tool):
    """What tells a tool call from others: texts among its arguments, and the made-up ids in its result."""
    texts = {value for value in (tool["args"] or {}).values() if isinstance(value, str)}
    return texts | set(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", str(tool["result"])))


def said_by(tool, arguments):
    return json.dumps([tool, arguments], sort_keys=True)


def is_note(span):
    """Logfire's records without length, and its announcements of spans: retake reads them as what they are."""
    return span.says.get("logfire.span_type") == "log" or is_announcement(span)


def is_announcement(span):
    """Logfire announces a span that is still open when its batch goes out: how many are is a matter of time."""
    return span.says.get("logfire.span_type") == "pending_span"


PAGE = Path(__file__).resolve().parent.parent / "docs" / "instrumentation.md"
