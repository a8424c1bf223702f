#!/usr/bin/python3
# timeout: 300
"""An HBONE client of another make (Python's h2, OpenSSL) against the node proxy's port 15008.

  node-a: batch, not enrolled: the client, with certificates of the lab's CA for whomever it claims to be
     |
  underlay
     |
  node-b: orders (everybody may call it), cart (only web may)
"""
import contextlib
import hashlib
import json
import os
import select
import socket
import ssl
import struct

import h2.settings

import certificates
from hbone_peer import Closed, Refused, client_context, open_tunnel
from mesh_lab import DEADLINE_S, PROXY_MARK, Deadline, eventually, identity, play_all, receive, same, step

MiB = 1 << 20
NO_ERROR, CANCEL, CONNECT_ERROR = 0x0, 0x8, 0xA
WHOAMI = b"GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class World:
    """The lab, who is in it, and tunnels of the client."""

    def __init__(self, lab):
        self.lab = lab
        self.batch, self.orders, self.web = lab.pod("batch"), lab.pod("orders"), lab.pod("web")
        self.cart = lab.pod("cart", "node-b")
        self.web_files = lab.issue("web", identity("web"))
        self.roots = self.web_files[2]
        self.contexts = {"web": client_context(self.roots, *self.web_files[:2])}

    def context(self, account):
        if account not in self.contexts:
            self.contexts[account] = client_context(self.roots, *self.lab.issue(account, identity(account))[:2])
        return self.contexts[account]

    def tunnel(self, address=None, account="web", settings=None):
        return open_tunnel(self.batch.connect(address or self.orders.v4, 15008), self.context(account), settings)

    def orders_at(self, port=8080):
        return f"{self.orders.v4}:{port}"


def served_by(stream):
    """Speaks HTTP to the application at the other end, and returns what it says of itself and of us."""
    same(stream.status, 200, "the answer to CONNECT")
    stream.send(WHOAMI, end=True)
    body = json.loads(stream.wait_end().split(b"\r\n\r\n", 1)[1])
    same(stream.reset, None, "the reset of a stream that is over")
    return body["pod"], body["peer"].rsplit(":", 1)[0]


def is_served(world):
    with world.tunnel() as tunnel:
        same(served_by(tunnel.connect(world.orders_at())), (world.orders.name, world.batch.v4), "who serves, and whom it sees")


# ---- CONNECT --------------------------------------------------------------------------------------


def test_connect(world):
    step("CONNECT: bytes both ways, IPv4 and IPv6; the server proves to be orders; the application sees our address")
    is_served(world)
    with world.tunnel(world.orders.v6) as tunnel:
        same(tunnel.peer_identities(), [identity("orders")], "the server's identity")
        same(served_by(tunnel.connect(f"[{world.orders.v6}]:8080")), (world.orders.name, f"[{world.batch.v6}]"), "who serves")
    step("the identity is the certificate's, and the workload is only named if its address agrees")
    line = world.lab.logged("node-b", f"src.addr=[{world.batch.v6}]", "ending=closed")
    assert f"src.identity={identity('web')}" in line and "src.workload" not in line, line
    world.lab.mark()
    sock = world.web.connect(world.orders.v4, 15008, PROXY_MARK)
    with open_tunnel(sock, world.context("web")) as tunnel:
        same(served_by(tunnel.connect(world.orders_at()))[1], world.web.v4, "the client that the application sees")
    line = world.lab.logged("node-b", "src.addr=" + world.web.v4)
    assert "src.workload=web" in line and f"src.identity={identity('web')}" in line, line


def test_half_close(world):
    step("half-close: either side ends first, and the other one goes on")
    with world.orders.listen(9000) as listener, world.tunnel() as tunnel:
        stream = tunnel.connect(world.orders_at(9000))
        app, _ = listener.accept()
        with app:
            stream.send(b"a" * 300000, end=True)
            same(len(receive(app, 1 << 30)), 300000, "the bytes until the end")
            app.sendall(b"b" * 300000)
            same(stream.wait_data(300000), b"b" * 300000, "what came back")
            assert not stream.ended
        stream.wait_end()
        same((stream.ended, stream.reset), (True, None), "the end")

        stream = tunnel.connect(world.orders_at(9000))
        app, _ = listener.accept()
        with app:
            app.sendall(b"c" * 1000)
            app.shutdown(socket.SHUT_WR)
            same(stream.wait_end(), b"c" * 1000, "what came before the end")
            stream.send(b"d" * 300000, end=True)
            same(len(receive(app, 1 << 30)), 300000, "the bytes after the other end")


