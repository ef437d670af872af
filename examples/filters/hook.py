#!/usr/bin/env python3
"""A hook: it is asked over HTTP, and marks every message with who marked it before.

    hook.py PORT [CERTIFICATE KEY [AUTHORITY]]

With a certificate it speaks HTTPS; with an authority too, it wants a certificate from whoever asks.
"""
import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def judge(told):
    """From what Postern tells to what it is to do."""
    if told["context"]["stage"] != "data":
        return {"action": "accept"}
    marks = [value for name, value in told["message"]["headers"] if name.lower() == "x-filter"]
    before = marks[0].split(",")[0] if marks else "nobody"
    if "secret recipe" in told["message"]["contents"]:
        response = {"status": 550, "enhancedStatus": "5.7.1", "message": "The recipe stays here"}
        return {"action": "reject", "response": response}
    mark = {"type": "addHeader", "name": "X-Filter", "value": f"hook, after {before}"}
    return {"action": "accept", "modifications": [mark]}


class Hook(BaseHTTPRequestHandler):
    """Answers POST at any path."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps(judge(told)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def main():
    port, *files = sys.argv[1:]
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Hook)
    if files:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(files[0], files[1])
        if len(files) > 2:
            tls.load_verify_locations(files[2])
            tls.verify_mode = ssl.CERT_REQUIRED
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
