#!/usr/bin/env bash
# timeout: 240
# Real clients and servers as they are, between enrolled pods: curl, nginx, wrk, h2load and nghttp with nghttpd, openssl, nc.
# To the mesh all of it is TCP.
#
#   node-a: web (the clients), cart (1)
#      |
#   underlay
#      |
#   node-b: orders (the servers), cart (2)
. "$(dirname "$0")/../netns/lib.sh"
ANSWER_S=30
lab_up --set-proxy-args "$EVERY_LINE"

ORDERS=$(pod_v4 orders) ORDERS6=$(pod_v6 orders)
WEB_ID=spiffe://cluster.local/ns/shop/sa/web

# serve PORT COMMAND...: in orders, in the background, until the test ends.
serve() {
    local port=$1 log=$WORK/server-$1
    shift
    lab exec orders -- "$@" >"$log" 2>&1 &
    eventually listens "$port"
}
listens() { lab exec orders -- ss -Hltn "sport = :$1" | grep -q .; }
# tunnelled PORT: a connection of web's to that port of orders came out of a tunnel, and is over.
tunnelled() { logged node-b "src.identity=$WEB_ID" "dst.hbone_addr=$ORDERS:$1" direction=inbound ending=closed; }
web() { lab exec web -- "$@"; }

mkdir -p "$WORK/www"
head -c 30000000 /dev/urandom >"$WORK/www/large"
printf 'a small page\n' >"$WORK/www/small"
chmod -R a+rX "$WORK"
large=$(sha256sum <"$WORK/www/large")
small=$(cat "$WORK/www/small")

step "curl: keep-alive, 100-continue, chunks, pipes; IPv4 and IPv6"
mark
must web curl -sS -f --max-time 30 -w '%{num_connects}\n' -o /dev/null -o /dev/null -o /dev/null \
    "http://$ORDERS:8080/whoami" "http://$ORDERS:8080/" "http://$ORDERS:8080/big?bytes=100000"
same "$(tr '\n' ' ' <"$WORK/out")" "1 0 0 " "the number of new connections of each request"
tunnelled 8080
same "$(web curl -sS -f --max-time 30 -H 'Expect: 100-continue' --data-binary "@$WORK/www/large" "http://[$ORDERS6]:8080/echo" |
    sha256sum)" "$large" "the sum of an echo"

step "nginx: pages, ranges, what it passes on, and its own connections to another pod"
mkdir -p "$WORK/nginx"
cat >"$WORK/nginx/nginx.conf" <<END
user root;
worker_processes 1;
pid $WORK/nginx/pid;
error_log stderr;
daemon off;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $WORK/nginx/body;
    proxy_temp_path $WORK/nginx/proxy;
    fastcgi_temp_path $WORK/nginx/fastcgi;
    uwsgi_temp_path $WORK/nginx/uwsgi;
    scgi_temp_path $WORK/nginx/scgi;
    client_max_body_size 100m;
    upstream self { server $ORDERS:8080; keepalive 8; }
    upstream web { server $(pod_v4 web):8080; keepalive 8; }
    server {
        listen 8081;
        listen [::]:8081;
        root $WORK/www;
        location /self/ { proxy_pass http://self/; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /web/ { proxy_pass http://web/; proxy_http_version 1.1; proxy_set_header Connection ""; }
    }
}
END
serve 8081 nginx -c "$WORK/nginx/nginx.conf" -e stderr
mark
same "$(get web "http://$ORDERS:8081/small")" "$small" "a page"
same "$(get web "http://$ORDERS:8081/large" | sha256sum)" "$large" "the sum of a large file"
same "$(get web "http://$ORDERS:8081/large" -r 1000-1999 | sha256sum)" \
    "$(tail -c +1001 "$WORK/www/large" | head -c 1000 | sha256sum)" "the sum of a range"
same "$(get web "http://$ORDERS:8081/self/echo" -d "$small")" "$small" "an upload"
same "$(get web "http://$ORDERS:8081/self/big?bytes=20000000" | sha256sum)" "$(get web "http://$ORDERS:8080/big?bytes=20000000" | sha256sum)" \
    "the sum of what nginx passes on"
tunnelled 8081
same "$(get web "http://$ORDERS:8081/web/whoami" | field peer | cut -d : -f 1)" "$ORDERS" "who called web"
must web curl -sS -f --max-time 30 -Z --parallel-max 20 -o /dev/null "http://$ORDERS:8081/small?[1-200]"

