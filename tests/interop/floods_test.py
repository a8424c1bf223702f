#!/usr/bin/python3
# alone
# timeout: 300
"""What a peer with a valid certificate of the mesh may do to a pod's port 15008, and what it costs: floods, bombs, stalls and
heads that are none. After each one a fresh client is served within a second, and the proxy's memory is as large as before.

  node-a: batch, not enrolled: the attacker, with web's certificate
     |
  underlay
     |
  node-b: orders, and its node's proxy
"""
import contextlib
import os
import socket
import struct
import time

from hbone_peer import client_context, open_tunnel, wrap
from mesh_lab import DEADLINE_S, eventually, identity, play_all, same, step
from raw_http2 import (CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, EMPTY_DATA, END_HEADERS, ENHANCE_YOUR_CALM, FLOODS, FLOW_CONTROL_ERROR,
                       FRAME_SIZE_ERROR, HEADERS, PING, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM, WINDOW_UPDATE, Raw, block, frame,
                       literal, settings)

MiB = 1 << 20
SERVED_S = 1
IDLE_S = 6
SANITIZED = "asan" in os.environ.get("WEIR_BUILD", "")
MEMORY_MAX = (600 if SANITIZED else 96) * MiB  # a sanitizer keeps what was freed
WHOAMI = b"GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class World:
    def __init__(self, lab):
        self.lab, self.batch, self.orders = lab, lab.pod("batch"), lab.pod("orders")
        files = lab.issue("web", identity("web"))
        self.context = client_context(files[2], *files[:2])
        is_served(self)

    def at(self, port=8080):
        return f"{self.orders.v4}:{port}"

    def raw(self, begin=settings()):
        return Raw(wrap(self.batch.connect(self.orders.v4, 15008), self.context), begin=begin)

    def processes(self):
        """node-b's proxy, all of it."""
        with open(f"{self.lab.run}/pids/node-b", encoding="utf-8") as file:
            found = [int(file.read().split()[0])]
        for pid in found:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                    found += map(int, file.read().split())
        return found

    def memory(self, field):
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))
        return total


def serve_once(world):
    start = time.monotonic()
    with open_tunnel(world.batch.connect(world.orders.v4, 15008), world.context) as tunnel:
        stream = tunnel.connect(world.at())
        same(stream.status, 200, "the answer to a fresh client")
        stream.send(WHOAMI, end=True)
        assert world.orders.name.encode() in stream.wait_end()
    return time.monotonic() - start


def is_served(world):
    """A fresh client, within a second. The machine may be busy with others: the best of five counts."""
    took = 0
    for _ in range(5):
        took = serve_once(world)
        if took < SERVED_S:
            return
    raise AssertionError(f"a fresh client is served after {took:.1f} s")


@contextlib.contextmanager
def attack(world, what):
    step(what)
    world.lab.mark()
    for pid in world.processes():  # the peak counts from here
        with contextlib.suppress(OSError), open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    before = world.memory("VmRSS")
    yield
    is_served(world)
    grown = world.memory("VmHWM") - before
    assert grown < MEMORY_MAX, f"memory grew by {grown >> 20} MiB: {what}"
    print(f"    at most {max(0, grown) / MiB:.1f} MiB more", flush=True)


# ---- floods: the connection ends ----------------------------------------------------------------


def flood(world, what, make, most, per_turn=100, prepare=None):
    """make(raw, i): the bytes of one more. After at most so many the connection must be over, and say ENHANCE_YOUR_CALM."""
    with attack(world, what), world.raw() as raw:
        if prepare:
            prepare(raw)
        raw.barrier()
        n = 0
        while not raw.over() and n < 3 * most:
            raw.send(b"".join(make(raw, n + i) for i in range(per_turn)))
            n += per_turn
            raw.barrier()
        print(f"    over after {n}", flush=True)
        assert raw.over() and n <= most, f"{what}: {n} of them, and the connection is {'over' if raw.over() else 'not over'}"
        raw.ended()
        same(raw.goaway, ENHANCE_YOUR_CALM, "the code of GOAWAY")


