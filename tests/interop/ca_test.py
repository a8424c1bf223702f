#!/usr/bin/python3
# timeout: 180
"""The real weir-ca against a gRPC client of another make: Python's ssl and h2, with openssl for keys, requests and
judgement. With it the real weir-controller, from a folder of manifests, for what runs where.

                        tokens, CreateCertificate
   this test (ssl, h2) --------------------------> weir-ca ---- xDS ----> weir-controller <- manifests/
"""
import contextlib
import os
import queue
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import h2.config
import h2.connection
import h2.events

BUILD = os.environ.get("WEIR_BUILD", "build/dev")
DEADLINE_S = 30
CREATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
DOMAIN = "spiffe://cluster.local/ns"
CA, PROXY = f"{DOMAIN}/weir-system/sa/weir-ca", f"{DOMAIN}/weir-system/sa/weir-nodeproxy"
WEB, CART = f"{DOMAIN}/shop/sa/web", f"{DOMAIN}/shop/sa/cart"
OK, INVALID_ARGUMENT, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, UNAVAILABLE, UNAUTHENTICATED = (
    0, 3, 7, 8, 12, 14, 16)
OPAQUE = "the token is not accepted"

MESH = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {weir.mesh/enrolled: "true"}}
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
---
apiVersion: v1
kind: Node
metadata: {name: node-b}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, uid: "{name}-uid", labels: {{app: {name}}}}}
spec: {{nodeName: {node}, serviceAccountName: {name}, containers: [{{name: c, image: example.test/c:1}}]}}
status:
  phase: Running
  podIP: {ip}
  podIPs: [{{ip: {ip}}}]
  conditions: [{{type: Ready, status: "True"}}]
