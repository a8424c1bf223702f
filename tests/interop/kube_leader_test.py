#!/usr/bin/python3
# timeout: 120
# builds: asan
"""Two real weir-controllers and an API server: one leads, and it alone writes conditions on policies and into the status of
routes; when it dies, leaves, or can't renew its lease, the other one does.

   this test (kube_api.py) <--- HTTPS: lists, watches, leases, conditions --- weir-controller one and two
"""
import base64
import datetime
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import certificates  # noqa: E402
import kube_api  # noqa: E402
from kube_test import Bench, Controller  # noqa: E402

kube_api.KINDS.update(gateways=("gateway.networking.k8s.io", "Gateway"), gatewayclasses=("gateway.networking.k8s.io", "GatewayClass"),
                      secrets=("", "Secret"))

LEASE_S = 3
OURS = "weir.mesh/Accepted"


def lease(bench):
    with bench.api.lock:
        made = bench.api.objects["leases"].get(("weir-system", "weir-controller"))
        return made["spec"] if made else {}


def lease_times(bench, name):
    """When the server took what this replica wrote into the lease."""
    with bench.api.lock:
        return [at for at, _, path, _, who in bench.api.writes if "leases" in path and who.endswith(name)]


def logged_at(controller, text):
    """When the controller said so, on the server's clock: when we hear of it is another matter."""
    when = re.search(rf"^(\S+)Z .*{text}", controller.log, re.M)[1]
    told = datetime.datetime.fromisoformat(when).replace(tzinfo=datetime.timezone.utc).timestamp()
    return told - time.time() + time.monotonic()


def start(bench, name, *options):
    # Each has a token of its own, so that the server knows who wrote.
    config = bench.kubeconfig(f"config-{name}", user={"token": name})
    return Controller(bench, "--kubeconfig", config, "--leader-election", "on", "--replica-name", name, "--leader-lease", f"{LEASE_S}s",
                      *options)


def policy(bench, name, generation, plural="authorizationpolicies", conditions=None, **spec):
    fields = {"spec": spec}
    if conditions is not None:
        fields["status"] = {"conditions": conditions, "other": {"kept": True}}
    return bench.api.put(plural, name, "shop", metadata={"generation": generation}, **fields)


def conditions(bench, name, plural="authorizationpolicies"):
    with bench.api.lock:
        status = bench.api.objects[plural]["shop", name].get("status", {})
        return {c["type"]: c for c in status.get("conditions", [])}


def ours(bench, name, plural="authorizationpolicies"):
    c = conditions(bench, name, plural).get(OURS)
    return c and (c["status"], c["reason"], c["observedGeneration"])


def written(bench):
    with bench.api.lock:
        return [w for w in bench.api.writes if w[2].endswith("/status")]


# ---- the story ------------------------------------------------------------------------------------------------

