"""The scripted model behind TLS, and retake told to trust it; with an own network where a host's name is to lead to it.

    python3 behind_tls.py HOST RETAKE COMMAND…     inside `unshare --net --mount`: records and replays, and prints both
"""

import fcntl
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading

import model
from environments import TARGET, NotInstalled
from trial import KEYS

WORK = TARGET / "intercept"


class Counting(model.Server):
    """Counts who comes, whether or not anything is asked then."""

    reached = 0

    def get_request(self):
        try:
            return super().get_request()
        finally:
            self.reached += 1


class Model(threading.Thread):
    """The scripted model behind TLS, with a certificate that only retake itself is told to trust."""

    def __init__(self, address, port=0):
        super().__init__(daemon=True)
        self.server = Counting((address, port), model.Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(WORK / "leaf.pem", WORK / "key.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.address = self.server.server_address

    def run(self):
        self.server.serve_forever(poll_interval=0.05)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def own_address():
    """An address of this machine that is no loopback, where it has one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def certificates(names):
    """An authority, and a certificate for these (`IP:127.0.0.1`, `DNS:localhost`) by it."""
    WORK.mkdir(parents=True, exist_ok=True)
    quiet = {"cwd": WORK, "capture_output": True, "check": True}
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run([*new, "-x509", "-keyout", "authority.key", "-out", "authority.pem", "-subj", "/CN=authority"], **quiet)
    subprocess.run([*new, "-keyout", "key.pem", "-out", "leaf.csr", "-subj", "/CN=model"], **quiet)
    (WORK / "names").write_text(f"subjectAltName={names}\n")
    sign = ["openssl", "x509", "-req", "-in", "leaf.csr", "-CA", "authority.pem", "-CAkey", "authority.key"]
    subprocess.run([*sign, "-CAcreateserial", "-extfile", "names", "-days", "2", "-out", "leaf.pem"], **quiet)


def retake(binary, *arguments):
    kept = {name: os.environ[name] for name in ("PATH", "JAVA_HOME", "GOROOT") if name in os.environ}
    environment = {
        **KEYS, **kept, "HOME": str(WORK / "home"), "LANG": "C.UTF-8", "RETAKE_STORE": str(WORK / "store"),
        "SSL_CERT_FILE": str(WORK / "authority.pem"),
    }  # fmt: skip
    command = [str(binary), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=WORK / "work",
                              stdin=subprocess.DEVNULL)  # fmt: skip
    except subprocess.TimeoutExpired:
        return 1, "", "no end within 60 seconds"
    with (WORK / "log").open("a") as log:
        log.write(f"$ {' '.join(command)}\n[exit {done.returncode}]\n{done.stdout}\n{done.stderr}\n\n")
    return done.returncode, done.stdout, done.stderr


# --------------------------------------------------------------------------------------- a network with nobody else in it


def privately(host, binary, command):
    """Records and replays where `host` is this machine and there is no other: (exit code, output, errors) of both.

    Raises NotInstalled where no such network can be made.
    """
    return in_private([__file__, host, str(binary), *command])


def in_private(script):
    """What a script prints as JSON in a network of its own. Raises NotInstalled where none can be made."""
    unshare = [shutil.which("unshare") or "unshare", "--net", "--mount"]
    unshare += [] if os.geteuid() == 0 else ["--map-root-user"]
    try:
        subprocess.run([*unshare, "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise NotInstalled("needs a private network (unshare)") from None
    done = subprocess.run([*unshare, sys.executable, *script], capture_output=True, text=True)
    if done.returncode:
        raise NotInstalled("no private network")
    return json.loads(done.stdout)


def be(host):
    """Gives a private network its loopback and the host's name, and a certificate for it."""
    with socket.socket() as any_socket:
        up = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # IFF_UP, IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, up)  # SIOCSIFFLAGS
    (WORK / "hosts").write_text(f"127.0.0.1 localhost {host}\n")
    subprocess.run(["mount", "--bind", str(WORK / "hosts"), "/etc/hosts"], check=True)
    certificates(f"DNS:{host}")


def main(host, binary, *command):
    """Records and replays in a private network, and prints what retake did, as JSON."""
    be(host)
    server = Model("127.0.0.1", 443)
    server.start()
    recorded = retake(binary, "run", "--name", "private", "--only", host, "--", *command)
    server.stop()
    print(json.dumps([recorded, retake(binary, "replay", "private.1")]))


if __name__ == "__main__":
    main(*sys.argv[1:])
