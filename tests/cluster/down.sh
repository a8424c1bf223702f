#!/usr/bin/env bash
# Ends the test cluster and takes everything away that it made; fine if there is none. Like pulling the plug: a member's first
# process is killed, and with it all its processes, mounts and network namespaces of pods.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

no_cgroups() {
    local folder gone=0
    for folder in /sys/fs/cgroup/{,*/}"$NAME"-node-*; do
        [ -d "$folder" ] || continue
        find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || gone=1
    done
    return "$gone"
}

# Somebody's mount is on it, in whichever namespace: taking the folder away would take that away.
is_in_use() { grep -qsF " $1 " /proc/[0-9]*/mountinfo; }

main() {
    local file member pid first firsts=() ns folder
    one_at_a_time
    for file in "$CLUSTER"/*/pid; do
        [ -e "$file" ] || continue
        member=$(basename "${file%/pid}")
        first=$(first_process "$member") || continue
        read -r pid <"$file"
        # A number of another time may be somebody else's by now.
        tr '\0' ' ' <"/proc/$first/cmdline" | grep -qF "/tests/cluster/member.sh $member" || continue
        firsts+=("$first" "$pid")
        kill -KILL "$first" 2>/dev/null || true
    done
    for pid in "${firsts[@]}"; do
        wait_for 30 is_over "$pid" || die "process $pid does not end."
    done
    wait_for 30 no_cgroups || say "a cgroup of $NAME can't be removed."
    for ns in $(ip netns list 2>/dev/null | sed -n "s/^\($NAME-[^ ]*\).*/\1/p"); do ip netns delete "$ns"; done
    if [ -e "$CLUSTER/made" ]; then
        tac "$CLUSTER/made" | while read -r folder; do
            ! is_in_use "$folder" || continue
            while [ "$folder" != / ] && rmdir "$folder" 2>/dev/null; do folder=${folder%/*}; folder=${folder:-/}; done
        done
    fi
    rm -rf "$CLUSTER"
}

main
