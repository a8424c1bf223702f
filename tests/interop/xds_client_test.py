#!/usr/bin/python3
# timeout: 180
"""A delta-xDS client of another make (Python's h2, OpenSSL, Google's protobuf) against weir-controller.

  node-a: the client, as a node proxy
     |
  underlay -- control: weir-controller, port 15012
"""
import ipaddress
import os
import struct

from hbone_peer import Closed, Refused, client_context, open_tunnel
from mesh_lab import eventually, identity, play_all, same, step
from xds_messages import make_messages

CONTROLLER = "192.168.50.2", 15012
ADDRESS, AUTHORIZATION = "type.googleapis.com/istio.workload.Address", "type.googleapis.com/istio.security.Authorization"
SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
UNKNOWN, INVALID_ARGUMENT, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 2, 3, 7, 8, 12, 13


class Call:
    """One stream of DeltaAggregatedResources: requests and responses, as messages."""

    def __init__(self, world, path=SERVICE + "DeltaAggregatedResources", headers=(), tunnel=None):
        self.ads = world.messages["ads"]
        self.tunnel = tunnel or world.tunnel()
        self.stream = self.tunnel.request([(":method", "POST"), (":scheme", "https"), (":path", path), (":authority", "controller"),
                                           ("content-type", "application/grpc"), ("te", "trailers"), *headers])
        self.first = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tunnel.close()

    def send_bytes(self, data, compressed=0):
        self.stream.send(struct.pack("!BI", compressed, len(data)) + data)

    def send(self, type_url, subscribe=(), unsubscribe=(), versions=None, nonce="", error=None):
        request = self.ads.DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=subscribe, response_nonce=nonce,
                                                 resource_names_unsubscribe=unsubscribe, initial_resource_versions=versions or {})
        if self.first:
            request.node.id = "ztunnel~10.0.0.9~another.make~weir-system.svc.cluster.local"
            self.first = False
        if error:
            request.error_detail.code, request.error_detail.message = 3, error
        self.send_bytes(request.SerializeToString())

    def receive(self, type_url=None):
        """The next response; of that type if one is named: another is an error."""
        stream = self.stream

        def is_whole():
            return len(stream.data) >= 5 and len(stream.data) >= 5 + struct.unpack("!I", stream.data[1:5])[0]

        self.tunnel.wait(lambda: is_whole() or stream.ended or stream.reset is not None, "a response")
        assert is_whole(), f"the call ended: {stream.headers}, {stream.trailers}, reset {stream.reset}"
        prefix = stream.wait_data(5)
        same(prefix[0], 0, "the flag of compression")
        response = self.ads.DeltaDiscoveryResponse.FromString(stream.wait_data(struct.unpack("!I", prefix[1:])[0]))
        same(response.type_url, type_url or response.type_url, "the type of the response")
        return response

    def ack(self, response):
        self.send(response.type_url, nonce=response.nonce)

    def all(self, type_url):
        """Responses until nothing is missing: a small mesh comes in one. Acknowledges."""
        response = self.receive(type_url)
        self.ack(response)
        return response

    def status(self):
        """How the call ended."""
        self.stream.wait_end()
        values = dict(self.stream.trailers or self.stream.headers or [])
        return int(values.get("grpc-status", -1))

    def is_silent(self):
        """Nothing came up to here: an answer to a PING that was sent now overtakes nothing."""
        self.tunnel.h2.ping(os.urandom(8))
        wanted = self.tunnel.pings_answered + 1
        self.tunnel.wait(lambda: self.tunnel.pings_answered == wanted, "the answer to PING")
        return not self.stream.data


class World:
    def __init__(self, lab):
        self.lab = lab
        self.messages = make_messages(lab.work)
        self.proxy = lab.issue("proxy", identity("weir-nodeproxy", "weir-system"))
        self.roots = self.proxy[2]
        self.context = client_context(self.roots, *self.proxy[:2])

    def tunnel(self, context=None):
        return open_tunnel(self.lab.connect("node-a", *CONTROLLER), context or self.context)

    def unpack(self, resource):
        """(name, message) of a Resource."""
        kind = {ADDRESS: self.messages["workload"].Address, AUTHORIZATION: self.messages["authorization"].Authorization}
        message = kind[resource.resource.type_url].FromString(resource.resource.value)
        return message

    def by_name(self, response):
        return {resource.name: self.unpack(resource) for resource in response.resources}


def aliases(response):
    return {resource.name: sorted(resource.aliases) for resource in response.resources}


