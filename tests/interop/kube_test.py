#!/usr/bin/python3
# timeout: 240
# builds: asan
"""The real weir-controller against an API server that sets the traps which watches of Kubernetes are known for: what the controller
serves must end as equal to the server's objects, and no kind is listed again without need.

   this test (kube_api.py) <--- HTTPS: lists, watches --- weir-controller --- HTTP: /metrics, /config_dump ---> this test
"""
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import certificates  # noqa: E402
import kube_api  # noqa: E402
from kube_api import Cut, status  # noqa: E402

BUILD = os.environ.get("WEIR_BUILD", "build/dev")
DEADLINE_S = 30
IDENTITY = "spiffe://cluster.local/ns/weir-system/sa/weir-controller"


class Controller:
    """The program, and a queue of events: its log lines, and the server's requests."""

    def __init__(self, bench, *options, **environment):
        self.events, self.log, self.lines, self.admin = queue.Queue(), "", 0, None
        self.process = subprocess.Popen(
            [f"{BUILD}/weir-controller", "--source", "kubernetes", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
             "--certificate", bench.own[0], "--key", bench.own[1], "--roots", bench.root.certificate,
             *(() if "--leader-election" in options else ("--leader-election", "never")), *options],
            stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
        bench.api.listeners.append(self.events)
        bench.controllers.append(self.process)
        self.bench = bench
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stderr:
            self.log += line
            self.events.put(line)
        self.events.put(None)

    def until(self, what, condition):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"never: {what}\n{self.log}\nasked: {self.bench.api.asked[-20:]}")
            try:
                self.events.get(timeout=min(left, 0.1))
            except queue.Empty:
                pass

    def wait_log(self, pattern):
        self.until(pattern, lambda: re.search(pattern, self.log))
        return re.search(pattern, self.log)

    def get(self, path):
        if not self.admin:
            self.admin = self.wait_log(r"admin.*listening on (127\.0\.0\.1:\d+)")[1]
        try:
            with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=DEADLINE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def dump(self):
        return json.loads(self.get("/config_dump")[1])

    def pods(self):
        return {w["uid"].split("/Pod/")[1]: w for w in self.dump()["workloads"] if "/Pod/" in w["uid"]}

    def metric(self, name, **labels):
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + ("{" if labels else " ")) and all(f'{k}="{v}"' in line for k, v in labels.items()):
                return int(line.rsplit(" ", 1)[1])
        return 0

    def settle(self, kind):
        """Something good has come on this kind's watch: what fails next is a new fault, and not waited for as a second one."""
        heard = self.metric("weir_kube_events_total", kind=kind)
        self.until(f"a bookmark of {kind}", lambda: self.metric("weir_kube_events_total", kind=kind) > heard)

    def relists(self):
        return {(kind, reason): int(n) for kind, reason, n in
                re.findall(r'weir_kube_relists_total\{kind="(\w+)",reason="(\w+)"\} (\d+)', self.get("/metrics")[1])
                if reason != "initial" and n != "0"}

    def end(self):
        self.bench.api.listeners.remove(self.events)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(DEADLINE_S) == 0, self.log