step "wrk: no error, by tunnel and within the node, as it opens connections and as it keeps them"
# no_errors: what wrk said.
no_errors() {
    if grep -Eq 'Socket errors|Non-2xx' "$WORK/out" || ! grep -Eq '[1-9][0-9]* requests in' "$WORK/out"; then
        cat "$WORK/out"
        fail "wrk has errors"
    fi
}
for url in "http://$ORDERS:8081/small" "http://$ORDERS:8080/" http://cart/ "http://$(pod_v4 "$(replica node-a)"):8080/"; do
    must web wrk -t 1 -c 16 -d 2s --timeout 20s "$url"
    no_errors
done
must web wrk -t 1 -c 8 -d 1s --timeout 20s -H 'Connection: close' "http://$ORDERS:8081/small"
no_errors

step "HTTP/2 with prior knowledge: h2load, nghttp and curl, to nghttpd"
serve 8082 nghttpd --no-tls -d "$WORK/www" 8082
must web h2load -n 3000 -c 10 -m 20 "http://$ORDERS:8082/small"
said 'requests: 3000 total, 3000 started, 3000 done, 3000 succeeded, 0 failed, 0 errored, 0 timeout'
must web h2load -n 6 -c 2 -m 3 "http://$ORDERS:8082/large"
said '6 succeeded, 0 failed, 0 errored, 0 timeout'
same "$(web nghttp "http://$ORDERS:8082/small")" "$small" "a page by nghttp"
same "$(get web "http://$ORDERS:8082/large" --http2-prior-knowledge | sha256sum)" "$large" "the sum of a large file by curl"
mark
must web nghttp -nv "http://$ORDERS:8082/small"
tunnelled 8082

step "the application's own TLS passes as it is"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=orders.test \
    -addext subjectAltName=DNS:orders.test -keyout "$WORK/app.key" -out "$WORK/app.pem" 2>/dev/null
serve 8443 openssl s_server -accept 8443 -cert "$WORK/app.pem" -key "$WORK/app.key" -rev -quiet
(cd "$WORK/www" && exec "$ROOT/tests/lab.sh" exec orders -- openssl s_server -accept 8444 -cert "$WORK/app.pem" \
    -key "$WORK/app.key" -WWW -quiet >"$WORK/server-8444" 2>&1) &
eventually listens 8444
mark
for version in -tls1_3 -tls1_2; do
    # s_client ends when its input does: that stays until the answer is there.
    coproc CLIENT { web openssl s_client -connect "$ORDERS:8443" -servername orders.test -CAfile "$WORK/app.pem" \
        -verify_return_error -verify_hostname orders.test -quiet "$version" 2>"$WORK/s_client"; }
    client_out=${CLIENT[0]} client_in=${CLIENT[1]} client_pid=$CLIENT_PID
    echo 'hello mesh' >&"$client_in"
    read -rt "$DEADLINE_S" answer <&"$client_out" || { cat "$WORK/s_client"; fail "no answer by $version"; }
    same "$answer" "hsem olleh" "the answer by $version"
    echo CLOSE >&"$client_in"
    wait "$client_pid" || { cat "$WORK/s_client"; fail "the end of s_client"; }
done
tunnelled 8443
same "$(get web https://orders.test:8444/large --cacert "$WORK/app.pem" --resolve "orders.test:8444:$ORDERS" | sha256sum)" \
    "$large" "the sum of a file over TLS"
must_not get web https://other.test:8444/large --cacert "$WORK/app.pem" --resolve "other.test:8444:$ORDERS"

step "nc: a server that has said all it has hears the whole answer; then both know the end"
mkfifo "$WORK/answer"
lab exec orders -- nc -N -l 8085 <"$WORK/www/large" >"$WORK/server-heard" &
server=$!
eventually listens 8085
web nc -N "$ORDERS" 8085 <"$WORK/answer" >"$WORK/client-heard" &
client=$!
exec 6>"$WORK/answer"
all_there() { [ "$(stat -c %s "$WORK/client-heard")" = 30000000 ]; }
eventually all_there
same "$(sha256sum <"$WORK/client-heard")" "$large" "the sum of what the client heard"
cat "$WORK/www/large" >&6
exec 6>&-
wait "$client" || fail "the client"
wait "$server" || fail "the server"
same "$(sha256sum <"$WORK/server-heard")" "$large" "the sum of what the server heard"
tunnelled 8085
echo "all of it holds"
