#!/usr/bin/env bash
# timeout: 60
# builds: dev
# The application sees the port, too, that its client has; and a client may open many more connections within a minute than the pod has
# ports, by each way into it: a tunnel, within the node, as plaintext.
#
#   node-a: web, rogue, cart (1)  [legacy: batch]      node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up --family 4
RANGE=100 CONNECTIONS=300

# serve WORKLOAD: says to whoever comes which port it has, and waits for its end.
serve() {
    lab exec "$1" -- /usr/bin/python3 -c '
import socket, threading
def one(c, port):
    c.sendall(b"%d\n" % port)
    c.recv(1)
    c.close()
s = socket.create_server(("", 9000), backlog=128)
print("serves", flush=True)
while True:
    c, (_, port) = s.accept()
    threading.Thread(target=one, args=(c, port), daemon=True).start()' >"$WORK/serve.$1" 2>&1 &
    eventually grep -q serves "$WORK/serve.$1"
}
# call WORKLOAD ADDRESS N: N connections, one after the other; its end comes first. Prints how many of them came with their own port.
call() {
    lab exec "$1" -- /usr/bin/python3 -c '
import socket, sys
own = 0
for i in range(int(sys.argv[2])):
    with socket.create_connection((sys.argv[1], 9000), timeout=20) as c:
        line = c.makefile("rb").readline()
        if not line:
            raise SystemExit(f"connection {i} was ended")
        own += int(line) == c.getsockname()[1]
        c.shutdown(socket.SHUT_WR)
        if c.recv(1):
            raise SystemExit("more than that")
print(own)' "$2" "$3"
}
waiting() { # of the pod, connections to the server whose first end was the client's
    lab exec "$1" -- ss -Htn state time-wait dport = :9000 | wc -l
}
ways=("web orders" "web rogue" "batch orders")
lab delete policy.yaml # everybody may call
for to in orders rogue; do serve "$to"; done

step "the client's own port"
limits() { # of one socket: Linux 6.3
    /usr/bin/python3 -c 'import socket; socket.socket().setsockopt(0, 51, 50000 << 16 | 50000)'
}
for way in "${ways[@]}"; do
    read -r from to <<<"$way"
    must call "$from" "$(pod_v4 "$to")" 5
    ! limits 2>/dev/null || same "$(<"$WORK/out")" 5 "those from $from to $to with their own port"
done

step "$CONNECTIONS connections, where the pod has $RANGE ports"
for to in orders rogue; do lab exec "$to" -- sysctl -qw net.ipv4.ip_local_port_range="40000 $((40000 + RANGE - 1))"; done
for way in "${ways[@]}"; do
    read -r from to <<<"$way"
    must call "$from" "$(pod_v4 "$to")" $CONNECTIONS
done
for to in orders rogue; do
    [ "$(waiting "$to")" -ge "$RANGE" ] || fail "$to has only $(waiting "$to") in TIME_WAIT: nothing was tried"
done
must_not grep -F '"no port"' "$RUN"/logs/node-?.log

step "and it opens connections of its own"
must get orders "http://$(pod_v4 "$(replica node-a)"):8080/whoami"
must get rogue "http://$(pod_v4 "$(replica node-b)"):8080/whoami"
