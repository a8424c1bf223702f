#!/usr/bin/python3
# timeout: 120
"""Every row of http1_smuggling_test.c through real node proxies, by both doors, each on a connection of its own: what must be refused is
answered as the row says and the connection ends; nothing of it reaches the application. What passes arrives as one message, with
one length.

  node-a: web --- a Service (its node proxy reads the request) ---> .
          batch, not enrolled --- orders' own address ------------> orders, and its node's proxy
"""
import re
import socket

import smuggling_rows
from http_recorder import Recorder
from mesh_lab import DEADLINE_S, eventually, play_all, receive_all, step

PORT = 9000
SERVICE = f"""
apiVersion: v1
kind: Service
metadata: {{name: recorder, namespace: shop}}
spec:
  selector: {{app: orders}}
  clusterIP: 10.96.0.90
  clusterIPs: [10.96.0.90]
  ports: [{{name: http, port: 80, targetPort: {PORT}}}]
"""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
RESET = b"reset"
REQUEST_ID = re.compile(rb"x-request-id: [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# These depend on more than the codec: what the node proxy makes of them is said here.
PREFACE = "the preface of HTTP/2"  # it is one
NO_HOST = 400  # what has no host can go nowhere
OTHERWISE = {
    "GET in 1.0": NO_HOST,
}


def is_whole(data):
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert not (b"content-length" in fields and b"transfer-encoding" in fields), data
    if fields.get(b"transfer-encoding") == b"chunked":
        return body.endswith(b"\r\n\r\n") and (b"\r\n0\r\n" in body or body.startswith(b"0\r\n"))
    return len(body) >= int(fields.get(b"content-length", b"0"))


class World:
    def __init__(self, lab):
        self.lab, self.orders = lab, lab.pod("orders")
        self.recorder = Recorder(self.orders.listen(PORT), is_whole, ANSWER)
        lab.apply("recorder.yaml", SERVICE)
        for node in ("node-a", "node-b"):
            eventually(lambda node=node: "recorder" in lab.ctl(node, "services", "-o", "json"), f"the Service at {node}")
        self.doors = (("by a Service", lambda: lab.pod("web").connect("10.96.0.90", 80)),
                      ("at its address", lambda: lab.pod("batch").connect(self.orders.v4, PORT)))

    def play(self, connect, row):
        """The answer, all of it, and what the application heard."""
        self.recorder.take()
        with connect() as sock:
            sock.settimeout(DEADLINE_S)
            sock.sendall(row.data)
            if row.status:  # its end is awaited, ours is not told before
                return read_to_the_end(sock), self.recorder.take()
            answer = b""
            while b"\r\n\r\n" not in answer or answer.startswith(b"HTTP/1.1 1"):
                part = sock.recv(4096)
                if not part:
                    break
                answer = (answer + part).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
            sock.shutdown(socket.SHUT_WR)
        return answer, self.recorder.take()


def read_to_the_end(sock):
    """RESET: it was broken off. That is what becomes of a message that turns out to be none in its body, when its head has gone on."""
    try:
        return receive_all(sock)
    except ConnectionResetError:
        return RESET


def status_of(answer):
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") and answer[9:12].isdigit() else answer


def check_refused(where, row, answer, heard, status):
    assert not heard, f"{where}, {row.name}: the application heard {heard}"
    if answer == RESET and b"\r\n\r\n" in row.data:
        return
    assert status_of(answer) == status, f"{where}, {row.name}: answered {answer[:60]!r}, and should be {status}"
    assert answer.count(b"HTTP/1.1") == 1, f"{where}, {row.name}: more than one answer: {answer!r}"


def lines_of(message):
    """The first line, the fields in some order, and the body. The source gives each request an id, which is no part of what is compared."""
    head, _, body = message.partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    return first, sorted(field for field in fields if not REQUEST_ID.fullmatch(field)), body


def check_passes(where, row, answer, heard):
    assert status_of(answer) == 200, f"{where}, {row.name}: answered {answer[:60]!r}"
    assert len(heard) == 1, f"{where}, {row.name}: the application heard {heard}"
    if row.forward:
        assert lines_of(heard[0]) == lines_of(row.forward), f"{where}, {row.name}: the application heard {heard[0]!r}, not {row.forward!r}"


def test_rows(world):
    rows = [row for row in smuggling_rows.rows() if row.name != PREFACE]
    for where, connect in world.doors:
        step(f"{len(rows)} requests {where}")
        wrong = []
        for row in rows:
            status = OTHERWISE.get(row.name, row.status)
            try:
                answer, heard = world.play(connect, smuggling_rows.Row(row.name, row.data, status, row.forward))
                if status:
                    check_refused(where, row, answer, heard, status)
                else:
                    check_passes(where, row, answer, heard)
            except (AssertionError, OSError) as error:
                wrong.append(f"{row.name}: {error}")
        assert not wrong, "\n".join(wrong)


def test_bounds(world):
    get, post = b"GET / HTTP/1.1\r\nHost: a\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    rows = [
        ("a field of 100 KiB", get + b"X: " + b"y" * 102400 + b"\r\n\r\n", 431),
        ("2,000 fields", get + b"X: y\r\n" * 2000 + b"\r\n", 431),
        ("a target of 64 KiB", b"GET /" + b"x" * 65536 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        ("an extension of 64 KiB", post + b"1;" + b"x" * 65536 + b"\r\na\r\n0\r\n\r\n", 400),
        ("2,000 trailers", post + b"0\r\n" + b"x: y\r\n" * 2000 + b"\r\n", 431),
    ]
    for where, connect in world.doors:
        for name, data, status in rows:
            row = smuggling_rows.Row(name, data, status, None)
            check_refused(where, row, *world.play(connect, row), status)


def test_others_are_served(world):
    """Each by a connection that the refused ones shared nothing with but the node proxies."""
    row = smuggling_rows.Row("a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    for where, connect in world.doors:
        check_passes(where, row, *world.play(connect, row))


play_all(globals(), World, "--set-proxy-args", "--http on --log-rate 0")
