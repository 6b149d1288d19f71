"""A WebSocket client on the standard library: text, bytes, pings, and how it was closed."""

import base64
import http.client
import os
import socket
import ssl
import struct
from urllib.parse import urlsplit


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status} {body}")
        self.status = status


class Closed(Exception):
    def __init__(self, code, reason):
        super().__init__(f"closed {code} {reason}".strip())
        self.code = code


def plain(at):
    return socket.create_connection((at.hostname, at.port), timeout=60)


def secure(at):
    """Through the forward proxy, where there is one, as clients do it."""
    proxy = os.environ.get("HTTPS_PROXY")
    line = plain(urlsplit(proxy) if proxy else at)
    if proxy:
        line.sendall(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % ((at.netloc.encode(),) * 2))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += line.recv(1)
        assert b" 200 " in head, head
    return ssl.create_default_context().wrap_socket(line, server_hostname=at.hostname)


class Socket:
    def __init__(self, url, headers=()):
        at = urlsplit(url)
        self.stream = (secure if at.scheme == "wss" else plain)(at)
        fields = {
            "Host": at.netloc,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
            **dict(headers),
        }
        target = at.path + (f"?{at.query}" if at.query else "")
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.stream.sendall(f"GET {target} HTTP/1.1\r\n{head}\r\n".encode())
        self.read = self.stream.makefile("rb")
        status = int(self.read.readline().split()[1])
        self.headers = http.client.parse_headers(self.read)
        if status != 101:
            raise Refused(status, self.read.read(int(self.headers.get("content-length", 0))).decode())

    def frame(self, opcode, data, last=True):
        length = len(data)
        head = bytes([opcode | (0x80 if last else 0)])
        if length < 126:
            head += bytes([0x80 | length])
        elif length < 65536:
            head += bytes([0x80 | 126]) + struct.pack(">H", length)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", length)
        # A mask of zeros leaves the data as it is.
        self.stream.sendall(head + b"\0\0\0\0" + data)

    def send(self, message):
        self.frame(*((2, message) if isinstance(message, bytes) else (1, message.encode())))

    def exactly(self, length):
        data = self.read.read(length)
        if len(data) < length:
            raise Closed(None, "broken off")
        return data

    def receive(self):
        """The next message; text as str."""
        kind, whole = None, b""
        while True:
            first, second = self.exactly(2)
            length = second & 127
            if length > 125:
                length = struct.unpack(*((">H", self.exactly(2)) if length == 126 else (">Q", self.exactly(8))))[0]
            data = self.exactly(length)
            opcode = first & 15
            if opcode == 8:
                code = struct.unpack(">H", data[:2])[0] if data else None
                self.frame(8, data)
                raise Closed(code, data[2:].decode())
            if opcode == 9:
                self.frame(10, data)
            elif opcode == 10:
                self.pong = data
            else:
                kind, whole = kind or opcode, whole + data
                if first & 0x80:
                    return whole.decode() if kind == 1 else whole

    def close(self, code=1000, reason=""):
        self.frame(8, struct.pack(">H", code) + reason.encode())
        try:
            while True:
                self.receive()
        except Closed:
            self.stream.close()
