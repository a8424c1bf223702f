#!/usr/bin/python3
# timeout: 240
"""An HBONE server of another make (Python's h2, OpenSSL) in the place of a destination and of its node's proxy.

  node-a: web (and rogue, for whom nothing is special)
     |
  underlay -- 192.168.50.30: foreign, which the manifests have in the mesh, on a node without a proxy of ours
     |
  node-b
"""
import contextlib
import random
import re
import select
import socket
import struct

import certificates
from hbone_peer import Refused, accept_tunnel, server_context, wrap
from mesh_lab import DEADLINE_S, Deadline, eventually, identity, play_all, receive, same, step
from raw_http2 import DATA, END_HEADERS, ENHANCE_YOUR_CALM, HEADERS, PING, PUSH_PROMISE, WINDOW_UPDATE, Raw, frame, literal, settings

FOREIGN_V4, FOREIGN_V6, VIP = "192.168.50.30", "fd00:192:168:50::30", "10.96.0.30"
MANIFEST = f"""
apiVersion: v1
kind: Node
metadata: {{name: node-f}}
spec: {{}}
status:
  addresses: [{{type: InternalIP, address: 192.168.50.31}}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: foreign, namespace: shop}}
---
apiVersion: v1
kind: Service
metadata: {{name: foreign, namespace: shop}}
spec:
  selector: {{app: foreign}}
  clusterIP: {VIP}
  clusterIPs: [{VIP}]
  ports: [{{name: tcp, port: 80, targetPort: 8080}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: foreign, namespace: shop, labels: {{app: foreign}}}}
spec:
  nodeName: node-f
  serviceAccountName: foreign
  containers: [{{name: foreign, image: example.test/foreign, ports: [{{containerPort: 8080}}]}}]
status:
  phase: Running
  podIP: {FOREIGN_V4}
  podIPs: [{{ip: {FOREIGN_V4}}}, {{ip: "{FOREIGN_V6}"}}]
  conditions: [{{type: Ready, status: "True"}}]
"""
CONNECT_ERROR, REFUSED_STREAM, CANCEL = 0xA, 0x7, 0x8


class World:
    def __init__(self, lab):
        self.lab, self.web = lab, lab.pod("web")
        self.netns = lab.underlay_pod("foreign", FOREIGN_V4 + "/24", FOREIGN_V6 + "/64")
        lab.apply("foreign.yaml", MANIFEST)
        self.files = lab.issue("foreign", identity("foreign"))
        self.roots = self.files[2]
        self.context = server_context(self.roots, *self.files[:2])
        eventually(lambda: "foreign" in lab.ctl("node-a", "services") and "foreign" in lab.ctl("node-a", "workloads"),
                   "node-a knows foreign")

    def listen(self):
        return self.lab.listen(self.netns, 15008)

    def call(self, address=FOREIGN_V4, port=8080):
        return self.web.connect(address, port)


@contextlib.contextmanager
def serving(world):
    """Tunnels that come in, by accept(); all closed in the end. With them web's proxy forgets its ones."""
    tunnels = []
    with world.listen() as listener:

        def accept(context=world.context):
            tunnels.append(accept_tunnel(listener, context))
            return tunnels[-1]

        accept.listener = listener
        try:
            yield accept
        finally:
            for tunnel in tunnels:
                tunnel.close()


def next_request(tunnel):
    tunnel.wait(lambda: tunnel.requests, "a CONNECT")
    return tunnel.requests.pop(0)


def hears_reset(sock):
    try:
        same(sock.recv(100), None, "what the client got")
    except ConnectionResetError:
        pass


def hears_nothing_good(sock):
    """Refused: a reset, or at least an end without a byte."""
    with contextlib.suppress(ConnectionResetError):
        same(sock.recv(100), b"", "what the client got")


