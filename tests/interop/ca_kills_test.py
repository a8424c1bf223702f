#!/usr/bin/python3
# timeout: 120
# builds: dev
"""Kills at random during 10,000 issuances over PostgreSQL, as ca_state_test.py has them over SQLite: of the weir-ca, of its backends in
the server by SIGKILL (after which the whole server ends its connections and reads its log again, as after a crash), by SIGTERM and by
SIGINT (what runs is cancelled). Whoever was told of a certificate finds it and its line; no serial comes twice; nothing is half.

   this test (ssl, h2) --> weir-ca (killed) --(libpq, unix socket)--> postgres: backends (killed)
"""
import contextlib
import os
import random
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ca_replicas_test  # noqa: E402
import ca_test  # noqa: E402
from ca_state_test import ISSUANCES, issued_until_killed  # noqa: E402
from ca_test import OK, UNAVAILABLE, message_of  # noqa: E402

BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'weir-ca'"
# What is half: each query counts rows that must not be.
HALVES = {
    "certificates without a line": "SELECT count(*) FROM issued WHERE NOT EXISTS (SELECT 1 FROM audit WHERE outcome = 'given'"
                                   " AND audit.serial = issued.serial AND audit.identity = issued.identity)",
    "lines without a certificate": "SELECT count(*) FROM audit WHERE outcome = 'given' AND NOT EXISTS (SELECT 1 FROM issued WHERE"
                                   " issued.serial = audit.serial)",
    "serials with two lines": "SELECT count(*) FROM (SELECT 1 FROM audit WHERE outcome = 'given' GROUP BY serial"
                              " HAVING count(*) > 1) AS twice",
    "changes that go on": "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'weir-ca'",
}


class Bench(ca_replicas_test.Bench):
    """One replica, which is started again and again, and backends that are killed."""

    def __init__(self, folder):
        self.signals = {signal.SIGKILL: 0, signal.SIGTERM: 0, signal.SIGINT: 0}
        super().__init__(folder)

    def start_ca(self, *more):
        self.start_replica(0)

    def client(self, certificate=None):
        return self.at(0, certificate)

    def strike(self, pids, number):
        """At the CA's backends, as they were before the round: in the middle of what they do."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # the server ends the others when one is killed
                os.kill(pid, number)
                self.signals[number] += 1

    def judge(self):
        """Also of what the killed have left: their backends end by themselves."""
        self.until("the database answers", self.database.is_ready)
        self.until("the backends of before have ended", lambda: self.database.ask(HALVES["changes that go on"]) == ["0"])
        for what, sql in HALVES.items():
            assert self.database.ask(sql) == ["0"], what
        self.fine()

    def serves_again(self, message):
        """After the first answer that is one. Not everything that failed was asked for in vain: UNAVAILABLE, and then as before."""
        with self.client() as client:
            self.until("it issues again", lambda: client.ask(message, self.token_b).status == OK)


def killed_over_the_database(bench):
    rng, message, serials = random.Random(int(os.environ.get("WEIR_SEED", 11))), message_of(bench.requests.make()), []
    kills = strikes = 0
    while len(serials) < ISSUANCES:
        if rng.random() < 0.6:  # its connections alone: it goes on, with others
            number, pids = rng.choice(list(bench.signals)), [int(pid) for pid in bench.database.ask(BACKENDS)]

            def strike(pids=pids, number=number):
                bench.strike(pids, number)
                bench.serves_again(message)
                bench.kill_replica(0)
            serials += issued_until_killed(bench, message, rng, strike, (OK, UNAVAILABLE))
            strikes += 1
        else:
            serials += issued_until_killed(bench, message, rng, lambda: bench.replicas[0].process.send_signal(signal.SIGKILL))
            bench.kill_replica(0)
            kills += 1
        bench.judge()
        bench.start_ca()
    print(f"     {len(serials)} certificates, {kills} kills, {strikes} more after strikes at backends: "
          + ", ".join(f"{count} {number.name}" for number, count in bench.signals.items()))
    given, issued = bench.database.ask("SELECT serial FROM audit WHERE outcome = 'given'"), bench.database.ask("SELECT serial FROM issued")
    assert len(set(serials)) == len(serials) and set(serials) <= set(given) and set(serials) <= set(issued)
    assert kills > 0 and all(bench.signals.values()), (kills, bench.signals)
    assert bench.database.ask("SELECT count(*) FROM authority") == ["2"]


CHECKS = (killed_over_the_database,)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    ca_test.play_checks("ca-kills", Bench, CHECKS)
