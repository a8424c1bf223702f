#!/usr/bin/python3
"""The test cluster's DNS: dnsmasq, with the Services of the API server as its hosts.

usage: dns.py --api URL --pki FOLDER --listen ADDRESS

Names: SERVICE.NAMESPACE.svc.cluster.local, and for those without an address of their own their ready endpoints, also each by its host
name; for one that is another's name (ExternalName) the other's address, not its name. No SRV records. A name of another domain is refused.
"""
import argparse
import http.client
import json
import os
import signal
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

DOMAIN = "svc.cluster.local"


class Records:
    """What the API server has, as lines of a hosts file."""

    def __init__(self, changed):
        self.lock = threading.Lock()
        self.objects = {"services": {}, "endpoints": {}}
        self.changed = changed

    def replace(self, kind, objects):
        with self.lock:
            self.objects[kind] = {self.key(o): o for o in objects}
            self.changed(self.lines())

    def change(self, kind, what, item):
        with self.lock:
            if what == "DELETED":
                self.objects[kind].pop(self.key(item), None)
            else:
                self.objects[kind][self.key(item)] = item
            self.changed(self.lines())

    @staticmethod
    def key(item):
        return item["metadata"]["namespace"], item["metadata"]["name"]

    def lines_of(self, name):
        """Of another Service, by its whole name; a name outside the cluster has none."""
        parts = name.split(".", 2)
        service = self.objects["services"].get((parts[1], parts[0])) if parts[2:] == [DOMAIN] else None
        return [f"{service['spec']['clusterIP']} {name}"] if service and service["spec"].get("clusterIP") else []

    def lines(self):
        lines = []
        for (namespace, name), service in sorted(self.objects["services"].items()):
            full = f"{name}.{namespace}.{DOMAIN}"
            spec = service["spec"]
            addresses = [a for a in spec.get("clusterIPs") or [spec.get("clusterIP")] if a not in (None, "", "None")]
            lines += [f"{address} {full}" for address in addresses]
            if spec.get("type") == "ExternalName":
                lines += [f"{line.split()[0]} {full}" for line in self.lines_of(spec["externalName"])]
            if addresses or spec.get("type") == "ExternalName":
                continue
            for subset in self.objects["endpoints"].get((namespace, name), {}).get("subsets") or []:
                for address in subset.get("addresses") or []:
                    lines.append(f"{address['ip']} {full}")
                    if address.get("hostname"):
                        lines.append(f"{address['ip']} {address['hostname']}.{full}")
        return lines


def follow(records, kind, api, context):
    """Lists and watches, for ever."""
    while True:
        try:
            connection = http.client.HTTPSConnection(api.hostname, api.port, context=context, timeout=600)
            connection.request("GET", f"/api/v1/{kind}")
            answer = json.load(connection.getresponse())
            records.replace(kind, answer["items"])
            version = answer["metadata"]["resourceVersion"]
            connection.request("GET", f"/api/v1/{kind}?watch=1&allowWatchBookmarks=true&resourceVersion={version}")
            for line in connection.getresponse():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    break
                if event["type"] != "BOOKMARK":
                    records.change(kind, event["type"], event["object"])
        except (OSError, ValueError, KeyError, http.client.HTTPException) as problem:
            print(f"dns: {kind}: {problem!r}", flush=True)
        time.sleep(0.5)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--api", required=True, type=urllib.parse.urlparse)
    parser.add_argument("--pki", required=True)
    parser.add_argument("--listen", required=True)
    options = parser.parse_args()
    hosts = os.path.join(tempfile.mkdtemp(prefix="dns-", dir="/run"), "hosts")
    with open(hosts, "w", encoding="utf-8"):
        pass
    server = subprocess.Popen(
        ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--no-resolv", "--no-hosts",
         "--addn-hosts=" + hosts, "--local=/cluster.local/", "--local-ttl=2", "--log-facility=-", "--bind-interfaces",
         "--listen-address=" + options.listen],
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))  # until it has a handler

    def changed(lines):
        with open(hosts + ".new", "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        os.replace(hosts + ".new", hosts)
        server.send_signal(signal.SIGHUP)

    context = ssl.create_default_context(cafile=os.path.join(options.pki, "ca.crt"))
    context.load_cert_chain(os.path.join(options.pki, "admin.crt"), os.path.join(options.pki, "admin.key"))
    records = Records(changed)
    for kind in records.objects:
        threading.Thread(target=follow, args=(records, kind, options.api, context), daemon=True).start()
    raise SystemExit(server.wait())


main()
