#!/usr/bin/env bash
# alone
# timeout: 120
# builds: dev
# The programs as the chart's containers run them: under the seccomp profile that weir-nodeproxy writes for the kubelet, the node
# proxy with four capabilities and nothing else, the others with none. And what they say where io_uring is forbidden, or a
# capability is missing.
. "$(dirname "$0")/lib.sh"
real=$(cd "$WEIR_BUILD" && pwd)
CAPABILITIES=net_admin,sys_admin,sys_ptrace,setpcap
mkdir "$WORK/build"
must "$real/weir-nodeproxy" seccomp-profile "$WORK/seccomp/weir.json"
must "$real/weir-nodeproxy" seccomp-profile "$WORK/seccomp/weir.json" # and again
"$real/weir-nodeproxy" seccomp-profile --remove-at-end "$WORK/gone.json" &
writer=$!
eventually [ -s "$WORK/gone.json" ]
kill $writer
must wait $writer
must_not [ -e "$WORK/gone.json" ]
for path in "$real"/*; do ln -s "$path" "$WORK/build/"; done
# wrap PROGRAM OPTION...
wrap() {
    local program=$1
    shift
    rm -f "$WORK/build/$program"
    printf '#!/bin/sh\nexec /usr/bin/python3 "%s/confine.py" --profile "%s" %s "%s" "$@"\n' \
        "$(cd "$(dirname "$0")" && pwd)" "$WORK/seccomp/weir.json" "$*" "$real/$program" >"$WORK/build/$program"
    chmod +x "$WORK/build/$program"
}
wrap weir-nodeproxy --capabilities "$CAPABILITIES"
wrap weir-controller --capabilities '""'
wrap weir-ca --capabilities '""'
export WEIR_BUILD=$WORK/build
lab_up

step "a mesh as in containers"
pid=$(program_pid node-a)
same "$(sed -n 's/^CapEff:[[:space:]]*//p' "/proc/$pid/status")" 0000000000281000 "capabilities of the supervisor (it has given up SETPCAP)"
same "$(sed -n 's/^Seccomp:[[:space:]]*//p' "/proc/$pid/status")" 2 "seccomp of the supervisor"
get web "http://$(pod_v4 orders):8080/whoami" >/dev/null
step "one takes over from the other: its files, sockets and lock as well"
must lab replace node-a
get web "http://$(pod_v4 orders):8080/whoami" >/dev/null

# refused PROGRAM TEXT OPTION...: with these options of confine.py the program ends at once, and says so.
refused() {
    local program=$1 text=$2 code=0
    shift 2
    case "$program" in
    weir-ca) arguments=(serve --state "$WORK/state" --listen 127.0.0.1:0 --controller 127.0.0.1:1) ;;
    weir-controller) arguments=(--source "dir:$WORK" --listen 127.0.0.1:0 --certificate x --key x --roots x) ;;
    weir-nodeproxy) arguments=(--node n --controller 127.0.0.1:1 --ca 127.0.0.1:1 --roots x --token-file x --run-dir "$WORK/run"
        --admin 127.0.0.1:0 --metrics 127.0.0.1:0 --ready 127.0.0.1:0) ;;
    esac
    timeout 20 "$(dirname "$0")/confine.py" "$@" "$real/$program" "${arguments[@]}" >"$WORK/said" 2>&1 || code=$?
    grep -qF -- "$text" "$WORK/said" || fail "$program ($*) does not say \"$text\": $(cat "$WORK/said")"
    same "$code" 1 "exit status of $program ($*)"
}
mkdir -p "$WORK/run"

step "without one of the capabilities"
for missing in net_admin sys_admin setpcap; do
    refused weir-nodeproxy "CAP_${missing^^} is missing" --capabilities "$(tr , '\n' <<<"$CAPABILITIES" | grep -vx $missing | paste -sd,)"
done

step "io_uring forbidden by seccomp, or not there at all"
for program in weir-nodeproxy weir-controller weir-ca; do
    refused $program "use a profile that allows io_uring_setup" --forbid io_uring_setup=EPERM
    refused $program "securityContext.seccompProfile of type Localhost" --forbid io_uring_setup=EPERM
    refused $program "Linux 6.1 or newer is needed, with CONFIG_IO_URING" --forbid io_uring_setup=ENOSYS
done

# The machine's own switch, for a moment. Where programs of others run on the machine, a switch of our own mount namespace stands in
# for it, together with the refusal that it would bring.
switch=/proc/sys/kernel/io_uring_disabled group=/proc/sys/kernel/io_uring_group
if [ ! -e $switch ]; then
    step "this kernel has no switch for io_uring"
    exit 0
fi
exec {turn}<$switch && flock "$turn" # another clone's test puts back what it found
was=$(cat $switch) group_was=$(cat $group)
put_back() { echo "$was" >$switch && echo "$group_was" >$group; }
alone() {
    local exe
    for exe in /proc/[0-9]*/exe; do
        exe=$(readlink "$exe") || continue # it has ended, or is the kernel's
        case "$exe" in
        */weir-* | */build/*/tests/*) return 1 ;;
        esac
    done
}

step "io_uring kept for a group (kernel.io_uring_disabled=1)"
# Group 0 keeps it: whoever is root meanwhile notices nothing.
chmod 711 "$WORK" && chown -R 65534 "$WORK/state"
trap 'code=$?; put_back; set +e; (exit $code); ended' EXIT
echo 0 >$group && echo 1 >$switch
install -D -m 755 "$real/weir-ca" "$WORK/copy/weir-ca" # where nobody may come
real=$WORK/copy refused weir-ca "kernel.io_uring_disabled is 1; give CAP_SYS_ADMIN, or join the group of kernel.io_uring_group, or set it to 0" \
    --user 65534:65534
put_back

step "io_uring switched off (kernel.io_uring_disabled=2)"
lab down >/dev/null
if alone; then
    echo 2 >$switch
    for program in weir-nodeproxy weir-controller weir-ca; do
        refused $program "kernel.io_uring_disabled is 2; set it to 0 or 1"
    done
    put_back
else
    echo "  programs of others run here: not the machine's own switch"
    echo 2 >"$WORK/switch"
    for program in weir-nodeproxy weir-controller weir-ca; do
        export WORK real program
        refused_in_namespace() {
            mount --bind "$WORK/switch" /proc/sys/kernel/io_uring_disabled
            refused "$program" "kernel.io_uring_disabled is 2; set it to 0 or 1" --forbid io_uring_setup=EPERM
        }
        export -f refused refused_in_namespace same fail
        unshare --mount bash -euc 'refused_in_namespace' "$0"
    done
fi
trap ended EXIT
