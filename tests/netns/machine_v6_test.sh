#!/usr/bin/env bash
# timeout: 120
# builds: dev
# Machines where there is IPv6 alone; and entries that say of an address what is not so: whoever is there has to prove the
# entry's identity, and nothing goes to him in plaintext.
#
#   control (CA, controller,   db: a server (8080)   web: users 4001 (chosen) and 4002
#          | a foreign server)       |                    |
#   -------+-------------------------+--------------------+------ underlay
. "$(dirname "$0")/lib.sh"
mkdir "$WORK/manifests"
sed 's|192.168.50.4|fd00:192:168:50::4|' "$ROOT/tests/netns/machines/machines.yaml" >"$WORK/manifests/machines.yaml"
lab_up --manifests "$WORK/manifests" --family 6

DB=spiffe://cluster.local/ns/machines/sa/db WEB=spiffe://cluster.local/ns/machines/sa/web
AT=fd00:192:168:50::41 FOREIGN=fd00:192:168:50::2 CHOSEN=4001 OTHER=4002
as() { # USER URL: from web
    lab exec web -- setpriv --reuid "$1" --clear-groups curl -sS -f --max-time "$ANSWER_S" "$2"
}

step "machines join, and are captured"
must lab machine-up db "$AT" machines/db-1 db --inbound-port 8080
said "joined as $DB"
must lab machine-up web fd00:192:168:50::42 machines/web-1 web --capture-user $CHOSEN
(exec "$ROOT/tests/lab.sh" exec db -- setpriv --reuid 4003 --clear-groups "$WEIR_BUILD/perf/origin" --port 8080 --pod db-1) >"$WORK/server" 2>&1 &
eventually lab exec db -- curl -sf --max-time 5 "http://[$AT]:8080/whoami"
mark
eventually as $CHOSEN "http://[$AT]:8080/whoami"
logged db "src.identity=$WEB" "dst.identity=$DB" direction=inbound policy=machines/db-only-from-web
mark
must_not as $OTHER "http://[$AT]:8080/whoami"
logged db direction=inbound 'ending="denied by policy"'

step "after a restart, too; in between nothing goes in plaintext"
lab stop web
must_not as $CHOSEN "http://[$AT]:8080/whoami"
lab start web
eventually as $CHOSEN "http://[$AT]:8080/whoami"

step "whoever is at an entry's address with a certificate of the mesh that is not the entry's: nobody speaks to him"
lab stop db
apply() { # EXPRESSION: db-1 as it changes it
    sed "/name: db-1/,/^---/s|$1|" "$WORK/manifests/machines.yaml" >"$WORK/machines.yaml"
    lab apply "$WORK/machines.yaml"
}
SVID=$RUN/db/state/svid.pem
(exec "$ROOT/tests/lab.sh" exec db -- openssl s_server -6 -accept 15008 -cert "$SVID" -key "$SVID" -cert_chain "$SVID" -verify 1 -alpn h2) \
    <>"$WORK/nothing" >"$WORK/tunnel" 2>&1 &
apply "serviceAccount: db|serviceAccount: someone"
has_not_proved() { ! as $CHOSEN "http://[$AT]:8080/whoami" && has_line web direction=outbound 'ending="peer has another identity"' "the peer is $DB"; }
mark
eventually has_not_proved
! grep -q whoami "$WORK/tunnel" || fail "it was given a request: $(<"$WORK/tunnel")"

step "an entry that says of a foreign server that it is a machine: not a byte goes there in plaintext"
(exec "$ROOT/tests/lab.sh" exec control -- "$WEIR_BUILD/perf/origin" --port 8080 --pod foreign) >"$WORK/foreign" 2>&1 &
eventually as $CHOSEN "http://[$FOREIGN]:8080/whoami" # while nobody says anything of it
apply "address: .*|address: $FOREIGN"
is_tunnel_alone() { ! as $CHOSEN "http://[$FOREIGN]:8080/whoami" && has_line web direction=outbound "dst.identity=$DB" ending=unreachable; }
mark
eventually is_tunnel_alone
