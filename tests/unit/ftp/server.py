#!/usr/bin/python3
"""FTP servers, each with a fault of its own. Prints their ports, NAME=PORT, on one line; ends when its input does."""

import socket
import sys
import threading
import time

LISTING = b"drwxr-xr-x 2 0 0 4096 Nov 22 01:14 a folder\r\n-rw-r--r-- 1 0 0 12 Jan  3  2019 x.txt\r\n"
OOPS = "500 OOPS: vsftpd: refusing to run with writable root inside chroot()"


class Server:
    """Answers as an FTP server does; what a case changes is in `says`, by command."""

    def __init__(self, greeting="220 hello", listing=LISTING, hangs=(), **says):
        self.greeting, self.listing, self.hangs, self.says = greeting, listing, hangs, says
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        data = socket.create_server(("127.0.0.1", 0))
        answers = {
            "USER": "331 password?", "PASS": "230 in", "PWD": '257 "/"', "CWD": "250 there", "TYPE": "200 ok",
            "EPSV": f"229 passive (|||{data.getsockname()[1]}|)", "LIST": "150 coming", "QUIT": "221 bye",
        }
        answers.update(self.says)

        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        try:
            if "greeting" in self.hangs:
                time.sleep(60)
            say(self.greeting)
            for line in connection.makefile("rb"):
                command = line.decode().split()[0].upper()
                if command in self.hangs:
                    time.sleep(60)
                reply = answers.get(command, "502 unknown")
                say(reply)
                if reply.startswith("500"):
                    break
                if command == "LIST" and reply.startswith("150"):
                    peer, _ = data.accept()
                    for _ in range(1 if self.listing is LISTING else 1000):
                        peer.sendall(self.listing)
                    peer.close()
                    if "end" in self.hangs:
                        time.sleep(60)
                    say("226 sent")
        except OSError:
            pass
        connection.close()


servers = {
    "good": Server(),
    "lines": Server(greeting="220-welcome\r\n  to all\r\n220-of you\r\n220 hello"),
    "oops": Server(PASS=OOPS),
    "late": Server(PWD=OOPS),
    "busy": Server(greeting="421 too many users"),
    "denied": Server(CWD="550 no such folder"),
    "silent": Server(hangs=("greeting",)),
    "stuck": Server(hangs=("PASS",)),
    "endless": Server(listing=b"-rw-r--r-- 1 0 0 12 Jan  3  2019 " + b"x" * 65000 + b"\r\n"),
    "unended": Server(hangs=("end",)),
    "nobye": Server(hangs=("QUIT",)),
}
print(" ".join(f"{name}={server.port}" for name, server in servers.items()), flush=True)
sys.stdin.read()
