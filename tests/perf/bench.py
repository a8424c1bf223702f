"""Runs the cells of tests/perf/run.sh: interleaved rounds, CPU of the proxies per request or per GB, medians of ratios."""
import argparse
import datetime
import os
import re
import signal
import statistics
import subprocess
import sys
import time

import allocs
import stage
import systems
from stage import LOAD_CORE

GB = 1e9
BULK_BYTES, BULK_CONNECTIONS = 512 * 1024 * 1024, 4
LOW_CLIENTS, LOW_RPS = 16, 63  # 1,008 requests a second
IDLE_CONNECTIONS = 2000
HEAP_PER_CONNECTION, HEAP_PER_HTTP_CONNECTION = 2048, 3072
H2_CLIENTS, H2_STREAMS = 2, 32


class Invalid(Exception):
    """A round that proves nothing: the run fails."""


class Figure:
    """cost: CPU per unit; latencies: {"p50": microseconds, ...} where the load tells."""

    def __init__(self, cost, per_proxy, busy, extra="", latencies=None):
        self.cost, self.per_proxy, self.busy, self.extra, self.latencies = cost, per_proxy, busy, extra, latencies or {}


def measured(system, load, unit):
    """Runs load() and returns the Figure: CPU seconds of the system's processes divided by what load() counted, times unit."""
    system.check_alive()
    trees = system.trees()
    before = [stage.cpu_seconds(t) for t in trees]
    idle, begin = stage.core_idle_seconds(stage.PROXY_CORE), time.monotonic()
    done, extra, *latencies = load()
    wall = time.monotonic() - begin
    busy = 1 - (stage.core_idle_seconds(stage.PROXY_CORE) - idle) / wall
    system.check_alive()
    if system.trees() != trees:
        raise Invalid(f"{system.name}: processes came or went")
    spent = [stage.cpu_seconds(t) - b for t, b in zip(trees, before)]
    if done <= 0 or min(spent) <= 0:
        raise Invalid(f"{system.name}: {done} done, CPU of its processes {spent}: is the right process measured?")
    return Figure(sum(spent) / done * unit, [s / done * unit for s in spent], busy, extra, *latencies)


def in_client(system, *args, timeout):
    r = subprocess.run(stage.inside(system.client, "taskset", "-c", LOAD_CORE, *args), capture_output=True, text=True, timeout=timeout)
    if r.returncode != 0:
        raise Invalid(f"{system.name}: {args[0]} failed: {(r.stderr or r.stdout)[-300:]}")
    return r.stdout


def microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def wrk(system, seconds, connections=64, close=False):
    """close: a new connection for each request."""
    header = ["-H", "Connection: close"] if close else []

    def load():
        out = in_client(system, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *header, system.url(), timeout=seconds + 30)
        if "Socket errors" in out or "Non-2xx" in out:
            raise Invalid(f"{system.name}: " + " ".join(l.strip() for l in out.splitlines() if "errors" in l or "Non-2xx" in l))
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        p50, p99 = (re.search(rf"^\s+{p}%\s+(\S+)", out, re.M).group(1) for p in (50, 99))
        return requests, f"{requests / seconds:,.0f} rps, p50 {p50}, p99 {p99}", {"p50": microseconds(p50), "p99": microseconds(p99)}

    return load


def low(system, seconds):
    total, log = LOW_CLIENTS * LOW_RPS * seconds, f"{stage.RUN}/h2load.log"

    def load():
        if os.path.exists(log):
            os.remove(log)
        out = in_client(system, "h2load", "--h1", f"-c{LOW_CLIENTS}", "-t1", f"-n{total}", f"--rps={LOW_RPS}", f"--log-file={log}", system.url(), timeout=seconds + 60)
        done = re.search(r"requests: \d+ total, \d+ started, (\d+) done, .* (\d+) errored, (\d+) timeout", out)
        data = re.search(r"\((\d+)\) data", out)
        # h2load reads no status where there is no reason phrase, as behind an HTTP/2 hop: what counts is that nothing else came, and every byte.
        if not done or done.groups() != (str(total), "0", "0") or " 0 3xx, 0 4xx, 0 5xx" not in out or not data or int(data.group(1)) != total * stage.BODY:
            raise Invalid(f"{system.name}: h2load: {out[out.find('requests:'):][:300]}")
        with open(log) as f:
            times = sorted(int(line.split()[2]) for line in f)
        p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
        return total, f"{LOW_CLIENTS * LOW_RPS} rps, p50 {p50}us, p99 {p99}us", {"p50": p50, "p99": p99}

    return load


