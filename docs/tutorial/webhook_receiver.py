"""Print the events that a webhook gets.

usage: webhook_receiver.py PORT SECRET_FILE
"""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Receiver(BaseHTTPRequestHandler):
    def do_OPTIONS(self) -> None:  # rs_order asks whether events are wanted
        self.send_response(200)
        self.send_header("WebHook-Allowed-Origin", self.headers["WebHook-Request-Origin"])
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            event = Webhook(SECRET.read_text().strip()).verify(body, dict(self.headers))
            print(
                "order {orderId}: {event}, {status}, {percent} %".format(**event["data"]),
                flush=True,
            )
            self.send_response(204)
        except WebhookVerificationError:
            self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print events only, and not each request."""


if __name__ == "__main__":
    PORT, SECRET = int(sys.argv[1]), Path(sys.argv[2])
    print(f"Waiting for events on port {PORT}", flush=True)
    HTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()