def one_leads(bench):
    api = bench.api
    with api.lock:
        api.groups["security.istio.io"] = ["v1"]
        api.groups["gateway.networking.k8s.io"] = ["v1"]
        api.groups["gateway.networking.x-k8s.io"] = ["v1alpha1"]
        api.groups["networking.istio.io"] = ["v1"]
    api.put("namespaces", "shop")
    theirs = {"type": "ZtunnelAccepted", "status": "True", "x": [1, {"y": None}]}
    policy(bench, "good", 4, conditions=[theirs], rules=[{}])
    policy(bench, "part", 1, action="DENY", rules=[{"to": [{"operation": {"paths": ["/"]}}]}])
    policy(bench, "bad", 7, action="NO")
    policy(bench, "peer", 2, plural="peerauthentications", mtls={"mode": "STRICT"})
    one, two = start(bench, "one"), start(bench, "two")
    one.wait_log("controller.*ready")
    two.wait_log("controller.*ready")
    one.until("a leader", lambda: lease(bench).get("holderIdentity"))
    first, second = (one, two) if lease(bench)["holderIdentity"] == "one" else (two, one)
    first.wait_log("leader: this replica leads")
    first.until("all conditions", lambda: all(ours(bench, n) for n in ("good", "part", "bad")) and
                ours(bench, "peer", "peerauthentications"))
    assert ours(bench, "good") == ("True", "Accepted", 4), conditions(bench, "good")
    assert ours(bench, "part") == ("True", "AppliedInPart", 1), conditions(bench, "part")
    assert "spec.rules[0]: paths" in conditions(bench, "part")[OURS]["message"]
    assert ours(bench, "bad") == ("False", "Invalid", 7), conditions(bench, "bad")
    assert conditions(bench, "bad")[OURS]["message"].startswith("spec.action: 'NO' is not one of"), conditions(bench, "bad")
    assert ours(bench, "peer", "peerauthentications") == ("True", "Accepted", 2)
    assert conditions(bench, "good")["ZtunnelAccepted"] == theirs
    assert api.objects["authorizationpolicies"]["shop", "good"]["status"]["other"] == {"kept": True}
    assert second.metric("weir_controller_leader") == 0 and first.metric("weir_controller_leader") == 1
    return first, second


def only_what_changes_is_written(bench, first):
    n, since = len(written(bench)), conditions(bench, "good")[OURS]["lastTransitionTime"]
    assert n == 4, written(bench)
    bench.pod("unrelated")
    first.until("it is known", lambda: "shop/unrelated" in first.pods())
    policy(bench, "good", 5, conditions=list(conditions(bench, "good").values()), action="DENY", rules=[{}])
    first.until("the new generation", lambda: ours(bench, "good") == ("True", "Accepted", 5))
    assert conditions(bench, "good")[OURS]["lastTransitionTime"] == since
    assert len(written(bench)) == n + 1, written(bench)[n:]
    policy(bench, "good", 5, conditions=[{"type": "ZtunnelAccepted", "status": "False"}], action="DENY", rules=[{}])
    first.until("ours is back", lambda: ours(bench, "good") == ("True", "Accepted", 5))
    assert conditions(bench, "good")["ZtunnelAccepted"]["status"] == "False"
    policy(bench, "bad", 8, action="DENY", rules=[{}])
    first.until("it is good now", lambda: ours(bench, "bad") == ("True", "Accepted", 8))


def parents(bench, plural, name):
    with bench.api.lock:
        return bench.api.objects[plural]["shop", name].get("status", {}).get("parents", [])


def said(entry):
    return {c["type"]: (c["status"], c.get("reason"), c.get("observedGeneration")) for c in entry["conditions"]}


