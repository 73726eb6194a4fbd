"""A model server whose HTTP answers are none: each path misbehaves in its own way."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STREAM = b'data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": null}]}\n\n'


class Nonsense(BaseHTTPRequestHandler):
    """The stream depends on the first message: it ends early, is no JSON, or carries an error."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        wish = body["messages"][-1]["content"] if "messages" in body else ""
        answers = {
            "/apply-template": b"<html>no</html>" if wish == "html" else b'{"prompt": "x"}',
            "/tokenize": b'{"tokens": [1, 2, 3]}',
            "/v1/chat/completions": STREAM
            + {
                "half": b'data: {"choices": [{"del',
                "error": b'data: {"error": {"message": "out of slots"}}\n\n',
            }.get(wish, b""),
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answers[self.path])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Nonsense)
print(json.dumps({"address": f"http://127.0.0.1:{server.server_port}"}), flush=True)  # noqa: T201
sys.stdin.readline()
server.serve_forever()
