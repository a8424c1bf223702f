# shellcheck shell=bash
# The story of `tests/demo.sh vm`, sourced by it: a CA alone, and two machines that join.
CA_ID=spiffe://cluster.local/ns/machines/sa

# The CA's certificates live for a minute here, so that renewals are seen.
short_lives() {
    lab stop ca
    printf '%s ' --ttl 60s >>"$RUN/commands/ca"
    lab start ca
    eventually lab exec control -- curl -sf http://127.0.0.1:15024/healthz/ready
}

machines_begin() {
    title "A CA and a controller on one host, no Kubernetes anywhere"
    lab up --manifests "$ROOT/tests/netns/machines" --family 4
    short_lives
    lab ps | sed -n '1,/^$/p' | indent
    note "What the controller was told by hand (a folder of manifests):"
    grep -v '^#' tests/netns/machines/machines.yaml | sed -n '/WorkloadEntry/,/^---/p' | head -n 8 | indent
}

join_machine() { # NAME ADDRESS OPTIONS...: what a person would type, and what comes of it
    local name=$1 address=$2
    shift 2
    note "    ca\$ weir-ca token --identity $CA_ID/$name --source $address >token"
    note "    $name\$ weir-nodeproxy join --ca 192.168.50.2:15013 --roots roots.pem --token-file token"
    note "    $name\$ weir-nodeproxy ... --workload machines/$name-1 $*"
    lab machine-up "$name" "$address" "machines/$name-1" "$name" "$@" >"$WORK/join" 2>&1 || { indent <"$WORK/join"; return 1; }
    indent <"$WORK/join"
}

machines_join() {
    title "Two machines join, each with a token that is good once"
    holds "db has joined" join_machine db 192.168.50.41 --inbound-port 8080
    holds "web has joined" join_machine web 192.168.50.42 --capture-user 4001
    holds "its key is nobody else's to read" [ "$(stat -c %a "$RUN/web/state/svid.pem")" = 600 ]
    "$WEIR_BUILD/weir-ca" list --state "$RUN/ca/state" | cut -c 1-150 | indent
}

token_again() {
    title "Somebody found db's token"
    note "    web\$ weir-nodeproxy join --token-file found --state-dir /tmp/thief ..."
    if lab exec web -- "$WEIR_BUILD/weir-nodeproxy" join --ca 192.168.50.2:15013 --roots "$RUN/controller/controller-roots.pem" \
        --token-file "$RUN/db/token" --state-dir "$WORK/thief" >"$WORK/again" 2>&1; then
        echo joined >>"$WORK/again"
    fi
    indent <"$WORK/again"
    holds "it is refused, and says why" grep -q 'not joined: the CA answered UNAUTHENTICATED.*good once' "$WORK/again"
    holds "nothing is kept of it" [ ! -e "$WORK/thief/svid.pem" ]
    holds "the CA's audit log has it" eval '"$WEIR_BUILD/weir-ca" list audit --state "$RUN/ca/state" | grep -q refused'
}

as_user() { lab exec web -- setpriv --reuid "$1" --clear-groups curl -sS -f --max-time 10 http://192.168.50.41:8080/whoami; }

machines_call() {
    title "web's application calls db: mutual TLS, by identity"
    (exec "$ROOT/tests/lab.sh" exec db -- setpriv --reuid 4003 --clear-groups "$WEIR_BUILD/perf/origin" --port 8080 --pod db-1) >"$WORK/server" 2>&1 &
    eventually lab exec db -- curl -sf http://127.0.0.1:8080/whoami
    mark_machines
    note "    web\$ su application -c 'curl http://192.168.50.41:8080/whoami'"
    holds "db answers" eval 'eventually as_user 4001 && as_user 4001 | indent'
    holds "db's log has both identities" eventually line db direction=inbound "src.identity=$CA_ID/web" "dst.identity=$CA_ID/db"
    show_line
    holds "by the policy db-only-from-web" [ "$(value policy)" = machines/db-only-from-web ]
    mark_machines
    holds "a user that was not chosen has no identity: refused" eval '! as_user 4002 2>/dev/null'
    holds "the log says why" eventually line db direction=inbound 'ending="denied by policy"'
}
mark_machines() { for node in db web; do seen_size[$node]=$(stat -c %s "$RUN/logs/$node.log"); done; }

serial() { openssl x509 -in "$RUN/$1/state/svid.pem" -noout -serial | sed 's/.*=//'; }
has_renewed() { [ "$(serial web)" != "$1" ]; }

machines_renew() {
    local before
    title "Renewal by the certificate itself, and a restart (certificates live for a minute here)"
    before=$(serial web)
    note "    web has certificate ${before,,}"
    holds "a node proxy that was started anew goes on with what was kept" eval \
        'lab stop web && lab start web && eventually as_user 4001 && "$WEIR_BUILD/weir-ca" list --state "$RUN/ca/state" | grep -q "join-token"'
    seconds=0
    until has_renewed "$before" || [ $((seconds += 1)) -gt 600 ]; do read -rt 0.1 <> <(:) || true; done
    holds "it has another one, without a token" has_renewed "$before"
    note "    web has certificate $(serial web | tr '[:upper:]' '[:lower:]')"
    "$WEIR_BUILD/weir-ca" list --state "$RUN/ca/state" --identity "$CA_ID/web" | cut -c 1-150 | indent
    holds "given by proof of the one before" eval '"$WEIR_BUILD/weir-ca" list --state "$RUN/ca/state" --identity "$CA_ID/web" | grep -q " certificate "'
    holds "and db answers still" as_user 4001
}

machines_begin
machines_join
token_again
machines_call
machines_renew
title "$checked claims checked, $failures failed"
[ "$failures" = 0 ]
