#!/usr/bin/python3
# timeout: 120
"""The real weir-ca in a cluster, as far as an API server makes one: service accounts' tokens and what they give, the roots in every
namespace, and the real weir-controller that gets its certificate by its token.

   this test (kube_api.py) <-- TokenReview, pods, ConfigMaps -- weir-ca <-- tokens, CreateCertificate -- this test (ca_test.py)
                                                                  ^  '------- xDS -------> weir-controller <- manifests/
                                                                  '---- token: the controller's own certificate ----'
"""
import base64
import json
import os
import shutil
import signal
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ca_test  # noqa: E402
import certificates  # noqa: E402
import kube_api  # noqa: E402
from ca_test import (CART, DOMAIN, INVALID_ARGUMENT, OK, OPAQUE, PERMISSION_DENIED, PROXY, RESOURCE_EXHAUSTED, UNAUTHENTICATED,  # noqa: E402
                     UNAVAILABLE, WEB, check_certificate, check_refused, run)
from kube_api import status  # noqa: E402

AUDIENCE = "weir-ca"
CONTROLLER = f"{DOMAIN}/weir-system/sa/weir-controller"
ROOTS = "weir-ca-root"
EXTRA = "authentication.kubernetes.io/"


class Answer(kube_api.Answer):
    """Reviews of tokens, single pods, and server-side apply of ConfigMaps."""

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path).path.strip("/").split("/")
        if parts[:3] != ["api", "v1", "namespaces"] or parts[4:5] != ["pods"]:
            super().do_GET()
            return
        self.api.note("get", "pods")
        pod = self.api.objects["pods"].get((parts[3], parts[5]))
        self.answer(200 if pod else 404, pod or status(404, "NotFound"))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/apis/authentication.k8s.io/v1/tokenreviews" and body["kind"] == "TokenReview", (self.path, body)
        self.api.note("create", "tokenreviews")
        if self.api.hold:
            self.api.hold.wait(ca_test.DEADLINE_S)
        if self.api.reviews_status:
            self.answer(self.api.reviews_status, status(self.api.reviews_status, "", "says the test"))
            return
        known = self.api.tokens.get(body["spec"]["token"])
        user, audiences = known or (None, [])
        both = [a for a in audiences if a in body["spec"]["audiences"]]
        self.answer(201, {**body, "status": {"authenticated": True, "user": user, "audiences": both} if both else {
            "authenticated": False, "error": "says the test"}})

    def do_PATCH(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        assert parts[:3] == ["api", "v1", "namespaces"] and parts[4] == "configmaps", self.path
        assert self.headers["Content-Type"] == "application/apply-patch+yaml", self.headers
        assert urllib.parse.parse_qs(url.query) == {"fieldManager": ["weir-ca"], "force": ["true"]}, url.query
        api, ns, name = self.api, parts[3], parts[5]
        with api.lock:
            api.note("patch", f"configmaps/{ns}")
            if ns in api.closed:
                self.answer(403, status(403, "Forbidden", "the namespace is being terminated"))
                return
            old = api.objects["configmaps"].get((ns, name), {})
            made = api.put("configmaps", name, ns, data={**old.get("data", {}), **body["data"]},
                           metadata={"labels": body["metadata"]["labels"]})
        self.answer(200, made)


class Api(kube_api.Api):
    def __init__(self, certificate_key):
        self.tokens, self.hold, self.reviews_status, self.closed, self.noted = {}, None, None, set(), []
        super().__init__(certificate_key)

    def note(self, verb, what):
        with self.lock:
            self.noted.append((verb, what))

    def asked_of(self, verb, what):
        with self.lock:
            return self.noted.count((verb, what))

    def configmap(self, namespace, name=ROOTS):
        with self.lock:
            return self.objects["configmaps"].get((namespace, name), {}).get("data")


kube_api.KINDS["configmaps"] = ("", "ConfigMap")
kube_api.Answer = Answer  # what Api.up() makes its handlers of


def jwt(**claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    return ".".join((part({"alg": "RS256", "kid": "k"}), part(claims), base64.urlsafe_b64encode(os.urandom(256)).decode().rstrip("=")))


class Bench(ca_test.Bench):
    def __init__(self, folder):
        super().__init__(folder)
        self.api_root = certificates.new_root(f"{folder}/api-root")
        self.api = Api(self.api_root.make(names=["api.test", "localhost"]))
        self.numbers = 0
        os.mkdir(f"{folder}/account")
        shutil.copy(self.api_root.certificate, f"{folder}/account/ca.crt")
        self.write("account/token", "the-ca")
        self.api.token = "the-ca"

    def end(self):
        super().end()
        self.api.down()

    def start_ca(self, *options):
        os.environ.update(KUBERNETES_SERVICE_HOST="localhost", KUBERNETES_SERVICE_PORT=str(self.api.port),
                          WEIR_SERVICE_ACCOUNT_DIR=f"{self.folder}/account")
        self.ca = ca_test.Program("weir-ca", "serve", "--state", self.state, "--listen", "127.0.0.1:0", "--controller",
                                  f"127.0.0.1:{self.xds_port}", "--admin", f"127.0.0.1:{self.admin_port}", "--attest",
                                  "kubernetes", *options)
        self.port = int(self.ca.wait_line(r"listening on 127\.0\.0\.1:(\d+)")[1])
        self.ca.wait_line(r"issues for")  # now all its ports are open

    def start_controller(self):
        self.controller = ca_test.Program(
            "weir-controller", "--source", f"dir:{self.folder}/manifests", "--listen", f"127.0.0.1:{self.xds_port}",
            "--admin", f"127.0.0.1:{self.controller_admin_port}", "--ca", f"127.0.0.1:{self.port}", "--token-file",
            f"{self.folder}/controller-token", "--roots", self.roots)

    def token(self, account, node="node-a", namespace="weir-system", audiences=(AUDIENCE,), bound=True, told=False, life_s=600,
              said=None):
        """A token, and the pod that it is bound to; told: by the review's own word (Kubernetes 1.30 and later)."""
        self.numbers += 1
        pod, uid = f"{account}-{self.numbers}", f"uid-{self.numbers}"
        token = jwt(aud=list(said or audiences), exp=int(time.time()) + life_s, sub=f"system:serviceaccount:{namespace}:{account}")
        extra = {EXTRA + "pod-name": [pod], EXTRA + "pod-uid": [uid]} if bound else {}
        if told:
            extra[EXTRA + "node-name"] = [node]
        self.api.tokens[token] = ({"username": f"system:serviceaccount:{namespace}:{account}", "uid": "u", "extra": extra},
                                  list(audiences))
        if bound and not told:
            made = self.api.put("pods", pod, namespace, spec={"nodeName": node, "serviceAccountName": account})
            made["metadata"]["uid"] = uid
        return token

    def reviews(self):
        return self.api.asked_of("create", "tokenreviews")


def node_by_its_pod(bench):
    token = bench.token("weir-nodeproxy")
    with bench.client() as client:
        for _ in range(5):
            check_certificate(bench, client.ask(bench.message(), token), PROXY)
    assert (bench.reviews(), bench.api.asked_of("get", "pods")) == (1, 1), "an accepted token is remembered"
    told = bench.token("weir-nodeproxy", node="node-b", told=True)
    with bench.client() as client:
        message = bench.message()
        streams = [client.start(message, told) for _ in range(20)]
        assert {answer.status for answer in client.wait(*streams)} == {OK}
    assert (bench.reviews(), bench.api.asked_of("get", "pods")) == (2, 1), "twenty at once are one question"
    nodes = bench.ledger("SELECT node, count(*) FROM issued WHERE node <> '' GROUP BY node ORDER BY node")
    assert nodes == [("node-a", 5), ("node-b", 20)], nodes


def who_is_refused(bench):
    def tokens():
        yield "for another audience", bench.token("weir-nodeproxy", audiences=["api"])
        yield "that only says it is for us", bench.token("weir-nodeproxy", audiences=["api"], said=[AUDIENCE])
        yield "of another account", bench.token("default")
        yield "of another namespace", bench.token("weir-nodeproxy", namespace="shop")
        yield "that is bound to nothing", bench.token("weir-nodeproxy", bound=False)
        yield "of a controller, and bound to nothing", bench.token("weir-controller", bound=False)
        yield "that has expired", bench.token("weir-nodeproxy", life_s=-1)
        yield "that nobody made", jwt(aud=[AUDIENCE], exp=int(time.time()) + 600)
        yield "without an end", jwt(aud=[AUDIENCE])
        gone = bench.token("weir-nodeproxy")
        bench.api.remove("pods", f"weir-nodeproxy-{bench.numbers}", "weir-system")
        yield "of a pod that is gone", gone
        another = bench.token("weir-nodeproxy")
        bench.api.objects["pods"]["weir-system", f"weir-nodeproxy-{bench.numbers}"]["metadata"]["uid"] = "another"
        yield "of a pod that is another one by now", another
        anothers = bench.token("weir-nodeproxy")
        bench.api.objects["pods"]["weir-system", f"weir-nodeproxy-{bench.numbers}"]["spec"]["serviceAccountName"] = "default"
        yield "of a pod that runs as another account", anothers
        waiting = bench.token("weir-nodeproxy")
        del bench.api.objects["pods"]["weir-system", f"weir-nodeproxy-{bench.numbers}"]["spec"]["nodeName"]
        yield "of a pod without a node", waiting
        yield "with dots alone", ".."
        yield "too long", "a." + "b" * 9000 + ".c"
    issued = bench.ledger("SELECT count(*) FROM issued")
    with bench.client() as client:
        for what, token in tokens():
            answer = client.ask(bench.message(), token)
            assert (answer.status, answer.message) == (UNAUTHENTICATED, OPAQUE), (what, answer.status, answer.message)
    assert bench.ledger("SELECT count(*) FROM issued") == issued
    with bench.client() as client:  # tokens that were made for nodes are as good as before
        check_certificate(bench, client.ask(bench.message(), bench.token_a), PROXY)


def the_controller_gets_its_own(bench):
    """And with it the CA learns what runs where."""
    bench.write("manifests/mesh.yaml", ca_test.MESH)
    bench.place("web", "node-a", "10.244.1.1")
    bench.place("cart", "node-b", "10.244.2.1")
    bench.write("controller-token", bench.token("weir-controller") + "\n")
    bench.start_controller()
    bench.until("the CA is ready", lambda: bench.admin("/healthz/ready")[0] == 200)
    controls = bench.ledger(f"SELECT DISTINCT node FROM issued WHERE identity = '{CONTROLLER}'")
    assert len(controls) == 1 and controls[0][0].startswith("weir-system/weir-controller-"), controls
    a, b, control = bench.token("weir-nodeproxy"), bench.token("weir-nodeproxy", node="node-b"), bench.token("weir-controller")
    with bench.client() as client:
        check_certificate(bench, client.ask(bench.message(WEB), a), WEB)
        check_certificate(bench, client.ask(bench.message(CART), b), CART)
        check_refused(bench, client.ask(bench.message(CART), a), PERMISSION_DENIED)
        check_refused(bench, client.ask(bench.message(WEB), b), PERMISSION_DENIED)
        check_certificate(bench, client.ask(bench.message(), control), CONTROLLER)
        for identity in (WEB, PROXY, CONTROLLER):
            check_refused(bench, client.ask(bench.message(identity), control), PERMISSION_DENIED,
                          "only node proxies get identities of others")
        check_refused(bench, client.ask(b"\xff" * 40, a), INVALID_ARGUMENT)


# A DeltaDiscoveryRequest for all workloads.
QUESTION = (ca_test.field(1, ca_test.field(1, b"test")) + ca_test.field(2, b"type.googleapis.com/istio.workload.Address")
            + ca_test.field(3, b"*"))


def who_is_revoked_is_let_go(bench):
    """By the controller, too: one certificate, then whoever has the identity; the connection that lives, and new ones."""
    asks = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

    def proxy(name):
        with bench.client() as client:
            answer = client.ask(bench.message(), bench.token("weir-nodeproxy"))
        with open(f"{bench.requests.folder}/{bench.requests.made}.key", encoding="ascii") as file:
            return bench.write(f"{name}.pem", "".join(answer.pems[:2])), bench.write(f"{name}.key", file.read())

    def at_controller(files):
        client = ca_test.Client(bench.xds_port, bench.roots, files, CONTROLLER)
        client.socket.settimeout(ca_test.DEADLINE_S)
        return client

    def ends(client):
        begun = time.monotonic()
        try:
            while not client.closed:
                client.read()
        except ConnectionResetError:
            pass
        assert time.monotonic() - begun < 2, "a revoked one's connection lives"

    def is_refused(files):
        """Or it is told something."""
        with at_controller(files) as client:
            answer = client.answers[client.start(QUESTION, path=asks, end=False)]
            while not answer.data and not answer.ended:
                client.read()
        assert not answer.ended or answer.status == PERMISSION_DENIED, answer.headers
        return answer.ended

    one, other = proxy("one"), proxy("other")
    with at_controller(one) as first, at_controller(other) as second:
        streams = [client.start(QUESTION, path=asks, end=False) for client in (first, second)]
        serial = ca_test.openssl("x509", "-in", one[0], "-noout", "-serial").split("=")[1].strip().lower()
        ca_test.run("weir-ca", "revoke", "--state", bench.state, "--serial", serial)
        ends(first)
        assert is_refused(one)
        assert not second.closed and not second.answers[streams[1]].ended
        ca_test.run("weir-ca", "revoke", "--state", bench.state, "--identity", PROXY)
        ends(second)
        assert is_refused(other)
    ca_test.run("weir-ca", "revoke", "--state", bench.state, "--identity", PROXY, "--lift")
    again = proxy("again")  # certificates that there were stay revoked
    bench.until("with another certificate it may ask again", lambda: not is_refused(again))
    assert is_refused(one) and is_refused(other)


def the_api_server_is_away(bench):
    good, fresh = bench.token("weir-nodeproxy"), bench.token("weir-nodeproxy")
    with bench.client() as client:
        check_certificate(bench, client.ask(bench.message(), good), PROXY)
        for code in (500, 403, 429):
            bench.api.reviews_status = code
            answer = client.ask(bench.message(), fresh)
            assert answer.status == UNAVAILABLE and "API server" in answer.message, (answer.status, answer.message)
        bench.api.reviews_status = None
        bench.api.down()
        check_certificate(bench, client.ask(bench.message(WEB), good), WEB)  # it was reviewed a moment ago
        answer = client.ask(bench.message(), fresh)
        assert answer.status == UNAVAILABLE and "API server" in answer.message, (answer.status, answer.message)
        bench.api.up()
        bench.until("the API server is found again", lambda: client.ask(bench.message(), fresh).status == OK)


def nobody_waits_for_a_review(bench):
    """While the API server thinks, others are served; who gives up is let go."""
    bench.api.hold = threading.Event()
    slow, before = bench.token("weir-nodeproxy"), bench.reviews()
    with bench.client() as client:
        with bench.client() as gone:
            gone.start(bench.message(), slow)
        streams = [client.start(bench.message(), slow) for _ in range(10)]
        check_certificate(bench, client.ask(bench.message(), bench.token_a), PROXY)
        assert not any(client.answers[stream].ended for stream in streams)
        bench.api.hold.set()
        assert {answer.status for answer in client.wait(*streams)} == {OK}
    assert bench.reviews() == before + 1, "all of them asked the same"
    bench.api.hold = None


def who_asks_in_vain_is_stopped(bench):
    """By its address; who has a token that was accepted notices nothing."""
    good = bench.token("weir-nodeproxy")
    bad = [jwt(aud=[AUDIENCE], exp=int(time.time()) + 600) for _ in range(80)]
    message = bench.message()
    with bench.client() as client:
        check_certificate(bench, client.ask(bench.message(), good), PROXY)
        before = bench.reviews()
        answers = [client.ask(message, token) for token in bad]
        seen = {answer.status for answer in answers}
        assert seen == {UNAUTHENTICATED, RESOURCE_EXHAUSTED}, seen
        assert bench.reviews() - before < 40, "the API server was asked too often"
        asked = bench.reviews()
        for _ in range(3):  # one and the same is remembered as well
            check_refused(bench, client.ask(message, bad[0]), UNAUTHENTICATED, OPAQUE)
        assert bench.reviews() == asked
        check_certificate(bench, client.ask(bench.message(WEB), good), WEB)


def roots_are_everywhere(bench):
    with open(bench.roots, encoding="ascii") as file:
        data = {"root-cert.pem": file.read()}
    spaces = [f"space-{i}" for i in range(30)]
    for name in spaces:
        bench.api.put("namespaces", name)
    bench.until("a ConfigMap in each", lambda: all(bench.api.configmap(name) == data for name in spaces))
    bench.api.put("configmaps", "other", "space-1", data={"root-cert.pem": "somebody's"})
    bench.api.put("configmaps", ROOTS, "space-2", data={"root-cert.pem": "somebody's", "more": "stays"})
    bench.api.remove("configmaps", ROOTS, "space-3")
    bench.until("it is changed back", lambda: bench.api.configmap("space-2") == {**data, "more": "stays"})
    bench.until("it comes back", lambda: bench.api.configmap("space-3") == data)
    assert bench.api.configmap("space-1", "other") == {"root-cert.pem": "somebody's"}


def a_namespace_that_goes(bench):
    bench.api.closed.add("going")
    bench.api.put("namespaces", "going", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    bench.api.put("namespaces", "next")
    bench.until("the next one has it", lambda: bench.api.configmap("next"))
    assert bench.api.asked_of("patch", "configmaps/going") == 0
    bench.api.put("namespaces", "stubborn")
    bench.until("it has one", lambda: bench.api.configmap("stubborn"))
    with bench.api.lock:
        bench.api.closed.add("stubborn")
        bench.api.remove("configmaps", ROOTS, "stubborn")
    bench.until("it was tried", lambda: bench.api.asked_of("patch", "configmaps/stubborn") >= 2)
    bench.api.remove("namespaces", "stubborn")
    bench.api.put("namespaces", "last")
    bench.until("the others are served", lambda: bench.api.configmap("last"))


def after_a_restart(bench):
    """What is good already is not written again."""
    with bench.api.lock:
        bench.api.noted.clear()
        bench.api.put("namespaces", "new")
    assert bench.ca.end() == 0
    bench.start_ca()
    bench.until("the new one has it", lambda: bench.api.configmap("new"))
    bench.until("the CA is ready", lambda: bench.admin("/healthz/ready")[0] == 200)
    writes = {what for verb, what in bench.api.noted if verb == "patch"}
    assert writes == {"configmaps/new"}, writes
    assert "weir_ca_root_configmaps_written_total" in bench.admin("/metrics")[1]


def wrong_settings(bench):
    serve = ("serve", "--state", bench.state, "--controller", "127.0.0.1:1")
    for option, value in (("attest", "both"), ("proxy-account", "weir-nodeproxy"), ("control-account", "a/b/c"),
                          ("root-configmap", "../x")):
        assert f"--{option}" in run("weir-ca", *serve, f"--{option}", value, code=2)
    del os.environ["KUBERNETES_SERVICE_HOST"]
    assert "KUBERNETES_SERVICE_HOST" in run("weir-ca", *serve, "--listen", "127.0.0.1:0", "--attest", "kubernetes", code=1)


def all_ends_well(bench):
    assert bench.ca.end() == 0 and bench.controller.end() == 0


CHECKS = (node_by_its_pod, who_is_refused, the_controller_gets_its_own, who_is_revoked_is_let_go, the_api_server_is_away, nobody_waits_for_a_review,
          roots_are_everywhere, a_namespace_that_goes, after_a_restart, who_asks_in_vain_is_stopped, all_ends_well, wrong_settings)


def main():
    ca_test.play_checks("attest", Bench, CHECKS)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