def h2(system, seconds):
    """HTTP/2 in the clear, its client knows before that it is spoken."""

    def load():
        out = in_client(system, "h2load", f"-c{H2_CLIENTS}", "-t1", f"-m{H2_STREAMS}", "-D", str(seconds), system.url(), timeout=seconds + 60)
        done = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out)
        if not done or done.group(1) != done.group(2) or done.groups()[2:] != ("0", "0", "0"):
            raise Invalid(f"{system.name}: h2load: {out[out.find('requests:'):][:300]}")
        requests = int(done.group(1))
        return requests, f"{requests / seconds:,.0f} rps"

    return load


def handshakes(system, seconds):
    """Mutual TLS and HTTP/2's first frames, again and again, straight to the port of tunnels: what a destination pays for a new peer."""

    def load():
        out = in_client(system, "/usr/bin/python3", "-B", f"{os.path.dirname(os.path.abspath(__file__))}/handshakes.py", system.host, str(system.port), *system.tls,
                        str(seconds), timeout=seconds + 30)
        done = int(out)
        return done, f"{done / seconds:,.0f} a second"

    return load


def bulk(system):
    def load():
        out = in_client(system, f"{systems.BUILD}/perf/bulk_client", system.host, str(system.port), str(BULK_BYTES), str(BULK_CONNECTIONS), timeout=180)
        if int(out) != BULK_BYTES * BULK_CONNECTIONS:
            raise Invalid(f"{system.name}: {out.strip()} bytes came, {BULK_BYTES * BULK_CONNECTIONS} should have")
        return int(out) / GB, f"{BULK_CONNECTIONS} x {BULK_BYTES >> 20} MiB"

    return load


US, S = 1e6, 1.0
# cell: peers (Weir first), load, unit, the least share of a core that the proxies must have used in a saturated round
CELLS = {
    # wrk and the application share the other core: with a cheap proxy it is they who are the limit.
    "l4-relay": ([systems.weir_relay, systems.haproxy_tcp, systems.floor], lambda s, o: wrk(s, o.seconds), US, 0.5, "us/request"),
    "two-hop-mtls": ([systems.weir_two_hop, systems.haproxy_h2, systems.nginx], lambda s, o: wrk(s, o.seconds), US, 0.9, "us/request"),
    "two-hop-low": ([systems.weir_two_hop, systems.haproxy_h2, systems.nginx], lambda s, o: low(s, o.seconds), US, 0.0, "us/request"),
    # One request at a time: how long it takes is what is asked; the cores are idle in between.
    "two-hop-one": ([systems.weir_two_hop, systems.haproxy_h2, systems.nginx], lambda s, o: wrk(s, o.seconds, 1), US, 0.0, "us/request"),
    # Both proxies look at each request; what the peers do in the cells above they do here.
    "l7-one-hop": ([systems.weir_http_one, systems.haproxy_http, systems.nginx_plain], lambda s, o: wrk(s, o.seconds), US, 0.5, "us/request"),
    "l7-two-hop": ([systems.weir_http, systems.haproxy_h2, systems.nginx], lambda s, o: wrk(s, o.seconds), US, 0.9, "us/request"),
    "l7-low": ([systems.weir_http, systems.haproxy_h2, systems.nginx], lambda s, o: low(s, o.seconds), US, 0.0, "us/request"),
    "l7-low-one-hop": ([systems.weir_http_one, systems.haproxy_http, systems.nginx_plain], lambda s, o: low(s, o.seconds), US, 0.0, "us/request"),
    "l7-h2": ([systems.weir_h2, systems.haproxy_h2_front, systems.nginx_h2_front], lambda s, o: h2(s, o.seconds), US, 0.3, "us/request"),
    "connect": ([systems.weir_two_hop, systems.haproxy_h2, systems.nginx], lambda s, o: wrk(s, o.seconds, 64, True), US, 0.5, "us/connection"),
    "handshake": ([systems.weir_server, systems.haproxy_server, systems.nginx_server], lambda s, o: handshakes(s, o.seconds), US, 0.0, "us/handshake"),
    "bulk-plain": ([systems.weir_relay, systems.haproxy_tcp, systems.nginx_plain, systems.floor], lambda s, o: bulk(s), S, 0.3, "s/GB"),
    "bulk-mtls": ([systems.weir_two_hop, systems.haproxy_h2, systems.nginx], lambda s, o: bulk(s), S, 0.5, "s/GB"),
    # What has 10,000 routes is divided by what has fewer.
    "l7-routes": ([systems.weir_routes(10000), systems.weir_no_routes, systems.weir_routes(1), systems.weir_routes(100)], lambda s, o: wrk(s, o.seconds), US, 0.5, "us/request"),
}


