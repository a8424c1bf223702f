#!/usr/bin/env bash
# timeout: 120
# builds: dev
# Machines that are no nodes, with no Kubernetes anywhere: they join with a token, keep what they got, and speak by identity.
#
#   control (CA, controller)   db: a server (8080, 8081)   web: users 4001 (chosen) and 4002
#          |                         |                           |
#   -------+-------------------------+---------------------------+------ underlay
. "$(dirname "$0")/lib.sh"
lab_up --manifests "$ROOT/tests/netns/machines" --family 4

DB=spiffe://cluster.local/ns/machines/sa/db WEB=spiffe://cluster.local/ns/machines/sa/web
CHOSEN=4001 OTHER=4002
serial() { openssl x509 -in "$RUN/$1/state/svid.pem" -noout -serial; }
join() { # MACHINE STATE-FOLDER [OPTION...]
    lab exec "$1" -- "$WEIR_BUILD/weir-nodeproxy" join --ca 192.168.50.2:15013 --roots "$RUN/controller/controller-roots.pem" \
        --token-file "$RUN/$1/token" --state-dir "$2" "${@:3}"
}
server() { # PORT: of a user that the node proxy was told nothing of
    (exec "$ROOT/tests/lab.sh" exec db -- setpriv --reuid 4003 --clear-groups "$WEIR_BUILD/perf/origin" --port "$1" --pod "db-$1") >"$WORK/server-$1" 2>&1 &
    eventually lab exec db -- curl -sf --max-time 5 "http://127.0.0.1:$1/whoami"
}
as() { # USER URL: from web
    lab exec web -- setpriv --reuid "$1" --clear-groups curl -sS -f --max-time "$ANSWER_S" "$2"
}

step "whose connections are meant is said of a machine, or the node proxy does not start"
must_not timeout "$ANSWER_S" "$WEIR_BUILD/weir-nodeproxy" --controller 127.0.0.1:1 --ca 127.0.0.1:1 --roots none --token-file none --run-dir "$WORK/none" --capture-user 1
said "--workload NAMESPACE/NAME is needed"

step "machines join with their tokens"
must lab machine-up db 192.168.50.41 machines/db-1 db --inbound-port 8080
said "joined as $DB"
must lab machine-up web 192.168.50.42 machines/web-1 web --capture-user $CHOSEN --workload-api spiffe.sock
same "$(stat -c %a "$RUN/db/state/svid.pem")" 600 "the mode of what is kept"
must join db "$RUN/db/state"
said "joined already as $DB"

step "a token that was used is refused, in words"
must_not join db "$WORK/again"
said "UNAUTHENTICATED: the token is not accepted (a token to join with is good once"
[ ! -e "$WORK/again/svid.pem" ] || fail "something was kept of it"

step "a certificate that can't be kept is told as that, and what is kept stays"
before=$(serial db)
"$WEIR_BUILD/weir-ca" token --state "$RUN/ca/state" --identity $DB >"$RUN/db/token"
mkdir "$RUN/db/state/.svid.pem.weir-new" # in the way of the new file
must_not join db "$RUN/db/state" --anew
said "not joined: the certificate came and can't be kept"
rmdir "$RUN/db/state/.svid.pem.weir-new"
same "$(serial db)" "$before" "the serial of what is kept"

step "the chosen user's connections go by identity; the server sees who it was, and policy counts"
server 8080
server 8081
mark
eventually as $CHOSEN http://192.168.50.41:8080/whoami
logged db "src.identity=$WEB" "dst.identity=$DB" direction=inbound policy=machines/db-only-from-web
logged web "src.identity=$WEB" "dst.identity=$DB" direction=outbound
same "$(as $CHOSEN http://192.168.50.41:8080/whoami | field peer | cut -d : -f 1)" 192.168.50.42 "the client's address"

step "another user's go past the mesh: refused at a port that is the mesh's, served at one that is not"
mark
must_not as $OTHER http://192.168.50.41:8080/whoami
logged db direction=inbound 'ending="denied by policy"'
must as $OTHER http://192.168.50.41:8081/whoami
must lab exec db -- curl -sS -f --max-time "$ANSWER_S" http://192.168.50.41:8080/whoami # within the machine