class Bench:
    def __init__(self, folder):
        self.folder = folder
        self.root = certificates.new_root(f"{folder}/root")
        self.own = self.root.make(uris=[IDENTITY])
        self.api = kube_api.Api(self.root.make(names=["api.test", "localhost"]))
        self.pod_number = 0
        self.controllers = []

    def end(self):
        for process in self.controllers:
            if process.poll() is None:
                process.kill()
                process.wait()

    def write(self, name, text):
        path = f"{self.folder}/{name}"
        certificates.write(path + ".new", text)
        os.rename(path + ".new", path)
        return path

    def kubeconfig(self, name="kubeconfig", user=None, **cluster):
        cluster = {"server": f"https://127.0.0.1:{self.api.port}", "tls-server-name": "api.test",
                   "certificate-authority": self.root.certificate, **cluster}
        return self.write(name, json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "k", "cluster": cluster}], "users": [{"name": "u", "user": user or {"token": "secret"}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]}))

    def pod(self, name, **more):
        self.pod_number += 1
        ip = f"10.1.{self.pod_number // 250}.{self.pod_number % 250 + 1}"
        return self.api.put("pods", name, "shop", spec={"nodeName": "node-a", "serviceAccountName": name},
                            status={"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]}, **more)

    def equal(self, controller):
        """Is what is served what the server has?"""
        with self.api.lock:
            wanted = {f"{namespace}/{name}": pod["status"]["podIP"]
                      for (namespace, name), pod in self.api.objects["pods"].items()}
        served = {name: w["workloadIps"][0] for name, w in controller.pods().items()}
        return served == wanted

    def converge(self, controller, what):
        controller.until(f"equal after {what}", lambda: self.equal(controller))


# ---- the story ------------------------------------------------------------------------------------------------

def first_lists(bench):
    """Nothing is served, and the program is not ready, before every kind is listed; lists come in pages."""
    api, held = bench.api, threading.Event()
    api.put("namespaces", "shop", metadata={"labels": {"weir.mesh/enrolled": "true"}})
    api.put("nodes", "node-a")
    for name in ("a", "b", "c", "d", "e", "f", "g"):
        bench.pod(name)
    api.put("services", "s", "shop", spec={"clusterIP": "10.96.0.9", "ports": [{"port": 80, "targetPort": 8080}]})
    api.fault("list", "nodes", lambda handler, query: held.wait(DEADLINE_S) and False)
    controller = Controller(bench, "--kubeconfig", bench.kubeconfig(), "--watch-silence", "3s")
    controller.until("all other kinds are listed", lambda: api.watched("pods") and api.watched("services"))
    assert controller.get("/healthz/ready") == (503, "waiting for source\n"), controller.get("/healthz/ready")
    assert "xds" not in controller.log and not controller.pods(), controller.log
    held.set()
    controller.wait_log("controller.*ready")
    assert controller.get("/healthz/ready")[0] == 200
    assert bench.equal(controller)
    assert controller.pods()["shop/a"]["protocol"] == "HBONE" and controller.pods()["shop/a"]["serviceAccount"] == "a"
    first = [a for a in api.asked if (a.verb, a.plural) == ("list", "pods")]
    assert [("continue" in a.query, a.query.get("resourceVersion"), a.query["limit"]) for a in first] == [
        (False, "0", "500"), (True, None, "500"), (True, None, "500")], first
    assert all(a.token == "secret" for a in api.asked), api.asked
    assert api.count("list", "authorizationpolicies") == 0
    assert api.last("watch", "endpointslices").query["allowWatchBookmarks"] == "true"
    assert controller.metric("weir_kube_objects", kind="Pod") == 7
    assert not controller.relists()
    return controller


def changes(bench, controller):
    api = bench.api
    bench.pod("h")
    bench.pod("a")  # another address
    api.remove("pods", "b", "shop")
    bench.converge(controller, "a pod that came, one that moved, one that went")
    served = api.count("watch", "pods")
    assert served == 1, served


def bookmarks_move_the_version(bench, controller):
    api = bench.api
    bench.api.put("nodes", "node-b")  # an event of another kind: only bookmarks tell the pods' watch of it
    version, heard = api.version(), controller.metric("weir_kube_events_total", kind="Pod")
    controller.until("two bookmarks", lambda: controller.metric("weir_kube_events_total", kind="Pod") >= heard + 2)
    watches = api.count("watch", "pods")
    api.cut("pods")
    controller.until("another watch", lambda: api.count("watch", "pods") > watches)
    assert api.last("watch", "pods").query["resourceVersion"] == version
    assert not controller.relists()


def ended_watch_goes_on(bench, controller):
    """The server ends watches by itself every few minutes: that is no error."""
    watches, errors = bench.api.count("watch", "services"), controller.metric("weir_kube_watch_errors_total", kind="Service")
    bench.api.say("services", None)
    controller.until("another watch", lambda: bench.api.count("watch", "services") > watches)
    assert controller.metric("weir_kube_watch_errors_total", kind="Service") == errors


def half_a_line(bench, controller):
    api = bench.api
    halves = threading.Event()

    def in_pieces(handler, line):
        handler.chunk(line[:40])
        halves.set()
        handler.chunk(line[40:-1])
        handler.chunk(line[-1:])

    def told(way, name):
        with api.lock:
            api.way = way
            bench.pod(name)
            api.way = None

    controller.until("a watch", lambda: api.watched("pods"))
    told(in_pieces, "halved")  # one whole event, in three pieces
    bench.converge(controller, "an event in pieces")
    assert halves.is_set()

    def half_then_cut(handler, line):
        handler.chunk(line[:-30])
        raise Cut

    watches = api.count("watch", "pods")
    told(half_then_cut, "torn")  # half an event, and no more: it comes again on the next watch
    bench.converge(controller, "half an event")
    assert api.count("watch", "pods") == watches + 1 and not controller.relists()


def gone_as_status(bench, controller):
    """410 when the watch is begun; what was deleted meanwhile goes. One relist, of that kind alone."""
    controller.settle("Pod")
    api = bench.api
    api.fault("watch", "pods", lambda handler, query: handler.answer(410, status(410, "Expired", "too old")) or True)
    lists = {plural: api.count("list", plural) for plural in kube_api.KINDS}
    with api.lock:
        api.cut("pods")
        api.watches = {h: of for h, of in api.watches.items() if of[0] != "pods"} | {h: ("", of[1]) for h, of in api.watches.items() if of[0] == "pods"}
        api.remove("pods", "c", "shop")
        bench.pod("i")
    bench.converge(controller, "a gap with 410")
    controller.until("a watch again", lambda: api.watched("pods"))
    assert api.count("list", "pods") == lists["pods"] + 1
    assert api.last("list", "pods").query.get("resourceVersionMatch") in (None, "NotOlderThan")
    assert all(api.count("list", plural) == n for plural, n in lists.items() if plural != "pods")
    assert controller.relists() == {("Pod", "expired"): 1}, controller.relists()


def gone_as_event(bench, controller):
    controller.settle("Service")
    api, before = bench.api, bench.api.count("list", "services")
    api.say("services", json.dumps({"type": "ERROR", "object": status(410, "Expired", "too old")}) + "\n")
    controller.until("a list", lambda: api.count("list", "services") == before + 1)
    controller.until("a watch", lambda: api.watched("services"))
    assert controller.relists() == {("Pod", "expired"): 1, ("Service", "expired"): 1}, controller.relists()


def pages_expire(bench, controller):
    """410 for a page: the list begins anew, from the storage; what it had brought so far does not count."""
    controller.settle("Pod")
    api, before = bench.api, bench.api.count("list", "pods")
    pages = []

    def forget(handler, query):
        if "continue" in query:
            pages.append(query)
            api.pages.clear()
            api.remove("pods", "d", "shop")
        return False

    api.fault("list", "pods", forget, times=2)
    controller.until("a watch", lambda: api.watched("pods"))
    api.say("pods", json.dumps({"type": "ERROR", "object": status(410, "Expired", "too old")}) + "\n")
    controller.until("two lists", lambda: api.count("list", "pods") == before + 2)
    bench.converge(controller, "pages that expired")
    controller.until("a watch", lambda: api.watched("pods"))
    assert len(pages) == 1 and api.count("list", "pods") == before + 2, (pages, api.count("list", "pods"), before)
    assert "resourceVersion" not in api.last("list", "pods").query or "continue" in api.last("list", "pods").query
    assert controller.relists()["Pod", "expired"] == 2, controller.relists()


def silence(bench, controller):
    """A connection that died without a word: given up after --watch-silence, and the watch goes on from where it was."""
    controller.settle("Pod")
    api, relists = bench.api, controller.relists()
    stuck, release = threading.Event(), threading.Event()

    def hang(handler):
        stuck.set()
        release.wait(DEADLINE_S)
        raise Cut

    watches = api.count("watch", "pods")
    api.say("pods", hang)
    assert stuck.wait(DEADLINE_S)
    begun = time.monotonic()
    bench.pod("after-silence")
    bench.converge(controller, "silence")
    assert time.monotonic() - begun > 1.5
    release.set()
    assert api.count("watch", "pods") == watches + 1 and controller.relists() == relists, controller.relists()
    assert "nothing came for too long" in controller.log


def asked_to_wait(bench, controller):
    """429 and 503 with Retry-After, for a watch and for a list."""
    controller.settle("Node")
    api = bench.api
    times = []

    def busy(code):
        def answer(handler, query):
            times.append(time.monotonic())
            handler.answer(code, status(code, "TooManyRequests"), Retry_After=2)
            return True
        return answer

    api.fault("watch", "nodes", busy(429))
    watches = api.count("watch", "nodes")
    api.cut("nodes")
    controller.until("asked again", lambda: api.count("watch", "nodes") >= watches + 2)
    assert time.monotonic() - times[0] > 1.9, time.monotonic() - times[0]
    times.clear()
    api.fault("list", "nodes", busy(503))
    lists = api.count("list", "nodes")
    controller.settle("Node")
    api.say("nodes", json.dumps({"type": "ERROR", "object": status(410, "Gone")}) + "\n")
    controller.until("asked again", lambda: api.count("list", "nodes") >= lists + 2)
    assert time.monotonic() - times[0] > 1.9, time.monotonic() - times[0]
    assert controller.relists()["Node", "expired"] == 1


def old_news(bench, controller):
    """Events that come twice, and old ones about an earlier object of the same name, change nothing."""
    api = bench.api
    controller.until("a watch", lambda: api.watched("pods"))
    with api.lock:
        old = api.remove("pods", "e", "shop")
        fresh = bench.pod("e")
        twice = api.line("pods", "MODIFIED", fresh)
        api.say("pods", twice, api.line("pods", "DELETED", old), twice)
    last = bench.pod("after-old-news")
    bench.converge(controller, "old events")
    assert last and "shop/e" in controller.pods()


def other_errors(bench, controller):
    """ERROR events of other kinds: the watch is begun anew from where it was; a list only when that does not help."""
    controller.settle("Service")
    api = bench.api
    error = json.dumps({"type": "ERROR", "object": status(500, "InternalError", "etcd has hiccups")}) + "\n"
    watches, lists = api.count("watch", "services"), api.count("list", "services")
    controller.until("a watch", lambda: api.watched("services"))
    api.say("services", error)
    controller.until("a watch again", lambda: api.count("watch", "services") > watches)
    assert api.count("list", "services") == lists
    controller.settle("Service")

    def fail(handler, query):
        handler.begin()
        handler.chunk(error)
        raise Cut

    api.fault("watch", "services", fail, times=2)
    controller.until("a watch", lambda: api.watched("services"))
    api.quiet = "services"  # nothing good comes between the three
    watches = api.count("watch", "services")
    api.say("services", "this is no JSON\n")
    controller.until("a list", lambda: api.count("list", "services") == lists + 1)
    assert api.count("watch", "services") >= watches + 2
    api.quiet = None
    assert controller.relists()["Service", "broken"] == 1, controller.relists()


def bad_objects(bench, controller):
    """What can't be read is said, and its last good state stays."""
    api = bench.api
    controller.until("a watch", lambda: api.watched("pods"))
    address = controller.pods()["shop/f"]["workloadIps"]
    good = api.objects["pods"]["shop", "f"]
    bad = api.put("pods", "f", "shop", spec=good["spec"], status={"phase": "Running", "podIP": "10.1.1"})
    controller.wait_log(r"Pod shop/f: status\.podIP: '10\.1\.1' is no IP address")
    problem = json.loads(controller.get("/debug/errors")[1])["errors"]
    assert [(p["object"], p["field"]) for p in problem] == [("Pod shop/f", "status.podIP")], problem
    assert controller.pods()["shop/f"]["workloadIps"] == address and bad
    api.say("pods", json.dumps({"type": "ERROR", "object": status(410, "Expired")}) + "\n")
    lists = api.count("list", "pods")
    controller.until("a list", lambda: api.count("list", "pods") > lists)
    bench.pod("after-bad")
    controller.until("a pod more", lambda: "shop/after-bad" in controller.pods())
    assert controller.pods()["shop/f"]["workloadIps"] == address
    bench.pod("f")
    bench.converge(controller, "a repair")
    assert json.loads(controller.get("/debug/errors")[1])["errors"] == []


def what_was_never_good(bench, controller):
    """A Sidecar that can't be read holds back what it can, until there is a good one, which stays."""
    api = bench.api
    errors = lambda: json.loads(controller.get("/debug/errors")[1])["errors"]
    only = lambda: controller.pods()["held/p"].get("outboundTrafficPolicy") == "REGISTRY_ONLY"
    api.put("namespaces", "held", metadata={"labels": {"weir.mesh/enrolled": "true"}})
    api.put("pods", "p", "held", spec={"nodeName": "node-a"}, status={"phase": "Running", "podIP": "10.9.0.1"})
    api.put("sidecars", "s", "held", spec={"nothing": 1})
    with api.lock:
        api.groups["networking.istio.io"] = ["v1"]
    api.put("customresourcedefinitions", "sidecars.networking.istio.io")
    controller.until("it is held back", lambda: "held/p" in controller.pods() and only())
    assert [p["object"] for p in errors()] == ["Sidecar held/s"]
    api.put("sidecars", "s", "held", spec={"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}})
    controller.until("a good one", lambda: not only() and not errors())
    api.put("sidecars", "s", "held", spec={"nothing": 1})
    controller.until("it is told", errors)
    assert not only()
    api.remove("sidecars", "s", "held")
    controller.until("it is told no more", lambda: not errors())
    api.put("sidecars", "s", "held", spec={"nothing": 2})
    controller.until("it is held back again", only)
    with api.lock:
        del api.groups["networking.istio.io"]
    api.remove("customresourcedefinitions", "sidecars.networking.istio.io")
    controller.until("it is forgotten", lambda: not only())
    api.remove("pods", "p", "held")
    bench.converge(controller, "a pod less")


def definitions_come_and_go(bench, controller):
    api = bench.api
    controller.until("a watch", lambda: api.watched("customresourcedefinitions"))
    assert "PartialObjectMetadata;" in api.last("watch", "customresourcedefinitions").accept
    with api.lock:
        api.groups["security.istio.io"] = ["v1beta1"]
    api.put("authorizationpolicies", "p", "shop", spec={"action": "DENY", "rules": [{}]})
    api.put("customresourcedefinitions", "authorizationpolicies.security.istio.io")
    controller.until("the policy", lambda: [p["name"] for p in controller.dump()["policies"]] == ["p"])
    assert api.count("list", "peerauthentications") == 1
    with api.lock:
        api.groups["security.istio.io"] = ["v1", "v1beta1"]
    lists = api.count("list", "authorizationpolicies")
    api.put("customresourcedefinitions", "peerauthentications.security.istio.io")
    controller.until("the better version", lambda: api.count("list", "authorizationpolicies") > lists)
    controller.until("a watch", lambda: api.watched("authorizationpolicies"))
    assert [p["name"] for p in controller.dump()["policies"]] == ["p"]

    def gets():
        with api.lock:
            return sum(1 for a in api.asked if a.verb == "get")

    with api.lock:
        del api.groups["security.istio.io"]
    before = gets()
    api.put("customresourcedefinitions", "one")
    controller.until("it was noticed once", lambda: gets() > before)
    before = gets()
    api.put("customresourcedefinitions", "two")
    api.put("customresourcedefinitions", "three")
    controller.until("another look", lambda: gets() > before)
    api.put("customresourcedefinitions", "four")
    controller.until("the policy is gone", lambda: controller.dump()["policies"] == [])


def server_away(bench, controller):
    """Everything is cut, nothing listens for a while; no kind is listed again."""
    api, relists = bench.api, controller.relists()
    errors = controller.metric("weir_kube_watch_errors_total", kind="Pod")
    controller.settle("Pod")
    api.down()
    controller.until("refused once", lambda: controller.metric("weir_kube_watch_errors_total", kind="Pod") >= errors + 2)
    assert controller.get("/healthz/ready")[0] == 200 and controller.pods()
    bench.pod("while-away")
    api.remove("pods", "g", "shop")
    api.up()
    bench.converge(controller, "a restart")
    assert controller.relists() == relists, (relists, controller.relists())
    controller.until("all watches", lambda: all(api.watched(p) for p in ("pods", "nodes", "services", "namespaces")))


def compacted(bench, controller):
    """Everything is cut and every version is forgotten: one list for each kind, no more."""
    api, before = bench.api, bench.api.asked[:]
    kinds = ("pods", "nodes", "services", "namespaces", "serviceaccounts", "endpointslices")
    lists = {plural: api.count("list", plural) for plural in kinds}
    api.down()
    for name in ("j", "k", "l"):
        bench.pod(name)
    api.remove("pods", "h", "shop")
    api.compact()
    api.put("namespaces", "other")  # its version is newer than all that is known
    api.up()
    bench.converge(controller, "a compaction")
    controller.until("all watches", lambda: all(api.watched(p) for p in kinds))
    assert before and all(api.count("list", plural) <= n + 1 for plural, n in lists.items()), lists
    assert api.count("list", "pods") == lists["pods"] + 1


def in_a_pod(bench):
    """As a pod of the cluster: environment, CA and token from files; the token rotates. Only v1beta1 slices."""
    api = bench.api
    folder = f"{bench.folder}/account"
    os.mkdir(folder)
    bench.write("account/ca.crt", certificates.read(bench.root.certificate))
    bench.write("account/token", "first\n")
    with api.lock:
        api.token = "first"
        api.groups["discovery.k8s.io"] = ["v1beta1"]
    controller = Controller(bench, KUBERNETES_SERVICE_HOST="localhost", KUBERNETES_SERVICE_PORT=str(api.port),
                            WEIR_SERVICE_ACCOUNT_DIR=folder)
    controller.wait_log("controller.*ready")
    assert bench.equal(controller)
    with api.lock:
        api.token = "second"
    bench.write("account/token", "second\n")
    relists = controller.relists()
    api.cut()
    bench.pod("after-rotation")
    bench.converge(controller, "a new token")
    assert controller.relists() == relists == {}, controller.relists()
    controller.end()
    with api.lock:
        api.token = None


def refused(bench):
    """Ways to reach a server that are not taken say why, and what would be."""
    def says(pattern, *options, **environment):
        controller = Controller(bench, *options, **environment)
        controller.wait_log(pattern)
        assert controller.process.wait(DEADLINE_S) == 1

    says("KUBERNETES_SERVICE_HOST.* are not set: .*--kubeconfig", KUBERNETES_SERVICE_HOST="")
    says("no-such-file: No such file", "--kubeconfig", f"{bench.folder}/no-such-file")
    says("exec is not supported: give the user a token", "--kubeconfig",
         bench.kubeconfig("exec", {"exec": {"command": "aws"}}))
    says("insecure-skip-tls-verify would let anybody be the API server", "--kubeconfig",
         bench.kubeconfig("insecure", **{"insecure-skip-tls-verify": True}))
    says("it has no context nobody", "--kubeconfig", bench.kubeconfig("context"), "--context", "nobody")
    says("must begin with https://", "--kubeconfig", bench.kubeconfig("http", server="http://127.0.0.1:1"))


def strangers(bench):
    """A server whose certificate is another's is not believed, and gets no token."""
    asked = len(bench.api.asked)
    other = certificates.new_root(f"{bench.folder}/other")
    for name, options in (("signed by another", {"certificate-authority": other.certificate}),
                          ("of another name", {"tls-server-name": "other.test"})):
        controller = Controller(bench, "--kubeconfig", bench.kubeconfig("stranger", **options))
        controller.wait_log("SSL|certificate|subject name")
        assert controller.get("/healthz/ready")[0] == 503, name
        controller.end()
    assert len(bench.api.asked) == asked
    controller = Controller(bench, "--kubeconfig-insecure", "--kubeconfig",
                            bench.kubeconfig("insecure", **{"insecure-skip-tls-verify": True, "tls-server-name": "x.test"}))
    controller.wait_log("the API server's certificate is not looked at")
    controller.wait_log("controller.*ready")
    controller.end()


def client_certificate(bench):
    """A user with a certificate, as data in the file: the server asks for it and gets it."""
    import base64
    import ssl
    chain, key = bench.root.make(extensions=certificates.ORDINARY)
    data = {name: base64.b64encode(certificates.read(path).encode()).decode()
            for name, path in (("client-certificate-data", chain), ("client-key-data", key))}
    bench.api.context.load_verify_locations(bench.root.certificate)
    bench.api.context.verify_mode = ssl.CERT_REQUIRED
    controller = Controller(bench, "--kubeconfig", bench.kubeconfig("certificate", data))
    controller.wait_log("controller.*ready")
    controller.end()


def main():
    with tempfile.TemporaryDirectory(prefix="weir-kube-") as folder:
        bench = Bench(folder)
        begun = time.monotonic()

        def passed(name):
            print(f"{time.monotonic() - begun:6.1f} s  {name}", flush=True)

        try:
            controller = first_lists(bench)
            passed("first_lists")
            for case in (changes, bookmarks_move_the_version, ended_watch_goes_on, half_a_line, gone_as_status, gone_as_event,
                         pages_expire, silence, asked_to_wait, old_news, other_errors, bad_objects, what_was_never_good, definitions_come_and_go,
                         server_away, compacted):
                case(bench, controller)
                passed(case.__name__)
            controller.end()
            for case in (in_a_pod, refused, strangers, client_certificate):
                case(bench)
                passed(case.__name__)
            bench.api.down()
        finally:
            bench.end()


if __name__ == "__main__":
    main()
