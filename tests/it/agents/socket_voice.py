"""A caller that speaks Realtime: sets up, says so much audio, and prints what it hears.

CHUNK: bytes of audio in a message; SAYS: what the audio is made of; LIVE=1: as the Gemini Live API has it, in bytes.
"""

import base64
import json
import os
import uuid

from sockets import Closed, Socket

CHUNK = int(os.environ.get("CHUNK", "400"))
AUDIO = (os.environ.get("SAYS", "ab") * 1500).encode()[:3000]
BASE = os.environ["OPENAI_BASE_URL"].replace("http:", "ws:")
coded = lambda at: base64.b64encode(AUDIO[at : at + CHUNK]).decode()


def until(socket, kind):
    while True:
        event = json.loads(socket.receive())
        if event.get("type") == kind or kind in event:
            return event


def realtime(socket):
    say = lambda kind, **more: socket.send(json.dumps({"type": kind, "event_id": str(uuid.uuid4()), **more}))
    until(socket, "session.created")
    say("session.update", session={"instructions": "Be brief."})
    until(socket, "session.updated")
    for at in range(0, len(AUDIO), CHUNK):
        say("input_audio_buffer.append", audio=coded(at))
    say("input_audio_buffer.commit")
    say("response.create")
    print(until(socket, "response.output_audio_transcript.done")["transcript"])
    until(socket, "response.done")


def live(socket):
    socket.send(json.dumps({"setup": {"model": "models/live"}}).encode())
    until(socket, "setupComplete")
    for at in range(0, len(AUDIO), CHUNK):
        socket.send(json.dumps({"realtimeInput": {"audio": {"data": coded(at), "mimeType": "audio/pcm;rate=16000"}}}))
    socket.send(json.dumps({"realtimeInput": {"audioStreamEnd": True}}))
    print(until(socket, "serverContent")["serverContent"]["outputTranscription"]["text"])
    until(socket, "serverContent")


try:
    if "LIVE" in os.environ:
        path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=" + os.environ["GEMINI_API_KEY"]
        socket = Socket(BASE.removesuffix("/v1") + path)
        live(socket)
    else:
        socket = Socket(BASE + "/realtime?model=gpt-realtime", {"Authorization": "Bearer k"})
        realtime(socket)
    socket.close()
except Closed as closed:
    raise SystemExit(str(closed))
