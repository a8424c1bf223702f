/*
 * A machine that is no node of a cluster: processes instead of pods. Chosen users' and cgroups'
 * connections go out through the mesh, and those to listed ports come in through it; all speak with
 * the machine's one identity. Here the options are read and the nftables rules of the machine's own
 * namespace written; the warden puts them there. Pure but for the lists of users and addresses; made
 * by main before the processes part, constant afterwards.
 */
#ifndef NODEPROXY_MACHINE_MACHINE_H
#define NODEPROXY_MACHINE_MACHINE_H
#include "nodeproxy/capture/pods.h"
#include "shared/base/args.h"

enum { MACHINE_RULES_MAX = 16 * 1024 };
struct machine_options { /* as they were written; borrowed */
    const char *workload; /* NAMESPACE/NAME of its WorkloadEntry; NULL: it has a group, or is no machine */
    const char *group; /* NAMESPACE/NAME of the WorkloadGroup of which it makes its entry; NULL: it has one */
    const char *name;  /* of its own in the group; NULL: the host's */
    struct arg_list users, cgroups;    /* whose connections go through the mesh */
    struct arg_list ports;             /* connections to these come through it */
    struct arg_list excluded;          /* prefixes that nobody is led away from */
    struct arg_list excluded_ports;    /* likewise, ports of destinations */
    struct arg_list addresses;         /* the machine's own; none: those of its interfaces */
};
/* Who is led through the mesh, read and checked. */
struct machine_scope {
    uint32_t users[32];
    size_t n_users;
    const struct arg_list *cgroups; /* paths below the cgroup file system */
    uint16_t ports[32], excluded_ports[32];
    size_t n_ports, n_excluded_ports;
    struct prefix excluded[32];
    size_t n_excluded;
    const struct addr *own;
    size_t n_own;
    bool ipv6, dns;
};
struct machine {
    struct pods_machine pod;          /* what stands for all of its processes */
    char group[254]; /* in the same namespace; "": it does not register itself */
    char addresses[POD_ADDRESSES_MAX * IP_TEXT_MAX]; /* separated by commas */
    struct machine_scope scope;
    char rules[2][MACHINE_RULES_MAX]; /* quiet, in force: see redirect.c */
};
/* own: where the node proxy itself connects to, apart from any workload; never captured. -EINVAL: why
 * names the option and what would be right. */
int machine_read(struct machine *ret, const struct machine_options *o, const struct addr *own,
                 size_t n_own, bool dns, char why[static WHY_MAX]);
/* Does a process have the machine's identity? Those that are led through the mesh, and root. */
bool machine_has(const struct machine_scope *s, uid_t uid, struct text cgroups);
/* Part of machine_read(). -EMSGSIZE: they do not fit. */
int machine_rules(const struct machine_scope *s, bool on, char out[static MACHINE_RULES_MAX]);
#endif
