#!/usr/bin/python3
"""Reads manifests and says what tests/lab.sh has to make of them.

usage: lab_plan.py plan --manifests DIR --run DIR --lab NAME --family 4|6|dual|mixed --nodes N --sockets DIR
       lab_plan.py filter --family FAMILY <MANIFESTS >MANIFESTS

`plan` writes below --run:
  manifests/     the manifests, with the addresses of the wanted family only; what the controller reads
  plan/nodes     a line each: name, namespace, addresses, pod networks, gateways (4 and 6; `-`: none)
  plan/pods      a line each: namespace, name, network namespace, node, addresses, port of its server or `-`
  plan/services.nft  what kube-proxy would do on each node
  plan/hosts/NETNS   names of Services, as a pod's resolver would have them
  plan/cni/NETNS     the network configuration for the plugin, with prevResult
"""
import argparse
import glob
import ipaddress
import json
import os
import sys

import yaml


def family_of(text):
    """4 or 6, of an address or a network."""
    return ipaddress.ip_interface(text).version


def first(values, family):
    return next((value for value in values if family_of(value) == family), None)


class Filter:
    """Takes the addresses of one family out of manifests. mixed: replicas of one application have IPv4 and IPv6 in turn."""

    def __init__(self, family):
        self.family = family
        self.replicas = {}

    def wanted(self, values, family):
        if family == "dual":
            return values
        return [value for value in values if family_of(value) == int(family)]

    def apply(self, document):
        kind = (document or {}).get("kind")
        if self.family == "dual" or kind not in ("Node", "Pod", "Service", "EndpointSlice"):
            return document
        if self.family != "mixed":
            return getattr(self, kind.lower())(document, self.family)
        return self.mixed(document) if kind == "Pod" else document

    def mixed(self, pod):
        app = (pod["metadata"].get("namespace"), pod["metadata"].get("labels", {}).get("app"))
        self.replicas.setdefault(app, []).append(pod)
        return pod

    def mix(self):
        """After all documents have been seen: single pods keep both families."""
        for pods in self.replicas.values():
            for number, pod in enumerate(pods if len(pods) > 1 else []):
                self.pod(pod, "64"[(number + 1) % 2])

    def node(self, node, family):
        spec, status = node.get("spec", {}), node["status"]
        cidrs = self.wanted(spec.get("podCIDRs", []), family)
        spec["podCIDRs"] = cidrs
        spec["podCIDR"] = cidrs[0]
        status["addresses"] = [a for a in status["addresses"] if a["type"] != "InternalIP" or
                               self.wanted([a["address"]], family)]
        return node

    def pod(self, pod, family):
        ips = self.wanted([ip["ip"] for ip in pod["status"].get("podIPs", [])], family)
        pod["status"]["podIPs"] = [{"ip": ip} for ip in ips]
        pod["status"]["podIP"] = ips[0]
        return pod

    def service(self, service, family):
        spec = service["spec"]
        ips = [ip for ip in spec.get("clusterIPs", []) if ip not in ("None", "")]
        if ips:
            spec["clusterIPs"] = self.wanted(ips, family)
            spec["clusterIP"] = spec["clusterIPs"][0]
            spec["ipFamilies"] = [f"IPv{family}"]
            spec["ipFamilyPolicy"] = "SingleStack"
        return service

    def endpointslice(self, piece, family):
        return piece if piece.get("addressType", f"IPv{family}") == f"IPv{family}" else None


