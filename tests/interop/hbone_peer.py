"""HBONE of another make: TLS by OpenSSL (Python's ssl), HTTP/2 by Python's h2. Either end of a tunnel.

A Tunnel is driven by whoever waits on it: wait() sends what is to be sent, takes what comes, until a condition holds.
"""
import contextlib
import select
import ssl

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from mesh_lab import Deadline


class Closed(Exception):
    """The other side ended the connection."""


class Refused(Exception):
    """TLS did not come about."""


def client_context(roots, certificate=None, key=None, alpn=("h2",), version=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    return _context(context, roots, certificate, key, alpn, version)


def server_context(roots, certificate, key, alpn=("h2",), version=ssl.TLSVersion.TLSv1_3):
    return _context(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), roots, certificate, key, alpn, version)


def _context(context, roots, certificate, key, alpn, version):
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(roots)
    if certificate:
        context.load_cert_chain(certificate, key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def wrap(sock, context, server_side=False):
    """TLS over a connected socket; Refused if the handshake fails."""
    try:
        return context.wrap_socket(sock, server_side=server_side, suppress_ragged_eofs=False)
    except (OSError, EOFError) as error:  # ssl.SSLError is one
        sock.close()
        raise Refused(str(error)) from error


class Stream:
    def __init__(self, tunnel, number):
        self.tunnel, self.number = tunnel, number
        self.headers = None  # list of pairs, once they came
        self.trailers = None
        self.data = bytearray()
        self.ended = False
        self.reset = None  # the code, if the other side reset it
        self.paused = False  # the window is not returned
        self.unreturned = 0

    def header(self, name):
        return next((value for key, value in self.headers or [] if key == name), None)

    @property
    def status(self):
        value = self.header(":status")
        return int(value) if value else None

    def _over(self):
        return self.ended or self.reset is not None

    def wait_head(self):
        self.tunnel.wait(lambda: self.headers is not None or self._over(), f"an answer on stream {self.number}")
        return self

    def wait_data(self, n):
        self.tunnel.wait(lambda: len(self.data) >= n or self._over(), f"{n} bytes on stream {self.number}")
        assert len(self.data) >= n, f"stream {self.number} ended after {len(self.data)} of {n} bytes, reset {self.reset}"
        taken = bytes(self.data[:n])
        del self.data[:n]
        return taken

    def wait_end(self):
        self.tunnel.wait(self._over, f"the end of stream {self.number}")
        return bytes(self.data)

    def send(self, data, end=False):
        """All of it, as far as the windows let it; what comes meanwhile is taken."""
        view, tunnel = memoryview(data), self.tunnel
        while view:
            tunnel.wait(lambda: self._room() > 0 or self.reset is not None, f"room on stream {self.number}")
            assert self.reset is None, f"stream {self.number} was reset, code {self.reset}"
            n = min(self._room(), tunnel.h2.max_outbound_frame_size, len(view))
            tunnel.h2.send_data(self.number, bytes(view[:n]))
            view = view[n:]
        if end:
            tunnel.h2.end_stream(self.number)
        tunnel.wait(lambda: not tunnel.out, "the socket")

    def _room(self):
        return self.tunnel.h2.local_flow_control_window(self.number) if len(self.tunnel.out) < 1 << 20 else 0

    def answer(self, status, end=False, headers=()):
        self.tunnel.h2.send_headers(self.number, [(":status", str(status)), *headers], end_stream=end)
        self.tunnel.flush()

    def send_reset(self, code):
        self.tunnel.h2.reset_stream(self.number, code)
        self.tunnel.flush()

    def resume(self):
        self.paused = False
        if self.unreturned:
            self.tunnel.h2.acknowledge_received_data(self.unreturned, self.number)
            self.unreturned = 0
        self.tunnel.flush()


class Tunnel:
    """One connection; sock: a wrapped socket. It speaks first, as both sides of HTTP/2 do."""

    def __init__(self, sock, client, settings=None):
        self.sock, self.out, self.streams = sock, bytearray(), {}
        self.requests = []  # server: streams in the order of arrival
        self.closed = False
        self.error = None
        self.goaway = None  # (code, last stream)
        self.before_goaway = None
        self.pings_answered = 0
        self.settings_answered = 0
        # Heads are the tests' business: CONNECT has no :path, and bad heads are sent on purpose.
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=client, header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False,
            validate_inbound_headers=False))
        self.peer = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
        sock.setblocking(False)
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=client, initial_values=settings)
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def peer_identities(self):
        return [value for kind, value in self.peer.get("subjectAltName", ()) if kind == "URI"]

    # ---- the wire ----

    def flush(self):
        self.out += self.h2.data_to_send()
        while self.out and not self.closed:
            try:
                n = self.sock.send(self.out[:65536])
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
                return
            except OSError as error:
                self._end(error)
                return
            del self.out[:n]

    def _end(self, error):
        self.closed, self.error = True, error
        self.out.clear()

    def _take(self):
        """What is there now; True if there was something."""
        try:
            data = self.sock.recv(1 << 18)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return False
        except OSError as error:
            self._end(error)
            return True
        if not data:
            self._end(None)
            return True
        self.before_goaway = self.h2.state_machine.state
        for event in self.h2.receive_data(data):
            self._event(event)
        return True

    def turn(self, seconds, also=()):
        """Takes and sends what there is; waits for it, or for the other sockets, at most so long."""
        if not self.closed and not self._take():
            select.select([self.sock, *also], [self.sock] if self.out else [], [], seconds)
        self.flush()

    def wait(self, condition, what, also=()):
        """also: more sockets that the condition looks at."""
        deadline = Deadline()
        self.flush()
        while not condition():
            if self.closed:
                raise Closed(f"{self.error or 'the connection ended'} while waiting for {what}")
            self.turn(deadline.left(what), also)

    def wait_closed(self):
        self.wait(lambda: self.closed, "the end of the connection")

    # ---- events ----

    def _stream(self, number):
        return self.streams.setdefault(number, Stream(self, number))

    def _event(self, event):
        if isinstance(event, (h2.events.ResponseReceived, h2.events.RequestReceived)):
            stream = self._stream(event.stream_id)
            stream.headers = list(event.headers)
            if isinstance(event, h2.events.RequestReceived):
                self.requests.append(stream)
        elif isinstance(event, h2.events.TrailersReceived):
            self._stream(event.stream_id).trailers = list(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self._data(self._stream(event.stream_id), event)
        elif isinstance(event, h2.events.StreamEnded):
            self._stream(event.stream_id).ended = True
        elif isinstance(event, h2.events.StreamReset):
            self._stream(event.stream_id).reset = int(event.error_code)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = (int(event.error_code), event.last_stream_id)
            # What runs goes on (RFC 9113, 6.8); h2 would refuse it.
            self.h2.state_machine.state = self.before_goaway
        elif isinstance(event, h2.events.PingAckReceived):
            self.pings_answered += 1
        elif isinstance(event, h2.events.SettingsAcknowledged):
            self.settings_answered += 1

    def _data(self, stream, event):
        stream.data += event.data
        if stream.paused:
            stream.unreturned += event.flow_controlled_length
        elif event.flow_controlled_length:
            with contextlib.suppress(h2.exceptions.ProtocolError):  # the stream may have ended with this very frame
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def send_goaway(self, last=0):
        """NO_ERROR. Past h2, which would take it for the end of everything."""
        self.flush()
        self.out += b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + last.to_bytes(4, "big") + bytes(4)
        self.flush()

    # ---- client ----

    def request(self, headers, end=False):
        stream = self._stream(self.h2.get_next_available_stream_id())
        self.h2.send_headers(stream.number, headers, end_stream=end)
        self.flush()
        return stream

    def connect(self, authority, *more):
        """CONNECT; returns the stream when its answer is there."""
        return self.request([(":method", "CONNECT"), (":authority", authority), *more]).wait_head()


def open_tunnel(sock, context, settings=None):
    """Client: TLS and HTTP/2 over a connected socket; Refused or Closed where it does not come about."""
    return Tunnel(wrap(sock, context), True, settings)


def accept_tunnel(listener, context, settings=None):
    """Server: the next connection. Refused if the client does not want us, or we not it."""
    sock, address = listener.accept()
    sock.settimeout(listener.gettimeout())
    tunnel = Tunnel(wrap(sock, context, server_side=True), False, settings)
    tunnel.client = address
    return tunnel
