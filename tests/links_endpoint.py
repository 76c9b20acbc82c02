"""A links endpoint in a process of its own, so that it can be killed: answers with a file, after a delay it reads from another."""

import http.server
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

TOKEN = "links-token-7"


class _Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    home: Path

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        with (self.home / "asked").open("a", encoding="utf-8") as file:
            file.write(json.dumps([asked.get("principal"), self.headers.get("authorization")]) + "\n")
        time.sleep(float((self.home / "delay").read_text(encoding="utf-8")))
        status, _, body = (self.home / "answer").read_text(encoding="utf-8").partition("\n")
        sent = body.encode()
        self.send_response(int(status))
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its own name for it
        """Say nothing."""


def main(home: str) -> None:
    _Answers.home = Path(home)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        server.serve_forever()


@dataclass(slots=True)
class Endpoint:
    """The running process and what it will answer."""

    home: Path
    process: subprocess.Popen[str]
    url: str

    def answer(self, content: object, *, status: int = 200) -> None:
        """What it answers from now on: text as it is, anything else as JSON."""
        body = content if isinstance(content, str) else json.dumps(content)
        draft = self.home / "answer.new"
        draft.write_text(f"{status}\n{body}", encoding="utf-8")
        draft.replace(self.home / "answer")

    def delay(self, seconds: float) -> None:
        """How long it takes to answer."""
        (self.home / "delay").write_text(str(seconds), encoding="utf-8")

    @property
    def asked(self) -> list[list[object]]:
        """Principal and authorization of each request so far."""
        file = self.home / "asked"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def kill(self) -> None:
        """End it by kill -9."""
        self.process.kill()
        self.process.wait()


@contextmanager
def endpoint(home: Path) -> Iterator[Endpoint]:
    """A running endpoint that knows no links yet."""
    home.mkdir(exist_ok=True)
    process = subprocess.Popen([sys.executable, __file__, str(home)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process.stdout:
        found = Endpoint(home, process, f"http://127.0.0.1:{int(process.stdout.readline())}/links")
        found.delay(0)
        try:
            yield found
        finally:
            found.kill()


if __name__ == "__main__":
    main(sys.argv[1])