def exchange(tunnel, stream, client):
    """Bytes both ways, and both ends."""
    client.sendall(b"question")
    same(stream.wait_data(8), b"question", "what arrived")
    stream.send(b"answer")
    same(receive(client, 6), b"answer", "what came back")
    client.shutdown(socket.SHUT_WR)
    stream.wait_end()
    same((stream.ended, stream.reset), (True, None), "the client's end")
    stream.send(b"more", end=True)
    same(receive(client, 100), b"more", "what came after the client's end")
    tunnel.flush()
    client.close()


# ---- what arrives ---------------------------------------------------------------------------------


def test_request(world):
    step("web's connection arrives by CONNECT, with web's identity and from web's address")
    world.lab.mark()
    with serving(world) as accept, world.call() as client:
        tunnel = accept()
        same(tunnel.peer_identities(), [identity("web")], "the client's identity")
        same(tunnel.client[0].removeprefix("::ffff:"), world.web.v4, "the client's address")
        same(tunnel.sock.version(), "TLSv1.3", "the version of TLS")
        same(tunnel.sock.selected_alpn_protocol(), "h2", "the protocol")
        same(tunnel.sock.session_reused, False, "the use of an old session")
        stream = next_request(tunnel)
        names = [name for name, _ in stream.headers]
        same(names[:2], [":method", ":authority"], "the first headers")
        assert ":scheme" not in names and ":path" not in names, names
        same(stream.header(":method"), "CONNECT", "the method")
        same(stream.header(":authority"), FOREIGN_V4 + ":8080", "the authority")
        same(stream.header("forwarded"), f'for="{world.web.v4}:{client.getsockname()[1]}"', "forwarded")
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", stream.header("traceparent")), stream.headers
        baggage = dict(part.split("=", 1) for part in stream.header("baggage").split(","))
        same({key: baggage.get(key) for key in ("k8s.cluster.name", "k8s.namespace.name", "k8s.deployment.name", "service.name",
                                                "service.version")},
             {"k8s.cluster.name": "Kubernetes", "k8s.namespace.name": "shop", "k8s.deployment.name": "web", "service.name": "web",
              "service.version": "v1"}, "baggage")
        stream.answer(200)
        exchange(tunnel, stream, client)
    world.lab.logged("node-a", f"src.identity={identity('web')}", f"dst.identity={identity('foreign')}", f"dst.hbone_addr={FOREIGN_V4}:8080",
                     "bytes_sent=8", "bytes_recv=10", "ending=closed")


def test_service(world):
    step("called by its Service: the authority is the endpoint's, forwarded has the Service's name; IPv6")
    with serving(world) as accept:
        with world.call(VIP, 80) as client:
            stream = next_request(accept())
            same(stream.header(":authority"), FOREIGN_V4 + ":8080", "the authority")
            same(stream.header("forwarded"),
                 f'for="{world.web.v4}:{client.getsockname()[1]}";host=foreign.shop.svc.cluster.local', "forwarded")
            stream.answer(200)
            exchange(stream.tunnel, stream, client)
        with world.call(FOREIGN_V6) as client:
            tunnel = accept()
            same(tunnel.client[0], world.web.v6, "the client's address")
            stream = next_request(tunnel)
            same(stream.header(":authority"), f"[{FOREIGN_V6}]:8080", "the authority")
            same(stream.header("forwarded"), f'for="[{world.web.v6}]:{client.getsockname()[1]}"', "forwarded")
            stream.answer(200, headers=[("baggage", "service.name=foreign")])
            exchange(tunnel, stream, client)


def test_pool(world):
    step("one tunnel carries several connections; another workload gets its own")
    with serving(world) as accept:
        first = world.call()
        tunnel = accept()
        clients, streams = [first], [next_request(tunnel)]
        for _ in range(20):
            clients.append(world.call())
            streams.append(next_request(tunnel))
        for stream in streams:
            stream.answer(200)
        for number, (client, stream) in enumerate(zip(clients, streams)):
            client.sendall(b"%d" % number)
        for number, stream in enumerate(streams):
            same(stream.wait_data(len(str(number))), b"%d" % number, "what a stream carries")
        with world.lab.pod("rogue").connect(FOREIGN_V4, 8080) as client:
            other = accept()
            same(other.peer_identities(), [identity("rogue")], "the other client's identity")
            next_request(other).answer(401, end=True)
            hears_reset(client)
        for client, stream in zip(clients, streams):
            client.close()
            stream.wait_end()
            tunnel.h2.end_stream(stream.number)
        tunnel.flush()


