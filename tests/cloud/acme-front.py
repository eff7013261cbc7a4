#!/usr/bin/python3
"""The face of the cloud's certificate authority: hands everything to pebble, except that new orders
are refused as Let's Encrypt does it while the file acme/limit is there (see the script acme).

It is also acme-v02.api.letsencrypt.org to the droplets, so that an instance's Caddy gets its
certificate here with the very configuration that it has in the world.

usage: acme-front.py GATEWAY STATE_DIRECTORY
"""

import base64
import datetime
import http.client
import http.server
import json
import ssl
import sys
import threading
from pathlib import Path

GATEWAY, STATE = sys.argv[1], Path(sys.argv[2])
LIMIT = STATE / "acme/limit"
NEW_ORDER = "/order-plz"
SEE = "see https://letsencrypt.org/docs/"
TEXTS = {
    "domain": 'too many certificates (50) already issued for "{domain}" in the last 168h0m0s, retry after '
              "{when}: " + SEE + "rate-limits/#new-certificates-per-registered-domain",
    "set": "too many certificates (5) already issued for this exact set of domains in the last 168h0m0s: "
           "{name}, retry after {when}: " + SEE + "rate-limits/#new-certificates-per-exact-set-of-hostnames",
    "failed": 'too many failed authorizations (5) for "{name}" in the last 1h0m0s, retry after '
              "{when}: " + SEE + "rate-limits/#authorization-failures-per-hostname-per-account",
}
OLD_TEXTS = {
    "domain": "too many certificates already issued for: {domain}: " + SEE + "rate-limits/",
    "set": "too many certificates already issued for exact set of domains: {name}: " + SEE + "rate-limits/",
    "failed": "too many failed authorizations recently: " + SEE + "rate-limits/",
}


def pebble():
    context = ssl.create_default_context(cafile=STATE / "ca.pem")
    return http.client.HTTPSConnection(GATEWAY, 14001, context=context, timeout=60)


def ordered_name(body):
    """The first name of a new order: the payload of a JWS is base64 of JSON."""
    payload = json.loads(body)["payload"]
    order = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return order["identifiers"][0]["value"]


def problem(limit, name):
    seconds = limit["retry_after"]
    when = datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds or 0)
    text = (OLD_TEXTS if seconds is None else TEXTS)[limit["kind"]].format(
        name=name, domain=".".join(name.split(".")[-2:]), when=f"{when:%Y-%m-%d %H:%M:%S} UTC",
    )
    return {
        "type": "urn:ietf:params:acme:error:rateLimited",
        "detail": "Error creating new order :: " + text,
        "status": 429,
    }


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = "/dir" if self.path == "/directory" else self.path
        try:
            if path == NEW_ORDER and LIMIT.exists():
                self.refuse(json.loads(LIMIT.read_text()), body)
            else:
                self.forward(path, body)
        except (OSError, http.client.HTTPException) as error:
            self.log_error("%s %s: %r", self.command, path, error)
            self.answer(502, [], f"pebble: {error}\n".encode())

    do_GET = do_HEAD = do_POST = handle_any

    def forward(self, path, body):
        # pebble builds its URLs from Host, so that is kept.
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        upstream = pebble()
        upstream.request(self.command, path, body or None, headers)
        response = upstream.getresponse()
        content = response.read()
        drop = {"content-length", "transfer-encoding", "connection", "date"}
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in drop]
        self.answer(response.status, kept, content)
        upstream.close()

    def refuse(self, limit, body):
        upstream = pebble()
        upstream.request("HEAD", "/nonce-plz", headers={"Host": self.headers["Host"]})
        headers = [
            ("Content-Type", "application/problem+json"),
            ("Replay-Nonce", upstream.getresponse().getheader("Replay-Nonce")),
        ]
        upstream.close()
        if limit["retry_after"] is not None:
            headers.append(("Retry-After", str(limit["retry_after"])))
        self.answer(429, headers, json.dumps(problem(limit, ordered_name(body))).encode())

    def answer(self, status, headers, content):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.log_request(status)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port):
        super().__init__((GATEWAY, port), Front)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(STATE / "tls/server.pem", STATE / "tls/server.key")

    def finish_request(self, request, client_address):
        # In the connection's own thread: a client slow to shake hands holds up nobody else.
        request.settimeout(Front.timeout)
        with self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request, client_address):
        print(f"{client_address[0]}: {sys.exc_info()[1]!r}", file=sys.stderr)


def main():
    threading.Thread(target=Server(443).serve_forever, daemon=True).start()
    Server(14000).serve_forever()


if __name__ == "__main__":
    main()
