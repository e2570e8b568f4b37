"""The figures of a watch for Prometheus: as a file for the node exporter's textfile collector, or over HTTP.

Nothing here can hold up the loop. It hands over a text and goes on; readers are served by threads of their own, which
have a deadline and a number. The file is replaced whole, at most once a second, and removed at the end, because a file
that stays would be exported for ever as if somebody still measured.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, socket
from typing import Any, ClassVar, Protocol

from ..errors import UsageError
from ..render import metrics as render
from ..render.metrics import Figures

PERIOD = 10.0
_SOONEST = 1.0
_DEADLINE = 5.0
_READERS = 8


class Export(Protocol):
    """A way for figures to get out."""

    def publish(self, figures: Figures, now: float) -> None:
        """There may be news at the monotonic time `now`. Never waits, and never fails: it is tried again later."""


class TextFile:
    """A file that is replaced. Made for one `with`, at whose end it goes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._next = 0.0

    def publish(self, figures: Figures, now: float) -> None:
        """Write, if that was not done a moment ago."""
        if now < self._next:
            return
        self._next = now + _SOONEST
        with suppress(OSError):  # a full disk is no reason to let networks be; an old file shows by its times
            self._replace(render.text(figures))

    def _replace(self, text: str) -> None:
        temporary = f"{self._path}.{os.getpid()}.new"  # the collector reads *.prom only
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(temporary, flags, 0o644)
        with os.fdopen(fd, "w") as file:
            os.fchmod(fd, 0o644)  # whatever the umask: the collector is another user
            file.write(text)
        os.replace(temporary, self._path)


@contextmanager
def text_file(path: str) -> Iterator[Export]:
    """Keep a file. Raises UsageError for what cannot be one; what is there and no regular file is not replaced."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise UsageError(f"{path} exists and is not a regular file", hint="choose another name")
    directory = os.path.dirname(path) or "."
    if not os.access(directory, os.W_OK | os.X_OK) or not os.path.isdir(directory):
        raise UsageError(f"nothing can be written to a directory {directory}", hint="make it first")
    try:
        yield TextFile(path)
    finally:
        with suppress(OSError):
            os.unlink(path)


class _Page:
    """The last figures, for the threads that serve them."""

    def __init__(self) -> None:
        self.figures: Figures | None = None

    def publish(self, figures: Figures, now: float) -> None:
        """From now on readers get these."""
        self.figures = figures


class _Server(ThreadingHTTPServer):
    """Answers with a page. Connections beyond a handful are closed at once: nobody needs more than one scraper."""

    daemon_threads = True
    request_queue_size = _READERS

    def __init__(self, address: tuple[str, int], page: _Page) -> None:
        self.page = page
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        self._room = threading.BoundedSemaphore(_READERS)
        super().__init__(address, _Handler)

    def process_request(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _DEADLINE
    server: _Server
    server_version: ClassVar[str] = "reconciler"  # type: ignore[misc]  # it is one for all, as there
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] not in ("/metrics", "/"):
            self.send_error(404)
            return
        figures = self.server.page.figures
        text = b"" if figures is None else render.text(figures).encode()
        self.send_response(200 if text else 503)
        self.send_header("Content-Type", render.CONTENT_TYPE)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        """Scrapes are no news either."""


@contextmanager
def http(where: str) -> Iterator[tuple[Export, str]]:
    """Serve at `[ADDR:]PORT`; also says the URL. Raises UsageError for what is no such place, or is taken."""
    address = _place(where)
    page = _Page()
    try:
        server = _Server(address, page)
    except OSError as error:
        raise UsageError(
            f"metrics cannot be served at {where}: {error.strerror}", hint="choose another port"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    host, port = server.server_address[:2]
    try:
        yield page, f"http://{_bracketed(str(host))}:{port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _place(where: str) -> tuple[str, int]:
    """Localhost unless an address is given: metrics say what a machine runs."""
    host, _, port = where.rpartition(":")
    try:
        number = int(port) if port.isdecimal() else -1
        if not 0 <= number <= 65535:
            raise ValueError(port)
        return (str(ip_address(host.strip("[]"))) if host else "127.0.0.1"), number
    except ValueError:
        raise UsageError(
            f"'{where}' is no place to serve metrics at", hint="PORT, ADDRESS:PORT or [ADDRESS]:PORT"
        ) from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