def test_bytes_with_the_request(world):
    step("bytes that come before the 200 are not lost")
    with world.orders.listen(9000) as listener, world.tunnel() as tunnel:
        stream = tunnel.request([(":method", "CONNECT"), (":authority", world.orders_at(9000))])
        stream.send(b"early", end=True)
        app, _ = listener.accept()
        with app:
            same(receive(app, 100), b"early", "what the application got")
        same(stream.wait_head().status, 200, "the answer")
        stream.wait_end()


def test_authority(world):
    step("authority: its IP must be the pod's own, its port not one of the proxy's")
    orders = world.orders
    bad = [f"{world.cart.v4}:8080", f"{world.batch.v4}:8080", "127.0.0.1:8080", "[::1]:8080", "localhost:8080", "0.0.0.0:8080",
           orders.v4, f"{orders.v4}:", f"{orders.v4}:0", f"{orders.v4}:65536", f"{orders.v4}:8080:1", f"{orders.v4}:80x",
           f"{orders.v6}:8080", f"[{orders.v6}:8080", ":8080", "8080", "1.2.3:80",
           "orders.shop.svc.cluster.local:81", "orders.shop.svc.cluster.local", "nobody.shop.svc.cluster.local:80",
           "a" * 400 + ":80"]
    world.lab.mark()
    with world.tunnel() as tunnel:
        for authority in bad:
            stream = tunnel.connect(authority)
            same(stream.status, 400, f"the answer to {authority!r}")
            stream.wait_end()
        eventually(lambda: len(world.lab.lines("node-b", 'ending="bad authority"', "status=400")) == len(bad), "a log line of each")
        same(tunnel.connect(f"user@{orders.v4}:8080").status, 400, "the answer to an authority with a user")
        for port in (15001, 15006, 15008):
            same(tunnel.connect(f"{orders.v4}:{port}").status, 400, f"the answer to port {port}")
        world.lab.logged("node-b", 'ending="own port"', f"dst.addr={orders.v4}:15001")
        same(served_by(tunnel.connect(f"[::ffff:{orders.v4}]:8080"))[0], orders.name, "who serves an IPv4-mapped address")
        step("a hostname leads to this pod's port of that Service")
        same(served_by(tunnel.connect("orders.shop.svc.cluster.local:80"))[0], orders.name, "who serves the hostname")
    world.lab.logged("node-b", "dst.service=orders.shop.svc.cluster.local", f"dst.addr={orders.v4}:8080")


def test_method(world):
    step("anything but a plain CONNECT is refused, and nothing of it reaches the application")
    whole = [(":scheme", "https"), (":authority", world.orders_at(9000)), (":path", "/")]
    with world.orders.listen(9000) as listener, world.tunnel() as tunnel:
        for method in ("GET", "POST", "OPTIONS", "FOO"):
            stream = tunnel.request([(":method", method), *whole]).wait_head()
            assert stream.status in (400, 405), f"{method}: {stream.status}"
        for head in ([(":method", "CONNECT"), *whole], [(":method", "CONNECT")], [(":method", "connect"), whole[1]],
                     [(":method", "CONNECT"), whole[1], whole[1]], [(":method", "CONNECT"), (":protocol", "websocket"), *whole],
                     [(":method", "CONNECT"), whole[1], ("transfer-encoding", "chunked")],
                     [(":method", "CONNECT"), whole[1], ("connection", "close")],
                     [(":method", "CONNECT"), whole[1], ("X-Upper", "x")], [(":method", "CONNECT"), whole[1], ("x", "a\r\nb: c")]):
            stream = tunnel.request(head).wait_head()
            assert stream.status not in range(200, 300) and (stream.reset or stream.status >= 400), f"{head}: {stream.headers}"
        listener.setblocking(False)
        same(served_by(tunnel.connect(world.orders_at()))[0], world.orders.name, "who serves afterwards")
        try:
            listener.accept()
        except BlockingIOError:
            return
        raise AssertionError("one of these reached the application")