def routes_have_entries_by_parent(bench, first):
    api, theirs = bench.api, {"parentRef": {"name": "edge"}, "controllerName": "example.org/other", "conditions": [{"x": [1, None]}]}
    rules = [{"backendRefs": [{"name": "cart", "port": 80, "weight": 9}, {"name": "cart-2", "port": 80}]}]
    cart = {"group": "", "kind": "Service", "name": "cart", "port": 80}
    api.put("services", "cart", "shop", spec={"ports": [{"port": 80}]})

    def split(generation, status):
        api.put("httproutes", "split", "shop", metadata={"generation": generation}, status=status,
                spec={"parentRefs": [{"name": "edge"}, cart], "rules": rules})

    def split_is(generation, accepted, resolved):
        def check():
            made = [p for p in parents(bench, "httproutes", "split") if p["controllerName"] == "weir.mesh/controller"]
            return len(made) == 1 and made[0]["parentRef"] == cart and said(made[0]) == {
                "Accepted": (*accepted, generation), "ResolvedRefs": (*resolved, generation)}
        first.until(f"{accepted}, {resolved}", check)
        assert parents(bench, "httproutes", "split")[0] == theirs, parents(bench, "httproutes", "split")
        return {c["type"]: c["lastTransitionTime"] for c in parents(bench, "httproutes", "split")[1]["conditions"]}

    n = len(written(bench))
    before = [{"type": kind, "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"} for kind in ("Accepted", "ResolvedRefs")]
    split(3, {"parents": [theirs, {"parentRef": cart, "controllerName": "weir.mesh/controller", "conditions": before}], "other": 1})
    since = split_is(3, ("True", "Accepted"), ("False", "BackendNotFound"))
    assert since["Accepted"].startswith("2020") and not since["ResolvedRefs"].startswith("2020"), since
    api.put("services", "cart-2", "shop", spec={"ports": [{"port": 80}]})
    split_is(3, ("True", "Accepted"), ("True", "ResolvedRefs"))
    with api.lock:
        assert api.objects["httproutes"]["shop", "split"]["status"]["other"] == 1
    # A GRPCRoute comes first at its Service.
    api.put("grpcroutes", "calls", "shop", spec={"parentRefs": [cart], "rules": rules})
    split_is(3, ("False", "Conflicted"), ("True", "ResolvedRefs"))
    first.until("the other's", lambda: [said(p)["Accepted"] for p in parents(bench, "grpcroutes", "calls")] == [("True", "Accepted", 1)])
    api.remove("grpcroutes", "calls", "shop")
    split_is(3, ("True", "Accepted"), ("True", "ResolvedRefs"))
    assert len(written(bench)) == n + 5, written(bench)[n:]


def traffic_rules_have_conditions(bench, first):
    """A route of the Gateway API has the port meanwhile."""
    rule = {"route": [{"destination": {"host": "cart"}}]}
    policy(bench, "cart", 1, plural="virtualservices", hosts=["cart"], http=[rule])
    policy(bench, "cart", 2, plural="destinationrules", host="cart", workloadSelector={})
    first.until("the condition", lambda: ours(bench, "cart", "virtualservices") == ("True", "AppliedInPart", 1))
    assert "has port 80 of 'cart'" in conditions(bench, "cart", "virtualservices")[OURS]["message"]
    first.until("the other", lambda: ours(bench, "cart", "destinationrules") == ("False", "Invalid", 2))
    assert "spec.workloadSelector: is not supported" in conditions(bench, "cart", "destinationrules")[OURS]["message"]
    # A status that others have filled: said, and left as it is.
    others = [{"type": f"other/{i}", "status": "True"} for i in range(65)]
    policy(bench, "full", 1, conditions=others, rules=[{}])
    first.wait_log("AuthorizationPolicy shop/full: what counts of it can't be written")
    assert not ours(bench, "full")
    bench.api.remove("authorizationpolicies", "full", "shop")
    bench.api.remove("httproutes", "split", "shop")
    first.until("it counts", lambda: ours(bench, "cart", "virtualservices") == ("True", "Accepted", 1))


def a_gateway_shows_the_certificate_in_its_secret(bench, first):
    """A Secret is asked for by its name, once somebody refers to it, and never a list of all."""
    def resolved():
        with bench.api.lock:
            listeners = bench.api.objects["gateways"]["shop", "edge"].get("status", {}).get("listeners", [])
            return [c["reason"] for listener in listeners for c in listener["conditions"] if c["type"] == "ResolvedRefs"]

    def secrets_asked():
        with bench.api.lock:
            return [a.query.get("fieldSelector") for a in bench.api.asked if a.plural == "secrets"]

    assert not secrets_asked()
    bench.api.put("secrets", "other", "shop", type="kubernetes.io/tls", data={"tls.crt": "", "tls.key": ""})
    bench.api.put("gateways", "edge", "shop", spec={"gatewayClassName": "weir", "listeners": [
        {"name": "a", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "shown"}]}}]})
    first.until("there is no Secret", lambda: resolved() == ["InvalidCertificateRef"])
    with tempfile.TemporaryDirectory(prefix="weir-kube-leader-") as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{folder}/key", "-out", f"{folder}/crt",
                        "-subj", "/CN=shown", "-addext", "basicConstraints=critical,CA:FALSE"], check=True, capture_output=True)
        data = {f"tls.{name}": base64.b64encode(open(f"{folder}/{name}", "rb").read()).decode() for name in ("key", "crt")}
    bench.api.put("secrets", "shown", "shop", type="kubernetes.io/tls", data=data)
    first.until("it is there", lambda: resolved() == ["ResolvedRefs"])
    assert data["tls.key"][200:240] not in first.log
    bench.api.remove("secrets", "shown", "shop")
    first.until("it is gone", lambda: resolved() == ["InvalidCertificateRef"])
    assert set(secrets_asked()) == {"metadata.name=shown"}, secrets_asked()
    bench.api.remove("gateways", "edge", "shop")
    first.until("nobody watches it", lambda: bench.api.watched("secrets") == 0)


