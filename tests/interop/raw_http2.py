"""HTTP/2 by hand: frames that no library would write, over whatever socket, and what comes back, counted.

Nothing here waits without a deadline, and nothing checks what it sends.
"""
import collections
import select
import ssl
import struct

import hpack

from mesh_lab import Deadline

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS, PADDED = 4, 8
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4
PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 1, 3, 6, 7, 8, 9, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack("!I", len(payload))[1:] + bytes((kind, flags)) + struct.pack("!I", stream) + payload


def settings(**values):
    names = {"max_concurrent_streams": 3, "initial_window_size": 4, "header_table_size": 1}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack("!HI", names[name], value) for name, value in values.items()))


def literal(name, value, index=False):
    """A header field that is never compressed (RFC 7541, 6.2); index: it goes into the dynamic table."""
    def text(data):
        n = len(data)
        return (bytes((n,)) if n < 127 else bytes((127,)) + integer(n - 127)) + data
    return bytes((0x40 if index else 0,)) + text(name) + text(value)


# Frames that move nothing: (what, the bytes of one more, how many there may be before the connection must be over).
FLOODS = (
    ("PING", lambda raw, i: frame(PING, 0, 0, b"12345678"), 5000),
    ("answers to PINGs that nobody sent", lambda raw, i: frame(PING, ACK, 0, b"12345678"), 5000),
    ("SETTINGS", lambda raw, i: settings(initial_window_size=65535 + i), 2000),
    ("empty SETTINGS", lambda raw, i: frame(SETTINGS), 2000),
    ("WINDOW_UPDATE", lambda raw, i: frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 1)), 5000),
    ("PRIORITY", lambda raw, i: frame(PRIORITY, 0, 1 + 2 * i, struct.pack("!IB", 0, 16)), 5000),
    ("frames of no known type", lambda raw, i: frame(0xFA, 0, 0, b"xyz"), 5000),
)
EMPTY_DATA = (
    ("empty DATA", lambda raw, i: frame(DATA, 0, raw.stream), 5000),
    ("padding without DATA", lambda raw, i: frame(DATA, PADDED, raw.stream, b"\xff" + bytes(255)), 5000),
)


def integer(value):
    """What follows a full prefix (RFC 7541, 5.1)."""
    out = bytearray()
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def block(*fields):
    return b"".join(literal(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields)


class Raw:
    """A connection, as a client or as a server. What came: counts, resets by stream, statuses by stream."""

    def __init__(self, sock, client=True, begin=settings()):
        self.sock, self.out, self.taken = sock, bytearray(), bytearray()
        self.counts = collections.Counter()
        self.resets, self.statuses, self.sizes = {}, {}, collections.Counter()
        self.goaway, self.closed, self.next = None, False, 1
        self.announced = None
        self.skip = 0 if client else len(PREFACE)
        self.decoder = hpack.Decoder()
        sock.setblocking(False)
        self.send((PREFACE if client else b"") + begin)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def over(self):
        return self.closed or self.goaway is not None

    def new_stream(self):
        self.next += 2
        return self.next - 2

    def send(self, data):
        self.out += data

    def connect(self, authority, end=False):
        """A CONNECT; its stream."""
        stream = self.new_stream()
        self.send(self.head(stream, (":method", "CONNECT"), (":authority", authority), end=end))
        return stream

    @staticmethod
    def head(stream, *fields, end=False):
        return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(*fields))

    # ---- the wire ----

    def _push(self):
        while self.out and not self.closed:
            try:
                n = self.sock.send(self.out[:1 << 16])
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
                return
            except OSError:
                self.closed = True
                return
            del self.out[:n]

    def _pull(self):
        """True: something came."""
        try:
            data = self.sock.recv(1 << 18)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return False
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return True
        self.taken += data[self.skip:]
        self.skip -= min(self.skip, len(data))
        while len(self.taken) >= 9:
            n = int.from_bytes(self.taken[:3], "big")
            if len(self.taken) < 9 + n:
                break
            self._frame(self.taken[3], self.taken[4], int.from_bytes(self.taken[5:9], "big"), bytes(self.taken[9:9 + n]))
            del self.taken[:9 + n]
        return True

    def _frame(self, kind, flags, stream, payload):
        self.counts[kind, flags & ACK if kind in (PING, SETTINGS) else 0] += 1
        if kind == SETTINGS and not flags & ACK:
            for name, value in struct.iter_unpack("!HI", payload):
                if name == MAX_CONCURRENT_STREAMS:
                    self.announced = value
            self.send(frame(SETTINGS, ACK))
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == HEADERS:
            self.statuses[stream] = dict(self.decoder.decode(payload)).get(":status")
        elif kind == RST_STREAM:
            self.resets[stream] = int.from_bytes(payload, "big")
        elif kind == DATA:
            self.sizes[stream] += len(payload)
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")

    def run(self, condition, what, read=True):
        """Until condition() or the end of the connection. read=False: nothing is taken from the socket meanwhile."""
        deadline = Deadline()
        while True:
            self._push()
            while read and not self.closed and self._pull():
                self._push()
            if self.closed or condition():
                return self
            select.select([self.sock] if read else [], [self.sock] if self.out else [], [], min(0.2, deadline.left(what)))

    def barrier(self):
        """All that was sent has been read by the other side, or the connection is over."""
        want = self.counts[PING, ACK] + 1
        self.send(frame(PING, 0, 0, b"barrier."))
        return self.run(lambda: self.counts[PING, ACK] >= want or self.goaway is not None, "the answer to a PING")

    def ended(self):
        return self.run(lambda: False, "the end of the connection")