def one_round(cell, make_system, options):
    """Peers of one cell use the same ports, so each is started for its round alone; Weir stays, and is idle meanwhile."""
    _, load, unit, least_busy, _ = CELLS[cell]
    system = make_system()
    try:
        if not system.tls:
            stage.wait_for(f"{system.name} to answer", lambda: answers(system, cell == "l7-h2"))
        if options.warm_up and not system.tls:
            (h2 if cell == "l7-h2" else wrk)(system, 1)()
        figure = measured(system, load(system, options), unit)
    finally:
        system.stop()
    if figure.busy < least_busy:
        raise Invalid(f"{cell}: {system.name}: the proxies' core was {figure.busy:.0%} busy, at least {least_busy:.0%} is needed for a saturated round")
    return system.name, figure


def answers(system, h2=False):
    spoken = ["--http2-prior-knowledge"] if h2 else []
    r = subprocess.run(stage.inside(system.client, "curl", *spoken, "-s", "-o", "/dev/null", "-m", "2", "-w", "%{http_code}", system.url()), capture_output=True, text=True)
    return r.stdout == "200"


def run_cell(cell, options):
    figures = {}
    for number in range(options.rounds):
        order = CELLS[cell][0]
        for make_system in order[number % len(order):] + order[: number % len(order)]:
            for attempt in (1, 2, 3):
                try:
                    name, figure = one_round(cell, make_system, options)
                    break
                except Invalid as e:
                    print(f"# {e} (attempt {attempt})", flush=True)
                    if attempt == 3:
                        raise
            figures.setdefault(name, []).append(figure)
            each = " + ".join(f"{c:.2f}" for c in figure.per_proxy)
            print(f"# {cell} round {number + 1} {name}: {figure.cost:.2f} {CELLS[cell][4]} ({each}), core {figure.busy:.0%} busy, {figure.extra}", flush=True)
    rows = []
    for name, theirs in figures.items():
        if name == "weir":
            continue
        ratios = [w.cost / t.cost for w, t in zip(figures["weir"], theirs)]
        print(f"ratio {cell} {name} {statistics.median(ratios):.2f} {min(ratios):.2f} {max(ratios):.2f}", flush=True)
        rows.append((cell, name, statistics.median(f.cost for f in figures["weir"]), statistics.median(f.cost for f in theirs), CELLS[cell][4], ratios))
        for p in theirs[0].latencies if CELLS[cell][3] == 0.0 else {}: # a saturated core's queue is not what a request takes
            ratios = [w.latencies[p] / t.latencies[p] for w, t in zip(figures["weir"], theirs)]
            print(f"ratio {cell}-{p} {name} {statistics.median(ratios):.2f} {min(ratios):.2f} {max(ratios):.2f}", flush=True)
            rows.append((f"{cell}, {p}", name, statistics.median(f.latencies[p] for f in figures["weir"]), statistics.median(f.latencies[p] for f in theirs), "us", ratios))
    return rows


# ---- memory of idle connections ----------------------------------------------


