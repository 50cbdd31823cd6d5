"""The download against a local HTTP server that does everything wrong that a server can."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tripletnet.data.download import DownloadError, download
from tripletnet.errors import InputError

BODY = bytes(hashlib.sha256(str(n).encode()).digest()[0] for n in range(200_000))
MD5 = hashlib.md5(BODY).hexdigest()
GARBAGE = b"<html>please sign in</html>" * 100


def begin(handler, status=200, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def start_of(handler):
    """Return the byte that the request wants to begin with."""
    told = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", "bytes=0-"))
    return int(told[1])


def proper(handler, stop=None):
    """Answer as a server should, but send nothing from byte `stop` on."""
    start = start_of(handler)
    if start >= len(BODY):
        begin(handler, 416, Content_Range=f"bytes */{len(BODY)}", Content_Length=0)
        return
    headers = {"Content_Length": len(BODY) - start}
    if "Range" in handler.headers:
        headers["Content_Range"] = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        begin(handler, 206, **headers)
    else:
        begin(handler, 200, **headers)
    handler.wfile.write(BODY[start:stop])


def breaks_off_at(stop):
    return lambda handler: proper(handler, stop)


def resets_at(stop):
    def reply(handler):
        proper(handler, stop)
        time.sleep(0.1)  # a reset also throws away what is still on its way
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    return reply


def hangs_at(stop):
    def reply(handler):
        proper(handler, stop)
        handler.server.over.wait(10)

    return reply


def ignores_range(handler):
    begin(handler, 200, Content_Length=len(BODY))
    handler.wfile.write(BODY)


def says_length(length, body=BODY):
    def reply(handler):
        begin(handler, 200, Content_Length=length)
        handler.wfile.write(body)

    return reply


def says_nothing_of_length(body):
    def reply(handler):
        begin(handler, 200)
        handler.wfile.write(body)

    return reply


def chunked(handler):
    handler.protocol_version = "HTTP/1.1"
    begin(handler, 200, Transfer_Encoding="chunked", Connection="close")
    for start in range(0, len(BODY), 50_000):
        piece = BODY[start : start + 50_000]
        handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")


def says_range(text, body):
    def reply(handler):
        begin(handler, 206, Content_Range=text, Content_Length=len(body))
        handler.wfile.write(body)

    return reply


def answers(status):
    return lambda handler: begin(handler, status, Content_Length=0)


def speaks_no_http(handler):
    handler.wfile.write(b"\x1b[31mSSH-2.0-OpenSSH\r\n\r\n")


class Server:
    """Gives the n-th request the n-th reply, and the last reply to all that follow."""

    def __init__(self, *replies):
        self.requests = []  # the Range of each
        counter = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                with counter:
                    self.server.ranges.append(self.headers.get("Range"))
                    number = len(self.server.ranges)
                replies[min(number, len(replies)) - 1](self)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.ranges = self.requests
        self.http.over = threading.Event()
        self.http.handle_error = lambda *args: None  # broken connections are what it is for
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/data.bin"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.http.over.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers = []

    def start(*replies):
        servers.append(Server(*replies))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "data.bin"


def part_of(path):
    return path.with_name("data.bin.part")


def get(server, path, size=None, **options):
    options = {"retries": 2, "timeout": 5, "pause": 0.01, **options}
    return download(server.url, path, MD5, size, **options)


def refused(server, path, size=None, **options):
    """Download, expect the refusal and return its message, which is one line."""
    with pytest.raises(DownloadError) as caught:
        get(server, path, size, **options)
    message = str(caught.value)
    assert isinstance(caught.value, InputError)
    assert server.url in message and str(path) in message
    assert message.isprintable()
    assert not path.exists()
    return message


@pytest.mark.parametrize("size", [None, len(BODY)])
@pytest.mark.parametrize("reply", [proper, chunked, says_nothing_of_length(BODY)])
def test_fetches_the_file_and_leaves_no_part(serve, path, reply, size):
    server = serve(reply)
    assert get(server, path, size) == path
    assert path.read_bytes() == BODY
    assert not part_of(path).exists()
    assert server.requests == [None]


def test_asks_nothing_when_the_file_is_there(serve, path):
    server = serve(answers(500))
    path.parent.mkdir()
    path.write_bytes(BODY)
    get(server, path)
    assert server.requests == []


def test_replaces_a_file_that_is_not_the_one(serve, path):
    path.parent.mkdir()
    path.write_bytes(b"an older edition")
    get(serve(proper), path)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("size", [None, len(BODY)])
def test_goes_on_where_the_connection_broke(serve, path, size):
    server = serve(breaks_off_at(70_000), breaks_off_at(150_000), proper)
    get(server, path, size)
    assert path.read_bytes() == BODY
    assert server.requests == [None, "bytes=70000-", "bytes=150000-"]


def test_goes_on_after_a_reset(serve, path):
    server = serve(resets_at(70_000), proper)
    get(server, path)
    assert path.read_bytes() == BODY
    assert len(server.requests) == 2


def test_goes_on_after_silence(serve, path):
    server = serve(hangs_at(70_000), proper)
    get(server, path, timeout=0.5)
    assert path.read_bytes() == BODY
    assert server.requests[:2] == [None, "bytes=70000-"]


def test_gives_up_after_so_many_tries_and_goes_on_at_the_next_call(serve, path):
    server = serve(breaks_off_at(70_000), breaks_off_at(70_000), proper)
    message = refused(server, path, retries=1)
    assert "broke off after 70,000 of 200,000 bytes" in message
    assert "try 2" in message and "run again to go on from there" in message
    get(server, path)
    assert server.requests == [None, "bytes=70000-", "bytes=70000-"]
    assert path.read_bytes() == BODY


def test_starts_anew_where_the_server_ignores_range(serve, path):
    server = serve(breaks_off_at(70_000), ignores_range)
    get(server, path)
    assert path.read_bytes() == BODY
    assert server.requests == [None, "bytes=70000-"]


@pytest.mark.parametrize(
    "wrong",
    ["bytes 0-199999/200000", "bytes 69999-199999/200000", "bytes */200000", "", "nonsense"],
)
def test_starts_anew_where_the_server_sends_another_range(serve, path, wrong):
    server = serve(breaks_off_at(70_000), says_range(wrong, BODY[70_000:]), proper)
    get(server, path)
    assert path.read_bytes() == BODY
    assert server.requests == [None, "bytes=70000-", None]


def test_refuses_a_range_that_nobody_asked_for(serve, path):
    message = refused(serve(says_range("bytes 5-199999/200000", BODY[5:])), path)
    assert "another range" in message


def test_takes_a_range_of_unknown_whole(serve, path):
    last = says_range("bytes 70000-199999/*", BODY[70_000:])
    server = serve(breaks_off_at(70_000), last)
    get(server, path)
    assert path.read_bytes() == BODY


def test_starts_anew_where_the_pieces_do_not_fit(serve, path):
    shifted = says_range("bytes 70000-199999/200000", BODY[:130_000])
    server = serve(breaks_off_at(70_000), shifted, proper)
    get(server, path)
    assert path.read_bytes() == BODY
    assert server.requests == [None, "bytes=70000-", None]


@pytest.mark.parametrize("size", [None, len(BODY)])
def test_finishes_a_part_that_is_already_whole(serve, path, size):
    path.parent.mkdir()
    part_of(path).write_bytes(BODY)
    server = serve(proper)
    get(server, path, size)
    assert path.read_bytes() == BODY
    assert len(server.requests) == (1 if size is None else 0)


@pytest.mark.parametrize("size", [None, len(BODY)])
@pytest.mark.parametrize("stale", [b"x" * 10, b"x" * len(BODY), b"x" * (len(BODY) + 1)])
def test_does_not_keep_a_stale_part(serve, path, stale, size):
    path.parent.mkdir()
    part_of(path).write_bytes(stale)
    get(serve(proper), path, size)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    "reply", [says_length(len(GARBAGE), GARBAGE), says_nothing_of_length(GARBAGE)]
)
def test_removes_garbage_so_that_the_next_try_starts_clean(serve, path, reply):
    server = serve(reply, proper)
    message = refused(server, path)
    assert hashlib.md5(GARBAGE).hexdigest() in message and MD5 in message
    assert "2,700 bytes" in message
    assert "from there" not in message
    assert not part_of(path).exists()
    get(server, path)
    assert server.requests == [None, None]


def test_refuses_another_length_before_taking_a_byte(serve, path):
    path.parent.mkdir()
    part_of(path).write_bytes(BODY[:100])
    message = refused(serve(says_length(len(GARBAGE), GARBAGE)), path, len(BODY))
    assert "offers 2,700 bytes where the file has 200,000" in message
    assert part_of(path).read_bytes() == BODY[:100]


def test_a_length_told_too_short_is_damage(serve, path):
    message = refused(serve(says_length(1000)), path)
    assert "1,000 bytes" in message and "damaged" in message
    assert not part_of(path).exists()


def test_a_length_told_too_long_is_a_broken_connection(serve, path):
    message = refused(serve(says_length(len(BODY) + 9)), path, retries=0)
    assert "broke off after 200,000 of 200,009 bytes" in message


def test_a_length_told_too_long_does_no_harm_once_all_has_come(serve, path):
    server = serve(says_length(len(BODY) + 9), proper)
    get(server, path)
    assert path.read_bytes() == BODY
    assert server.requests == [None, "bytes=200000-"]


def test_does_not_fill_the_disk_with_a_body_without_end(serve, path):
    def endless(handler):
        begin(handler, 200)
        while True:
            handler.wfile.write(BODY)

    message = refused(serve(endless), path, len(BODY))
    assert "damaged" in message
    assert not part_of(path).exists()


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_is_not_there_is_not_asked_for_twice(serve, path, status):
    server = serve(answers(status))
    assert f"the server answers {status}" in refused(server, path)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_tries_again_when_the_server_is_in_trouble(serve, path, status):
    server = serve(answers(status), proper)
    get(server, path)
    assert path.read_bytes() == BODY

    server = serve(answers(status))
    path.unlink()
    assert f"at try 3: the server answers {status}" in refused(server, path)
    assert len(server.requests) == 3


def test_what_is_no_http_is_said_without_its_control_characters(serve, path):
    assert "no proper answer" in refused(serve(speaks_no_http), path)


def test_a_server_that_cannot_be_reached_is_said_at_once(serve, path):
    server = serve(proper)
    server.close()
    message = refused(server, path, retries=5, pause=100)
    assert "cannot be reached (" in message


def test_a_name_that_does_not_exist_is_said_at_once(path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DownloadError, match="cannot be reached") as caught:
        download("http://no-such-host.invalid/f", path, MD5, retries=5, pause=100)
    assert "\n" not in str(caught.value)


def test_a_place_that_cannot_be_written_is_named(serve, tmp_path):
    (tmp_path / "file").write_text("in the way")
    server = serve(proper)
    with pytest.raises(DownloadError, match="cannot be saved as") as caught:
        get(server, tmp_path / "file" / "data.bin")
    assert str(tmp_path / "file" / "data.bin") in str(caught.value)


PROGRAM = """
import sys
from tripletnet.data.download import download
url, path, md5 = sys.argv[1:]
download(url, path, md5, retries=0)
"""


def process(server, path):
    return subprocess.Popen([sys.executable, "-c", PROGRAM, server.url, str(path), MD5])


def test_goes_on_after_another_process_was_killed(serve, path):
    server = serve(hangs_at(100_000), proper)
    killed = process(server, path)
    deadline = time.monotonic() + 20
    while not (part_of(path).exists() and part_of(path).stat().st_size):
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    have = part_of(path).stat().st_size

    get(server, path)
    assert path.read_bytes() == BODY
    assert server.requests == [None, f"bytes={have}-"]


def test_two_processes_at_once_fetch_it_once(serve, path):
    def slow(handler):
        begin(handler, 200, Content_Length=len(BODY))
        for start in range(0, len(BODY), 20_000):
            handler.wfile.write(BODY[start : start + 20_000])
            time.sleep(0.1)

    server = serve(slow)
    both = [process(server, path) for _ in range(2)]
    assert [one.wait(30) for one in both] == [0, 0]
    assert path.read_bytes() == BODY
    assert server.requests == [None]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_shows_progress_on_a_terminal_only(serve, path, monkeypatch, capsys):
    server = serve(proper)
    get(server, path)
    assert capsys.readouterr() == ("", "")

    for wanted in (True, False):
        terminal = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", terminal)
            path.unlink()
            get(server, path, progress=wanted)
        assert ("data.bin: 100%" in terminal.getvalue()) == wanted
        assert wanted or not terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_the_bar_begins_where_the_part_ends(serve, path, monkeypatch):
    path.parent.mkdir()
    part_of(path).write_bytes(BODY[:100_000])
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    get(serve(proper), path)
    assert terminal.getvalue().lstrip("\r").startswith("data.bin:  50%")


def test_makes_the_folder(serve, tmp_path):
    deep = tmp_path / "a" / "b" / "data.bin"
    assert get(serve(proper), str(deep)) == Path(deep)
    assert deep.is_file()
