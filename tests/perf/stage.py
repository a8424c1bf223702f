"""The stage of a measurement: two nodes and five pods as network namespaces, the same way for everybody.

    node-a: client pods                       node-b: server pods
      weir-client  (captured by Weir)           weir-server  (captured by Weir)
      peer-client  (captured for the peer)      peer-server  (captured for the peer)
                                                outside      (nobody's)

Peers stand where a sidecar stands: in the pods, behind redirect rules of the same kind as Weir's, so that connection tracking costs
everybody the same. Everything has the prefix weir-perf (WEIR_PERF_NAME) and is taken away by clear().
"""
import os
import shutil
import signal
import subprocess
import time

PREFIX = os.environ.get("WEIR_PERF_NAME", "weir-perf")  # two runs at once need two names
RUN = f"/run/{PREFIX}"
POD = {  # name: node, address
    "weir-client": ("node-a", "10.83.1.2"),
    "peer-client": ("node-a", "10.83.1.3"),
    "weir-server": ("node-b", "10.83.2.2"),
    "peer-server": ("node-b", "10.83.2.3"),
    "outside": ("node-b", "10.83.2.4"),
}
NODE = {"node-a": ("10.84.0.1", "10.83.1"), "node-b": ("10.84.0.2", "10.83.2")}
VIP = "10.83.9.10"
VIP_HTTP, VIP_OUTSIDE, VIP_H2 = "10.83.9.11", "10.83.9.12", "10.83.9.13"  # ports that are declared HTTP, HTTP, HTTP/2
VIP_ROUTES = {1: "10.83.9.14", 100: "10.83.9.15", 10000: "10.83.9.16"}  # HTTP, with so many routes
HTTP_PORT, H2_PORT = 8081, 8082
PROXY_CORE, LOAD_CORE = "0", "1"
BODY = 1024  # of an application's answer
PEER_UID = "65534"  # peers run as nobody: their own connections are not redirected
PEER_RULES = f"""
table inet peer {{
    chain prerouting_mark {{ type filter hook prerouting priority mangle; meta mark & 0xfff == 0x539 ct mark set 0x111; }}
    chain output_mark {{ type route hook output priority mangle; ct mark & 0xfff == 0x111 meta mark set ct mark; }}
    chain prerouting_redirect {{ type nat hook prerouting priority dstnat; iifname "lo" accept; tcp dport != 15008 redirect to :15006; }}
    chain output_redirect {{ type nat hook output priority -100; oifname "lo" accept; meta skuid {PEER_UID} accept; meta l4proto tcp redirect to :15001; }}
}}
"""
children = []


def ns(name):
    return f"{PREFIX}-{name}"


def sh(*args, **kw):
    return subprocess.run(args, check=True, capture_output=True, text=True, **kw).stdout


def inside(name, *args):
    return ["ip", "netns", "exec", ns(name), *args]


def start(name, core, log, *args):
    """A process in a namespace, pinned, its output in a file; ended by clear()."""
    with open(f"{RUN}/{log}.log", "ab") as out:
        p = subprocess.Popen(inside(name, "taskset", "-c", core, *args), stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True)
    children.append(p)
    return p


def stop(p):
    if p in children:
        children.remove(p)
    if p.poll() is None:
        p.send_signal(signal.SIGTERM)
        try:
            p.wait(8)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


