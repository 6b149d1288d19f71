"""An agent that asks no model to speak of: it sends a form, which has another boundary each time, and gets sound back.

SOUND: what is in the file; NAME: the name of the file.
"""

import http.client
import json
import os
import sys
import uuid
from urllib.parse import urlsplit

BASE = urlsplit(os.environ["OPENAI_BASE_URL"])


def post(path, body, kind):
    connection = http.client.HTTPConnection(BASE.hostname, BASE.port, timeout=60)
    connection.request("POST", BASE.path + path, body, {"content-type": kind, "authorization": "Bearer k"})
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        sys.exit(f"failed {response.status} {answer.decode()}")
    return answer


def form(fields, name, content):
    boundary = uuid.uuid4().hex
    lines = b""
    for key, value in fields.items():
        lines += f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
    lines += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'.encode()
    lines += b"Content-Type: audio/mpeg\r\n\r\n" + content + f"\r\n--{boundary}--\r\n".encode()
    return lines, f"multipart/form-data; boundary={boundary}"


sound = b"ID3\x04\x00\xff\xfb" + os.environ.get("SOUND", "hello").encode()
heard = json.loads(post("/audio/transcriptions", *form({"model": "whisper-1"}, "audio.mp3", sound)))["text"]
body = json.dumps({"model": "tts-1", "input": heard, "voice": "alloy"})
spoken = post("/audio/speech", body, "application/json")
verdict = json.loads(post("/moderations", json.dumps({"input": heard}), "application/json"))
print(heard, len(spoken), sum(spoken), verdict["results"][0]["flagged"], flush=True)
