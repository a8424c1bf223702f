#!/usr/bin/env bash
# timeout: 240
# The same mesh over IPv4, over IPv6, and with replicas of one family each.
#
#   node-a: web, rogue, cart (1)   [legacy: batch]        node-b: cart (2), orders
#   mixed: cart (1) has IPv4 alone, cart (2) has IPv6 alone, the others have both
. "$(dirname "$0")/lib.sh"

# Every answer comes from a replica that fits the family, and until all that fit have answered.
reaches() { # URL CURL-OPTION POD...
    local url=$1 option=$2 left
    shift 2
    declare -A seen=()
    for _ in $(seq 60); do
        seen[$(get web "$url" "$option" | field pod)]=1
        left=0
        for pod in "$@"; do [ "${seen[$pod]-}" ] || left=1; done
        [ "$left" = 1 ] || break
    done
    same "$(printf '%s\n' "${!seen[@]}" | sort | tr '\n' ' ')" "$(printf '%s\n' "$@" | sort | tr '\n' ' ')" "who answered"
}
all_of_it() { # CURL-OPTION ADDRESS-FIELD
    local option=$1 field=$2
    must get web http://orders/whoami "$option"
    must_not get rogue http://cart/whoami "$option"
    must get batch http://orders.shop/whoami "$option"
    must get web http://batch.legacy/whoami "$option"
    must_not get batch http://cart.shop/whoami "$option"
    peer=$(get web http://orders/whoami "$option" | field peer)
    [[ $peer == *"$(pod_field web "$field")"* ]] || fail "orders sees $peer and not $(pod_field web "$field")"
    peer=$(get batch http://orders.shop/whoami "$option" | field peer)
    [[ $peer == *"$(pod_field batch "$field")"* ]] || fail "orders sees $peer and not $(pod_field batch "$field")"
    head -c 5000000 /dev/urandom >"$WORK/body"
    get web http://orders/echo "$option" -H Expect: --data-binary "@$WORK/body" | cmp - "$WORK/body" || fail "echo differs"
}

for family in 4 6; do
    step "IPv$family alone"
    lab_up --family "$family"
    mark
    reaches http://cart/whoami "-$family" "$(replica node-a)" "$(replica node-b)"
    all_of_it "-$family" $((family == 4 ? 5 : 6))
    [ "$family" = 4 ] && address=$(pod_v4 web) || address=[$(pod_v6 web)]
    logged node-b "src.addr=$address" src.identity=spiffe://cluster.local/ns/shop/sa/web dst.workload=cart policy=shop/cart-only-from-web
    lab down
done

step "mixed"
lab_up --family mixed
same "$(pod_v6 "$(replica node-a)")" - "the first replica's IPv6 address"
same "$(pod_v4 "$(replica node-b)")" - "the second replica's IPv4 address"
must get web "http://$(pod_v4 "$(replica node-a)"):8080/whoami"
must get web "http://[$(pod_v6 "$(replica node-b)")]:8080/whoami"
# A Service's IPv4 address has IPv4 endpoints, as in any dual stack cluster.
reaches http://cart/whoami -4 "$(replica node-a)"
reaches http://cart/whoami -6 "$(replica node-b)"
all_of_it -4 5
all_of_it -6 6

step "a pod whose namespace has IPv6 switched off"
must lab pod-down web
lab exec control -- true
printf '1' >"$WORK/one"
must lab pod-up web
must nsenter --net="/run/netns/$(pod_netns web)" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6'
must get web http://orders/whoami -4
echo "all of it holds"
