#!/usr/bin/env bash
# timeout: 180
# Pods come into the mesh and leave it: by the CNI plugin as a container runtime runs it, by a label, and by vanishing.
#
#   node-a: web, rogue, cart (1)   [legacy: batch, not enrolled]        node-b: cart (2), orders
. "$(dirname "$0")/lib.sh"
lab_up

# cni COMMAND POD [NAME=VALUE...]: the plugin with the pod's own parameters; its answer is in $WORK/out.
cni() {
    local command=$1 pod=$2 netns
    shift 2
    netns=$(pod_netns "$pod")
    env CNI_COMMAND="$command" CNI_CONTAINERID="$netns" CNI_NETNS="/run/netns/$netns" CNI_IFNAME=eth0 CNI_PATH=/ \
        CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=$(pod_field "$pod" 1);K8S_POD_NAME=$(pod_field "$pod" 2)" "$@" \
        "$WEIR_BUILD/weir-cni" <"${CONFIG:-$RUN/plan/cni/$netns}"
}
answer() { /usr/bin/python3 -c 'import json, sys; print(eval("answer" + sys.argv[1], {"answer": json.load(sys.stdin)}))' "$1" <"$WORK/out"; }
in_pod() { nsenter --net="/run/netns/$(pod_netns "$1")" "${@:2}"; }
has_rules() { in_pod "$1" nft list table inet weir; }
has_no_rules() { ! has_rules "$1"; }
listeners() { in_pod "$1" ss -Hltn | awk '{ sub(/.*:/, "", $4); print $4 }' | sort -u | tr '\n' ' '; }
listens_to() { [ "$(listeners "$1")" = "$2 " ]; }

step "an enrolled pod has listeners, rules and routes; another has none"
same "$(listeners web)" "15001 15006 15008 15053 8080 "
must has_rules web
must in_pod web sh -c 'ip rule | grep "fwmark 0x111/0xfff lookup 100" && ip -6 rule | grep "fwmark 0x111/0xfff lookup 100"'
must in_pod web sh -c 'ip route show table 100 | grep local && ip -6 route show table 100 | grep local'
same "$(listeners batch)" "8080 "
must has_no_rules batch
in_pod batch nft list ruleset >"$WORK/out"
same "$(cat "$WORK/out")" ""

step "VERSION"
must cni VERSION web
same "$(answer '["supportedVersions"]')" "['0.3.1', '0.4.0', '1.0.0']"

step "ADD prints the result before it, and may be repeated"
for version in 0.3.1 0.4.0 1.0.0; do
    sed "0,/1.0.0/s//$version/" "$RUN/plan/cni/$(pod_netns web)" >"$WORK/config"
    CONFIG=$WORK/config must cni ADD web
    same "$(answer '["cniVersion"]')" "$version"
    same "$(answer '["ips"][0]["address"]')" "$(pod_v4 web)/24"
    [ "$version" = 1.0.0 ] && want=no || want=4
    same "$(answer '["ips"][0].get("version", "no")')" "$want"
done
must get web http://cart/whoami
must cni ADD batch
same "$(listeners batch)" "8080 "

step "CHECK sees what was changed"
must cni CHECK web
same "$(cat "$WORK/out")" ""
must in_pod web nft insert rule inet weir output_redirect accept
must_not cni CHECK web
same "$(answer '["code"]')" 101
said "changed"
must in_pod web nft delete table inet weir
must_not cni CHECK web
must cni ADD web
must cni CHECK web
must get web http://cart/whoami

step "errors say what is wrong"
must_not cni ADD web CNI_NETNS=/run/netns/nothing
same "$(answer '["code"]')" 100
said /run/netns/nothing
must_not cni ADD web CNI_NETNS="/run/netns/$WEIR_LAB_NAME-node-a"
said "node's own"
must_not cni ADD web CNI_CONTAINERID=
same "$(answer '["code"]')" 4
echo '{"cniVersion": "1.0.0", "name": "n", "type": "weir-cni", "socket": "x"}' >"$WORK/config"
CONFIG=$WORK/config must_not cni ADD web
same "$(answer '["code"]')" 7
said "socket"
same "$(listeners web)" "15001 15006 15008 15053 8080 "

step "DEL takes everything out, and may be repeated"
must cni DEL rogue
same "$(cat "$WORK/out")" ""
same "$(listeners rogue)" "8080 "
must has_no_rules rogue
must_not in_pod rogue sh -c 'ip rule | grep 0x111'
must cni DEL rogue
must_not cni CHECK rogue
same "$(answer '["code"]')" 3
must get rogue http://orders/whoami # as plaintext, like any pod outside
must cni ADD rogue
same "$(listeners rogue)" "15001 15006 15008 15053 8080 "
must cni DEL rogue CNI_NETNS=
must has_no_rules rogue
must cni ADD rogue

# A namespace lives while anybody holds it; when it dies, the node's end of its wire does, too.
wire_of() { echo "p$(pod_netns "$1" | tr -d '\n' | sha256sum | cut -c 1-10)"; }
is_dead() { ! ip -n "$WEIR_LAB_NAME-node-a" link show "$1"; }

step "a runtime deletes and makes a pod: its namespace is let go, and the next one is captured"
wire=$(wire_of web)
must ip -n "$WEIR_LAB_NAME-node-a" link show "$wire"
must lab pod-down web
eventually is_dead "$wire"
must lab pod-up web
must get web http://cart/whoami

step "a namespace that vanishes without DEL is let go"
netns=$(pod_netns web)
inode=$(stat -L -c %i "/run/netns/$netns")
mark
must lab stop "$netns" KILL
must ip netns delete "$netns"
eventually is_dead "$wire"
logged node-a "$(pod_field web 2)" vanished
for pid in $(program_pid node-a) $(pgrep -P "$(program_pid node-a)"); do
    must_not sh -c "ls -l /proc/$pid/fd | grep -F 'net:[$inode]'"
done
must_not test -e "$RUN/node-a/pods/$netns.json"
must_not sh -c "nsenter --net=/run/netns/$WEIR_LAB_NAME-node-a nft list set inet weir_node pods_v4 | grep -F $(pod_v4 web)"
must lab pod-up web
must get web http://cart/whoami

step "a label enrols pods that run already, and its removal lets them go"
must_not get batch http://cart.shop/whoami
sed '/name: legacy/a\  labels: {weir.mesh/enrolled: "true"}' "$ROOT/docs/examples/shop/namespaces.yaml" >"$WORK/namespaces.yaml"
must lab apply "$WORK/namespaces.yaml"
eventually listens_to batch "15001 15006 15008 15053 8080"
eventually has_rules batch
mark
must get batch http://orders.shop/whoami
logged node-b src.identity=spiffe://cluster.local/ns/legacy/sa/batch dst.workload=orders
must lab apply "$ROOT/docs/examples/shop/namespaces.yaml"
eventually listens_to batch "8080"
must has_no_rules batch
must get batch http://orders.shop/whoami

step "without a node proxy ADD is to be tried again, and DEL goes on"
must lab stop node-a
must_not cni ADD web
same "$(answer '["code"]')" 11
said "$RUN/node-a/cni.sock"
must cni DEL web
must lab start node-a
eventually cni ADD web
must get web http://cart/whoami
echo "all of it holds"