def rapid_reset(world):
    def make(raw, _):
        stream = raw.new_stream()
        return (raw.head(stream, (":method", "CONNECT"), (":authority", world.at())) + frame(RST_STREAM, 0, stream, struct.pack("!I", CANCEL)))
    return make


def open_stream(world):
    def prepare(raw):
        raw.stream = raw.connect(world.at())
        raw.run(lambda: raw.stream in raw.statuses, "the answer to CONNECT")
        same(raw.statuses[raw.stream], "200", "the answer to CONNECT")
    return prepare


def test_floods(world):
    flood(world, "rapid reset", rapid_reset(world), 2000)
    for what, make, most in FLOODS:
        flood(world, what, make, most)
    for what, make, most in EMPTY_DATA:
        flood(world, what, make, most, prepare=open_stream(world))
    flood(world, "heads without a path", lambda raw, i: raw.head(raw.new_stream(), (":method", "GET"), (":authority", "x"), end=True), 2000)


def test_output_is_not_read(world):
    with attack(world, "PING, by one who never reads the answers"), world.raw() as raw:
        raw.barrier()
        sent = 0
        while not raw.closed and sent < 300000:
            raw.send(frame(PING, 0, 0, b"12345678") * 1000)
            sent += 1000
            raw.run(lambda: len(raw.out) < MiB, "room in the socket, or the end", read=False)
        raw.ended()


# ---- header blocks --------------------------------------------------------------------------------


def test_header_blocks(world):
    connect = block((":method", "CONNECT"), (":authority", world.at()))
    with attack(world, "CONTINUATION, empty, without end"), world.raw() as raw:
        raw.barrier()
        raw.send(frame(HEADERS, 0, 1, connect) + frame(CONTINUATION, 0, 1) * 2000)
        raw.ended()
        same(raw.goaway, ENHANCE_YOUR_CALM, "the code of GOAWAY")
    with attack(world, "CONTINUATION with header fields, without end"), world.raw() as raw:
        raw.barrier()
        raw.send(frame(HEADERS, 0, 1, connect) + frame(CONTINUATION, 0, 1, literal(b"x", b"y" * 5000)) * 12)
        raw.ended()
        same(raw.goaway, ENHANCE_YOUR_CALM, "the code of GOAWAY")
    with attack(world, "HPACK: 4 KB that are named a thousand times in each head"), world.raw() as raw:
        raw.barrier()
        bomb = connect + literal(b"x", b"v" * 4000, index=True) + b"\xbe" * 10000
        for _ in range(60):
            raw.send(frame(HEADERS, END_HEADERS, raw.new_stream(), bomb))
        raw.barrier()
        assert raw.resets or raw.goaway, "nothing was refused"
        assert set(raw.resets.values()) <= {ENHANCE_YOUR_CALM}, raw.resets
        assert not raw.statuses, raw.statuses
        world.lab.logged("node-b", f"src.identity={identity('web')}", 'ending="protocol error"', "the head is too large")
    with attack(world, "a head of 1,000 fields"), world.raw() as raw:
        stream = raw.new_stream()
        raw.send(frame(HEADERS, END_HEADERS, stream, connect + literal(b"x", b"y") * 1000))
        raw.barrier()
        same(raw.resets.get(stream), ENHANCE_YOUR_CALM, "the reset")
    with attack(world, "a head that never ends, and silence"), world.raw() as raw:
        raw.send(frame(HEADERS, 0, 1, connect))
        raw.run(lambda: not raw.out, "room in the socket")
        is_served(world)
    for what, bytes_, code in (("a block that does not decode", frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"), COMPRESSION_ERROR),
                               ("a frame of 16 MiB", b"\xff\xff\xff\0\0\0\0\0\1", FRAME_SIZE_ERROR),
                               ("HEADERS on an even stream", frame(HEADERS, END_HEADERS, 2, connect), PROTOCOL_ERROR),
                               ("a CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, connect), PROTOCOL_ERROR),
                               ("a window that overflows", frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 0x7fffffff)), FLOW_CONTROL_ERROR)):
        with attack(world, what), world.raw() as raw:
            raw.barrier()
            raw.send(bytes_)
            raw.ended()
            same(raw.goaway, code, "the code of GOAWAY")


