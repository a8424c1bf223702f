"""Who is measured: Weir and its peers, each started on the stage, each with the processes whose CPU counts."""
import os
import subprocess

import stage
from stage import H2_PORT, HTTP_PORT, PEER_UID, POD, PROXY_CORE, LOAD_CORE, RUN, VIP

BUILD = os.environ["WEIR_BUILD"]


def write(name, text, mode=0o644):
    path = f"{RUN}/{name}"
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


class System:
    """client: the pod in which load is made; host, port: what it calls; procs: those whose CPU counts, with all that descend from them;
    tls: (certificate, key, roots) of who may call, where the load itself speaks TLS; stays: it is not ended after its round."""

    def __init__(self, name, client, host, port, procs, tls=None, stays=False):
        self.name, self.client, self.host, self.port, self.procs, self.tls, self.stays = name, client, host, port, procs, tls, stays

    def url(self, path="/"):
        return f"http://{self.host}:{self.port}{path}"

    def trees(self):
        return [stage.tree(p.pid) for p in self.procs]

    def check_alive(self):
        for p in self.procs:
            if p.poll() is not None:
                raise SystemExit(f"perf: a process of {self.name} ended in the middle (exit {p.returncode})")

    def stop(self):
        for p in [] if self.stays else self.procs:
            stage.stop(p)


def service(namespace, name, address, app, target, declared=""):
    return f"""---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{clusterIP: {address}, clusterIPs: [{address}], selector: {{app: {app}}}, ports: [{{port: 80, targetPort: {target}{declared}}}]}}
"""