def test_refusals(world):
    step("policy: 401 to another identity, from whatever address; 200 to the right one")
    world.lab.mark()
    for account, status in (("rogue", 401), ("orders", 401), ("cart", 401), ("web", 200)):
        with world.tunnel(world.cart.v4, account) as tunnel:
            same(tunnel.connect(f"{world.cart.v4}:8080").status, status, f"cart's answer to {account}")
    world.lab.logged("node-b", f"src.identity={identity('rogue')}", "status=401", 'ending="denied by policy"')
    with world.tunnel(world.cart.v4, "rogue") as tunnel:
        same(tunnel.connect(f"{world.cart.v4}:8080", ("forwarded", f'for="{world.web.v4}:1"'),
                            ("baggage", "k8s.namespace.name=shop,service.name=web"), ("x-forwarded-for", world.web.v4)).status, 401,
             "the answer to claims in headers")
    step("nobody listens: 503, and the tunnel lives")
    with world.tunnel() as tunnel:
        same(tunnel.connect(world.orders_at(9)).status, 503, "the answer")
        world.lab.logged("node-b", f"dst.addr={world.orders.v4}:9 ", "status=503", "ending=unreachable")
        same(served_by(tunnel.connect(world.orders_at()))[0], world.orders.name, "who serves afterwards")


def test_resets(world):
    step("resets: the application's reaches the stream as an error, the stream's reaches the application")
    with world.orders.listen(9000) as listener, world.tunnel() as tunnel:
        stream = tunnel.connect(world.orders_at(9000))
        app, _ = listener.accept()
        app.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        app.sendall(b"half")
        app.close()
        stream.wait_end()
        # NO_ERROR and CANCEL count as a regular end for some peers.
        assert stream.reset not in (None, NO_ERROR, CANCEL), f"reset {stream.reset}, ended {stream.ended}"
        world.lab.mark()
        for code in (CANCEL, CONNECT_ERROR):
            stream = tunnel.connect(world.orders_at(9000))
            app, _ = listener.accept()
            stream.send(b"half")
            same(receive(app, 4), b"half", "what came before the reset")
            stream.send_reset(code)
            with app:
                try:
                    same(app.recv(1), None, "what came after the reset")
                except ConnectionResetError:
                    pass
        world.lab.logged("node-b", 'ending="reset by client"')
        step("the whole tunnel breaks off: so do the applications' connections")
        streams = [tunnel.connect(world.orders_at(9000)) for _ in range(3)]
        apps = [listener.accept()[0] for _ in streams]
        tunnel.close()
        for app in apps:
            with app:
                try:
                    same(app.recv(1), None, "what came after the tunnel's end")
                except ConnectionResetError:
                    pass
    is_served(world)


# ---- streams, windows, control frames ------------------------------------------------------------


def test_streams(world):
    step("many streams in one connection at once: each one's bytes are its own")
    with world.orders.listen(9000) as listener, world.tunnel() as tunnel:
        streams = [tunnel.connect(world.orders_at(9000)) for _ in range(60)]
        apps = {}
        for stream in streams:
            stream.send(struct.pack("!I", stream.number))
        for _ in streams:
            app, _ = listener.accept()
            apps[struct.unpack("!I", receive(app, 4))[0]] = app
        same(sorted(apps), sorted(s.number for s in streams), "the streams that arrived")
        for rounds in range(3):
            for stream in streams:
                stream.send(b"%d:%d" % (stream.number, rounds) * 500)
            for stream in reversed(streams):
                want = b"%d:%d" % (stream.number, rounds) * 500
                same(receive(apps[stream.number], len(want)), want, f"what stream {stream.number} carried")
                apps[stream.number].sendall(want[::-1])
            for stream in streams:
                want = b"%d:%d" % (stream.number, rounds) * 500
                same(stream.wait_data(len(want)), want[::-1], f"what stream {stream.number} brought back")
        for stream in streams[::2]:
            apps[stream.number].close()
            stream.wait_end()
        for stream in streams[1::2]:
            stream.send(b"still", end=True)
            with apps[stream.number] as app:
                same(receive(app, 100), b"still", "what a stream carries after others' ends")


