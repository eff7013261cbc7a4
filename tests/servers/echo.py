#!/usr/bin/python3
"""A web server on Python's own http.server: says in JSON what it was asked. Usage: echo.py ADDRESS"""
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = json.dumps({
            "method": self.command, "url": self.path, "version": self.request_version.partition("/")[2],
            "headers": {name.lower(): value for name, value in self.headers.items()}, "length": len(body),
            "body": (body if len(body) < 1000 else body[-20:]).decode(),
        }).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


ThreadingHTTPServer((sys.argv[1], 8080), Echo).serve_forever()