def a_policy_of_tls_has_ancestors(bench, first):
    """A BackendTLSPolicy says of each Service what it makes of it, beside others' entries; the ConfigMap of its roots is asked for by its name."""
    theirs = {"ancestorRef": {"kind": "Gateway", "name": "edge"}, "controllerName": "other.io/c", "conditions": []}

    def ancestors():
        with bench.api.lock:
            return bench.api.objects["backendtlspolicies"]["shop", "tls"].get("status", {}).get("ancestors", [])

    def said():
        return [[(c["type"], c["status"], c["reason"]) for c in a["conditions"]] for a in ancestors() if a["controllerName"] == "weir.mesh/controller"]

    def maps_asked():
        with bench.api.lock:
            return {a.query.get("fieldSelector") for a in bench.api.asked if a.plural == "configmaps"}

    assert not maps_asked()
    bench.api.put("services", "secure", "shop", spec={"ports": [{"name": "a", "port": 443}]})
    bench.api.put("backendtlspolicies", "tls", "shop", metadata={"generation": 2}, status={"ancestors": [theirs]}, spec={
        "targetRefs": [{"group": "", "kind": "Service", "name": "secure", "sectionName": "a"}, {"group": "", "kind": "Service", "name": "none"}],
        "validation": {"hostname": "secure.example", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "roots"}]}})
    lacks = ("ResolvedRefs", "False", "InvalidCACertificateRef")
    first.until("there is no ConfigMap", lambda: said() == [[("Accepted", "False", "NoValidCACertificate"), lacks], [("Accepted", "False", "TargetNotFound"), lacks]])
    with tempfile.TemporaryDirectory(prefix="weir-kube-leader-") as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{folder}/key", "-out", f"{folder}/crt",
                        "-subj", "/CN=root"], check=True, capture_output=True)
        root = open(f"{folder}/crt", encoding="ascii").read()
    bench.api.put("configmaps", "roots", "shop", data={"ca.crt": root})
    first.until("it is there", lambda: said() == [[("Accepted", "True", "Accepted"), ("ResolvedRefs", "True", "ResolvedRefs")],
                                                  [("Accepted", "False", "TargetNotFound"), ("ResolvedRefs", "True", "ResolvedRefs")]])
    assert ancestors()[0] == theirs and [a["ancestorRef"] for a in ancestors()[1:]] == [
        {"group": "", "kind": "Service", "name": "secure", "sectionName": "a"}, {"group": "", "kind": "Service", "name": "none"}], ancestors()
    assert {c["observedGeneration"] for a in ancestors()[1:] for c in a["conditions"]} == {2}
    bench.api.remove("configmaps", "roots", "shop")
    first.until("it is gone", lambda: said()[0][1] == lacks)
    assert maps_asked() == {"metadata.name=roots"}, maps_asked()
    bench.api.remove("backendtlspolicies", "tls", "shop")
    first.until("nobody watches it", lambda: bench.api.watched("configmaps") == 0)
    bench.api.remove("services", "secure", "shop")


