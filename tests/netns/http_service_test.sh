#!/usr/bin/env bash
# timeout: 120
# builds: dev
# Requests of a workload to Services (--http on): each to an endpoint of its own by one connection of the client, answers of the
# node proxy itself, a split and a redirect by an HTTPRoute, an endpoint that is killed.
#
#   node-a: web, cart (1)   [legacy: batch]        node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up --set-proxy-args "--http on"

from_web() { # CURL ARGUMENT...
    lab exec web -- curl -sS --max-time "$DEADLINE_S" "$@"
}
pods_of() { # URL: the pods that answered, and how often each
    from_web -w '\n' "$1" | grep -o '"pod": *"[^"]*"' | sort | uniq -c | awk '{ print $NF, $1 }'
}

step "one connection of curl, and both replicas answer"
mark
pods_of 'http://cart/whoami?[1-40]' >"$WORK/pods"
same "$(wc -l <"$WORK/pods")" 2 "the number of replicas that answered"
same "$(awk '{ sum += $2 } END { print sum }' "$WORK/pods")" 40 "answers"
same "$(from_web -o /dev/null -w '%{num_connects} ' http://cart/whoami -o /dev/null http://cart/whoami)" "1 0 " "new connections"
logged node-a 'access: request complete' direction=outbound path=/whoami?7 status=200 src.workload=web ending=closed
same "$(get web http://cart/whoami -4 | field peer | cut -d : -f 1)" "$(pod_v4 web)" "who asks"

step "bodies each way"
head -c 3000000 /dev/urandom >"$WORK/body"
from_web --data-binary @- http://orders/echo <"$WORK/body" | cmp - "$WORK/body" || fail "the echo is another one"

step "a workload calls itself, and one outside of the mesh"
must get web http://web/whoami
must get web http://batch.legacy/whoami

step "what is refused at the destination is answered 403"
same "$(lab exec rogue -- curl -sS --max-time "$DEADLINE_S" -o /dev/null -w '%{http_code}' http://cart/whoami)" 403 "the status"
logged node-a 'access: request complete' direction=outbound src.workload=rogue status=403 'ending="denied by policy"'

step "a Service without endpoints"
cat >"$WORK/nobody.yaml" <<'END'
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: shop}
spec:
  selector: {app: nobody}
  clusterIP: 10.96.0.97
  clusterIPs: [10.96.0.97]
  ports: [{name: http, port: 80, targetPort: 8080}]
END
lab apply "$WORK/nobody.yaml"
knows() { lab ctl node-a services -o json | grep -q nobody; }
eventually knows
same "$(from_web -o /dev/null -w '%{http_code} ' http://10.96.0.97/ -o /dev/null http://10.96.0.97/)" "503 503 " "the statuses"
