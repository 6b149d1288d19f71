#!/usr/bin/env python3
"""Reads and verifies retake run files (*.retake). Written from replay-format.md alone, standard library only.

    python3 read_bundle.py [--json] FILE...        exit code 0, or 3 when a file is unusable
"""
import base64, hashlib, json, sys, zlib


class Unusable(Exception):
    pass


def content(record, line):
    """The bytes of a part. JSON stands in the line byte for byte, so it is taken from there."""
    if "text" in record:
        return record["text"].encode()
    if "base64" in record:
        return base64.b64decode(record["base64"])
    form = "json" if "json" in record else "mixed"
    start = line.index(b',"%s":' % form.encode()) + len(form) + 4
    raw = line[start:line.rindex(b',"sha256":"')].decode()
    if form == "json":
        return raw.encode()
    out, at, decoder = "", 1, json.JSONDecoder()
    while raw[at] != "]":
        at += raw[at] == ","
        value, end = decoder.raw_decode(raw, at)
        out += value if isinstance(value, str) else raw[at:end]
        at = end
    return out.encode()


def body(spec, parts, lists):
    """The pieces of a body, checked against its length and hash."""
    pieces = []
    for item in spec["items"] if spec else []:
        if isinstance(item, int):
            pieces.append(parts[item])
        elif isinstance(item, str):
            pieces.append(item.encode())
        else:
            pieces += lists[item["exchange"]][item["from"]:item["from"] + item["items"]]
    data = b"".join(pieces)
    if spec and (len(data) != spec["bytes"] or hashlib.sha256(data).hexdigest() != spec["sha256"]):
        raise Unusable("a body is not the one that was exported")
    return pieces, len(data)


def read(data):
    lines = data.split(b"\n")
    try:
        header = json.loads(lines[0])
        if header["format"] != "retake" or header["version"]["major"] < 1:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise Unusable("not a retake run file")
    if header["version"]["major"] > 1:
        raise Unusable(f"format {header['version']['major']} is newer than this reader, which knows 1.x")
    run = {"exchanges": [], "steps": [], "checkpoints": 0, "hashes": 0, "skipped": 0}
    parts, lists, ended = {}, {}, False
    for number, line in enumerate(lines[:-1], 1):
        try:
            if ended or line[-18:] != b',"crc":"%08x"}' % zlib.crc32(line[:-18]):
                raise Unusable("it does not verify: the file was changed or damaged")
            record = json.loads(line)
            kind = record["kind"]
            if kind == "run":
                run["run"] = record["run"]
            elif kind == "step":
                run["steps"].append(f"{record['number']} {record['step']['kind']} {record['what']}")
            elif kind == "checkpoint":
                run["checkpoints"] += 1
            elif kind == "part":
                parts[record["id"]] = content(record, line)
                if hashlib.sha256(parts[record["id"]]).hexdigest() != record["sha256"]:
                    raise Unusable("a part is not the one that was exported")
                run["hashes"] += 1
            elif kind in ("request", "response"):
                pieces, size = body(record.get("body"), parts, lists)
                run["hashes"] += "body" in record
                if kind == "request":
                    lists[record["exchange"]] = pieces
                    run["exchanges"].append({"exchange": record["exchange"], "request": size})
                    if "sent" in record:
                        run["exchanges"][-1]["sent"] = body(record["sent"], parts, lists)[1]
                        run["hashes"] += 1
                else:
                    if sum(length for length, _ in record.get("frames", [])) != size:
                        raise Unusable("the frames do not add up to the body")
                    run["exchanges"][-1]["response"] = size
            elif kind == "footer":
                above = b"".join(piece + b"\n" for piece in lines[:number - 1])
                if (record["records"], record["sha256"]) != (number - 1, hashlib.sha256(above).hexdigest()):
                    raise Unusable("lines were added, removed or moved")
                ended = True
            elif kind not in ("header", "outline", "lane", "turn"):
                run["skipped"] += 1
        except Unusable as error:
            raise Unusable(f"line {number}: {error}")
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise Unusable(f"line {number}: not understood: {error!r}")
    if not ended or lines[-1]:
        raise Unusable(f"cut off after line {len(lines) - 1}: the footer is missing")
    return run


def main(args):
    runs, code = [], 0
    for name in [arg for arg in args if arg != "--json"]:
        try:
            with open(name, "rb") as file:
                runs.append(dict(file=name, **read(file.read())))
        except (Unusable, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            code = 3
    if "--json" in args:
        print(json.dumps({"runs": runs}, indent=1))
    for run in [] if "--json" in args else runs:
        print(f"{run['run']['id']}  {len(run['exchanges'])} exchanges  {len(run['steps'])} steps  {run['hashes']} hashes verified")
        for step in run["steps"]:
            print(f"  {step}")
    return code if args else 64


sys.exit(main(sys.argv[1:]))