step "a machine that was started anew goes on with what it kept; meanwhile nothing went in plaintext"
before=$(serial web)
lab stop web
must_not as $CHOSEN http://192.168.50.41:8081/whoami
mark
lab start web
logged web "$WEB has certificate $(sed 's/.*=//' <<<"${before,,}")"
eventually as $CHOSEN http://192.168.50.41:8080/whoami
same "$(serial web)" "$before" "the serial after a restart"

step "after a reboot there are no rules: whoever waits for the node proxy (systemd) is told when they are there again, without a controller too"
lab stop web
lab stop controller
lab exec web -- nft delete table inet weir 2>/dev/null || lab exec web -- nft delete table ip weir
/usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(60)
print("listening", flush=True)
assert s.recv(100) == b"READY=1"' "$WORK/notify" >"$WORK/notified" 2>&1 &
NOTIFIED=$!
eventually grep -q listening "$WORK/notified"
NOTIFY_SOCKET=$WORK/notify lab start web
wait "$NOTIFIED" || fail "what it was told: $(cat "$WORK/notified")"
must lab exec web -- nft list ruleset # at once
said "skuid $CHOSEN meta l4proto tcp redirect to :15001"
lab start controller
eventually as $CHOSEN http://192.168.50.41:8080/whoami

step "a chosen cgroup that is not there yet, and comes, goes and comes again as another one, as services' do"
CGROUPS=$(findmnt -nt cgroup2 -o TARGET | head -n 1) || true
CGROUP=$WEIR_LAB_NAME.slice/shop.service
cgroup_gone() { rmdir "$CGROUPS/$CGROUP" "$CGROUPS/${CGROUP%/*}" 2>/dev/null; [ ! -e "$CGROUPS/$CGROUP" ]; }
cgroup_ended() { # also when the test fails
    local code=$?
    set +e
    cgroup_gone
    (exit $code)
    ended
}
inside() { # COMMAND...: in the cgroup, of a user that nobody chose
    lab exec web -- sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec setpriv --reuid 4004 --clear-groups "$@"' sh "$CGROUPS/$CGROUP" "$@"
}
rules_speak_of_it() { # as the ExecStartPre= of docs/VM.md
    # shellcheck disable=SC2016
    lab exec web -- timeout "$ANSWER_S" unshare --mount --propagation private sh -c 'mount --bind "$1" /sys/fs/cgroup &&
        until nft list ruleset | grep -q "level 2 .$2. "; do sleep 0.1; done' sh "$CGROUPS" "$CGROUP"
}
asks_as_web() { inside curl -sS -f --max-time "$ANSWER_S" http://192.168.50.41:8080/whoami; }
if [ -n "$CGROUPS" ] && [ -w "$CGROUPS" ]; then
    trap cgroup_ended EXIT
    lab stop web
    # shellcheck disable=SC2016
    printf '%q ' unshare --mount --propagation private sh -c 'mount --bind "$1" /sys/fs/cgroup && shift && exec "$@"' sh "$CGROUPS" >"$WORK/command"
    printf '%s --capture-cgroup %q' "$(<"$RUN/commands/web")" "$CGROUP" >>"$WORK/command"
    cp "$WORK/command" "$RUN/commands/web"
    mark
    lab start web
    logged web "there is no cgroup /sys/fs/cgroup/$CGROUP"
    eventually as $CHOSEN http://192.168.50.41:8080/whoami # the others are captured
    for time in first second; do
        mark
        mkdir -p "$CGROUPS/$CGROUP"
        must rules_speak_of_it
        must asks_as_web
        logged db "src.identity=$WEB" direction=inbound policy=machines/db-only-from-web
        logged web "cgroup $CGROUP is there: the rules are made anew"
        mark
        eventually cgroup_gone
        logged web "cgroup $CGROUP is gone"
    done
else
    echo "  left out: there are no cgroups of version 2 that may be made"
fi

step "a chosen user's process fetches the machine's certificate, another user's does not"
/usr/bin/python3 -c 'import grpc' 2>/dev/null || exit 0
chmod 711 "$RUN" && chmod 755 "$WORK" # other users find their way
cp "$ROOT/tests/netns/workload_api.py" "$RUN/controller/controller-roots.pem" "$WORK/"
fetch() { # USER ARGUMENT...
    lab exec web -- setpriv --reuid "$1" --clear-groups /usr/bin/python3 "$WORK/workload_api.py" "$RUN/web/spiffe.sock" "${@:2}"
}
must fetch $CHOSEN svid "$WEB" "$WORK/controller-roots.pem"
must fetch $OTHER denied