class Plan:
    def __init__(self, options):
        self.options = options
        self.objects = {}

    def write(self, path, text):
        path = os.path.join(self.options.run, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def read(self):
        filter_ = Filter(self.options.family)
        files = {}
        for path in sorted(glob.glob(os.path.join(self.options.manifests, "*.y*ml")) +
                           glob.glob(os.path.join(self.options.manifests, "*.json"))):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            documents = [filter_.apply(d) for d in yaml.safe_load_all(text)]
            files[os.path.basename(path)] = (text, [d for d in documents if d])
        filter_.mix()
        for name, (text, documents) in files.items():
            self.write("manifests/" + name, text if self.options.family == "dual" else
                       yaml.safe_dump_all(documents, sort_keys=False))
            for document in documents:
                self.objects.setdefault(document["kind"], []).append(document)
        self.more_nodes()

    def more_nodes(self):
        """As many as --nodes wants, beyond those that the manifests have."""
        nodes = self.objects.setdefault("Node", [])
        new = []
        while len(nodes) < self.options.nodes:
            number = len(nodes) + 1
            node = {"apiVersion": "v1", "kind": "Node",
                    "metadata": {"name": "node-" + "abcdefghijklmnopqrstuvwxyz"[number - 1],
                                 "labels": {"topology.kubernetes.io/region": "region-1",
                                            "topology.kubernetes.io/zone": f"zone-{number}"}},
                    "spec": {"podCIDRs": [f"10.244.{number}.0/24", f"fd00:10:244:{number}::/64"]},
                    "status": {"addresses": [
                        {"type": "InternalIP", "address": f"192.168.50.{10 + number}"},
                        {"type": "InternalIP", "address": f"fd00:192:168:50::{10 + number}"}]}}
            if self.options.family in ("4", "6"):
                node = Filter(self.options.family).apply(node)
            nodes.append(node)
            new.append(node)
        if new:
            self.write("manifests/more-nodes.yaml", yaml.safe_dump_all(new, sort_keys=False))

    def netns(self, pod):
        return f"{self.options.lab}-{pod['metadata']['namespace']}-{pod['metadata']['name']}"

    def pods(self):
        return [pod for pod in self.objects.get("Pod", []) if pod["status"].get("podIPs") and
                pod["status"].get("phase") == "Running" and not pod["spec"].get("hostNetwork")]

    @staticmethod
    def ips(pod):
        return [ip["ip"] for ip in pod["status"]["podIPs"]]

    @staticmethod
    def server_port(pod):
        """The application listens on the first port that a container names."""
        for container in pod["spec"].get("containers", []):
            for port in container.get("ports", []):
                return port["containerPort"]
        return None

    @staticmethod
    def target_port(port, pod):
        target = port.get("targetPort", port["port"])
        for container in pod["spec"].get("containers", []):
            for named in container.get("ports", []):
                if named.get("name") == target:
                    return named["containerPort"]
        return target if isinstance(target, int) else None

    def node_cidrs(self):
        return {node["metadata"]["name"]: node["spec"].get("podCIDRs", []) for node in self.objects["Node"]}

    @staticmethod
    def gateway(cidr):
        return str(ipaddress.ip_network(cidr)[1]) if cidr else None

    def write_nodes(self):
        lines = []
        for node in self.objects["Node"]:
            name = node["metadata"]["name"]
            ips = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
            cidrs = node["spec"].get("podCIDRs", [])
            row = [name, f"{self.options.lab}-{name}", first(ips, 4), first(ips, 6), first(cidrs, 4),
                   first(cidrs, 6), self.gateway(first(cidrs, 4)), self.gateway(first(cidrs, 6))]
            lines.append(" ".join(value or "-" for value in row))
        self.write("plan/nodes", "".join(line + "\n" for line in lines))

    def write_pods(self):
        cidrs, lines = self.node_cidrs(), []
        for pod in self.pods():
            node, ips = pod["spec"]["nodeName"], self.ips(pod)
            row = [pod["metadata"]["namespace"], pod["metadata"]["name"], self.netns(pod), node,
                   first(ips, 4), first(ips, 6), str(self.server_port(pod) or "-")]
            lines.append(" ".join(value or "-" for value in row))
            self.write("plan/cni/" + self.netns(pod),
                       json.dumps(self.network_configuration(pod, cidrs[node]), indent=2) + "\n")
        self.write("plan/pods", "".join(line + "\n" for line in lines))

    def network_configuration(self, pod, cidrs):
        """What a runtime gives to a chained plugin, the bridge plugin having been the one before."""
        ips = [{"address": f"{ip}/{ipaddress.ip_network(cidr).prefixlen}", "gateway": self.gateway(cidr),
                "interface": 1}
               for ip in self.ips(pod) for cidr in cidrs if family_of(cidr) == family_of(ip)]
        return {"cniVersion": "1.0.0", "name": self.options.lab, "type": "weir-cni",
                "socket": f"{self.options.sockets}/{pod['spec']['nodeName']}/cni.sock",
                "prevResult": {
                    "cniVersion": "1.0.0",
                    "interfaces": [{"name": "cni0"},
                                   {"name": "eth0", "sandbox": f"/run/netns/{self.netns(pod)}"}],
                    "ips": ips,
                    "routes": [{"dst": "::/0" if ":" in ip["gateway"] else "0.0.0.0/0"} for ip in ips],
                    "dns": {}}}

    def services(self):
        for service in self.objects.get("Service", []):
            vips = [ip for ip in service["spec"].get("clusterIPs", []) if ip not in ("None", "")]
            yield service, vips

    def endpoints(self, service, port, family):
        selector = (service["spec"].get("selector") or {}).items()
        for pod in self.pods():
            labels = pod["metadata"].get("labels", {}).items()
            ip, target = first(self.ips(pod), family), self.target_port(port, pod)
            if (selector and selector <= labels and ip and target and
                    pod["metadata"]["namespace"] == service["metadata"]["namespace"]):
                yield ip, target

    def service_rule(self, service, vip, port):
        family = family_of(vip)
        ip = "ip" if family == 4 else "ip6"
        ends = list(self.endpoints(service, port, family))
        match = f"{ip} daddr {vip} tcp dport {port['port']}"
        if not ends:
            return None
        choices = ", ".join(f"{number} : {address} . {target}" for number, (address, target) in enumerate(ends))
        return f"{match} dnat {ip} to numgen random mod {len(ends)} map {{ {choices} }}"

    def write_services(self):
        rules = [self.service_rule(service, vip, port) for service, vips in self.services() for vip in vips
                 for port in service["spec"].get("ports", []) if port.get("protocol", "TCP") == "TCP"]
        body = "\n".join("        " + rule for rule in rules if rule)
        chains = "".join(f"    chain {name} {{\n        type nat hook {hook} priority {priority};\n{body}\n    }}\n"
                         for name, hook, priority in (("received", "prerouting", "dstnat"), ("sent", "output", "-100")))
        self.write("plan/services.nft", f"table inet lab_services {{\n{chains}}}\n")

    def write_hosts(self):
        for namespace in {pod["metadata"]["namespace"] for pod in self.pods()}:
            lines = ["127.0.0.1 localhost", "::1 localhost"]
            for service, vips in self.services():
                name, ns = service["metadata"]["name"], service["metadata"]["namespace"]
                names = [f"{name}.{ns}.svc.cluster.local", f"{name}.{ns}.svc", f"{name}.{ns}"]
                names += [name] if ns == namespace else []
                lines += [f"{vip} {' '.join(names)}" for vip in vips]
            for pod in self.pods():
                if pod["metadata"]["namespace"] == namespace:
                    self.write("plan/hosts/" + self.netns(pod), "\n".join(lines) + "\n")

    def make(self):
        self.read()
        self.write_nodes()
        self.write_pods()
        self.write_services()
        self.write_hosts()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["plan", "filter"])
    parser.add_argument("--manifests")
    parser.add_argument("--run")
    parser.add_argument("--lab")
    parser.add_argument("--sockets")
    parser.add_argument("--family", default="dual")
    parser.add_argument("--nodes", type=int, default=0)
    options = parser.parse_args()
    if options.command == "plan":
        Plan(options).make()
        return
    filter_ = Filter(options.family)
    if options.family == "dual":
        sys.stdout.write(sys.stdin.read())
        return
    documents = [d for d in map(filter_.apply, yaml.safe_load_all(sys.stdin)) if d]
    filter_.mix()
    yaml.safe_dump_all(documents, sys.stdout, sort_keys=False)


main()
