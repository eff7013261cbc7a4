#!/usr/bin/python3
"""The cloud's mail server: takes mail from who logs in over STARTTLS and keeps it in the Maildir mail/.

While the file smtp.refusal is there (see the script mail), its text is the answer to every sender.

usage: smtp.py GATEWAY STATE_DIRECTORY
"""

import asyncio
import hmac
import ssl
import sys
from pathlib import Path

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

GATEWAY, STATE = sys.argv[1], Path(sys.argv[2])
REFUSAL = STATE / "smtp.refusal"


class Post(Mailbox):
    """aiosmtpd's Maildir handler, with a switch that makes it refuse."""

    async def handle_MAIL(self, _server, _session, envelope, address, options):
        if REFUSAL.exists():
            return REFUSAL.read_text().strip()
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"


def authenticate(_server, _session, _envelope, mechanism, data):
    # handled=False: the refusal is aiosmtpd's own 535, as its limit of tries is.
    if mechanism not in ("LOGIN", "PLAIN") or not isinstance(data, LoginPassword):
        return AuthResult(success=False, handled=False)
    expected = (STATE / "smtp.password").read_bytes().strip()
    return AuthResult(success=hmac.compare_digest(data.login + b":" + data.password, expected), handled=False)


async def serve():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(STATE / "tls/server.pem", STATE / "tls/server.key")
    post = Post(STATE / "mail")

    def session():
        return SMTP(
            post, hostname="mail.local-cloud", tls_context=context, require_starttls=True,
            auth_required=True, auth_require_tls=True, authenticator=authenticate, enable_SMTPUTF8=True,
        )

    server = await asyncio.get_running_loop().create_server(session, GATEWAY, 2525)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