def wait_for(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise SystemExit(f"perf: gave up waiting for {what}")


def listens(name, port):
    return f":{port} " in sh(*inside(name, "ss", "-Hltn"))


def forget_connections_soon(name):
    """Or cells that open many would run into the tables' bounds, which are the whole machine's."""
    sh(*inside(name, "sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_timeout_time_wait=1", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=1024 60999"))


def make_node(name):
    address, pods = NODE[name]
    sh("ip", "netns", "add", ns(name))
    sh("ip", "-n", ns(name), "link", "set", "lo", "up")
    forget_connections_soon(name)
    sh("ip", "-n", ns(name), "link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", ns("net"))
    sh("ip", "-n", ns("net"), "link", "set", name, "master", "br0", "up")
    sh("ip", "-n", ns(name), "addr", "add", f"{address}/24", "dev", "eth0")
    sh("ip", "-n", ns(name), "link", "set", "eth0", "up")
    sh("ip", "-n", ns(name), "link", "add", "cni0", "type", "bridge")
    sh("ip", "-n", ns(name), "addr", "add", f"{pods}.1/24", "dev", "cni0")
    sh("ip", "-n", ns(name), "link", "set", "cni0", "up")
    sh(*inside(name, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
    for other, (other_address, other_pods) in NODE.items():
        if other != name:
            sh("ip", "-n", ns(name), "route", "add", f"{other_pods}.0/24", "via", other_address)


def make_pod(name):
    node, address = POD[name]
    sh("ip", "netns", "add", ns(name))
    sh("ip", "-n", ns(name), "link", "set", "lo", "up")
    forget_connections_soon(name)
    sh("ip", "-n", ns(name), "link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", ns(node))
    sh("ip", "-n", ns(node), "link", "set", name, "master", "cni0", "up")
    sh("ip", "-n", ns(name), "addr", "add", f"{address}/24", "dev", "eth0")
    sh("ip", "-n", ns(name), "link", "set", "eth0", "up")
    sh("ip", "-n", ns(name), "route", "add", "default", "via", NODE[node][1] + ".1")


def make(origin):
    clear()
    os.makedirs(RUN, mode=0o755)
    sh("ip", "netns", "add", ns("net"))
    sh("ip", "-n", ns("net"), "link", "add", "br0", "type", "bridge")
    sh("ip", "-n", ns("net"), "link", "set", "br0", "up")
    for node in NODE:
        make_node(node)
    for pod in POD:
        make_pod(pod)
    for pod in ("peer-client", "peer-server"):
        sh(*inside(pod, "nft", "-f", "-"), input=PEER_RULES)
    for pod, port in (("weir-server", 8080), ("weir-server", HTTP_PORT), ("peer-server", 8080), ("outside", 8080)):
        start(pod, LOAD_CORE, f"origin-{pod}-{port}", origin, "--listen", f"0.0.0.0:{port}")
        wait_for(f"the application in {pod}", lambda: listens(pod, port))
    with open(f"{RUN}/index.html", "w") as f:
        f.write("x" * BODY)
    start("outside", LOAD_CORE, "nghttpd", "nghttpd", "--no-tls", "-n1", "-d", RUN, str(H2_PORT))
    wait_for("nghttpd in outside", lambda: listens("outside", H2_PORT))


def clear():
    for p in list(children):
        stop(p)
    for line in sh("ip", "netns", "list").splitlines():
        name = line.split()[0]
        if not name.startswith(PREFIX + "-"):
            continue
        for pid in sh("ip", "netns", "pids", name).split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        subprocess.run(["ip", "netns", "del", name], check=False)
    shutil.rmtree(RUN, ignore_errors=True)


def tree(pid):
    """A process and all that descend from it."""
    children_of = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
            except FileNotFoundError:
                continue  # it has ended meanwhile
            children_of.setdefault(parent, []).append(int(name))
    found = [pid]
    for each in found:
        found += children_of.get(each, [])
    return sorted(found)


def cpu_seconds(pids):
    """CPU of all threads of these processes, from the scheduler's nanoseconds; it includes softirqs unless the kernel accounts them apart."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
    return total / 1e9


def core_idle_seconds(core):
    """Since boot, from /proc/stat; its unit is a hundredth of a second."""
    with open("/proc/stat") as f:
        for line in f:
            if line.startswith(f"cpu{core} "):
                fields = line.split()
                return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")
    raise SystemExit(f"perf: no core {core}")


def pss_kib(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return total