def idle_clients(system, n):
    """n connections that have done one request each and wait; and what ends them."""
    client = subprocess.Popen(stage.inside(system.client, f"{systems.BUILD}/perf/idle_client", system.host, str(system.port), str(n)), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish():
        client.stdin.close()
        client.wait(20)

    if client.stdout.readline() != "open\n":
        finish()
        raise Invalid(f"{system.name}: not all of {n} connections were served: {client.stderr.read()[-200:]}")
    return n, finish


def idle_round(make_system, n):
    system = make_system()
    try:
        stage.wait_for(f"{system.name} to answer", lambda: answers(system))
        wrk(system, 1)()  # receive buffers that nobody has used yet are no connection's
        time.sleep(3.0)  # and what a burst leaves is given back
        before = [stage.pss_kib(t) for t in system.trees()]
        _, finish = idle_clients(system, n)
        try:
            time.sleep(1.0)  # let what was queued be freed: memory at rest is what is asked for
            after = [stage.pss_kib(t) for t in system.trees()]
        finally:
            finish()
    finally:
        system.stop()
    return system.name, before, [(a - b) / n for a, b in zip(after, before)]


def run_base():
    """Fresh processes, one request old."""
    system = systems.weir_two_hop()
    stage.wait_for("weir to answer", lambda: answers(system))
    print("base weir " + " + ".join(f"{stage.pss_kib(t) / 1024:.1f} MiB in {len(t)} processes" for t in system.trees()), flush=True)


IDLE = {
    "idle": (systems.weir_two_hop, systems.haproxy_h2, systems.nginx),
    "l7-idle": (systems.weir_http, systems.haproxy_h2, systems.nginx),
    "l7-idle-one-hop": (systems.weir_http_one, systems.haproxy_http, systems.nginx_plain),
}


def run_idle(cell, options):
    rows = []
    for make_system in IDLE[cell]:
        name, base, each = idle_round(make_system, options.idle)
        print(f"{cell} {name} base " + " + ".join(f"{b / 1024:.1f} MiB" for b in base) + f"; {options.idle} connections: " + " + ".join(f"{e:.2f} KiB" for e in each) + " each", flush=True)
        rows.append((cell, name, base, each))
    return rows


# ---- what is asked of the heap ---------------------------------------------------


def run_allocs(options):
    """On a stage of its own, because counting costs time."""
    stage.clear()
    allocs.begin()
    stage.make(f"{systems.BUILD}/perf/origin")
    for what, make_system, most in (("connection", systems.weir_two_hop, HEAP_PER_CONNECTION), ("HTTP connection", systems.weir_http, HEAP_PER_HTTP_CONNECTION)):
        allocs_of(what, make_system(), most, options)


def allocs_of(what, system, most, options):
    n = 1000
    stage.wait_for("weir to answer", lambda: answers(system))

    def each(what, work):
        before = [allocs.of(t) for t in system.trees()]
        done, finish = work()
        spent = [allocs.of(t) - b for t, b in zip(system.trees(), before)]
        finish()
        print(f"allocs {what}: " + " + ".join(f"{c.allocated / done:.4f}" for c in spent) + f" each of {done}", flush=True)
        return done, spent

    _, spent = each(f"{what}, tunnels included", lambda: idle_clients(system, n))
    for name, c in zip("AB", spent):
        print(f"allocs with tunnels {name}: {c.size / n:.0f} bytes live per {what}: {allocs.grown(c, n, n // 200)}", flush=True)
        if c.size > most * n:
            raise Invalid(f"an idle {what} has {c.size / n:.0f} bytes of heap, its share of the tunnel included; at most {most}")
    each(f"request by a {what}", lambda: (wrk(system, options.seconds)()[0], lambda: None))
    _, spent = each(what, lambda: idle_clients(system, n))
    for name, c in zip("AB", spent):
        print(f"allocs idle {what} {name}: {c.size / n:.0f} bytes live in {sum(c.live) / n:.1f} blocks: {allocs.grown(c, n, n // 10)}", flush=True)


# ---- the run -------------------------------------------------------------------


def table(rows, idle_rows, options):
    lines = [f"Measured {datetime.date.today()}: {options.rounds} interleaved rounds of {options.seconds} s, medians.", "",
             "| cell | Weir | peer | peer's | ratio (median, min..max) |", "| --- | --- | --- | --- | --- |"]
    for cell, peer, ours, theirs, unit, ratios in rows:
        lines.append(f"| {cell} | {ours:.2f} {unit} | {peer} | {theirs:.2f} | **{statistics.median(ratios):.2f}** ({min(ratios):.2f}..{max(ratios):.2f}) |")
    if idle_rows:
        lines += ["", f"| cell | memory (PSS), {options.idle} idle connections | base of each proxy (MiB) | per connection, each proxy (KiB) |", "| --- | --- | --- | --- |"]
        for cell, name, base, each in idle_rows:
            lines.append(f"| {cell} | {name} | {', '.join(f'{b / 1024:.1f}' for b in base)} | {', '.join(f'{e:.2f}' for e in each)} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="tests/perf/run.sh")
    parser.add_argument("cells", nargs="*", help="which; all if none is named: " + " ".join([*CELLS, *IDLE]))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--idle", type=int, default=IDLE_CONNECTIONS)
    parser.add_argument("--no-warm-up", dest="warm_up", action="store_false")
    parser.add_argument("--table", help="writes the results as a table into this file")
    options = parser.parse_args()
    # Base memory is asked of processes that have not worked yet, and again of those that have. "allocs" ends what was there: it is the last.
    # Tables of routes stay: they come after what asks for memory.
    known = ["base", *(c for c in CELLS if c != "l7-routes"), *IDLE, "l7-routes", "allocs"]
    for cell in options.cells:
        if cell not in known:
            parser.error(f"'{cell}' is no cell; there are: {' '.join(known)}")
    wanted = [c for c in known if not options.cells or c in options.cells]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows, idle_rows, failed = [], [], False
    try:
        stage.make(f"{systems.BUILD}/perf/origin")
        for cell in wanted:
            try:
                if cell == "base":
                    run_base()
                elif cell in IDLE:
                    idle_rows += run_idle(cell, options)
                elif cell == "allocs":
                    run_allocs(options)
                else:
                    rows += run_cell(cell, options)
            except Invalid as e:
                print(f"INVALID {cell}: {e}", flush=True)
                failed = True
    finally:
        stage.clear()
    if options.table:
        with open(options.table, "w") as f:
            f.write(table(rows, idle_rows, options))
    return 1 if failed else 0


sys.exit(main())
