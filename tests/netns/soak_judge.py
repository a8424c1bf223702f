#!/usr/bin/python3
"""What the soak test's clients lost, judged by what was done to the mesh meanwhile.

usage: soak_judge.py ACTIONS LOAD...

ACTIONS has a line for each thing done: WHAT NODE BEGIN END SINCE (seconds; SINCE: when the process that was killed took over). A LOAD
is NAME=NODES=FILE: whose way leads through which nodes, and what soak_load.py printed.

A connection may be lost only where it was inside a data process that was killed: it began while that process was in charge (a
connection that lies in the ring of a dying process is lost with it: GRACE_S), it broke because of the kill, and it was neither
refused nor left waiting. Whatever else went wrong fails the test.
"""
import collections
import json
import sys

GRACE_S = 0.3   # until the kernel has taken a dead process's rings apart
NOTICED_S = 5   # a broken stream is noticed at the other end
HANDING_S = 3   # around a take-over both processes may have accepted


def read_actions(path):
    actions = []
    for line in open(path, encoding="ascii"):
        what, node, *times = line.split()
        actions.append((what, node, *map(float, times)))
    return actions


def was_inside(failure, nodes, actions):
    return any(what == "kill-data" and node in nodes and failure["how"] in ("reset", "short") and
               since - HANDING_S <= failure["begin"] <= end + GRACE_S and
               begin <= failure["end"] <= end + NOTICED_S
               for what, node, begin, end, since in actions)


def phase_of(failure, actions):
    during = [f"{what} {node}" for what, node, begin, end, _ in actions
              if begin <= failure["end"] and failure["begin"] <= end + GRACE_S]
    return ", ".join(during) or "nothing"


def main():
    actions = read_actions(sys.argv[1])
    done = collections.Counter(what for what, *_ in actions)
    bad, inside, totals = [], collections.Counter(), collections.Counter()
    worst = 0
    for load in sys.argv[2:]:
        name, nodes, path = load.split("=")
        lines = [json.loads(line) for line in open(path, encoding="ascii")]
        failures, counts = lines[:-1], lines[-1]
        if "bytes" not in counts or counts["knock"] == 0:
            sys.exit(f"FAILED: {name} did not come to its end: {counts}")
        totals.update({key: counts[key] for key in ("knock", "stream", "bytes")})
        worst = max(worst, counts["worstMs"])
        lost = collections.Counter()
        for failure in failures:
            lost[failure["how"]] += 1
            if was_inside(failure, nodes.split("+"), actions):
                inside[failure["what"]] += 1
            else:
                bad.append(f"{name}: {failure['what']} {failure['how']} after {failure['end'] - failure['begin']:.3f} s,"
                           f" ended at {failure['end']:.3f}, during {phase_of(failure, actions)}")
        print(f"  {name}: {counts['knock']} connections, {counts['stream']} streams, lost {dict(lost) or 'none'}")
    print(f"  done: {dict(done)}")
    print(f"  {totals['knock']} new connections, {totals['stream']} streams, {totals['bytes'] >> 20} MiB; the slowest connection"
          f" took {worst} ms; inside of killed processes {inside['knock']} connections and {inside['stream']} streams were lost")
    for line in bad[:20]:
        print(line)
    if bad:
        sys.exit(f"FAILED: {len(bad)} were lost that were not inside of a killed process")


if __name__ == "__main__":
    main()