def test_wildcard(world):
    step("wildcard: all workloads and services, each under its key, with its addresses as aliases")
    with Call(world) as call:
        call.send(ADDRESS)
        response = call.all(ADDRESS)
        known, names = world.by_name(response), aliases(response)
        same(len(known), len(response.resources), "the number of different names")
        services = {name for name, address in known.items() if address.HasField("service")}
        same(services, {f"{ns}/{name}.{ns}.svc.cluster.local" for ns, name in (
            ("shop", "web"), ("shop", "rogue"), ("shop", "cart"), ("shop", "orders"), ("legacy", "batch"))}, "the services")
        workloads = {name for name, address in known.items() if address.HasField("workload")}
        same(len(workloads), len(world.lab.pods), "the number of workloads")
        for pod in world.lab.pods:
            name, = (n for n in workloads if known[n].workload.name == pod.name)
            workload = known[name].workload
            same(workload.uid, name, "the key of a workload")
            same([str(ipaddress.ip_address(a)) for a in workload.addresses], [pod.v4, pod.v6], "its addresses")
            same(names[name], sorted([f"{workload.network}/{pod.v4}", f"{workload.network}/{pod.v6}"]), "its aliases")
            same((workload.namespace, workload.node, workload.trust_domain or "cluster.local"), (pod.namespace, pod.node, "cluster.local"), "where it is")
            same(workload.tunnel_protocol, 1 if pod.namespace == "shop" else 0, "its tunnel")
        cart = known["shop/cart.shop.svc.cluster.local"].service
        same([p.service_port for p in cart.ports], [80], "the ports of cart")
        same([str(ipaddress.ip_address(a.address)) for a in cart.addresses], ["10.96.0.12", "fd00:10:96::12"], "its addresses")
        ends = [a.workload for a in known.values() if "shop/cart.shop.svc.cluster.local" in a.workload.services]
        same(sorted(w.node for w in ends), ["node-a", "node-b"], "the nodes of cart's endpoints")
        # A port that containers name is each workload's own matter.
        same([[(p.service_port, p.target_port) for p in w.services["shop/cart.shop.svc.cluster.local"].ports] for w in ends],
             [[(80, 8080)]] * 2, "the ports of its endpoints")
        same(ends[0].service_account, "cart", "the account of cart's workloads")
        same(list(ends[0].authorization_policies), ["shop/cart-only-from-web"], "its policies")
        same(response.removed_resources, [], "what was removed")
        step("policies: wildcard, too")
        call.send(AUTHORIZATION)
        response = call.all(AUTHORIZATION)
        policy = world.by_name(response)["shop/cart-only-from-web"]
        same((policy.name, policy.namespace, policy.scope, policy.action), ("cart-only-from-web", "shop", 2, 0), "the policy")
        same(policy.rules[0].clauses[0].matches[0].principals[0].exact, "cluster.local/ns/shop/sa/web", "whom it allows")
        assert call.is_silent()


SERVICE_MANIFEST = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  selector: {{app: orders}}
  clusterIP: {ip}
  ports: [{{port: {port}, targetPort: 8080}}]
"""


def test_changes(world):
    step("a new manifest arrives alone (with what it changes), a change as one resource, a removal by its name")
    lab = world.lab
    with Call(world) as call:
        call.send(ADDRESS)
        call.all(ADDRESS)
        key = "shop/more.shop.svc.cluster.local"
        lab.apply("more.yaml", SERVICE_MANIFEST.format(name="more", ip="10.96.0.77", port=81))
        response = call.all(ADDRESS)
        known = world.by_name(response)
        others = [a.workload.name for name, a in known.items() if name != key]
        same(others, [lab.pod("orders").name], "what changed beside the service: its endpoint")
        same(known[key].service.ports[0].service_port, 81, "its port")
        same(aliases(response)[key], [known[key].service.addresses[0].network + "/10.96.0.77"], "its aliases")
        version = next(r.version for r in response.resources if r.name == key)

        lab.apply("policy2.yaml", """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nobody, namespace: legacy}
