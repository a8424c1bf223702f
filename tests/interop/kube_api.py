"""A Kubernetes API server as far as a reader sees it, over real HTTPS, that does wrong what a test asks it to do: lists in pages, watches
with bookmarks, discovery, tokens, single objects read, created and patched. Versions are random words, so that nobody can compare them by size."""
import collections
import functools
import http.server
import json
import queue
import random
import socket
import ssl
import threading
import time
import urllib.parse

KINDS = {"namespaces": ("", "Namespace"), "nodes": ("", "Node"), "pods": ("", "Pod"), "services": ("", "Service"),
         "serviceaccounts": ("", "ServiceAccount"), "endpointslices": ("discovery.k8s.io", "EndpointSlice"),
         "authorizationpolicies": ("security.istio.io", "AuthorizationPolicy"),
         "peerauthentications": ("security.istio.io", "PeerAuthentication"),
         "httproutes": ("gateway.networking.k8s.io", "HTTPRoute"), "grpcroutes": ("gateway.networking.k8s.io", "GRPCRoute"),
         "virtualservices": ("networking.istio.io", "VirtualService"), "destinationrules": ("networking.istio.io", "DestinationRule"), "serviceentries": ("networking.istio.io", "ServiceEntry"), "workloadentries": ("networking.istio.io", "WorkloadEntry"), "xmeshes": ("gateway.networking.x-k8s.io", "XMesh"), "backendtlspolicies": ("gateway.networking.k8s.io", "BackendTLSPolicy"), "workloadgroups": ("networking.istio.io", "WorkloadGroup"), "sidecars": ("networking.istio.io", "Sidecar"),
         "leases": ("coordination.k8s.io", "Lease"), "configmaps": ("", "ConfigMap"),
         "customresourcedefinitions": ("apiextensions.k8s.io", "CustomResourceDefinition")}
Asked = collections.namedtuple("Asked", "verb plural query token accept")


class Cut(Exception):
    """The connection ends here, as if a cable were cut."""


def status(code, reason="", message="", **details):
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
            "details": details}


