#!/usr/bin/python3
"""Mail servers for tests/unit/mail.t, on free ports of 127.0.0.1; prints the ports as JSON, one line.

Each message that is taken is parsed by Python's email package and written to DIRECTORY/last.json.

usage: server.py DIRECTORY    (holds good.pem and wrong.pem: certificate and key)
"""

import asyncio
import json
import ssl
import sys
from email import message_from_bytes, policy
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult

DIRECTORY = Path(sys.argv[1])


class Handler:
    async def handle_MAIL(self, _server, _session, envelope, address, options):
        if address.startswith("blocked"):
            return "553 5.1.8 we do not like you"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=policy.default)
        if message["Subject"] == "spam":
            return "554-5.7.1 this looks like spam\r\n554 5.7.1 ask the postmaster"
        parts = {part.get_content_type(): part.get_content().replace("\r\n", "\n")
                 for part in message.walk() if not part.is_multipart()}
        taken = {
            "sender": envelope.mail_from, "recipients": envelope.rcpt_tos, "parts": parts,
            "type": message.get_content_type(), "defects": [str(defect) for defect in message.defects],
            "headers": {name: str(value) for name, value in message.items()},
            "names": [address.display_name for address in message["To"].addresses],
            "tls": server.transport.get_extra_info("sslcontext") is not None, "login": getattr(session, "postman", None) is not None,
            "longest": max(len(line) for line in envelope.content.split(b"\r\n")),
            "ascii": envelope.content.isascii(), "bare": envelope.content.replace(b"\r\n", b"").count(b"\n"),
        }
        (DIRECTORY / "last.json").write_text(json.dumps(taken))
        return "250 OK queued as 4711"


def authenticate(_server, session, _envelope, _mechanism, data):
    ok = data.login == b"postman" and data.password == b"correct horse battery"
    session.postman = data.login if ok else None
    return AuthResult(success=ok, handled=False)


def context(name):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(DIRECTORY / f"{name}.pem")
    return made


def with_login(name):
    return lambda: SMTP(Handler(), tls_context=context(name), require_starttls=True, auth_required=True,
                        auth_require_tls=True, authenticator=authenticate)


class Silent(asyncio.Protocol):
    pass


class Busy(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"421 4.3.2 too busy, come back later\r\n")
        transport.close()


async def serve():
    loop = asyncio.get_running_loop()
    servers = {
        "starttls": (with_login("good"), None),
        "wrong": (with_login("wrong"), None),
        "plain": (lambda: SMTP(Handler()), None),
        "smtps": (lambda: SMTP(Handler(), auth_require_tls=False, authenticator=authenticate), context("good")),
        "silent": (Silent, None),
        "busy": (Busy, None),
    }
    running = {name: await loop.create_server(factory, "127.0.0.1", 0, ssl=tls)
               for name, (factory, tls) in servers.items()}
    print(json.dumps({name: server.sockets[0].getsockname()[1] for name, server in running.items()}), flush=True)
    await asyncio.Event().wait()


sys.stderr = open(DIRECTORY / "log", "w", encoding="utf-8")
asyncio.run(serve())