HTTP, HTTP2 = ", appProtocol: http", ", appProtocol: kubernetes.io/h2c"
MANIFESTS = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: perf, labels: {{weir.mesh/enrolled: "true"}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: weir-client, namespace: perf, labels: {{app: client}}}}
spec: {{nodeName: node-a, serviceAccountName: client, containers: [{{name: c, image: none}}]}}
status: {{phase: Running, podIP: {POD["weir-client"][1]}, podIPs: [{{ip: {POD["weir-client"][1]}}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: weir-server, namespace: perf, labels: {{app: server}}}}
spec: {{nodeName: node-b, serviceAccountName: server, containers: [{{name: c, image: none}}]}}
status: {{phase: Running, podIP: {POD["weir-server"][1]}, podIPs: [{{ip: {POD["weir-server"][1]}}}]}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: only-client, namespace: perf}}
spec: {{action: ALLOW, rules: [{{from: [{{source: {{principals: ["cluster.local/ns/perf/sa/client"]}}}}]}}]}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: open}}
---
apiVersion: v1
kind: Pod
metadata: {{name: outside, namespace: open, labels: {{app: outside}}}}
spec: {{nodeName: node-b, serviceAccountName: outside, containers: [{{name: c, image: none}}]}}
status: {{phase: Running, podIP: {POD["outside"][1]}, podIPs: [{{ip: {POD["outside"][1]}}}]}}
""" + "".join(
    [
        service("perf", "server", VIP, "server", 8080),
        service("perf", "http", stage.VIP_HTTP, "server", HTTP_PORT, HTTP),
        service("open", "outside", stage.VIP_OUTSIDE, "outside", 8080, HTTP),
        service("open", "h2", stage.VIP_H2, "outside", H2_PORT, HTTP2),
    ]
)
ROUTE_RULES, RULE_MATCHES = 16, 8  # of one HTTPRoute at most


def routes_manifest(n):
    """A Service with n routes: all but one want another path, a half of them exactly, a half with a header, too; the last one takes what is asked."""
    paths = [f"/service-{i}/part-{i % 7}" for i in range(n - 1)] + ["/"]
    out = [service("open", f"routes-{n}", stage.VIP_ROUTES[n], "outside", 8080, HTTP)]
    for at in range(0, n, ROUTE_RULES * RULE_MATCHES):
        rules = []
        for rule in range(at, min(at + ROUTE_RULES * RULE_MATCHES, n), RULE_MATCHES):
            matches = []
            for i in range(rule, min(rule + RULE_MATCHES, n)):
                kind = "Exact" if i % 2 and paths[i] != "/" else "PathPrefix"
                headers = ", headers: [{name: x-version, value: v1}]" if i % 4 == 1 and paths[i] != "/" else ""
                matches.append(f"{{path: {{type: {kind}, value: {paths[i]}}}{headers}}}")
            rules.append(f"  - {{matches: [{', '.join(matches)}], backendRefs: [{{name: outside, port: 80}}]}}\n")
        out.append(
            f"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: routes-{n}-{at}, namespace: open}}\nspec:\n"
            f'  parentRefs: [{{group: "", kind: Service, name: routes-{n}}}]\n  rules:\n' + "".join(rules)
        )
    return "".join(out)


def enrol(pod):
    node, address = POD[pod]
    config = (
        f'{{"cniVersion":"1.0.0","name":"perf","type":"weir-cni","socket":"{RUN}/{node}/cni.sock","prevResult":{{"cniVersion":"1.0.0",'
        f'"interfaces":[{{"name":"eth0","sandbox":"/run/netns/{stage.ns(pod)}"}}],"ips":[{{"address":"{address}/24","interface":0}}]}}}}'
    )
    env = dict(
        os.environ,
        CNI_COMMAND="ADD",
        CNI_CONTAINERID=f"perf-{pod}",
        CNI_NETNS=f"/run/netns/{stage.ns(pod)}",
        CNI_IFNAME="eth0",
        CNI_PATH=BUILD,
        CNI_ARGS=f"IgnoreUnknown=1;K8S_POD_NAMESPACE=perf;K8S_POD_NAME={pod}",
    )
    subprocess.run([f"{BUILD}/weir-cni"], input=config, text=True, env=env, check=True, capture_output=True)


_weir = None
weir_prefix = []  # what the node proxies are started with; allocs.py puts its preload here


def forget_weir():
    global _weir
    _weir = None


def weir_procs():
    """The whole mesh, once a run: CA and controller beside the load, the two node proxies on the proxies' core, one worker each."""
    global _weir
    if _weir:
        return _weir
    os.makedirs(f"{RUN}/manifests")
    write("manifests/all.yaml", MANIFESTS)
    ca, controller = stage.NODE["node-a"][0] + ":15013", stage.NODE["node-a"][0] + ":15012"
    weir_ca = f"{BUILD}/weir-ca"
    stage.sh(weir_ca, "init", "--state", f"{RUN}/ca")
    stage.sh(weir_ca, "issue", "--state", f"{RUN}/ca", "--identity", "spiffe://cluster.local/ns/weir-system/sa/weir-controller", "--out", f"{RUN}/controller")
    for node in stage.NODE:
        write(f"{node}.token", stage.sh(weir_ca, "token", "--state", f"{RUN}/ca", "--node", node), 0o600)
    roots = f"{RUN}/controller-roots.pem"
    stage.start("node-a", LOAD_CORE, "controller", f"{BUILD}/weir-controller", "--source", f"dir:{RUN}/manifests", "--listen", controller, "--admin", "127.0.0.1:15014",
                "--certificate", f"{RUN}/controller.pem", "--key", f"{RUN}/controller.key", "--roots", roots)
    stage.start("node-a", LOAD_CORE, "ca", weir_ca, "serve", "--state", f"{RUN}/ca", "--listen", ca, "--controller", controller)
    procs = []
    for node in stage.NODE:
        procs.append(
            stage.start(node, PROXY_CORE, node, *weir_prefix, f"{BUILD}/weir-nodeproxy", "--node", node, "--controller", controller, "--ca", ca, "--roots", roots,
                        "--token-file", f"{RUN}/{node}.token", "--run-dir", f"{RUN}/{node}", "--workers", "1", "--access-log", "off", "--log-level", "warn",
                        "--http", "on"))
        stage.wait_for(f"the node proxy of {node}", lambda: os.path.exists(f"{RUN}/{node}/cni.sock"))
    for pod in ("weir-client", "weir-server"):
        enrol(pod)
    _weir = procs
    return procs


def weir_two_hop():
    return System("weir", "weir-client", VIP, 80, weir_procs(), stays=True)


def weir_http():
    """Two hops, and both look at each request."""
    return System("weir", "weir-client", stage.VIP_HTTP, 80, weir_procs(), stays=True)


def weir_http_one():
    """One hop that looks at each request: a Service of pods that are not of the mesh."""
    return System("weir", "weir-client", stage.VIP_OUTSIDE, 80, weir_procs()[:1], stays=True)


def weir_h2():
    return System("weir", "weir-client", stage.VIP_H2, 80, weir_procs()[:1], stays=True)