spec: {action: DENY, rules: [{from: [{source: {principals: ["cluster.local/ns/none/sa/none"]}}]}]}
""")
        eventually(lambda: "nobody" in lab.ctl("node-a", "policies"), "the policy at node-a")
        assert call.is_silent(), "a policy came to one who asked for addresses only"

        lab.apply("more.yaml", SERVICE_MANIFEST.format(name="more", ip="10.96.0.78", port=81))
        response = call.all(ADDRESS)
        same(list(world.by_name(response)), [key], "what changed")
        same(aliases(response)[key][0].split("/")[1], "10.96.0.78", "the new address")
        assert response.resources[0].version != version, "the version stayed"

        lab.command("delete", "more.yaml", "policy2.yaml")
        response = call.all(ADDRESS)
        same((list(response.removed_resources), [a.workload.name for a in world.by_name(response).values()]),
             ([key], [lab.pod("orders").name]), "what was removed, and what changed by that")
        assert call.is_silent()


def test_on_demand(world):
    step("on demand: nothing by itself, known names and addresses, and an answer for unknown ones")
    orders, batch = world.lab.pod("orders"), world.lab.pod("batch")
    with Call(world) as call:
        call.send(ADDRESS, subscribe=["*"], unsubscribe=["*"])
        if not call.is_silent():  # an answer to the first request is fine, if nothing is in it
            response = call.all(ADDRESS)
            same((len(response.resources), list(response.removed_resources)), (0, []), "what nobody asked for")
        call.send(ADDRESS, subscribe=["/" + batch.v4])
        response = call.all(ADDRESS)
        same([a.workload.name for a in world.by_name(response).values()], [batch.name], "what an address brought")
        call.send(ADDRESS, subscribe=["shop/cart.shop.svc.cluster.local"])
        response = call.all(ADDRESS)
        known = world.by_name(response)
        assert "shop/cart.shop.svc.cluster.local" in known, list(known)
        for unknown in ("/192.0.2.1", "shop/none.shop.svc.cluster.local", "nonsense"):
            call.send(ADDRESS, subscribe=[unknown])
            response = call.all(ADDRESS)
            same((list(response.removed_resources), len(response.resources)), ([unknown], 0), "the answer for an unknown name")
        step("a name that was unknown appears later: it comes by itself; one that nobody asked for does not")
        call.send(ADDRESS, subscribe=["/10.96.0.79"])
        same(list(call.all(ADDRESS).removed_resources), ["/10.96.0.79"], "the answer for an unknown address")
        world.lab.apply("late.yaml", SERVICE_MANIFEST.format(name="late", ip="10.96.0.79", port=80) + "---" +
                        SERVICE_MANIFEST.format(name="other", ip="10.96.0.80", port=80))
        known = world.by_name(call.all(ADDRESS))
        assert "shop/late.shop.svc.cluster.local" in known and "shop/other.shop.svc.cluster.local" not in known, list(known)
        call.send(ADDRESS, unsubscribe=["/10.96.0.79"])
        same(sorted({a.workload.name for a in known.values() if a.HasField("workload")} - {orders.name}), [], "foreign workloads")
        world.lab.command("delete", "late.yaml")
        eventually(lambda: "late" not in world.lab.ctl("node-a", "services"), "node-a forgets the service")


def test_ack_and_nack(world):
    step("without ACK at most two responses are under way; with it the latest state comes, once")
    lab = world.lab
    with Call(world) as call:
        call.send(ADDRESS)
        first = call.receive(ADDRESS)
        lab.apply("counted.yaml", SERVICE_MANIFEST.format(name="counted", ip="10.96.0.90", port=1))
        second = call.receive(ADDRESS)
        assert first.nonce != second.nonce, "two responses have one nonce"
        for port in (2, 3, 4):
            lab.apply("counted.yaml", SERVICE_MANIFEST.format(name="counted", ip="10.96.0.90", port=port))
            eventually(lambda p=port: has_port(world, p), "the controller's state")
        assert call.is_silent(), "a third response came without an ACK"
        call.send(ADDRESS, nonce="no nonce of yours")
        assert call.is_silent(), "a response came for a nonce that is none"
        call.ack(first)
        key = "shop/counted.shop.svc.cluster.local"
        response = call.receive(ADDRESS)
        same({n: a.service.ports[0].service_port for n, a in world.by_name(response).items() if n == key}, {key: 4}, "the latest state")
        same(sum(r.name == key for r in response.resources), 1, "how often it came")
        step("NACK: what was refused is not sent again until it changes; the rest goes on")
        call.send(ADDRESS, nonce=second.nonce, error="a test refuses this")
        call.send(ADDRESS, nonce=response.nonce, error="and this")
        assert call.is_silent(), "what was refused came again"
        lab.logged("controller", "a test refuses this")
        lab.apply("counted.yaml", SERVICE_MANIFEST.format(name="counted", ip="10.96.0.90", port=5))
        known = world.by_name(call.all(ADDRESS))
        same(known[key].service.ports[0].service_port, 5, "what comes after a NACK")
        lab.command("delete", "counted.yaml")
        call.all(ADDRESS)


def has_port(world, port):
    """Whether the controller serves that port now, as a client that asks says."""
    with Call(world) as call:
        call.send(ADDRESS, subscribe=["shop/counted.shop.svc.cluster.local"])
        known = world.by_name(call.receive(ADDRESS))
        return any(a.HasField("service") and a.service.ports[0].service_port == port for a in known.values())


def test_reconnect(world):
    step("a client that comes back says what it has: it gets what differs, and hears what is gone")
    with Call(world) as call:
        call.send(ADDRESS)
        versions = {r.name: r.version for r in call.all(ADDRESS).resources}
    world.lab.apply("again.yaml", SERVICE_MANIFEST.format(name="again", ip="10.96.0.91", port=80))
    eventually(lambda: "again" in world.lab.ctl("node-a", "services"), "the service at node-a")
    with Call(world) as call:
        call.send(ADDRESS, versions={**versions, "shop/gone.shop.svc.cluster.local": "1"})
        response = call.all(ADDRESS)
        known = world.by_name(response)
        same(("shop/again.shop.svc.cluster.local" in known, list(response.removed_resources)),
             (True, ["shop/gone.shop.svc.cluster.local"]), "the difference")
        same(len(known), 2, "the number of resources in it")
        versions.update({r.name: r.version for r in response.resources})
        same({r.name: r.version for r in response.resources}, {n: versions[n] for n in known}, "the versions")
    with Call(world) as call:
        call.send(ADDRESS, versions=versions)
        response = call.all(ADDRESS)
        same((len(response.resources), list(response.removed_resources)), (0, []), "the difference when there is none")
    world.lab.command("delete", "again.yaml")
    eventually(lambda: "again" not in world.lab.ctl("node-a", "services"), "node-a forgets the service")


def test_protocol(world):
    step("gRPC: unknown methods and types, broken messages; the connection and others live")
    with Call(world) as witness:
        witness.send(ADDRESS)
        witness.all(ADDRESS)
        for path in (SERVICE + "FetchAggregatedResources", "/none/None"):
            same(Call(world, path, tunnel=witness.tunnel).status(), UNIMPLEMENTED, "the status of " + path)
        for what, send in (("bytes that are no message", lambda c: c.send_bytes(b"\xff" * 40)),
                           ("a compressed message", lambda c: c.send_bytes(b"x", compressed=1)),
                           ("a flag that there is not", lambda c: c.send_bytes(b"x", compressed=2)),
                           ("a message of 4 GB", lambda c: c.stream.send(b"\x00\xff\xff\xff\xff"))):
            call = Call(world, tunnel=witness.tunnel)
            send(call)
            status = call.status()
            assert status in (UNKNOWN, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL), f"{what}: status {status}"
        call = Call(world, tunnel=witness.tunnel)
        call.send("type.googleapis.com/envoy.config.none.v3.None")
        call.send(AUTHORIZATION)
        seen = call.receive()
        if seen.type_url != AUTHORIZATION:
            same(len(seen.resources), 0, "the resources of a type that there is not")
            call.ack(seen)
            seen = call.receive(AUTHORIZATION)
        same(len(seen.resources), 1, "the policies")
        assert witness.is_silent()


def test_who(world):
    step("clients: only a node proxy's (or the CA's) certificate of the mesh's own root")
    lab = world.lab
    for account, namespace in (("web", "shop"), ("weir-nodeproxy", "shop"), ("other", "weir-system")):
        context = client_context(world.roots, *lab.issue("client", identity(account, namespace))[:2])
        with Call(world, tunnel=world.tunnel(context)) as call:
            call.send(ADDRESS)
            same(call.status(), PERMISSION_DENIED, f"the status of {account} in {namespace}")
    with open_tunnel(lab.connect("node-a", *CONTROLLER), world.context) as tunnel:
        same(tunnel.peer_identities(), [identity("weir-controller", "weir-system")], "the controller's identity")
    try:
        with Call(world, tunnel=world.tunnel(client_context(world.roots))) as call:
            call.send(ADDRESS)
            status = call.status()
            raise AssertionError(f"a client without a certificate: status {status}")
    except (Closed, Refused):
        pass


play_all(globals(), World)