def test_control_frames(world):
    step("PING, SETTINGS, unknown frames and GOAWAY")
    with world.tunnel() as tunnel:
        stream = tunnel.connect(world.orders_at())
        for _ in range(3):
            tunnel.h2.ping(os.urandom(8))
        tunnel.wait(lambda: tunnel.pings_answered == 3, "the answers to PING")
        before = tunnel.settings_answered
        for settings in ({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1000}, {h2.settings.SettingCodes.HEADER_TABLE_SIZE: 0},
                         {h2.settings.SettingCodes.MAX_FRAME_SIZE: 100000}, {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 70000}):
            tunnel.h2.update_settings(settings)
        tunnel.wait(lambda: tunnel.settings_answered == before + 4, "the answers to SETTINGS")
        tunnel.out += b"\x00\x00\x03\xfa\x00\x00\x00\x00\x00abc"  # a frame of no known type: ignored (RFC 9113, 4.1)
        other = tunnel.connect(world.orders_at())
        tunnel.h2.prioritize(other.number, weight=3)
        tunnel.send_goaway()  # NO_ERROR: what runs goes on
        same(served_by(stream)[0], world.orders.name, "who serves a stream after GOAWAY")
        same(served_by(other)[0], world.orders.name, "who serves the other one")
        tunnel.wait_closed()
    step("breaking the protocol ends the connection with GOAWAY, and only that one")
    with world.tunnel() as tunnel:
        tunnel.connect(world.orders_at())
        tunnel.out += b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00"  # WINDOW_UPDATE of 0 (RFC 9113, 6.9)
        tunnel.wait(lambda: tunnel.goaway or tunnel.closed, "GOAWAY")
        same(tunnel.goaway and tunnel.goaway[0], 1, "the code of GOAWAY")
        tunnel.wait_closed()
    is_served(world)


def test_flow_control(world):
    step("large bodies both ways, through windows of different sizes")
    body = os.urandom(6 * MiB)
    digest = hashlib.sha256(body).hexdigest()
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    for window in (1000, 65535, 4 * MiB):
        with world.tunnel(settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}) as tunnel:
            if window > 65535:
                tunnel.h2.increment_flow_control_window(16 * MiB)
            size = len(body) if window > 1000 else MiB // 4
            head_now = head if size == len(body) else head.replace(b"%d" % len(body), b"%d" % size)
            stream = tunnel.connect(world.orders_at())
            stream.send(head_now + body[:size], end=True)
            answer = stream.wait_end().split(b"\r\n\r\n", 1)[1]
            same(len(answer), size, "the size of what came back")
            if size == len(body):
                same(hashlib.sha256(answer).hexdigest(), digest, "the sum of what came back")


def fill(app):
    """Writes to the application's socket until nobody takes anything for a while; returns how much that was."""
    n, never = 0, select.poll()
    app.setblocking(False)
    idle = 0
    while idle < 20:
        try:
            n += app.send(bytes(65536))
            idle = 0
        except BlockingIOError:
            idle += 1
            never.poll(50)
        assert n < 64 * MiB, "the application may write without end, and nobody reads"
    app.setblocking(True)
    app.settimeout(DEADLINE_S)
    return n


def test_slow_reader(world):
    step("a stream that is not read stops its application, and nobody else")
    with world.orders.listen(9000) as listener, world.tunnel() as tunnel:
        tunnel.h2.increment_flow_control_window(MiB)  # the connection's: larger than one stream's
        stream = tunnel.connect(world.orders_at(9000))
        stream.paused = True
        app, _ = listener.accept()
        with app:
            written = fill(app)
            same(served_by(tunnel.connect(world.orders_at()))[0], world.orders.name, "who serves a stream beside it")
            app.shutdown(socket.SHUT_WR)
            stream.resume()
            same(len(stream.wait_end()), written, "the bytes in the end")
    step("a client that reads nothing at all: others are served, and its own bytes arrive later")
    with world.orders.listen(9000) as listener, world.tunnel(settings={
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 256 * MiB}) as tunnel:
        tunnel.h2.increment_flow_control_window(256 * MiB)
        stream = tunnel.connect(world.orders_at(9000))
        app, _ = listener.accept()
        with app:
            written = fill(app)
            is_served(world)
            app.shutdown(socket.SHUT_WR)
            same(len(stream.wait_end()), written, "the bytes in the end")
    step("an application that reads nothing: the client's window closes")
    with world.orders.listen(9000) as listener, world.tunnel() as tunnel:
        stream = tunnel.connect(world.orders_at(9000))
        app, _ = listener.accept()
        with app:
            sent, waits = 0, 0
            while waits < 20:
                n = min(tunnel.h2.local_flow_control_window(stream.number), tunnel.h2.max_outbound_frame_size)
                if n > 0 and not tunnel.out:
                    tunnel.h2.send_data(stream.number, bytes(n))
                    sent, waits = sent + n, 0
                else:
                    waits += 1
                tunnel.turn(0.05)
                assert sent < 64 * MiB, "the client may write without end, and nobody reads"
            same(served_by(tunnel.connect(world.orders_at()))[0], world.orders.name, "who serves a stream beside it")
            tunnel.h2.end_stream(stream.number)
            tunnel.flush()
            same(read_while_driving(app, tunnel), sent, "the bytes in the end")