def weir_routes(n):
    """As weir_http_one(), of a Service with n routes. What has most of them is "weir", so that the ratio says what they cost."""

    def make():
        path = f"{RUN}/manifests/routes-{n}.yaml"
        procs = weir_procs()[:1]
        if not os.path.exists(path):
            write(f"routes-{n}.new", routes_manifest(n))
            os.rename(f"{RUN}/routes-{n}.new", path)
        return System("weir" if n == max(stage.VIP_ROUTES) else f"routes-{n}", "weir-client", stage.VIP_ROUTES[n], 80, procs, stays=True)

    return make


def weir_no_routes():
    system = weir_http_one()
    system.name = "no-routes"
    return system


def weir_server():
    """The destination's node proxy alone, called by a peer that another make of TLS plays, with a certificate of the mesh."""
    procs, files = weir_procs()[1:], f"{RUN}/caller"
    if not os.path.exists(f"{files}.pem"):
        stage.sh(f"{BUILD}/weir-ca", "issue", "--state", f"{RUN}/ca", "--identity", "spiffe://cluster.local/ns/perf/sa/client", "--out", files)
    return System("weir", "node-a", POD["weir-server"][1], 15008, procs, (f"{files}.pem", f"{files}.key", f"{RUN}/controller-roots.pem"), stays=True)


def weir_relay():
    """Plain passthrough: an enrolled pod calls an address that is not of the mesh. One node proxy works."""
    return System("weir", "weir-client", POD["outside"][1], 8080, weir_procs()[:1], stays=True)


# ---- peers -----------------------------------------------------------------


def make_pki():
    d = f"{RUN}/pki"
    if os.path.exists(d):
        return d
    os.makedirs(d)
    sh = stage.sh
    sh("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", f"{d}/ca.key")
    sh("openssl", "req", "-x509", "-new", "-key", f"{d}/ca.key", "-subj", "/CN=ca", "-days", "2", "-out", f"{d}/ca.pem")
    for n in ("a", "b"):
        sh("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", f"{d}/{n}.key")
        sh("openssl", "req", "-new", "-key", f"{d}/{n}.key", "-subj", f"/CN={n}", "-out", f"{d}/{n}.csr")
        write(f"pki/{n}.ext", f"subjectAltName=DNS:{n},URI:spiffe://td/ns/x/sa/{n}\n")
        sh("openssl", "x509", "-req", "-in", f"{d}/{n}.csr", "-CA", f"{d}/ca.pem", "-CAkey", f"{d}/ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{d}/{n}.ext",
           "-out", f"{d}/{n}.pem")
        with open(f"{d}/{n}.both", "w") as out:
            for part in (".pem", ".key"):
                out.write(open(f"{d}/{n}{part}").read())
    for f in os.listdir(d):
        os.chmod(f"{d}/{f}", 0o644)
    return d


HAPROXY_HEAD = """
global
    nbthread 1
    maxconn 9000
    uid {uid}
    gid {uid}
    tune.ssl.default-dh-param 2048
defaults
    timeout connect 10s
    timeout client 300s
    timeout server 300s
"""
TLS_SERVER = "ssl crt {pki}/b.both ca-file {pki}/ca.pem verify required ssl-min-ver TLSv1.3 ciphersuites TLS_AES_128_GCM_SHA256"
TLS_CLIENT = "ssl crt {pki}/a.both ca-file {pki}/ca.pem verify required verifyhost b ssl-min-ver TLSv1.3 ciphersuites TLS_AES_128_GCM_SHA256"


def run_haproxy(pod, name, body):
    path = write(f"{name}.cfg", HAPROXY_HEAD.format(uid=PEER_UID) + body)
    return stage.start(pod, PROXY_CORE, name, "haproxy", "-db", "-f", path)


def haproxy_tcp():
    body = f"listen l\n    mode tcp\n    bind :15001\n    server s {POD['outside'][1]}:8080\n"
    return System("haproxy-tcp", "peer-client", POD["outside"][1], 8080, [run_haproxy("peer-client", "haproxy-tcp", body)])


def haproxy_http():
    body = f"listen l\n    mode http\n    option http-no-delay\n    bind :15001\n    http-reuse always\n    server s {POD['outside'][1]}:8080\n"
    return System("haproxy", "peer-client", POD["outside"][1], 8080, [run_haproxy("peer-client", "haproxy-http", body)])


