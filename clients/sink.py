"""A collector of nobody's but the user's: it takes what exporters of OpenTelemetry send, keeps it, and can read it.

The reading is its own, so that what retake reads can be held against it.
"""

import gzip
import json
import struct
import threading
import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Span:
    """What is needed of a span: whatever else it says stands in `says`, by name."""

    trace: str
    id: str
    parent: str
    name: str
    scope: str
    start_ns: int
    end_ns: int
    says: dict = field(default_factory=dict)


class Sink:
    """Listens on the loopback until it is stopped; `taken` are (path, headers, body). `within`: a context of TLS."""

    def __init__(self, port=0, within=None):
        self.taken, lock = [], threading.Lock()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.headers.get("transfer-encoding") == "chunked":
                    body = self.chunks()
                with lock:
                    sink.taken.append((self.path, dict(self.headers.items()), body))
                kind = self.headers.get("content-type", "")
                reply = b"{}" if "json" in kind else b""
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def do_GET(self):
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def chunks(self):
                whole = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    whole += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return whole

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if within:
            self.server.socket = within.wrap_socket(self.server.socket, server_side=True)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def take(self):
        """What has come since the last time."""
        taken, self.taken = self.taken, []
        return taken


def decoded(headers, body):
    coding = next((value for name, value in headers.items() if name.lower() == "content-encoding"), "")
    return {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(coding, bytes)(body)


def signals(taken):
    """What it is about: `traces`, `logs`."""
    return {path.rsplit("/")[-1] for path, _, _ in taken}


def spans(taken):
    """All spans; one that came more than once is there once, as it came last."""
    found = {}
    for path, headers, body in taken:
        whole = decoded(headers, body)
        if path.endswith("/traces/ingest"):
            read = of_agents
        elif path.endswith("/traces"):
            read = of_json if whole.lstrip()[:1] == b"{" else of_protobuf
        else:
            continue
        for span in read(whole):
            found[span.trace, span.id] = span
    return list(found.values())


# -------------------------------------------------------------------------------------------------------------- protobuf


def fields(data):
    """(number, value) of a message: numbers for what has a fixed or variable length, bytes for the rest."""
    at = 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(data):
        key = varint()
        number, kind = key >> 3, key & 7
        if kind == 0:
            yield number, varint()
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            yield number, int.from_bytes(data[at : at + size], "little")
            at += size
        elif kind == 2:
            size = varint()
            yield number, data[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {kind}")


def one(data, number, default=b""):
    return next((value for have, value in fields(data) if have == number), default)


def many(data, number):
    return [value for have, value in fields(data) if have == number]


def value(any_value):
    """An AnyValue; doubles as numbers, all else that is no text as text."""
    for number, inside in fields(any_value):
        if number == 1:
            return inside.decode("utf-8", "replace")
        if number == 4:
            return struct.unpack("<d", inside.to_bytes(8, "little"))[0]
        if number == 5:
            return [value(item) for item in many(inside, 1)]
        if number == 6:
            return attributes(many(inside, 1))
        return inside if isinstance(inside, int) else repr(inside)
    return None


def attributes(pairs):
    return {one(pair, 1).decode(): value(one(pair, 2)) for pair in pairs}


def of_protobuf(body):
    for resource in many(body, 1):
        for scoped in many(resource, 2):
            scope = one(one(scoped, 1), 1).decode()
            for span in many(scoped, 2):
                says = attributes(many(span, 9))
                for event in many(span, 11):
                    says[f"event {one(event, 2).decode()}"] = attributes(many(event, 3))
                yield Span(one(span, 1).hex(), one(span, 2).hex(), one(span, 4).hex(), one(span, 5).decode(), scope,
                           one(span, 7, 0), one(span, 8, 0), says)  # fmt: skip


# ------------------------------------------------------------------------------------------------------------------- JSON


def plain(any_value):
    kind, inside = next(iter(any_value.items()), (None, None))
    if kind == "arrayValue":
        return [plain(item) for item in inside.get("values", [])]
    if kind == "kvlistValue":
        return plain_pairs(inside.get("values", []))
    return inside


def plain_pairs(pairs):
    return {pair["key"]: plain(pair.get("value") or {}) for pair in pairs}


def of_json(body):
    for resource in json.loads(body).get("resourceSpans", []):
        for scoped in resource.get("scopeSpans", []):
            for span in scoped.get("spans", []):
                says = plain_pairs(span.get("attributes", []))
                for event in span.get("events", []):
                    says[f"event {event.get('name')}"] = plain_pairs(event.get("attributes", []))
                yield Span(span["traceId"].lower(), span["spanId"].lower(), span.get("parentSpanId", "").lower(),
                           span.get("name", ""), (scoped.get("scope") or {}).get("name", ""),
                           int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]), says)  # fmt: skip


def of_agents(body):
    """What the OpenAI Agents SDK exports. Its ids are no ids of a span elsewhere: the beginning, in microseconds, is one."""
    for item in json.loads(body)["data"]:
        if item["object"] == "trace.span":
            told, (start, end) = item["span_data"], [microseconds(item[at]) for at in ("started_at", "ended_at")]
            yield Span(item["trace_id"].removeprefix("trace_"), str(start), "", told.get("name") or told["type"],
                       "openai-agents", start * 1000, end * 1000, told)  # fmt: skip


def microseconds(text):
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
