#!/usr/bin/env python3
"""Reads and verifies retake run files (*.retake); needs only replay-format.md and the standard library.
read_bundle.py [--json] FILE...        exit code 0, or 3 when a file is unusable"""
import base64, hashlib, json, sys, zlib


def check(holds, what):
    if not holds:
        raise ValueError(what)


def content(record, line):
    """The bytes of a part. JSON stands in the line byte for byte, so it is taken from there."""
    if "text" in record:
        return record["text"].encode()
    if "base64" in record:
        return base64.b64decode(record["base64"])
    form = b',"json":' if "json" in record else b',"mixed":'
    raw = line[line.index(form) + len(form):line.rindex(b',"sha256":"')].decode()
    if "json" in record:
        return raw.encode()
    out, at = "", 1
    while at < len(raw):
        value, end = json.JSONDecoder().raw_decode(raw, at)
        out += value if isinstance(value, str) else raw[at:end]
        at = end + 1  # past the comma, or the end of the list
    return out.encode()


def body(spec, parts, lists):
    """The pieces of a body, checked against its length and hash."""
    pieces = []
    for item in spec["items"]:
        if isinstance(item, dict):
            pieces += lists[item["exchange"]][item["from"]:item["from"] + item["items"]]
        else:
            pieces.append(item.encode() if isinstance(item, str) else parts[item])
    data = b"".join(pieces)
    same = (len(data), hashlib.sha256(data).hexdigest()) == (spec["bytes"], spec["sha256"])
    check(same, "a body is not the one that was exported")
    return pieces


def take(record, line, run, parts, lists):
    kind = record["kind"]
    run["records"][kind] = run["records"].get(kind, 0) + 1
    if kind == "run":
        run["run"] = record["run"]
    elif kind == "step":
        run["steps"].append(f"{record['number']:>4} {record['step']['kind']:5} {record['what']}")
    elif kind == "part":
        data = parts[record["id"]] = content(record, line)
        check(hashlib.sha256(data).hexdigest() == record["sha256"], "a part is not the one that was exported")
        run["hashes"] += 1
    elif kind in ("request", "response"):
        for name in [name for name in ("body", "sent") if name in record]:
            pieces = body(record[name], parts, lists)
            if (kind, name) == ("request", "body"):
                lists[record["exchange"]] = pieces
            run["bodies"].append([record["exchange"], kind if name == "body" else name, sum(map(len, pieces))])
            run["hashes"] += 1
        frames = sum(length for length, _ in record.get("frames", []))
        check(kind == "request" or frames == record.get("body", {"bytes": 0})["bytes"], "frames do not add up")


def read(data):
    *lines, rest = data.split(b"\n")
    header = json.loads(lines[0]) if data.startswith(b'{"kind":"header"') and lines else {}
    check(header.get("format") == "retake", "not a retake run file")
    version = header["version"]
    check(version["major"] == 1, f"format {version['major']}.{version['minor']} is newer: this reader knows 1.x")
    run, parts, lists, number = {"run": {}, "steps": [], "bodies": [], "hashes": 0, "records": {}}, {}, {}, 0
    try:
        for number, line in enumerate(lines, 1):
            check(line[-18:] == b',"crc":"%08x"}' % zlib.crc32(line[:-18]), "it was changed after the export")
            check("footer" not in run["records"], "there is more after the footer")
            take(json.loads(line), line, run, parts, lists)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"line {number}: {error}")
    check("footer" in run["records"] and not rest, f"cut off after line {number}: the footer is missing")
    footer, above = json.loads(lines[-1]), data[:-len(lines[-1]) - 1]
    check(footer["records"] == number - 1, f"line {number}: lines were added or removed")
    check(footer["sha256"] == hashlib.sha256(above).hexdigest(), f"line {number}: lines were changed or moved")
    return run


if __name__ == "__main__":
    names, code = [name for name in sys.argv[1:] if name != "--json"], 0
    for name in names:
        try:
            run = read(open(name, "rb").read())
            total, exchanges = sum(size for _, _, size in run["bodies"]), run["records"].get("request", 0)
            print(json.dumps(run) if "--json" in sys.argv else "\n".join([f"{run['run'].get('id')}: {exchanges} exchanges, "
                  f"{len(run['steps'])} steps, {run['hashes']} hashes verified, {total} bytes of bodies", *run["steps"]]))
        except (ValueError, LookupError, TypeError, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            code = 3
    sys.exit(code if names else 64)
