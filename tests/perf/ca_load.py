"""Certificates from weir-ca as fast as this client takes them, and one at a time: see ca.sh. What the CA itself costs is its processor
time (both its threads), which the client's own speed does not change.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/interop")
import ca_replicas_test  # noqa: E402
import ca_test  # noqa: E402

AT_ONCE, ONE_BY_ONE, A_TOKEN = 60, 300, 900  # a node's bucket holds a thousand


class FileBench(ca_test.Bench):
    def start(self):
        self.start_ca()
        return self.ca, self.port


class DatabaseBench(ca_replicas_test.Bench):
    def start(self):
        self.start_replica(0)
        return self.replicas[0], self.ports[0]


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def token(bench, number):
    return ca_test.run("weir-ca", "token", "--state", bench.state, "--node", f"node-{number}").strip()


def measure(name, make_bench, count):
    folder = tempfile.mkdtemp(prefix="weir-ca-perf-", dir="/var/tmp")
    bench = make_bench(folder)
    try:
        program, port = bench.start()
        message = ca_test.message_of(bench.requests.make())
        tokens = [token(bench, number) for number in range(count // A_TOKEN + 2)]
        client = ca_test.Client(port, bench.roots)
        times = []
        for _ in range(ONE_BY_ONE):
            began = time.monotonic()
            assert client.ask(message, tokens[-1]).status == ca_test.OK
            times.append(time.monotonic() - began)
        began, cpu, done = time.monotonic(), cpu_s(program.process.pid), 0
        while done < count:
            streams = [client.start(message, tokens[done // A_TOKEN]) for _ in range(AT_ONCE)]
            assert all(answer.status == ca_test.OK for answer in client.wait(*streams))
            client.answers.clear()
            done += AT_ONCE
        took, cpu = time.monotonic() - began, cpu_s(program.process.pid) - cpu
        client.socket.close()
        times.sort()
        print(f"{name:12} {done} certificates: {done / cpu:6.0f} a second of a core, {done / took:6.0f} a second here; one at a time: "
              f"median {times[len(times) // 2] * 1000:.2f} ms, p99 {times[len(times) * 99 // 100] * 1000:.2f} ms", flush=True)
    finally:
        bench.end()
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificates", type=int, default=6000)
    count = parser.parse_args().certificates
    measure("SQLite", FileBench, count)
    measure("PostgreSQL", DatabaseBench, count)
    said = subprocess.run(["openssl", "speed", "-seconds", "2", "ecdsap256"], capture_output=True, text=True, check=True).stdout
    signs, verifies = re.search(r"256 bits ecdsa \(nistp256\)\s+\S+s\s+\S+s\s+([\d.]+)\s+([\d.]+)", said).groups()
    print(f"openssl speed ecdsap256, one core: {float(signs):.0f} signatures a second, {float(verifies):.0f} verifications")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
