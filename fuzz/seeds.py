#!/usr/bin/env python3
"""Makes the seeds of fuzz/corpus from the fixtures: python3 fuzz/seeds.py path/to/retake.

Seeds that were found by fuzzing are named `found-*` and stay as they are.
"""

import gzip
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
WIRE = ROOT / "fixtures/wire"
CORPUS = HERE / "corpus"
MOST = 9_000  # bytes of a seed

TARGETS = {
    "anthropic-messages": "/v1/messages",
    "bedrock-converse": "/model/m/converse",
    "bedrock-invoke": "/model/anthropic.m/invoke",
    "gemini": "/v1beta/models/m:generateContent",
    "ollama": "/api/chat",
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
}
KINDS = {
    "json": "application/json",
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "eventstream": "application/vnd.amazon.eventstream",
}


def put(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def lines(*parts):
    return b"\n".join(p if isinstance(p, bytes) else p.encode() for p in parts)


def wire():
    for dialect, target in TARGETS.items():
        requests = sorted((WIRE / dialect).glob("*/*.request.json"), key=lambda p: p.stat().st_size)
        for path in [p for p in requests if p.stat().st_size < MOST][-5:]:
            named = path.with_name(path.name.replace("request.json", "target"))
            own = named.read_text().strip() if named.exists() else target
            name = f"{dialect}-{path.parent.name}-{path.name[0]}"
            put("dialect_request", name, lines(own, path.read_bytes()))
            put("json", name, path.read_bytes()[:3000])
        answers = sorted((WIRE / dialect).glob("*/*.response.*"), key=lambda p: p.stat().st_size)
        for kind, media in KINDS.items():
            fitting = [p for p in answers if p.suffix == "." + kind and p.stat().st_size < MOST]
            for path in fitting[-3:]:
                name = f"{dialect}-{path.parent.name}-{path.name[0]}"
                put("dialect_answer", f"{name}.{kind}", lines(media, path.read_bytes()))
                if kind == "sse":
                    put("sse", name, path.read_bytes()[:4000])
                if kind == "eventstream":
                    put("eventstream", name, path.read_bytes())
                put("redact", f"{name}.{kind}", lines("Bearer sk-ant-api03-x", path.read_bytes()[:4000]))


def words():
    put("sse", "fields", "\ufeffevent: a\r\ndata: 1\rdata:2\n\nid: 7\n: c\nretry: 3\ndata\n\n\n")
    put("json", "odd", '{"a":[1.50,-0,1e-7,12345678901234567890123],"a":"\\ud83d\\ude00\\u0000","":{}}')
    put("json", "form", '--x\r\nContent-Disposition: form-data; name="f"; filename="a.wav"\r\n\r\nRIFF\r\n--x--\r\n')
    asked = '{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"stock","arguments":{},"_meta":{"progressToken":12}}}'
    put("mcp", "response", lines(asked, '{"jsonrpc":"2.0","id":3,"result":{"content":[],"isError":false}}'))
    put("mcp", "batch", lines(asked, f'[{asked},{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":12}}}}]'))
    put("mcp", "tools", lines(asked, '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","annotations":{"readOnlyHint":true}},{"name":"a"}]}}'))
    put("mcp", "stream", lines(asked, f'event: message\ndata: {asked}\n\nid: 5\r\ndata: {{"jsonrpc":"2.0","id":"x","result":{{}}}}\r\n\r\n'))
    put("mcp", "shim", lines("/send%20mail/done", '{"call":"c1","result":[1]}'))
    put("mcp", "shim-call", lines("/send%20mail", '{"call":"c1","arguments":{"to":"a"},"tool_call_id":"t"}'))
    edits = [
        ('7:result.risk="high"', '{"risk":"low","list":[1,{"a":2}]}'),
        ('7:result.list[1].a=3', '{"risk":"low","list":[1,{"a":2}]}'),
        ("7:result~=/l(o)w/$1high/", "low and low"),
        ('6..:system+="one line"', "You are."),
        ("*:model=gpt-x", ""),
        ("6..9:temperature=0", ""),
        ('1:tools+={"name":"t"}', ""),
        ("*:tools-=issue_refund", ""),
        ("6..:raw:odd=1", ""),
        ("8:fault=cut:3", ""),
        ('7:raw:result.note="x"', "{}"),
    ]
    for number, (edit, text) in enumerate(edits):
        put("edit_grammar", f"edit-{number:02}", lines(edit, text))
    put("holes", "log", 'Run 0198c1a2-7b3c-7def-8123-456789abcdef at 2026-03-01T10:11:12Z in /srv/a/work/x.py took 1.25s on http://127.0.0.1:49152 (call_AbC123xyz789), sha 9f86d081884c7d659a2feaa0c55ad015; Mon, 01 Mar 2026\n' * 2)
    put("holes", "paths", "/home/a/.cache /tmp/tmpab12cd/x file:///srv/a/work C:\\\\Users a@b.test 12:30 1760000000 -srv-a-work")
    put("redact", "known", lines("Basic dXNlcjpjb3JyZWN0LWhvcnNlLWJhdHRlcnktc3RhcGxlLTkx", '{"k":"correct-horse-battery-staple-91","u":"https://u:pa55word9@h.test/","b":"Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZS05MQ==","n":"internal-123456"}'))
    put("redact", "split", lines("x", 'data: {"choices":[{"delta":{"content":"correct-horse-"}}]}\n\ndata: {"choices":[{"delta":{"content":"battery-staple-91"}}]}\n\n'))
    put("config", "all", '[[ignore]]\npath = "messages[*].result.updated_at"\n[[hole]]\npattern = \'session ([0-9a-f]{8})\'\nkind = "name"\ntool = "t"\n[tools]\nread = ["get_*"]\nirreversible = ["issue_refund"]\n[replay]\nallow = ["renamed", "pinned"]\n')
    put("services", "embed", lines("/v1/embeddings", "application/json", '{"model":"m","input":["a","b"]}', "", '{"data":[{"embedding":[0.1,2]}],"model":"m","usage":{"total_tokens":4}}'))
    put("services", "speech", lines("/v1/audio/speech", "audio/mpeg", '{"model":"tts","input":"hello","voice":"v"}', "", "ID3"))
    put("services", "hear", lines("/v1/audio/transcriptions", 'multipart/form-data; boundary="x"', '--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--x--', "", '{"text":"hi"}'))
    put("services", "image", lines("/v1/images/generations", "application/json", '{"model":"i","prompt":"a cat","n":2,"size":"1x1"}', "", '{"data":[{"b64_json":"AAAA"},{"url":"u"}]}'))


def encodings():
    text = b"hello hello hello " * 20
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    put("encoding", "gzip", lines("gzip", gzip.compress(text, mtime=0)))
    put("encoding", "twice", lines("gzip, deflate", zlib.compress(gzip.compress(text, mtime=0))))
    put("encoding", "raw", lines("deflate", raw.compress(text) + raw.flush()))
    put("encoding", "bomb", lines("gzip", gzip.compress(bytes(3 << 20), mtime=0)))
    brotli = [27, 16, 0, 248, 141, 148, 110, 222, 68, 85, 134, 150, 108, 32, 111, 1, 79, 28, 96, 28]
    put("encoding", "br", lines("br", bytes(brotli)))
    # A frame with one block of 8 bytes, repeated: RLE.
    put("encoding", "zstd", lines("zstd", bytes.fromhex("28b52ffd2008430000") + b"a"))


def runs(retake):
    for path in sorted((ROOT / "fixtures/format/v1").glob("*.retake")):
        put("bundle_import", path.stem, path.read_bytes())
        if path.stem not in ("binary", "faults", "fork", "openai-tools"):
            continue
        with tempfile.TemporaryDirectory() as place:
            store = pathlib.Path(place) / "store"
            subprocess.run(
                [retake, "--store", store, "import", path], check=True, cwd=place, stdout=subprocess.DEVNULL
            )
            (manifest,) = store.rglob("manifest.json")
            files = []
            for name in ["manifest.json", "exchanges.seg", "parts.pack", "outline", "noise.json"]:
                file = manifest.parent / name
                data = file.read_bytes() if file.exists() else b""
                files.append(struct.pack(">I", len(data)) + data)
            put("store", path.stem, b"".join(files))


def otlp():
    for path in sorted((ROOT / "fixtures/otlp/bodies").iterdir()):
        if path.suffix != ".md" and path.stat().st_size < MOST:
            put("otlp", path.name, path.read_bytes())
    for path in sorted((ROOT / "fixtures/otlp/py-langsmith-native").glob("00[246]-runs.multipart")):
        put("otlp", path.name, path.read_bytes())


wire()
otlp()
words()
encodings()
runs(os.path.abspath(sys.argv[1]))
print(f"{sum(p.stat().st_size for p in CORPUS.rglob('*') if p.is_file())} bytes in {CORPUS}")
