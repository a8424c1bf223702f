#!/usr/bin/env bash
# Makes an image for the test cluster.
#
# usage: tests/cluster/images.sh pause OUT.tar NAME     what keeps a pod's namespaces
#        tests/cluster/images.sh apps OUT.tar NAME      what the tests' pods run: busybox's shell and tools, curl, nghttpd and tests/perf/origin
#                                                       (its build: $WEIR_BUILD, default build/release)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kind=${1?pause or apps} out=${2?a file} name=${3?a name}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/weir-image.XXXXXX")
trap 'rm -rf "$work"' EXIT

case "$kind" in
pause)
    mkdir "$work/root"
    gcc -Os -static -s -o "$work/root/pause" -x c - <<'C'
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int signal) { _exit(128 + signal); }
static void reap(int signal)
{
    (void)signal;
    while (waitpid(-1, 0, WNOHANG) > 0)
        ;
}
int main(void)
{
    signal(SIGTERM, end);
    signal(SIGINT, end);
    signal(SIGCHLD, reap);
    for (;;)
        pause();
}
C
    set -- /pause
    ;;
apps)
    "$ROOT/helm/image/rootfs.sh" "$work/root" "${WEIR_BUILD:-$ROOT/build/release}/perf/origin" /usr/bin/curl /bin/busybox "$(PATH=$PATH:/usr/sbin type -P nghttpd)"
    for tool in $(/bin/busybox --list); do
        [ -e "$work/root/usr/bin/$tool" ] || ln -s busybox "$work/root/usr/bin/$tool"
    done
    set --
    ;;
*) die "there is no image $kind." ;;
esac
/usr/bin/python3 "$ROOT/helm/image/archive.py" --name "$name" --rootfs "$work/root" --out "$out" "$@"