# ---- streams ---------------------------------------------------------------------------------------


def test_streams(world):
    with attack(world, "2,000 streams at once: those beyond the limit are refused, the others live"), world.raw() as raw, \
            world.orders.listen(9000) as listener:
        raw.barrier()
        streams = [raw.connect(world.at(9000)) for _ in range(2000)]
        raw.barrier()
        assert raw.goaway is None and not raw.closed, f"GOAWAY {raw.goaway}"
        refused = [s for s in streams if raw.resets.get(s) == REFUSED_STREAM]
        same(len(refused), 2000 - raw.announced, f"those refused, beyond {raw.announced}")
        open_ = [s for s in streams if s not in raw.resets]
        raw.run(lambda: all(s in raw.statuses for s in open_), "the answers")
        same({raw.statuses[s] for s in open_}, {"200"}, "the answers to those within")
        world.lab.logged("node-b", 'ending="limit reached"', "more streams at once than are allowed", f"src.identity={identity('web')}")
        listener.settimeout(DEADLINE_S)
        raw.send(frame(RST_STREAM, 0, open_[0], struct.pack("!I", CANCEL)))
        raw.barrier()
        again = raw.connect(world.at(9000))
        raw.run(lambda: again in raw.statuses or again in raw.resets, "an answer where a stream has ended")
        same(raw.statuses.get(again), "200", "the answer where a stream has ended")
    with attack(world, f"100 streams whose window is nothing: what waits is bounded, and ends after {IDLE_S} s without a byte"), \
            world.raw(settings(initial_window_size=0)) as raw:
        raw.barrier()
        streams = [raw.connect(world.at()) for _ in range(100)]
        raw.run(lambda: len(raw.statuses) == 100, "the answers")
        for stream in streams:
            raw.send(frame(DATA, 0, stream, b"GET /big?bytes=50000000 HTTP/1.1\r\nHost: x\r\n\r\n"))
        raw.run(lambda: len(raw.resets) == 100, "the end of streams that nobody reads")
        same(sum(raw.sizes.values()), 0, "the bytes that came through windows of nothing")
        assert raw.goaway is None
        world.lab.logged("node-b", 'ending="idle timeout"')
    with attack(world, "DATA beyond the window"), world.raw() as raw, world.orders.listen(9000) as listener:
        raw.barrier()
        stream = raw.connect(world.at(9000))
        raw.run(lambda: stream in raw.statuses, "the answer")
        app, _ = listener.accept()
        with app:  # it reads nothing
            raw.send(frame(DATA, 0, stream, bytes(16384)) * 2000)
            raw.run(lambda: stream in raw.resets or raw.over(), "the end of the stream")
        assert raw.resets.get(stream) == FLOW_CONTROL_ERROR or raw.goaway == FLOW_CONTROL_ERROR, (raw.resets, raw.goaway)


# ---- heads that are none ---------------------------------------------------------------------------