def a_mesh_says_what_it_has(bench, first):
    def status(name):
        with bench.api.lock:
            return bench.api.objects["xmeshes"]["", name].get("status", {})

    def said(name):
        return [(c["type"], c["status"], c["reason"], c.get("observedGeneration")) for c in status(name).get("conditions", [])]

    theirs = {"conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted"}], "supportedFeatures": [{"name": "Mesh"}]}
    bench.api.put("xmeshes", "theirs", spec={"controllerName": "other.io/c"}, status=theirs)
    bench.api.put("xmeshes", "weir", spec={"controllerName": "weir.mesh/controller"}, status={
        "conditions": [{"type": "Accepted", "status": "Unknown", "reason": "Pending", "message": "", "lastTransitionTime": "1970-01-01T00:00:00Z"}]})
    first.until("it is accepted", lambda: said("weir") == [("Accepted", "True", "Accepted", 1)])
    features = [f["name"] for f in status("weir")["supportedFeatures"]]
    assert features == sorted(features) and {"Mesh", "HTTPRoute", "GRPCRoute", "MeshConsumerRoute", "MeshClusterIPMatching"} <= set(features), features
    bench.api.put("xmeshes", "weir", spec={"controllerName": "weir.mesh/controller", "parametersRef": {"group": "", "kind": "ConfigMap", "name": "x"}},
                  status=status("weir"))
    first.until("it is refused", lambda: said("weir") == [("Accepted", "False", "InvalidParameters", 1)])
    assert status("weir")["supportedFeatures"] == [] and status("theirs") == theirs
    for name in ("weir", "theirs"):
        bench.api.remove("xmeshes", name)


def somebody_writes_at_the_same_time(bench, first):
    """What another one wrote between our reading and our writing is not lost."""
    done = []

    def meanwhile(handler, query):
        done.append(policy(bench, "race", 1, conditions=[{"type": "Theirs", "status": "True"}], rules=[{}]))
        return False

    bench.api.fault("patch", "authorizationpolicies", meanwhile)
    policy(bench, "race", 1, rules=[{}])
    first.until("both", lambda: len(conditions(bench, "race")) == 2)
    assert done and conditions(bench, "race")["Theirs"]["status"] == "True"


def it_dies(bench, first, second):
    """Killed: the other one leads after the lease is over, and writes what came meanwhile. (15 s: within 20 s.)"""
    name, other = ("one", "two") if lease(bench)["holderIdentity"] == "one" else ("two", "one")
    first.process.kill()
    first.process.wait()
    policy(bench, "late", 1, rules=[{}])
    second.wait_log("leader: this replica leads")
    took = lease_times(bench, other)[0] - lease_times(bench, name)[-1]
    assert LEASE_S <= took < LEASE_S * 20 / 15 + 1.5, took  # with room for a busy machine
    second.until("its condition", lambda: ours(bench, "late") == ("True", "Accepted", 1))
    return took


def it_leaves(bench, leader, name):
    """An ordered end releases the lease."""
    other, left = start(bench, name), lease(bench)["holderIdentity"]
    other.wait_log("controller.*ready")
    leader.end()
    other.wait_log("leader: this replica leads")
    took = lease_times(bench, name)[0] - lease_times(bench, left)[-1]
    assert took < LEASE_S - 1, took
    return other


def it_cannot_renew(bench, leader):
    """Its renewals are refused: it stops to write before the lease is over for others."""
    api = bench.api
    refused = []

    def refuse(handler, query):
        refused.append(time.monotonic())
        handler.answer(500, {"kind": "Status", "code": 500})
        return True

    with api.lock:
        renewed = lease_times(bench, lease(bench)["holderIdentity"])[-1]
        for verb in ("get", "patch"):
            api.fault(verb, "leases", refuse, times=1000)
    leader.wait_log("does not lead any more")
    stopped = logged_at(leader, "does not lead any more")
    assert stopped - renewed < LEASE_S - 0.3, stopped - renewed
    n = len(written(bench))
    policy(bench, "while-nobody-leads", 1, rules=[{}])
    leader.until("it is known", lambda: any(p["name"] == "while-nobody-leads" for p in leader.dump()["policies"]))
    leader.until("it was refused again", lambda: refused[-1] > stopped + 0.5)
    assert len(written(bench)) == n and not ours(bench, "while-nobody-leads")
    with api.lock:
        api.faults.clear()
    leader.until("it leads again", lambda: ours(bench, "while-nobody-leads"))