def test_identities_never_mix(world):
    step("three workloads of one node, 90 connections in any order: each stream comes in a tunnel of its own pod's identity and address")
    pods = [world.lab.pod("web"), world.lab.pod("rogue"), world.lab.pod("cart", "node-a")]
    names = {pod.v4: identity(account) for pod, account in zip(pods, ("web", "rogue", "cart"))}
    dice = random.Random(7)
    with world.listen() as listener, contextlib.ExitStack() as stack:
        tunnels, clients, seen = [], [], 0
        for _ in range(90):
            pod = dice.choice(pods)
            client = pod.connect(FOREIGN_V4, 8080)
            stream = next_of_any(world, listener, tunnels, stack)
            address = stream.tunnel.client[0].removeprefix("::ffff:")
            same(address, pod.v4, "the address that a stream came from")
            same(stream.tunnel.peer_identities(), [names[pod.v4]], f"the identity of a connection from {pod.name}")
            same(stream.header("forwarded"), f'for="{pod.v4}:{client.getsockname()[1]}"', "forwarded")
            stream.answer(200)
            client.sendall(pod.v4.encode())
            same(stream.wait_data(len(pod.v4)), pod.v4.encode(), "what came")
            seen += 1
            clients.append((client, stream))
            while clients and dice.random() < 0.4:
                client, stream = clients.pop(dice.randrange(len(clients)))
                client.close()
                stream.wait_end()
                stream.tunnel.h2.end_stream(stream.number)
                stream.tunnel.flush()
        assert len(tunnels) < seen / 3, f"{len(tunnels)} tunnels for {seen} connections: nothing was pooled"
        for client, _ in clients:
            client.close()


def next_of_any(world, listener, tunnels, stack):
    """The next CONNECT, in whatever tunnel, a new one too."""
    deadline = Deadline()
    while True:
        for tunnel in tunnels:
            if tunnel.requests:
                return tunnel.requests.pop(0)
        for tunnel in tunnels:
            tunnel.turn(0)
        if any(tunnel.requests for tunnel in tunnels):
            continue
        ready, _, _ = select.select([listener, *(t.sock for t in tunnels if not t.closed)], [], [], deadline.left("a CONNECT"))
        if listener in ready:
            tunnels.append(accept_tunnel(listener, world.context))
            stack.callback(tunnels[-1].close)


# ---- answers that are no 200 ----------------------------------------------------------------------


def test_refusals(world):
    step("an answer that is no 200 refuses the connection; bytes with it are not given on")
    with serving(world) as accept:
        tunnel = None
        for status, ending in ((401, 'ending="denied by policy"'), (503, 'ending="tunnel refused"'), (400, 'ending="tunnel refused"'),
                               (302, 'ending="tunnel refused"'), (204, 'ending="tunnel refused"')):
            world.lab.mark()
            with world.call() as client:
                tunnel = tunnel or accept()
                stream = next_request(tunnel)
                stream.answer(status)
                stream.send(b"not for the application", end=True)
                hears_reset(client)
            world.lab.logged("node-a", "direction=outbound", f"status={status}", ending)
        step("no number for a status, a reset instead of an answer")
        for refuse in (lambda s: s.answer("abc", end=True), lambda s: s.send_reset(CONNECT_ERROR)):
            world.lab.mark()
            with world.call() as client:
                refuse(next_request(tunnel))
                while not readable(client):  # a request without an answer may be tried again
                    tunnel.wait(lambda: tunnel.requests or readable(client), "the connection's end, or another try", [client])
                    if tunnel.requests:
                        refuse(tunnel.requests.pop(0))
                hears_reset(client)
            world.lab.logged("node-a", "direction=outbound", 'ending="tunnel ')
        step("REFUSED_STREAM: nothing was done, so it is tried again")
        with world.call() as client:
            next_request(tunnel).send_reset(REFUSED_STREAM)
            stream = next_request(tunnel)
            stream.answer(200)
            exchange(tunnel, stream, client)