def test_heads(world):
    method, authority = (":method", "CONNECT"), (":authority", world.at(9000))
    get = ((":method", "GET"), (":scheme", "https"), authority)
    reset = [
        ("a CR in a value", (method, authority, ("x", "a\rb"))), ("an LF in a value", (method, authority, ("x", "a\nb"))),
        ("a NUL in a value", (method, authority, ("x", "a\0b"))), ("a CR and LF in the authority", (method, (":authority", world.at(9000) + "\r\nx: y"))),
        ("upper case in a name", (method, authority, ("X-Y", "1"))), ("a space in a name", (method, authority, ("x y", "1"))),
        ("a colon in a name", (method, authority, ("x:y", "1"))), ("an LF in a name", (method, authority, ("x\ny", "1"))),
        ("no name", (method, authority, ("", "1"))), ("a method with a CR", ((":method", "CONNECT\r"), authority)),
        ("transfer-encoding", (method, authority, ("transfer-encoding", "chunked"))), ("connection", (method, authority, ("connection", "close"))),
        ("upgrade", (method, authority, ("upgrade", "websocket"))), ("keep-alive", (method, authority, ("keep-alive", "1"))),
        ("proxy-connection", (method, authority, ("proxy-connection", "close"))), ("te: gzip", (method, authority, ("te", "gzip"))),
        ("two content-length", (method, authority, ("content-length", "1"), ("content-length", "2"))),
        ("content-length +0", (method, authority, ("content-length", "+0"))),
        ("two :authority", (method, authority, authority)), ("two :method", (method, method, authority)),
        ("a pseudo header at the end", (method, ("x", "y"), authority)), ("an unknown pseudo header", (method, authority, (":x", "y"))),
        (":path with CONNECT", (method, authority, (":path", "/"))), (":scheme with CONNECT", (method, authority, (":scheme", "https"))),
        (":protocol, which nobody offered", (method, authority, (":protocol", "websocket"), (":scheme", "https"), (":path", "/"))),
        (":status in a request", (method, authority, (":status", "200"))), ("no :authority", (method,)),
        ("two :path", (*get, (":path", "/"), (":path", "/"))), ("a path with a space", (*get, (":path", "/a b"))),
        ("a path with a CR", (*get, (":path", "/\r"))), ("no :path", get),
        ("an authority of spaces", (method, (":authority", " "))),
    ]
    answered = [
        ("GET", (*get, (":path", "/")), "405"), ("a user in the authority", (method, (":authority", "a@" + world.at(9000))), "400"),
        ("host that is another one", (method, authority, ("host", "other")), "400"),
    ]
    step("heads that are none: reset or refused, logged, and nothing of them reaches the application")
    world.lab.mark()
    with world.orders.listen(9000) as listener, world.raw() as raw:
        raw.barrier()
        for what, fields in reset:
            stream = raw.new_stream()
            raw.send(raw.head(stream, *fields, end=True))
            raw.barrier()
            assert not raw.over(), f"{what} ended the connection, GOAWAY {raw.goaway}"
            assert stream in raw.resets or raw.statuses.get(stream, "200") >= "400", f"{what}: {raw.resets.get(stream)}, {raw.statuses.get(stream)}"
        for what, fields, status in answered:
            stream = raw.new_stream()
            raw.send(raw.head(stream, *fields, end=True))
            raw.run(lambda stream=stream: stream in raw.statuses or stream in raw.resets, "an answer")
            same(raw.statuses.get(stream), status, f"the answer to {what}")
        listener.setblocking(False)
        try:
            listener.accept()
        except BlockingIOError:
            pass
        else:
            raise AssertionError("one of these reached the application")
        n = len(reset) + len(answered)
        eventually(lambda: len(world.lab.lines("node-b", "connection complete", f"src.identity={identity('web')}", "error=")) >= n,
                   f"{n} lines of the log")
        world.lab.logged("node-b", "status=405", "a request that is no CONNECT")
        world.lab.logged("node-b", "status=400", "host is not :authority")
        listener.setblocking(True)
        listener.settimeout(DEADLINE_S)
        stream = raw.connect(world.at(9000))
        raw.run(lambda: stream in raw.statuses, "the answer to a good CONNECT on the same connection")
        same(raw.statuses[stream], "200", "the answer to a good CONNECT on the same connection")
    is_served(world)


# ---- connections ------------------------------------------------------------------------------------


def test_connections(world):
    with attack(world, "200 connections that say nothing, some after half a handshake's first bytes"), contextlib.ExitStack() as stack:
        for number in range(200):
            sock = stack.enter_context(world.batch.connect(world.orders.v4, 15008))
            if number % 2:
                sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        is_served(world)
    with attack(world, "200 handshakes that are broken off"), contextlib.ExitStack() as stack:
        for _ in range(200):
            with world.batch.connect(world.orders.v4, 15008) as sock:
                sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_no_sanitizer_said_anything(world):
    same(world.lab.lines("node-b", "runtime error"), [], "what a sanitizer said")


play_all(globals(), World, "--set-proxy-args", f"--log-rate 0 --idle-timeout {IDLE_S}s --workers 1")
