"""Models behind HTTP for tests: a server of this process that answers as it is told."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any]  # status, and what becomes JSON; bytes are sent as they are


@contextmanager
def served(answer: Callable[[list[str], int], Answer], drip_s: float = 0.0) -> Iterator[str]:
    """The address of a model that gives `answer(user_ids, k)`; with `drip_s` a byte comes in so many seconds."""

    class Model(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, said = (400, {}) if not body else answer(_users_of(body), body["params"]["k"])
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                for i in range(len(content) if drip_s else 0):
                    self.wfile.write(content[i : i + 1])
                    time.sleep(drip_s)
                self.wfile.write(b"" if drip_s else content)
            except OSError:
                pass  # who asked has gone

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _users_of(body: dict) -> list[str]:
    split = body["dataframe_split"]
    assert split["columns"] == ["user_id"]
    return [user for (user,) in split["data"]]


def lists(users: list[str], k: int, items: list[str]) -> list[dict]:
    """A right answer: the first k items for everyone."""
    return [{"user_id": u, "position": p + 1, "item_id": items[p]} for u in users for p in range(k)]