def readable(sock):
    return bool(select.select([sock], [], [], 0)[0])


def test_resets(world):
    step("RST_STREAM in the middle resets the connection; the tunnel lives")
    with serving(world) as accept:
        with world.call() as client:
            tunnel = accept()
            stream = next_request(tunnel)
            stream.answer(200)
            stream.send(b"half")
            same(receive(client, 4), b"half", "what came before")
            stream.send_reset(CONNECT_ERROR)
            hears_reset(client)
        step("the client's reset is one, and not the end of what it said")
        with world.call() as client:
            stream = next_request(tunnel)
            stream.answer(200)
            client.sendall(b"half")
            same(stream.wait_data(4), b"half", "what came before")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.wait_end()
        assert stream.reset not in (None, 0, CANCEL), f"reset {stream.reset}, ended {stream.ended}"
        step("the tunnel breaks: its connections are reset; the next one gets another tunnel")
        with world.call() as client:
            stream = next_request(tunnel)
            stream.answer(200)
            stream.send(b"half")
            same(receive(client, 4), b"half", "what came before")
            tunnel.close()
            hears_reset(client)
        with world.call() as client:
            tunnel = accept()
            stream = next_request(tunnel)
            stream.answer(200)
            exchange(tunnel, stream, client)


def test_goaway(world):
    step("GOAWAY: what runs goes on, the next connection takes another tunnel")
    with serving(world) as accept, world.call() as client:
        first = accept()
        stream = next_request(first)
        stream.answer(200)
        client.sendall(b"before")
        same(stream.wait_data(6), b"before", "what came before GOAWAY")
        first.send_goaway(stream.number)
        with world.call() as next_client:
            # Which of both it reaches depends on whether GOAWAY was there first: behind it, it must come again, elsewhere.
            second = accept()
            other = next_request(second)
            other.answer(200)
            exchange(second, other, next_client)
        exchange(first, stream, client)
        first.wait_closed()


def test_windows(world):
    step("a server that does not read stops the client; one that reads gets everything")
    with serving(world) as accept, world.call() as client:
        tunnel = accept()
        stream = next_request(tunnel)
        stream.paused = True
        stream.answer(200)
        client.settimeout(2)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 << 20:
                tunnel.turn(0)
                sent += client.send(bytes(65536))
        assert sent < 64 << 20, "the client may write without end, and nobody reads"
        assert len(stream.data) <= 65535, f"{len(stream.data)} bytes in a window of 65535"
        client.settimeout(DEADLINE_S)
        client.shutdown(socket.SHUT_WR)
        stream.resume()
        same(len(stream.wait_end()), sent, "the bytes in the end")


# ---- a server that attacks ------------------------------------------------------------------------