def read_while_driving(app, tunnel):
    """The application reads until the end, while the tunnel sends what it still has."""
    n, deadline = 0, Deadline()
    app.setblocking(False)
    while True:
        try:
            part = app.recv(MiB)
            n += len(part)
            if not part:
                return n
        except BlockingIOError:
            tunnel.turn(0)
            if not tunnel.out:
                select.select([app, tunnel.sock], [], [], deadline.left("the end of what the client sent"))


# ---- TLS -----------------------------------------------------------------------------------------


def refused(world, what, context, ending, error):
    """The connection ends without an answer, and the log says why."""
    world.lab.mark()
    try:
        with open_tunnel(world.batch.connect(world.orders.v4, 15008), context) as tunnel:
            stream = tunnel.connect(world.orders_at())
            same(stream.headers, None, "the answer to " + what)
            tunnel.wait_closed()
    except (Closed, Refused):
        pass
    world.lab.logged("node-b", "src.addr=" + world.batch.v4, f'ending="{ending}"', error)


def test_certificates(world):
    step("certificates: what the lab's own intermediate signs is good if it should be")
    lab, web = world.lab, identity("web")
    signer = certificates.lab_intermediate(lab)
    with open_tunnel(world.batch.connect(world.orders.v4, 15008), client_context(world.roots, *signer.make([web]))) as tunnel:
        same(tunnel.connect(world.orders_at()).status, 200, "the answer to a good certificate")
    cases = [
        ("no certificate", None, "no certificate"),
        ("another trust domain", signer.make([identity("web", trust_domain="other.test")]), "other.test"),
        ("another trust domain, by a suffix", signer.make([identity("web", trust_domain="cluster.local.test")]), "cluster.local.test"),
    ] + certificates.refused_classes(lab, signer, world.roots, "web", True)
    for what, files, error in cases:
        step("refused: " + what)
        refused(world, what, client_context(world.roots, *(files or (None, None))), "peer not trusted", error)
    same(lab.lines("node-b", "direction=inbound", "bytes_recv=0", "ending=closed"), [], "what was let in")
    is_served(world)


def test_tls(world):
    files = world.web_files[:2]
    step("refused: TLS 1.2, no ALPN, another one")
    refused(world, "TLS 1.2", client_context(world.roots, *files, version=ssl.TLSVersion.TLSv1_2), "tls failed", "version")
    refused(world, "no ALPN", client_context(world.roots, *files, alpn=()), "tls failed", "ALPN")
    refused(world, "http/1.1", client_context(world.roots, *files, alpn=("http/1.1",)), "tls failed", "ALPN")
    step("refused: what is not TLS, at once")
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes(64)):
        world.lab.mark()
        with world.batch.connect(world.orders.v4, 15008) as sock:
            sock.sendall(data)
            with contextlib.suppress(ConnectionResetError):
                sock.recv(1000)
        world.lab.logged("node-b", 'ending="tls failed"')
    step("no resumption: a session is not taken up again")
    context = world.context("web")
    with open_tunnel(world.batch.connect(world.orders.v4, 15008), context) as tunnel:
        tunnel.connect(world.orders_at())
        session = tunnel.sock.session
    same(session is not None and session.has_ticket, False, "a ticket for resumption")
    is_served(world)


play_all(globals(), World, "--set-proxy-args", "--log-rate 0")