def merge(old, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    made = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = merge(made.get(name), value)
    return made


class Api:
    def __init__(self, certificate_key):
        self.lock = threading.Condition()
        self.words = random.Random()
        self.objects = {plural: {} for plural in KINDS}
        self.history = []           # (version, plural, type, object), of all kinds
        self.start = self.word()    # the version before all
        self.answers = {}           # path -> (code, text) or a function of the path, before all else
        self.writes = []            # (time, verb, path, body, token): those that were done
        self.groups = {"coordination.k8s.io": ["v1"], "discovery.k8s.io": ["v1", "v1beta1"], "apiextensions.k8s.io": ["v1"]}
        self.faults = collections.defaultdict(list)  # (verb, plural) -> functions of (handler, query); True: it has answered
        self.asked = []
        self.listeners = []         # queues that hear of each request
        self.watches = {}           # handler -> (plural, queue of lines)
        self.forgotten = set()      # versions that answer 410
        self.token = None           # None: any
        self.bookmark_s = 0.1
        self.quiet = None           # a kind that gets no bookmarks
        self.way = None             # how events go out: a function of (handler, line); None: as they are
        self.page = 3
        self.pages = {}             # continue token -> what is left, its version
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate_key)
        self.context = context
        # Never listens: as long as it lives nobody else gets the port, not even for a connection of his, also while we are down.
        self.place = socket.socket()
        self.place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.place.bind(("127.0.0.1", 0))
        self.port = self.place.getsockname()[1]
        self.up()

    # ---- the server ----

    def up(self):
        api = self

        class Handler(Answer):
            pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def get_request(self):
                connection, address = super().get_request()
                connection.settimeout(30)
                return api.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, request, client_address):
                pass

        Handler.api = api
        self.connections = set()
        self.server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def down(self):
        """As after a kill: nothing listens, and every connection is reset."""
        self.server.shutdown()
        self.server.server_close()
        self.cut()

    def cut(self, plural=None):
        with self.lock:
            watches = [h for h, (of, _) in self.watches.items() if plural in (None, of)]
            every = list(self.connections) if plural is None else watches
        for handler in every:
            try:
                handler.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # ---- what it holds ----

    def word(self):
        return "".join(self.words.choice("abcdefghijklmnopqrstuvwxyz&=%/+ ") for _ in range(12))

    def version(self):
        return self.history[-1][0] if self.history else self.start

    def put(self, plural, name, namespace="", **fields):
        kind = KINDS[plural]
        with self.lock:
            key = (namespace, name)
            old = self.objects[plural].get(key)
            metadata = dict(fields.pop("metadata", {}), name=name, resourceVersion=self.word(),
                            uid=old["metadata"]["uid"] if old else self.word())
            if namespace:
                metadata["namespace"] = namespace
            metadata.setdefault("generation", 1)
            made = dict(fields, metadata=metadata)
            self.objects[plural][key] = made
            self.tell(plural, "MODIFIED" if old else "ADDED", made)
            return kind and made

    def remove(self, plural, name, namespace=""):
        with self.lock:
            gone = self.objects[plural].pop((namespace, name))
            gone = dict(gone, metadata=dict(gone["metadata"], resourceVersion=self.word()))
            self.tell(plural, "DELETED", gone)
            return gone

    def tell(self, plural, what, made):
        self.history.append((made["metadata"]["resourceVersion"], plural, what, made))
        line = self.line(plural, what, made)
        for of, lines in self.watches.values():
            if of == plural:
                lines.put(functools.partial(self.way, line=line) if self.way else line)

    def line(self, plural, what, made):
        kind = KINDS[plural][1]
        return json.dumps({"type": what, "object": {"kind": kind, "apiVersion": "v1", **made}}) + "\n"

    def say(self, plural, *lines):
        """Lines of one's own, into the watches of a kind."""
        with self.lock:
            for of, to in self.watches.values():
                if of == plural:
                    for line in lines:
                        to.put(line)

    def compact(self):
        """All versions until now are forgotten, as etcd does."""
        with self.lock:
            self.forgotten.update(entry[0] for entry in self.history)
            self.forgotten.add(self.start)
            self.pages.clear()

    def count(self, verb, plural):
        with self.lock:
            return sum(1 for a in self.asked if (a.verb, a.plural) == (verb, plural) and "continue" not in a.query)

    def last(self, verb, plural):
        with self.lock:
            return [a for a in self.asked if (a.verb, a.plural) == (verb, plural)][-1]

    def watched(self, plural):
        with self.lock:
            return sum(1 for of, _ in self.watches.values() if of == plural)

    def fault(self, verb, plural, function, times=1):
        with self.lock:
            self.faults[verb, plural] += [function] * times


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api = None

    def log_message(self, format, *args):
        pass

    def setup(self):
        super().setup()
        self.api.connections.add(self)

    def finish(self):
        self.api.connections.discard(self)
        try:
            super().finish()
        except OSError:
            pass

    def answer(self, code, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(data)

    def answer_text(self, code, text):
        data = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.do_any(None)

    def do_POST(self):
        self.do_any("create")

    def do_PATCH(self):
        self.do_any("patch")

    def do_any(self, write):
        api = self.api
        url = urllib.parse.urlsplit(self.path)
        query = {name: values[0] for name, values in urllib.parse.parse_qs(url.query).items()}
        parts = url.path.strip("/").split("/")
        plural = parts[-1] if parts[-1] in KINDS else ""
        self.named = next((p for p in parts[4:-1] if p in KINDS and parts[-1] not in KINDS), None) if "namespaces" in parts else None
        if parts[:3] == ["api", "v1", "namespaces"] and len(parts) == 4:
            self.named = "namespaces"
        if parts[0] == "apis" and "namespaces" not in parts and len(parts) in (5, 6) and parts[3] in KINDS:  # of the whole cluster
            self.named = parts[3]
        self.body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null") if write else None
        verb = write or ("watch" if "watch" in query else "list" if plural else "get")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        with api.lock:
            api.asked.append(Asked(verb, plural, query, token, self.headers.get("Accept")))
            waiting = api.faults.get((verb, plural or self.named or ""))
            fault = waiting.pop(0) if waiting else None
            for listener in api.listeners:
                listener.put("asked")
        try:
            if api.token is not None and token != api.token:
                self.answer(401, status(401, "Unauthorized"))
            elif fault and fault(self, query):
                pass
            elif url.path in api.answers:
                self.answer_text(*api.answers[url.path]() if callable(api.answers[url.path]) else api.answers[url.path])
            elif write or self.named:
                self.single(write, parts, plural or self.named)
            elif not plural:
                self.discover(parts)
            elif not self.is_served(parts, plural):
                self.answer(404, status(404, "NotFound"))
            elif verb == "list":
                self.list(plural, query, parts[parts.index("namespaces") + 1] if "namespaces" in parts[:-1] else None)
            else:
                self.watch(plural, query)
        except (Cut, OSError, ValueError):
            self.close_connection = True

    def single(self, write, parts, plural):
        """One object: /apis/GROUP/VERSION[/namespaces/NS]/PLURAL/NAME, or the collection to create in."""
        if "namespaces" not in parts:
            parts = [*parts[:3], "namespaces", "", *parts[3:]]
        api, at = self.api, parts.index("namespaces")
        namespace = parts[at + 1] if plural != "namespaces" else ""
        name = self.body["metadata"]["name"] if write == "create" else parts[at + (3 if plural != "namespaces" else 1)]
        status_only = parts[-1] == "status" and len(parts) == at + 5
        with api.lock:
            there = api.objects[plural].get((namespace, name))
            if not self.is_served(parts, plural) or (there is None and write != "create"):
                self.answer(404, status(404, "NotFound"))
                return
            if not write:
                self.answer(200, there)
                return
            wanted = self.body.get("metadata", {}).get("resourceVersion")
            if (write == "create" and there) or (write == "patch" and wanted and wanted != there["metadata"]["resourceVersion"]):
                self.answer(409, status(409, "Conflict", "the object has been modified"))
                return
            if write == "patch":
                assert self.headers["Content-Type"] == "application/merge-patch+json", self.headers["Content-Type"]
                allowed = {"metadata", "status"} if status_only else {"apiVersion", "kind", "metadata", "spec", "data"}
                assert set(self.body) <= allowed, self.body
            fields = merge(there or {}, self.body)
            metadata = fields.pop("metadata")
            if write == "patch" and not status_only and fields.get("spec") != there.get("spec"):
                metadata["generation"] = metadata.get("generation", 0) + 1
            made = api.put(plural, name, namespace, metadata=metadata, **fields)
            api.writes.append((time.monotonic(), write, "/".join(parts), self.body, self.headers.get("Authorization", "")))
            self.answer(201 if write == "create" else 200, made)

    def is_served(self, parts, plural):
        group = KINDS[plural][0]
        if not group:
            return parts[:2] == ["api", "v1"]
        return parts[0] == "apis" and parts[1] == group and parts[2] in self.api.groups.get(group, [])

    def discover(self, parts):
        groups = self.api.groups
        if parts == ["apis"]:
            self.answer(200, {"kind": "APIGroupList", "groups": [
                {"name": group, "versions": [{"groupVersion": f"{group}/{v}", "version": v} for v in versions]}
                for group, versions in groups.items()]})
        elif parts[0] == "apis" and parts[2] in groups.get(parts[1], []):
            self.answer(200, {"kind": "APIResourceList", "groupVersion": "/".join(parts[1:]), "resources": [
                {"name": plural, "kind": kind} for plural, (group, kind) in KINDS.items() if group == parts[1]]})
        else:
            self.answer(404, status(404, "NotFound"))

    def list(self, plural, query, namespace=None):
        api = self.api
        with api.lock:
            if "continue" in query:
                if query["continue"] not in api.pages:
                    self.answer(410, status(410, "Expired", "The provided continue parameter is too old"))
                    return
                rest, version = api.pages.pop(query["continue"])
            else:
                rest, version = list(api.objects[plural].values()), api.version()
            if namespace is not None:
                rest = [o for o in rest if o["metadata"]["namespace"] == namespace]
            page = min(api.page, int(query["limit"])) if "limit" in query else len(rest)
            items, rest = rest[:page], rest[page:]
            metadata = {"resourceVersion": version}
            if rest:
                metadata["continue"] = api.word()
                api.pages[metadata["continue"]] = rest, version
        # As the real one: the items say neither kind nor version.
        self.answer(200, {"kind": KINDS[plural][1] + "List", "apiVersion": "v1", "metadata": metadata, "items": items})

    # ---- watches ----

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, text):
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def watch(self, plural, query):
        api, lines = self.api, queue.Queue()
        with api.lock:
            version = query["resourceVersion"]
            if version in api.forgotten and version != api.version():
                self.answer(410, status(410, "Expired", "too old resource version"))
                return
            known = [api.start] + [entry[0] for entry in api.history]
            assert version in known, f"{plural}: watched from {version!r}, which was never told"
            for _, of, what, made in api.history[known.index(version):]:
                if of == plural:
                    lines.put(api.line(plural, what, made))
            api.watches[self] = plural, lines
        try:
            self.begin()
            self.follow(plural, lines)
        finally:
            with api.lock:
                del api.watches[self]

    def follow(self, plural, lines):
        while True:
            try:
                line = lines.get(timeout=self.api.bookmark_s)
            except queue.Empty:
                if plural == self.api.quiet:
                    continue
                with self.api.lock:
                    line = json.dumps({"type": "BOOKMARK", "object": {
                        "kind": KINDS[plural][1], "apiVersion": "v1",
                        "metadata": {"resourceVersion": self.api.version()}}}) + "\n"
            if line is None:  # the server ends the watch, as it does every few minutes
                self.chunk("")
                return
            if callable(line):
                line(self)
            else:
                self.chunk(line)