"""


# ---- protobuf and requests, by hand ---------------------------------------------------------------------------

def varint(number):
    out = b""
    while True:
        out += bytes([number & 127 | (128 if number > 127 else 0)])
        number >>= 7
        if not number:
            return out


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields_of(data):
    """(number, bytes) of each length-delimited field; a CreateCertificate response has no others."""
    at = 0

    def take_varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(data):
        key = take_varint()
        assert key & 7 == 2, f"wire type {key & 7}"
        size = take_varint()
        yield key >> 3, data[at:at + size]
        at += size


def message_of(csr, identity=None, validity_s=None):
    out = field(1, csr.encode())
    if validity_s is not None:
        out += varint(3 << 3) + varint(validity_s)
    if identity is not None:
        value = field(3, identity.encode())
        out += field(4, field(1, field(1, b"ImpersonatedIdentity") + field(2, value)))
    return out


def openssl(*arguments, text=None):
    result = subprocess.run(["openssl", *arguments], input=text, capture_output=True, text=True, timeout=DEADLINE_S,
                            check=False)
    assert result.returncode == 0, f"openssl {' '.join(arguments)}: {result.stderr}{result.stdout}"
    return result.stdout


class Requests:
    """Keys and requests for them."""

    def __init__(self, folder):
        self.folder, self.made = folder, 0

    def make(self, key=("EC", "ec_paramgen_curve:P-256"), extension=None):
        self.made += 1
        path = f"{self.folder}/{self.made}"
        openssl("genpkey", "-algorithm", key[0], "-pkeyopt", key[1], "-out", path + ".key")
        openssl("req", "-new", "-key", path + ".key", "-subj", "/", "-out", path + ".csr",
                *(["-addext", extension] if extension else []))
        with open(path + ".csr", encoding="ascii") as file:
            return file.read()

    def last_public_key(self):
        return openssl("pkey", "-in", f"{self.folder}/{self.made}.key", "-pubout")


# ---- the client -----------------------------------------------------------------------------------------------

class Answer:
    def __init__(self):
        self.headers, self.data, self.ended, self.reset = {}, b"", False, None

    @property
    def status(self):
        return int(self.headers.get("grpc-status", -1))

    @property
    def message(self):
        return urllib.request.unquote(self.headers.get("grpc-message", ""))

    @property
    def pems(self):
        assert self.data[0] == 0 and int.from_bytes(self.data[1:5], "big") == len(self.data) - 5
        return [data.decode("ascii") for number, data in fields_of(self.data[5:]) if number == 1]


class Client:
    """One connection; every wait has a deadline."""

    def __init__(self, port, roots, certificate=None, server=CA):
        """certificate: the files of a chain and its key, to be shown. server: whom it must prove to be."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # who it is says its URI, which is looked at below
        context.load_verify_locations(roots)
        if certificate:
            context.load_cert_chain(*certificate)
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S))
        assert self.socket.selected_alpn_protocol() == "h2"
        assert self.socket.getpeercert()["subjectAltName"][0] == ("URI", server), self.socket.getpeercert()
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.answers, self.goaway, self.closed, self.unread = {}, False, False, b""
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def start(self, message, token=None, path=CREATE, method="POST", content_type="application/grpc", end=True):
        stream = self.h2.get_next_available_stream_id()
        headers = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "weir-ca"),
                   ("te", "trailers"), ("content-type", content_type)]
        if token is not None:
            headers.append(("authorization", f"Bearer {token}"))
        self.answers[stream] = Answer()
        self.h2.send_headers(stream, headers)
        if message is not None:
            self.send(stream, message, end)
        self.flush()
        return stream

    def send(self, stream, message, end=True):
        data = b"\0" + len(message).to_bytes(4, "big") + message
        for at in range(0, len(data), 16384):
            self.h2.send_data(stream, data[at:at + 16384])
        if end:
            self.h2.end_stream(stream)
        self.flush()

    def frames(self):
        """Whole frames but GOAWAY: h2 takes that for the end of everything, also of the calls that may go on."""
        out = b""
        while len(self.unread) >= 9 and len(self.unread) >= 9 + int.from_bytes(self.unread[:3], "big"):
            size = 9 + int.from_bytes(self.unread[:3], "big")
            frame, self.unread = self.unread[:size], self.unread[size:]
            if frame[3] == 7:
                self.goaway = True
                assert frame[13:17] == b"\0\0\0\0", f"GOAWAY with an error: {frame}"
            else:
                out += frame
        return out

    def read(self):
        data = self.socket.recv(65536)
        if not data:
            self.closed = True
            return
        self.unread += data
        for event in self.h2.receive_data(self.frames()):
            answer = self.answers.get(getattr(event, "stream_id", None))
            if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                answer.headers.update(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                answer.data += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                answer.ended = True
            elif isinstance(event, h2.events.StreamReset) and not answer.ended:
                answer.reset, answer.ended = event.error_code, True
        self.flush()

    def wait(self, *streams):
        deadline = time.monotonic() + DEADLINE_S
        while not all(self.answers[stream].ended for stream in streams):
            assert time.monotonic() < deadline, "no answer"
            assert not self.closed, "the connection has ended"
            self.read()
        return [self.answers[stream] for stream in streams]

    def ask(self, message, token=None, **more):
        return self.wait(self.start(message, token, **more))[0]


# ---- programs -------------------------------------------------------------------------------------------------

class Program:
    """A program of ours: its lines are read as they come, and it is ended, whatever happens."""

    def __init__(self, name, *arguments):
        self.name, self.lines, self.seen = name, queue.Queue(), []
        self.process = subprocess.Popen([f"{BUILD}/{name}", *arguments], stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stderr:
            self.lines.put(line)
        self.lines.put(None)

    def wait_line(self, pattern):
        deadline = time.monotonic() + DEADLINE_S
        while True:
            line = self.lines.get(timeout=max(0.001, deadline - time.monotonic()))
            assert line is not None, f"{self.name} has ended:\n{''.join(self.seen)}"
            self.seen.append(line)
            match = re.search(pattern, line)
            if match:
                return match

    def end(self, number=signal.SIGTERM):
        """Its exit code, after that signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(timeout=DEADLINE_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.reader.join(timeout=DEADLINE_S)
            self.process.stderr.close()
        return code


def run(name, *arguments, code=0):
    result = subprocess.run([f"{BUILD}/{name}", *arguments], capture_output=True, text=True, timeout=DEADLINE_S,
                            check=False)
    assert result.returncode == code, f"{name} {arguments}: {result.returncode}: {result.stderr}"
    return result.stdout if code == 0 else result.stderr


places = []  # sockets that never listen: as long as they live nobody else gets their ports, not even for a connection of his


def free_ports(count):
    for _ in range(count):
        places.append(socket.socket())
        places[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        places[-1].bind(("127.0.0.1", 0))
    return [s.getsockname()[1] for s in places[-count:]]


class Bench:
    def __init__(self, folder):
        self.folder, self.state = folder, f"{folder}/state"
        self.requests = Requests(folder)
        self.xds_port, self.admin_port, self.controller_admin_port = free_ports(3)
        self.ca = self.controller = None
        os.mkdir(f"{folder}/manifests")
        run("weir-ca", "init", "--state", self.state)
        self.token_a = run("weir-ca", "token", "--state", self.state, "--node", "node-a").strip()
        self.token_b = run("weir-ca", "token", "--state", self.state, "--node", "node-b").strip()
        self.roots = f"{folder}/roots.pem"
        self.write("roots.pem", run("weir-ca", "roots", "--state", self.state))

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="ascii") as file:
            file.write(text)
        return f"{self.folder}/{name}"

    def start_ca(self, *more):
        self.ca = Program("weir-ca", "serve", "--state", self.state, "--listen", "127.0.0.1:0", "--controller",
                          f"127.0.0.1:{self.xds_port}", "--admin", f"127.0.0.1:{self.admin_port}", *more)
        self.port = int(self.ca.wait_line(r"listening on 127\.0\.0\.1:(\d+)")[1])

    def start_controller(self):
        self.controller = Program(
            "weir-controller", "--source", f"dir:{self.folder}/manifests", "--listen", f"127.0.0.1:{self.xds_port}",
            "--admin", f"127.0.0.1:{self.controller_admin_port}", "--certificate", f"{self.folder}/controller.pem",
            "--key", f"{self.folder}/controller.key", "--roots", f"{self.folder}/controller-roots.pem")

    def end(self):
        for program in (self.ca, self.controller):
            if program:
                program.end(signal.SIGKILL)

    def client(self, certificate=None):
        return Client(self.port, self.roots, certificate)

    def message(self, identity=None, validity_s=None):
        return message_of(self.requests.make(), identity, validity_s)

    def place(self, name, node, ip):
        # As the controller's folder sees it at once: a new file, put there as a whole.
        self.write("pod.new", POD.format(name=name, node=node, ip=ip))
        os.rename(f"{self.folder}/pod.new", f"{self.folder}/manifests/{name}.yaml")

    def admin(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=DEADLINE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ledger(self, sql):
        with contextlib.closing(sqlite3.connect(f"{self.state}/ca.db", timeout=DEADLINE_S)) as connection:
            return connection.execute(sql).fetchall()

    def until(self, what, condition):
        """What comes by itself, but not with an event that can be seen here."""
        deadline = time.monotonic() + DEADLINE_S
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}"
            pause.wait(0.02)


# ---- checks ---------------------------------------------------------------------------------------------------

def check_certificate(bench, answer, identity, life_s=86400):
    """openssl finds a chain, and what it says: that identity, and nothing else."""
    assert answer.status == OK, (answer.status, answer.message)
    leaf, intermediate, root = answer.pems
    with open(bench.roots, encoding="ascii") as file:
        assert root == file.read()
    leaf_file, chain_file = bench.write("leaf.pem", leaf), bench.write("chain.pem", intermediate)
    for purpose in ("sslserver", "sslclient"):
        openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", bench.roots, "-untrusted", chain_file, leaf_file)
    text = openssl("x509", "-in", leaf_file, "-noout", "-text")
    assert re.search(rf"Subject Alternative Name: critical\n +URI:{re.escape(identity)}\n", text), text
    assert re.search(r"Basic Constraints: critical\n +CA:FALSE\n", text), text
    assert re.search(r"Key Usage: critical\n +Digital Signature\n", text), text
    assert re.search(r"TLS Web Server Authentication, TLS Web Client Authentication\n", text), text
    assert re.search(r"Subject: *\n", text), text
    assert openssl("x509", "-in", leaf_file, "-noout", "-pubkey") == bench.requests.last_public_key()
    now, dates = time.time(), openssl("x509", "-in", leaf_file, "-noout", "-dates")
    begins, ends = (ssl.cert_time_to_seconds(line.split("=", 1)[1]) for line in dates.splitlines())
    assert begins < now - 30 and abs(ends - now - life_s) < 60, dates
    serial = openssl("x509", "-in", leaf_file, "-noout", "-serial").strip().split("=")[1].lower()
    assert len(serial) >= 28
    assert bench.ledger(f"SELECT identity FROM issued WHERE serial = '{serial}'") == [(identity,)]
    return serial


def check_refused(bench, answer, status, message=None):
    assert answer.status == status, (answer.status, answer.message)
    assert answer.message and not answer.data
    assert message is None or answer.message == message, answer.message


def state_is_for_its_owner(bench):
    assert os.stat(bench.state).st_mode & 0o777 == 0o700
    for name in os.listdir(bench.state):
        assert os.stat(f"{bench.state}/{name}").st_mode & 0o777 == 0o600, name
    assert run("weir-ca", "roots", "--state", bench.state) == open(bench.roots, encoding="ascii").read()


def a_mistyped_folder(folder):
    """Only `init` and `serve` make a CA; the others say that there is none, and leave nothing behind."""
    issue = ("issue", "--identity", f"{DOMAIN}/weir-system/sa/weir-controller", "--out", f"{folder}/x")
    os.mkdir(f"{folder}/empty")
    for state in (f"{folder}/wrong", f"{folder}/empty"):
        for command in (("token", "--node", "node-a"), ("roots",), issue):
            said = run("weir-ca", *command, "--state", state, code=1)
            assert "no CA's state is there; weir-ca init" in said, said
    assert os.listdir(folder) == ["empty"] and not os.listdir(f"{folder}/empty"), os.listdir(folder)
    os.rmdir(f"{folder}/empty")


def a_second_init_changes_nothing(bench):
    run("weir-ca", "init", "--state", bench.state)
    assert run("weir-ca", "roots", "--state", bench.state) == open(bench.roots, encoding="ascii").read()


def own_identity_by_token(bench):
    with bench.client() as client:
        check_certificate(bench, client.ask(bench.message(), bench.token_a), PROXY)
        check_certificate(bench, client.ask(bench.message(validity_s=7200), bench.token_b), PROXY, 7200)
        check_certificate(bench, client.ask(bench.message(validity_s=10 ** 9), bench.token_b), PROXY, 90 * 86400)
    nodes = bench.ledger("SELECT node, count(*) FROM issued WHERE node <> '' GROUP BY node ORDER BY node")
    assert nodes == [("node-a", 1), ("node-b", 2)], nodes


def strangers_are_refused(bench):
    before = bench.ledger("SELECT count(*) FROM issued")
    with bench.client() as client:
        for token in (None, "", "x", bench.token_a[:-1], bench.token_a + "A", bench.token_a.swapcase(), "A" * 30000):
            check_refused(bench, client.ask(bench.message(), token), UNAUTHENTICATED, OPAQUE)
    short = run("weir-ca", "token", "--state", bench.state, "--node", "node-a", "--ttl", "1s").strip()
    message = bench.message()

    def has_expired():
        with bench.client() as client:
            answer = client.ask(message, short)
            if answer.status == OK:
                before[0] = (before[0][0] + 1,)
            return answer.status == UNAUTHENTICATED and answer.message == OPAQUE
    bench.until("the token expires", has_expired)
    assert bench.ledger("SELECT count(*) FROM issued") == before


def nothing_for_others_while_placement_is_unknown(bench):
    with bench.client() as client:
        check_refused(bench, client.ask(bench.message(WEB), bench.token_a), UNAVAILABLE)
        check_refused(bench, client.ask(bench.message("spiffe://other/ns/shop/sa/web"), bench.token_a), PERMISSION_DENIED)
        check_refused(bench, client.ask(bench.message("web"), bench.token_a), INVALID_ARGUMENT)
    status, text = bench.admin("/healthz/ready")
    assert status == 503 and "controller" in text, (status, text)


def requests_that_ask_for_more(bench):
    with bench.client() as client:
        for extension in (f"subjectAltName=URI:{WEB}", f"subjectAltName=URI:{WEB},URI:{CART},DNS:weir-ca,IP:10.0.0.1",
                          "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign",
                          "extendedKeyUsage=codeSigning"):
            answer = client.ask(message_of(bench.requests.make(extension=extension)), bench.token_a)
            check_certificate(bench, answer, PROXY)
        before = bench.ledger("SELECT count(*) FROM issued")
        for key in (("EC", "ec_paramgen_curve:P-384"), ("RSA", "rsa_keygen_bits:2048"), ("RSA", "rsa_keygen_bits:1024")):
            answer = client.ask(message_of(bench.requests.make(key)), bench.token_a)
            check_refused(bench, answer, INVALID_ARGUMENT)
        csr = bench.requests.make()
        at = csr.index("\n-----END") - 12
        changed = csr[:at] + ("B" if csr[at] == "A" else "A") + csr[at + 1:]
        for bad in (changed, "", csr[:200], csr.replace("REQUEST", "")):
            check_refused(bench, client.ask(message_of(bad), bench.token_a), INVALID_ARGUMENT)
        assert bench.ledger("SELECT count(*) FROM issued") == before


def what_is_no_such_call(bench):
    with bench.client() as client:
        check_refused(bench, client.ask(b"\xff" * 40, bench.token_a), INVALID_ARGUMENT)
        check_refused(bench, client.ask(b"", bench.token_a), INVALID_ARGUMENT)
        check_refused(bench, client.ask(b"\0" * 70000, bench.token_a, end=False), RESOURCE_EXHAUSTED)
        check_refused(bench, client.ask(b"", bench.token_a, path="/istio.v1.auth.IstioCertificateService/Other"),
                      UNIMPLEMENTED)
        assert client.ask(b"", bench.token_a, content_type="application/json").headers[":status"] == "415"
        assert client.ask(b"", bench.token_a, method="PUT").headers[":status"] == "405"
        # And the connection is as good as before.
        check_certificate(bench, client.ask(bench.message(), bench.token_a), PROXY)
    for change in ({"maximum_version": ssl.TLSVersion.TLSv1_2}, {"alpn": ["http/1.1"]}):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(bench.roots)
        context.set_alpn_protocols(change.get("alpn", ["h2"]))
        context.maximum_version = change.get("maximum_version", ssl.TLSVersion.TLSv1_3)
        with socket.create_connection(("127.0.0.1", bench.port), timeout=DEADLINE_S) as plain:
            try:
                with context.wrap_socket(plain) as secured:
                    secured.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    assert secured.recv(1) == b"", "something was answered"
            except (ssl.SSLError, ConnectionError):
                pass


def many_at_once(bench):
    csr = bench.requests.make()
    with bench.client() as client:
        streams = [client.start(message_of(csr), bench.token_a) for _ in range(60)]
        answers = client.wait(*streams)
    assert {answer.status for answer in answers} == {OK}
    assert len({answer.pems[0] for answer in answers}) == 60


def commands_beside_the_server(bench):
    """The command line works on the state that the server has open."""
    prefix = f"{bench.folder}/controller"
    run("weir-ca", "issue", "--state", bench.state, "--identity", f"{DOMAIN}/weir-system/sa/weir-controller", "--out",
        prefix, "--dns", "weir-controller")
    assert os.stat(f"{prefix}.key").st_mode & 0o777 == 0o600
    openssl("verify", "-CAfile", bench.roots, "-untrusted", f"{prefix}.pem", f"{prefix}.pem")
    assert "URI:" in openssl("x509", "-in", f"{prefix}.pem", "-noout", "-ext", "subjectAltName")
    assert "identity" in run("weir-ca", "issue", "--state", bench.state, "--identity", "web", "--out", prefix, code=2)
    assert not [name for name in os.listdir(bench.folder) if name.endswith(".new")]


def placement_from_the_controller(bench):
    bench.write("manifests/mesh.yaml", MESH)
    bench.place("web", "node-a", "10.244.1.1")
    bench.place("cart", "node-b", "10.244.2.1")
    bench.start_controller()
    bench.until("the CA is ready", lambda: bench.admin("/healthz/ready")[0] == 200)
    with bench.client() as client:
        check_certificate(bench, client.ask(bench.message(WEB), bench.token_a), WEB)
        check_certificate(bench, client.ask(bench.message(CART), bench.token_b), CART)
        check_refused(bench, client.ask(bench.message(CART), bench.token_a), PERMISSION_DENIED)
        check_refused(bench, client.ask(bench.message(WEB), bench.token_b), PERMISSION_DENIED)
        check_refused(bench, client.ask(bench.message(WEB)), UNAUTHENTICATED, OPAQUE)
        # It moves, it goes: the CA follows.
        bench.place("web", "node-b", "10.244.2.9")
        bench.until("web is on node-b",
                    lambda: client.ask(bench.message(WEB), bench.token_b).status == OK)
        check_refused(bench, client.ask(bench.message(WEB), bench.token_a), PERMISSION_DENIED)
        os.unlink(f"{bench.folder}/manifests/cart.yaml")
        bench.until("cart is gone",
                    lambda: client.ask(bench.message(CART), bench.token_b).status == PERMISSION_DENIED)


def controller_away_and_back(bench):
    """What was known is believed; a CA that starts meanwhile knows nothing."""
    bench.controller.end(signal.SIGKILL)
    with bench.client() as client:
        bench.until("the loss is seen", lambda: "weir_xds_connected 0" in bench.admin("/metrics")[1])
        check_certificate(bench, client.ask(bench.message(WEB), bench.token_b), WEB)
        check_refused(bench, client.ask(bench.message(WEB), bench.token_a), PERMISSION_DENIED)
    assert bench.ca.end(signal.SIGKILL) == -signal.SIGKILL
    bench.start_ca()
    with bench.client() as client:
        check_refused(bench, client.ask(bench.message(WEB), bench.token_b), UNAVAILABLE)
        check_certificate(bench, client.ask(bench.message(), bench.token_b), PROXY)
    bench.place("late", "node-a", "10.244.1.7")
    os.unlink(f"{bench.folder}/manifests/web.yaml")
    bench.start_controller()
    with bench.client() as client:
        late = f"{DOMAIN}/shop/sa/late"
        bench.until("late is placed", lambda: client.ask(bench.message(late), bench.token_a).status == OK)
        check_refused(bench, client.ask(bench.message(WEB), bench.token_b), PERMISSION_DENIED)


def numbers_are_told(bench):
    metrics = bench.admin("/metrics")[1]
    for wanted in (r"^weir_ca_placement_known 1$", r"^weir_xds_connected 1$", r"^weir_ca_issued_total [1-9]",
                   r'^weir_ca_refused_total\{reason="PERMISSION_DENIED"\} [1-9]',
                   r'^weir_ca_certificate_expiry_timestamp_seconds\{kind="intermediate"\} \d+$'):
        assert re.search(wanted, metrics, re.M), (wanted, metrics)


def killed_while_issuing(bench):
    """Whoever holds a certificate finds it in the ledger, and no serial comes twice."""
    message, serials, had = message_of(bench.requests.make()), [], bench.ledger("SELECT count(*) FROM issued")[0][0]
    for kill_after in (1, 7, 20):
        client = bench.client()
        streams = [client.start(message, bench.token_a) for _ in range(60)]
        with contextlib.suppress(ConnectionError, ssl.SSLError, OSError):
            while sum(client.answers[stream].ended for stream in streams) < kill_after:
                client.read()
            bench.ca.process.send_signal(signal.SIGKILL)
            while not client.closed:
                client.read()
        client.socket.close()
        assert bench.ca.end(signal.SIGKILL) == -signal.SIGKILL
        for stream in streams:
            if client.answers[stream].ended and client.answers[stream].status == OK:
                leaf = bench.write("leaf.pem", client.answers[stream].pems[0])
                serials.append(openssl("x509", "-in", leaf, "-noout", "-serial").strip().split("=")[1].lower())
        bench.start_ca()
    ledger = {serial for serial, in bench.ledger("SELECT serial FROM issued")}
    assert len(serials) >= 28 and len(set(serials)) == len(serials) and set(serials) <= ledger
    assert len(ledger) >= had + len(serials)
    assert bench.ledger("PRAGMA integrity_check") == [("ok",)]
    assert bench.ledger("SELECT kind, count(*) FROM authority GROUP BY kind ORDER BY kind") == [
        ("intermediate", 1), ("root", 1)]


def ends_with_its_calls(bench):
    """SIGTERM: what is being asked is answered, connections get a GOAWAY, the program ends well."""
    with bench.client() as client:
        assert client.ask(bench.message(), bench.token_a).status == OK
        stream = client.start(None, bench.token_a)
        bench.ca.process.send_signal(signal.SIGTERM)
        while not client.goaway:
            client.read()
        client.send(stream, bench.message())
        assert client.wait(stream)[0].status == OK
        while not client.closed:
            client.read()
    assert bench.ca.end() == 0
    assert bench.controller.end() == 0
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", bench.port)) != 0
    state_is_for_its_owner(bench)


CHECKS = (state_is_for_its_owner, a_second_init_changes_nothing, own_identity_by_token, strangers_are_refused,
          nothing_for_others_while_placement_is_unknown, requests_that_ask_for_more, what_is_no_such_call, many_at_once,
          commands_beside_the_server, placement_from_the_controller, numbers_are_told, controller_away_and_back,
          killed_while_issuing, ends_with_its_calls)


def play_checks(name, make_bench, checks):
    """Each check, one after the other, on one bench with a CA that runs; what its programs said last when one fails."""
    folder = tempfile.mkdtemp(prefix=f"weir-{name}-test-")
    bench = None
    try:
        bench = make_bench(folder)
        bench.start_ca()
        for check in checks:
            began = time.monotonic()
            try:
                check(bench)
            except BaseException:
                print(f"FAIL {check.__name__}")
                for program in (bench.ca, bench.controller):
                    if program:
                        print("".join(program.seen[-10:] + [line or "" for line in list(program.lines.queue)[-40:]]))
                raise
            print(f"ok   {check.__name__} ({time.monotonic() - began:.1f}s)")
    finally:
        if bench:
            bench.end()
        shutil.rmtree(folder)


def main():
    def make_bench(folder):
        a_mistyped_folder(folder)
        return Bench(folder)
    play_checks("ca", make_bench, CHECKS)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