def one_replica_and_none_that_writes(bench):
    """`off` leads without a lease; `never` writes nothing; a pod's lease is in its own namespace."""
    api, folder = bench.api, f"{bench.folder}/account"
    os.mkdir(folder)
    bench.write("account/ca.crt", certificates.read(bench.root.certificate))
    bench.write("account/token", "in-a-pod")
    bench.write("account/namespace", "mesh-system\n")
    in_a_pod = {"KUBERNETES_SERVICE_HOST": "localhost", "KUBERNETES_SERVICE_PORT": str(api.port), "WEIR_SERVICE_ACCOUNT_DIR": folder}
    leases = sum(1 for w in api.writes if "leases" in w[2])
    policy(bench, "alone", 1, rules=[{}])
    reader = Controller(bench, "--leader-election", "never", **in_a_pod)
    reader.wait_log("controller.*ready")
    n = len(written(bench))
    alone = Controller(bench, "--leader-election", "off", **in_a_pod)
    alone.until("its condition", lambda: ours(bench, "alone") == ("True", "Accepted", 1))
    alone.end()
    reader.end()
    assert len(written(bench)) == n + 1 and sum(1 for w in api.writes if "leases" in w[2]) == leases
    elected = Controller(bench, "--leader-election", "on", "--leader-lease", f"{LEASE_S}s", **in_a_pod)
    elected.wait_log("this replica leads .lease mesh-system/weir-controller")
    assert api.objects["leases"]["mesh-system", "weir-controller"]["spec"]["holderIdentity"], api.objects["leases"]
    elected.end()
    assert api.objects["leases"]["mesh-system", "weir-controller"]["spec"]["holderIdentity"] == ""


def main():
    with tempfile.TemporaryDirectory(prefix="weir-kube-leader-") as folder:
        bench = Bench(folder)
        begun = time.monotonic()

        def passed(name, more=""):
            print(f"{time.monotonic() - begun:6.1f} s  {name} {more}", flush=True)

        try:
            first, second = one_leads(bench)
            passed("one_leads")
            only_what_changes_is_written(bench, first)
            passed("only_what_changes_is_written")
            routes_have_entries_by_parent(bench, first)
            passed("routes_have_entries_by_parent")
            traffic_rules_have_conditions(bench, first)
            passed("traffic_rules_have_conditions")
            a_gateway_shows_the_certificate_in_its_secret(bench, first)
            passed("a_gateway_shows_the_certificate_in_its_secret")
            a_policy_of_tls_has_ancestors(bench, first)
            passed("a_policy_of_tls_has_ancestors")
            a_mesh_says_what_it_has(bench, first)
            passed("a_mesh_says_what_it_has")
            somebody_writes_at_the_same_time(bench, first)
            passed("somebody_writes_at_the_same_time")
            passed("it_dies", f"({it_dies(bench, first, second):.1f} s, lease {LEASE_S} s)")
            third = it_leaves(bench, second, "three")
            passed("it_leaves")
            it_cannot_renew(bench, third)
            passed("it_cannot_renew")
            who = {w[4] for w in written(bench)}
            assert len(who) == 3, who
            third.end()
            one_replica_and_none_that_writes(bench)
            passed("one_replica_and_none_that_writes")
            bench.api.down()
        finally:
            bench.end()


if __name__ == "__main__":
    main()
