#!/usr/bin/env bash
# timeout: 120
# builds: dev asan
# Machines that register themselves, of a WorkloadGroup: what is called by the group's labels finds them, the controller's restart
# loses nothing, and who is gone for longer than the lease is forgotten. Who is not the group's is not registered.
#
#   control (CA, controller)   db: a server (8080)   web: user 4001 (chosen)   other: joined as another account
#          |                        |                     |                         |
#   -------+------------------------+---------------------+-------------------------+------ underlay
. "$(dirname "$0")/lib.sh"

lab_up --manifests "$ROOT/tests/netns/machine_group"

WEB=spiffe://cluster.local/ns/machines/sa/web
AT=192.168.50.41 CHOSEN=4001 URL=http://db.example:8080/whoami
as_web() { lab exec web -- setpriv --reuid $CHOSEN --clear-groups curl -sS -f --max-time "$ANSWER_S" --resolve db.example:8080:240.240.0.9 "$URL"; }
entries() { lab exec control -- curl -sf --max-time 5 http://127.0.0.1:15014/config_dump; }

step "both register themselves, and one calls the other by the group's label"
must lab machine-up db $AT machines/dbs/A1 db --inbound-port 8080
must lab machine-up web 192.168.50.42 machines/webs/w web --capture-user $CHOSEN
(exec "$ROOT/tests/lab.sh" exec db -- setpriv --reuid 4003 --clear-groups "$WEIR_BUILD/perf/origin" --port 8080 --pod db-1) >"$WORK/server" 2>&1 &
eventually lab exec db -- curl -sf --max-time 5 "http://$AT:8080/whoami"
mark
eventually as_web
logged db "src.identity=$WEB" dst.workload=dbs-a1 direction=inbound policy=machines/db-only-from-web
grep -q '"name": "dbs-a1"' "$RUN/controller/machines.json" || fail "the file says: $(<"$RUN/controller/machines.json")"

step "the controller starts anew, and knows them before they are back"
lab stop controller KILL
must as_web
mark
lab start controller
eventually lab exec control -- curl -sf --max-time 5 http://127.0.0.1:15014/healthz/ready
must as_web
logged controller "weir-nodeproxy-db" "is connected"

step "who joined as another account is not registered, nor who wants a connected one's name"
mark
intruder() { # NAME ADDRESS MACHINE ACCOUNT: never ready
    ("$ROOT/tests/lab.sh" machine-up "$1" "$2" "$3" "$4" --inbound-port 8080) >"$WORK/$1" 2>&1 &
    intruders+=($!)
}
intruders=()
intruder other 192.168.50.43 machines/dbs/b web
logged other "WorkloadGroup machines/dbs is for machines that joined as account 'db'"
intruder second 192.168.50.44 machines/dbs/a1 db
logged second "a machine at $AT has the name dbs-a1"
kill "${intruders[@]}"
for name in other second; do lab stop "$name"; done
must as_web
! entries | grep -q dbs-b || fail "dbs-b is registered"

step "who is gone is known for the lease, and then no more; and is registered again when it is back"
mark
lab stop db KILL
logged controller "machines/dbs-a1 is gone"
gone() { ! entries | grep -q dbs-a1; }
eventually gone
must_not as_web
lab start db
eventually as_web

step "the group goes, and its machines; it comes back, and they do"
lab delete group.yaml
eventually gone
lab apply "$ROOT/tests/netns/machine_group/group.yaml"
eventually as_web
