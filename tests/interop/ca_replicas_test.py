#!/usr/bin/python3
# timeout: 60
# builds: dev
"""Three replicas of weir-ca over one PostgreSQL, which the test makes and starts for itself, as a user who is not root: they answer
while one after another is killed; nobody's request fails but those in flight; a token is good once, at one of them; what is revoked at
one is revoked at all; and there is no serial twice, and no certificate without its line.

   clients (ssl, h2) --> weir-ca 0, 1, 2 --(libpq, unix socket)--> postgres
"""
import glob
import os
import random
import shutil
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ca_test  # noqa: E402
from ca_state_test import serial_of  # noqa: E402
from ca_test import DOMAIN, OK, PERMISSION_DENIED, UNAUTHENTICATED, message_of, run  # noqa: E402

VM = f"{DOMAIN}/vm/sa/db"
REPLICAS, CLIENTS, AT_ONCE, NOBODY = 3, 3, 8, 65534


class Postgres:
    """Its folder is its own: who runs it is not root."""

    def __init__(self, folder):
        self.folder, self.programs = folder, sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        os.mkdir(folder, 0o700)
        self.who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if self.who:
            os.chown(folder, NOBODY, NOBODY)
        with open(f"{folder}/log", "wb") as log:
            subprocess.run([f"{self.programs}/initdb", "-D", f"{folder}/data", "-U", "weir", "-A", "trust", "-E", "UTF8", "--locale=C",
                            "--no-sync"], check=True, stdout=log, stderr=log, cwd=folder, **self.who)
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                [f"{self.programs}/postgres", "-D", f"{folder}/data", "-k", folder, "-c", "listen_addresses="], stdout=log, stderr=log,
                cwd=folder, **self.who)

    def is_ready(self):
        return subprocess.run([f"{self.programs}/pg_isready", "-q", "-h", self.folder, "-U", "weir", "-d", "postgres"],
                              check=False).returncode == 0

    def ask(self, sql):
        out = subprocess.run([f"{self.programs}/psql", "-h", self.folder, "-U", "weir", "-d", "postgres", "-At", "-c", sql],
                             check=True, capture_output=True, text=True, timeout=ca_test.DEADLINE_S).stdout
        return out.split()

    def end(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()


class Bench(ca_test.Bench):
    def __init__(self, folder):
        database = ca_test.tempfile.mkdtemp(prefix="weir-pg-", dir="/var/tmp")
        os.chmod(database, 0o711)
        self.database_folder = database
        self.database = Postgres(f"{database}/pg")
        self.until("the database answers", self.database.is_ready)
        conninfo = f"{folder}/conninfo"
        with open(os.open(conninfo, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(f"host={database}/pg user=weir dbname=postgres\n")
        self.where, self.replicas, self.ports = f"postgresql:{conninfo}", [None] * REPLICAS, [0] * REPLICAS
        self.kills = [0] * REPLICAS
        super().__init__(folder)

    @property
    def state(self):
        return self.where

    @state.setter
    def state(self, _):
        """It is where we said."""

    def start_replica(self, number):
        self.replicas[number] = ca_test.Program("weir-ca", "serve", "--state", self.where, "--listen", "127.0.0.1:0", "--controller",
                                                "127.0.0.1:1")
        self.ports[number] = int(self.replicas[number].wait_line(r"listening on 127\.0\.0\.1:(\d+)")[1])

    def end(self):
        for program in self.replicas:
            if program:
                program.end(signal.SIGKILL)
        super().end()
        self.database.end()
        shutil.rmtree(self.database_folder)

    def start_ca(self, *more):
        """The replicas are started by the check."""

    def kill_replica(self, number):
        self.kills[number] += 1
        assert self.replicas[number].end(signal.SIGKILL) == -signal.SIGKILL

    def at(self, number, certificate=None):
        return ca_test.Client(self.ports[number], self.roots, certificate)

    def fine(self):
        assert "fine" in run("weir-ca", "check", "--state", self.where)


def all_are_one(bench):
    """Started at once, they agree on the keys; a token is good at one of them; a revocation counts at all."""
    for number in range(REPLICAS):
        bench.start_replica(number)
    assert bench.database.ask("SELECT count(*) FROM authority") == ["2"]
    message = message_of(bench.requests.make())
    token = run("weir-ca", "token", "--state", bench.where, "--identity", VM).strip()
    clients = [bench.at(number) for number in range(REPLICAS)]
    streams = [client.start(message, token) for client in clients]
    for client, stream in zip(clients, streams):
        client.wait(stream)
    statuses = sorted(client.answers[stream].status for client, stream in zip(clients, streams))
    assert statuses == [OK] + [UNAUTHENTICATED] * (REPLICAS - 1), statuses
    run("weir-ca", "revoke", "--state", bench.where, "--identity", VM)
    for client in clients:
        fresh = run("weir-ca", "token", "--state", bench.where, "--identity", VM).strip()
        assert client.ask(message, fresh).status == PERMISSION_DENIED
        client.socket.close()
    listed = ca_test.openssl("crl", "-noout", "-text", text=run("weir-ca", "crl", "--state", bench.where)).lower()
    revoked = bench.database.ask("SELECT value FROM revocation WHERE kind = 'serial'")
    assert revoked and all(serial in listed for serial in revoked), (revoked, listed)
    bench.fine()


class Asker(threading.Thread):
    """Asks without end, AT_ONCE at a time; goes to the next replica where its own has gone."""

    def __init__(self, bench, number, message):
        super().__init__(daemon=True)
        self.bench, self.number, self.message = bench, number, message
        self.token = run("weir-ca", "token", "--state", bench.where, "--node", f"node-{number}").strip()
        self.serials, self.in_flight_lost, self.failed, self.over = [], 0, [], threading.Event()

    def run(self):
        try:
            while not self.over.is_set():
                self.ask_there()
                self.number = (self.number + 1) % REPLICAS
        except Exception as error:  # pylint: disable=broad-except
            self.failed.append(repr(error))

    def ask_there(self):
        kills = self.bench.kills[self.number]
        try:
            client = self.bench.at(self.number)
        except OSError:
            return  # nobody is there: no request was made
        streams = []
        try:
            while not self.over.is_set():
                streams = [client.start(self.message, self.token) for _ in range(AT_ONCE)]
                client.wait(*streams)
                self.take(client, streams)
                streams = []
        except (OSError, AssertionError, ca_test.h2.exceptions.ProtocolError):
            if self.bench.kills[self.number] == kills:
                raise
            lost = [stream for stream in streams if not client.answers[stream].ended]
            self.in_flight_lost += len(lost)
            self.take(client, [stream for stream in streams if stream not in lost])
        finally:
            client.socket.close()

    def take(self, client, streams):
        for stream in streams:
            answer = client.answers[stream]
            if answer.status == OK:
                self.serials.append(serial_of(answer.pems[0]))
            else:
                self.failed.append(f"{answer.status} {answer.message}")


def one_after_another_is_killed(bench):
    rng = random.Random(int(os.environ.get("WEIR_SEED", 5)))
    askers = [Asker(bench, number % REPLICAS, message_of(bench.requests.make())) for number in range(CLIENTS)]
    for asker in askers:
        asker.start()
    for kill in range(REPLICAS * 2):
        wanted = sum(len(a.serials) for a in askers) + rng.randrange(50, 250)
        bench.until("they are answered", lambda: sum(len(a.serials) for a in askers) >= wanted or any(a.failed for a in askers))
        number = kill % REPLICAS
        bench.kill_replica(number)
        wanted = sum(len(a.serials) for a in askers) + 100
        bench.until("the others answer", lambda: sum(len(a.serials) for a in askers) >= wanted or any(a.failed for a in askers))
        bench.start_replica(number)
    for asker in askers:
        asker.over.set()
    for asker in askers:
        asker.join(ca_test.DEADLINE_S)
    assert not [text for asker in askers for text in asker.failed], [asker.failed[:3] for asker in askers]
    serials = [serial for asker in askers for serial in asker.serials]
    lost = sum(asker.in_flight_lost for asker in askers)
    print(f"     {len(serials)} certificates, {REPLICAS * 2} kills, {lost} requests in flight lost, none else")
    assert len(set(serials)) == len(serials) and lost <= REPLICAS * 2 * CLIENTS * AT_ONCE
    assert set(serials) <= set(bench.database.ask("SELECT serial FROM audit WHERE outcome = 'given'"))
    bench.fine()


CHECKS = (all_are_one, one_after_another_is_killed)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    ca_test.play_checks("ca-replicas", Bench, CHECKS)
