/*
 * Whose process is that? By its cgroup, which the kubelet names after the pod's uid and which no
 * process can leave or rename: `pod<uid>` (cgroupfs driver) or `...-pod<uid with _ for ->.slice`
 * (systemd driver), cgroup v1 and v2. A process with rights over its own cgroup can make others
 * below it, of any name; so the outermost one that looks like a pod's is the one that counts.
 * Reads /proc, which shows the node's processes only where the program shares its pid namespace.
 */
#ifndef NODEPROXY_CAPTURE_POD_PROCESS_H
#define NODEPROXY_CAPTURE_POD_PROCESS_H
#include "shared/base/text.h"
#include <sys/types.h>

enum { POD_UID_LEN = 36 };
struct pod_process {
    pid_t pid;
    uint64_t start; /* since boot, in ticks: tells it from a later one with the same number */
};
bool pod_uid_is(struct text uid); /* 8-4-4-4-12 hexadecimal digits */
/* cgroups: the text of /proc/PID/cgroup. False: of no pod, or its hierarchies don't agree. */
bool pod_uid_of_cgroups(struct text cgroups, char ret_uid[static POD_UID_LEN + 1]);
/* -ESRCH: there is none (any more, a zombie is none); -ENODATA: it is no pod's. */
int pod_process_look(pid_t pid, struct pod_process *ret, char ret_uid[static POD_UID_LEN + 1]);
bool pod_process_lives(const struct pod_process *p);
#endif