def test_hostile_server(world):
    """The tunnel is given up, its connections are reset, and the next one is served by another tunnel."""
    def informational(raw):
        return raw.head(1, (":status", "103"), ("x", "y" * 100))

    floods = {
        "PING": lambda raw: frame(PING, 0, 0, b"12345678"),
        "SETTINGS": lambda raw: settings(initial_window_size=70000),
        "WINDOW_UPDATE": lambda raw: frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 1)),
        "empty DATA": lambda raw: frame(DATA, 0, 1),
        "answers before the answer": informational,
    }
    for what, make in floods.items():
        step("a server that floods: " + what)
        with world.listen() as listener, world.call() as client:
            sock, _ = listener.accept()
            with Raw(wrap(sock, world.context, server_side=True), client=False) as raw:
                raw.run(lambda: raw.statuses, "the CONNECT")
                if what == "empty DATA":
                    raw.send(raw.head(1, (":status", "200")))
                n = 0
                while not raw.over() and n < 20000:
                    raw.send(b"".join(make(raw) for _ in range(100)))
                    n += 100
                    raw.barrier()
                assert raw.over(), f"{n} of them, and the tunnel goes on"
                assert raw.goaway in (None, ENHANCE_YOUR_CALM), f"GOAWAY {raw.goaway}"
            listener.close()
            hears_nothing_good(client)
    step("a server whose answer is a bomb, one that pushes, one that breaks the protocol")
    for what, make in (("bomb", frame(HEADERS, END_HEADERS, 1, b"\x88" + literal(b"x", b"v" * 4000, index=True) + b"\xbe" * 10000)),
                       ("push", frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack("!I", 2) + b"\x82")),
                       ("DATA on no stream", frame(DATA, 0, 0, b"x")), ("16 MiB", b"\xff\xff\xff\0\0\0\0\0\1")):
        with world.listen() as listener, world.call() as client:
            sock, _ = listener.accept()
            with Raw(wrap(sock, world.context, server_side=True), client=False) as raw:
                raw.run(lambda: raw.statuses, "the CONNECT")
                raw.send(make)
                raw.run(lambda: raw.over() or raw.resets, "the refusal of " + what)
                assert raw.over() or raw.resets, what
                listener.close()
            hears_nothing_good(client)
    with serving(world) as accept, world.call() as client:
        tunnel = accept()
        stream = next_request(tunnel)
        stream.answer(200)
        exchange(tunnel, stream, client)


# ---- who the server is ----------------------------------------------------------------------------


def test_identity(world):
    lab = world.lab
    signer = certificates.lab_intermediate(lab)
    cases = [
        ("another workload's identity", lab.issue("impostor", identity("orders"))[:2], "peer has another identity", ""),
        ("the right name in another trust domain", signer.make([identity("foreign", trust_domain="other.test")]), "peer ", ""),
    ] + [(what, files, "peer ", error) for what, files, error in certificates.refused_classes(lab, signer, world.roots, "foreign", False)]
    for what, files, ending, error in cases:
        step("refused: a server with " + what)
        lab.mark()
        with serving(world) as accept, world.call() as client:
            client.sendall(b"a secret")
            seen = []
            with contextlib.suppress(Refused):
                tunnel = accept(server_context(world.roots, *files))
                tunnel.wait(lambda: tunnel.closed, "the client's refusal")
                seen = tunnel.requests + [s for s in tunnel.streams.values() if s.data]
            same(seen, [], "what the server saw")
            hears_nothing_good(client)
        lab.logged("node-a", "direction=outbound", f'ending="{ending}', error)
    step("refused: a server without HBONE's protocol, one that speaks no TLS, none at all")
    lab.mark()
    with serving(world) as accept, world.call() as client:
        with contextlib.suppress(Refused):
            tunnel = accept(server_context(world.roots, *world.files[:2], alpn=()))
            tunnel.wait(lambda: tunnel.closed, "the client's refusal")
            same(tunnel.requests, [], "the requests")
        hears_nothing_good(client)
    lab.logged("node-a", "direction=outbound", 'ending="tls failed"', "ALPN")
    lab.mark()
    with serving(world) as accept, world.call() as client:
        sock, _ = accept.listener.accept()
        with sock:
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            hears_nothing_good(client)
    lab.logged("node-a", "direction=outbound", 'ending="tls failed"')
    lab.mark()
    with contextlib.suppress(ConnectionResetError), world.call() as client:  # the reset may come before connect() returns
        hears_nothing_good(client)
    lab.logged("node-a", "direction=outbound", "ending=unreachable")
    with serving(world) as accept, world.call() as client:
        tunnel = accept()
        stream = next_request(tunnel)
        stream.answer(200)
        exchange(tunnel, stream, client)


# One worker: what is pooled is then the same for all connections.
play_all(globals(), World, "--set-proxy-args", "--log-rate 0 --workers 1")
