"""The test cluster's API server, for the programs here: objects made, changed and read; and controllers on it that are no pods."""
import http.client
import json
import os
import ssl
import sys
import threading
import time
from types import SimpleNamespace

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/interop")
import certificates  # noqa: E402
import kube_test  # noqa: E402

DEADLINE_S = 120
kube_test.DEADLINE_S = DEADLINE_S
CORE, POLICIES = "/api/v1", "/apis/security.istio.io/v1"


class Api:
    """One connection a thread, kept. What the server says beyond 2xx is an error, but for the codes that are expected."""

    def __init__(self, pki, address):
        self.host, port = address.split("//")[1].split(":")
        self.port, self.local = int(port), threading.local()
        self.tls = ssl.create_default_context(cafile=f"{pki}/ca.crt")
        self.tls.load_cert_chain(f"{pki}/admin.crt", f"{pki}/admin.key")

    def ask(self, method, path, body=None, expected=(), kind="application/json"):
        for attempt in range(2):  # a kept connection may have ended meanwhile
            connection = getattr(self.local, "connection", None)
            try:
                if not connection:
                    connection = http.client.HTTPSConnection(self.host, self.port, context=self.tls, timeout=DEADLINE_S)
                connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
                answer = connection.getresponse()
                text = answer.read()
                self.local.connection = connection
                break
            except (OSError, http.client.HTTPException):
                self.local.connection = None
                if attempt:
                    raise
        assert answer.status < 300 or answer.status in expected, f"{method} {path}: {answer.status} {text[:500]}"
        return json.loads(text)

    def patch(self, path, body):
        return self.ask("PATCH", path, body, kind="application/merge-patch+json")

    def until(self, what, condition):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}"
            time.sleep(0.1)

    def is_ready(self):
        try:
            connection = http.client.HTTPSConnection(self.host, self.port, context=self.tls, timeout=5)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False

    # ---- objects ----

    def namespace(self, name, **labels):
        self.ask("POST", f"{CORE}/namespaces", {"metadata": {"name": name, "labels": labels}})
        # No pod can be made before its account is there.
        self.until("the account of a namespace",
                   lambda: self.ask("GET", f"{CORE}/namespaces/{name}/serviceaccounts/default", expected=(404,))["kind"] == "ServiceAccount")

    def pod(self, namespace, name, ip, node, labels=None, annotations=None):
        """A pod of a node that is not there, as if it ran."""
        self.ask("POST", f"{CORE}/namespaces/{namespace}/pods", {
            "metadata": {"name": name, "labels": labels or {}, "annotations": annotations or {}},
            "spec": {"nodeName": node, "tolerations": [{"operator": "Exists"}], "automountServiceAccountToken": False,
                     "terminationGracePeriodSeconds": 0,
                     "containers": [{"name": "it", "image": "none", "ports": [{"containerPort": 8080}]}]}})
        self.pod_status(namespace, name, True, ip)

    def pod_status(self, namespace, name, ready, ip):
        # The endpoints are made from what the pod says: its address, and whether it is ready.
        self.patch(f"{CORE}/namespaces/{namespace}/pods/{name}/status", {"status": {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [{"type": kind, "status": "True" if ready else "False"} for kind in ("Ready", "ContainersReady")]}})

    def service(self, namespace, name, port=80, **selector):
        self.ask("POST", f"{CORE}/namespaces/{namespace}/services", {
            "metadata": {"name": name}, "spec": {"selector": selector, "ports": [{"port": port, "targetPort": 8080}]}})

    def policy(self, namespace, name, block):
        self.ask("POST", f"{POLICIES}/namespaces/{namespace}/authorizationpolicies", {
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": name},
            "spec": {"action": "DENY", "rules": [{"from": [{"source": {"ipBlocks": [block]}}]}]}})

    def remove(self, path):
        self.ask("DELETE", path, {"gracePeriodSeconds": 0}, expected=(404,))


class Bench:
    """What kube_test.Controller wants to know, for a server that is not a double."""

    def __init__(self, folder, pki, address):
        self.folder = folder
        self.root = certificates.new_root(f"{folder}/root")
        self.own = self.root.make(uris=[kube_test.IDENTITY])
        self.api = SimpleNamespace(listeners=[], asked=[])
        self.controllers, self.pki, self.address = [], pki, address

    def kubeconfig(self, name, server=None, **cluster):
        path = f"{self.folder}/{name}"
        certificates.write(path, json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "k", "cluster": {"server": server or self.address, "certificate-authority": f"{self.pki}/ca.crt", **cluster}}],
            "users": [{"name": "u", "user": {"client-certificate": f"{self.pki}/admin.crt", "client-key": f"{self.pki}/admin.key"}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]}))
        return path

    def controller(self, config, *options):
        made = kube_test.Controller(self, "--kubeconfig", config, *options)
        made.wait_log("controller.*ready")
        return made

    def end(self):
        for process in self.controllers:
            if process.poll() is None:
                process.kill()
                process.wait()
