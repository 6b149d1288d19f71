"""The OpenAI Agents SDK with what it exports by itself, to OpenAI's host: a network of its own, in which that is this
machine and the collector.

    python3 ingest.py NAME RETAKE      inside `unshare --net --mount`: prints the cells of the row
"""

import json
import ssl
import sys
from pathlib import Path

import behind_tls
import setups
import sink
from witness import Witness

HOST = "api.openai.com"


class Ingested(Witness):
    options = ("--only", HOST)

    def collector(self):
        behind_tls.be(HOST)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(behind_tls.WORK / "leaf.pem", behind_tls.WORK / "key.pem")
        return sink.Sink(443, context)

    def key(self, node):
        """By its beginning: the SDK's ids of spans are longer than those of others."""
        return node["span"]["trace_id"], str(node["start_us"])


def row(setup, retake):
    """The cells of the row. Raises NotInstalled."""
    return behind_tls.in_private([__file__, setup.name, str(retake)])


def main(name, retake):
    setup = next(setup for setup in setups.SETUPS if setup.name == name)
    setup.settings = {**setup.settings, "SSL_CERT_FILE": str(behind_tls.WORK / "authority.pem")}
    behind_tls.WORK.mkdir(parents=True, exist_ok=True)
    print(json.dumps(Ingested(setup, setups.ready(setup), Path(retake)).run()))


if __name__ == "__main__":
    main(*sys.argv[1:])