def haproxy_h2_front():
    body = f"listen l\n    mode http\n    bind :15001 proto h2\n    http-reuse always\n    server s {POD['outside'][1]}:{H2_PORT} proto h2\n"
    return System("haproxy", "peer-client", POD["outside"][1], H2_PORT, [run_haproxy("peer-client", "haproxy-h2-front", body)])


def run_haproxy_b(pki):
    return run_haproxy("peer-server", "haproxy-b", f"listen l\n    mode http\n    bind :15008 {TLS_SERVER.format(pki=pki)} alpn h2\n    server s 127.0.0.1:8080\n")


def peer_server(name, proc):
    pki, host = make_pki(), POD["peer-server"][1]
    system = System(name, "node-a", host, 15008, [proc], (f"{pki}/a.pem", f"{pki}/a.key", f"{pki}/ca.pem"))
    stage.wait_for(f"{name} to listen", lambda: stage.listens("peer-server", 15008))
    return system


def haproxy_server():
    return peer_server("haproxy-h2", run_haproxy_b(make_pki()))


def nginx_server():
    return peer_server("nginx", run_nginx_b(make_pki(), "15008 ssl http2"))


def haproxy_h2():
    pki = make_pki()
    server = POD["peer-server"][1]
    b = run_haproxy_b(pki)
    a = run_haproxy("peer-client", "haproxy-a",
                    f"listen l\n    mode http\n    bind :15001\n    http-reuse always\n    server s {server}:15008 {TLS_CLIENT.format(pki=pki)} alpn h2\n")
    return System("haproxy-h2", "peer-client", server, 80, [a, b])


NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {run}/{name}.pid;
error_log {run}/{name}.err;
events {{ worker_connections 9000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {run}/{name}-body;
    proxy_temp_path {run}/{name}-proxy;
    fastcgi_temp_path {run}/{name}-fcgi;
    uwsgi_temp_path {run}/{name}-uwsgi;
    scgi_temp_path {run}/{name}-scgi;
    upstream u {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen {listen};
        {server}
        location / {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_max_temp_file_size 0;
            {location}
        }}
    }}
}}
"""


def run_nginx(pod, name, upstream, listen, server, location):
    path = write(f"{name}.conf", NGINX.format(run=RUN, name=name, upstream=upstream, listen=listen, server=server, location=location))
    os.chmod(RUN, 0o777)  # nginx runs as nobody and writes its files here
    return stage.start(pod, PROXY_CORE, name, "setpriv", "--reuid", PEER_UID, "--regid", PEER_UID, "--clear-groups", "nginx", "-p", RUN, "-c", path)


def run_nginx_b(pki, listen):
    tls = f"ssl_certificate {pki}/b.pem; ssl_certificate_key {pki}/b.key; ssl_client_certificate {pki}/ca.pem; ssl_verify_client on;"
    return run_nginx("peer-server", "nginx-b", "127.0.0.1:8080", listen, f"{tls} ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;",
                     "proxy_pass http://u;")


def nginx():
    pki = make_pki()
    server = POD["peer-server"][1]
    b = run_nginx_b(pki, "15008 ssl")
    client = f"proxy_ssl_certificate {pki}/a.pem; proxy_ssl_certificate_key {pki}/a.key; proxy_ssl_trusted_certificate {pki}/ca.pem; proxy_ssl_verify on; proxy_ssl_name b;"
    a = run_nginx("peer-client", "nginx-a", f"{server}:15008", "15001", "",
                  f"proxy_pass https://u; {client} proxy_ssl_protocols TLSv1.3; proxy_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;")
    return System("nginx", "peer-client", server, 80, [a, b])


def nginx_plain(listen="15001"):
    a = run_nginx("peer-client", "nginx-plain", f"{POD['outside'][1]}:8080", listen, "", "proxy_pass http://u;")
    return System("nginx", "peer-client", POD["outside"][1], 8080, [a])


def nginx_h2_front():
    """HTTP/1.1 to the application: it can't speak HTTP/2 there."""
    return nginx_plain("15001 http2")


def floor():
    p = stage.start("peer-client", PROXY_CORE, "floor", "setpriv", "--reuid", PEER_UID, "--regid", PEER_UID, "--clear-groups", f"{BUILD}/perf/floor_relay", "15001",
                    POD["outside"][1], "8080")
    return System("floor", "peer-client", POD["outside"][1], 8080, [p])
