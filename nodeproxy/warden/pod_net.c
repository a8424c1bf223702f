#include "nodeproxy/warden/pod_net.h"

#include "nodeproxy/warden/netns.h"
#include "nodeproxy/warden/nft.h"
#include "nodeproxy/warden/redirect.h"
#include "nodeproxy/warden/reply_routes.h"
#include "nodeproxy/warden/spared.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/ring/socket.h"
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Does the rule speak of a cgroup that is not there now? Nobody is in it, and nft would take none of the
 * rules; they are made anew when it comes. Without cgroups of version 2 it is left for nft to refuse. */
static bool speaks_of_none(struct text line)
{
    char path[sizeof "/sys/fs/cgroup/" + 256];
    struct text before, name, after;
    struct statfs fs;
    if (!text_starts_with(line, TEXT("socket cgroupv2 ")) ||
        !text_split(line, '"', &before, &name) || !text_split(name, '"', &name, &after) ||
        statfs("/sys/fs/cgroup", &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
        return false;
    snprintf(path, sizeof path, "/sys/fs/cgroup/%.*s", (int)name.len, name.data);
    return access(path, F_OK) < 0;
}

static int put_machine(const char *rules, char why[static WHY_MAX])
{
    struct text rest = text_of(rules), line;
    struct text_heap out;
    text_heap_init(&out, rest.len + 2);
    while (text_split(rest, '\n', &line, &rest))
        if (!speaks_of_none(line)) {
            text_heap_put(&out, line);
            text_heap_puts(&out, "\n");
        }
    int r = out.failed ? why_say(-ENOMEM, why, "no memory") : nft_run(out.data, NULL, why);
    text_heap_done(&out);
    return r;
}

static int put_rules(struct pod_net *n, bool on, char why[static WHY_MAX])
{
    return n->machine[on] ? put_machine(n->machine[on], why)
                          : redirect_put(n->ipv6, on, n->dns, why);
}

/* In a namespace of its own, which is gone afterwards. */
static int try_rules(struct pod_net *n, char why[static WHY_MAX])
{
    char words[WHY_MAX];
    int r = netns_enter_new(why);
    if (r < 0)
        return r;
    r = put_rules(n, true, words);
    if (r == 0)
        r = redirect_read(n->ipv6, &n->rules, words);
    netns_leave(n->own_fd);
    if (r == 0)
        return 0;
    return why_say(
        r, why, "%.160s (does the kernel have nf_tables with nat, redirect and conntrack?)", words);
}

int pod_net_open(struct pod_net *n, bool dns, const char *const machine[2],
                 char why[static WHY_MAX])
{
    /* This folder is missing when the kernel was built or started without IPv6. */
    *n = (struct pod_net){.own_fd = -1,
                          .dns = dns,
                          .machine = machine,
                          .ipv6 = access("/proc/sys/net/ipv6", F_OK) == 0};
    int r = netns_open("/proc/thread-self/ns/net", &n->own_fd, why);
    if (r == 0 && (r = netns_id(n->own_fd, &n->own)) < 0)
        why_errno(r, why, "cannot look at the node's own network namespace");
    if (r == 0)
        r = try_rules(n, why);
    if (r < 0)
        pod_net_done(n);
    else if (!n->ipv6)
        log_info("warden", "this kernel has no IPv6: pods are captured for IPv4 alone");
    return r;
}

void pod_net_done(struct pod_net *n)
{
    socket_close(n->own_fd);
    free(n->rules);
    *n = (struct pod_net){.own_fd = -1};
}

int pod_net_id(struct pod_net *n, int netns_fd, struct netns_id *ret, char why[static WHY_MAX])
{
    struct netns_id id;
    if (!netns_is(netns_fd) || netns_id(netns_fd, &id) < 0)
        return why_say(-EINVAL, why, "this is not a network namespace");
    if (netns_same(&id, &n->own) != (n->machine[true] != NULL))
        return why_say(-EINVAL, why, "this is %s",
                       n->machine[true] ? "a pod's network namespace, not this machine's own"
                                        : "the node's own network namespace, not a pod's");
    *ret = id;
    return 0;
}

/* A machine's rules are others with each cgroup that comes or goes. */
static int remember(struct pod_net *n, char why[static WHY_MAX])
{
    char *rules = NULL;
    int r = redirect_read(n->ipv6, &rules, why);
    if (r < 0)
        return r;
    free(n->rules);
    n->rules = rules;
    return 0;
}

int pod_net_put(struct pod_net *n, bool running, char why[static WHY_MAX])
{
    char *rules = NULL;
    bool spare = running && redirect_read(n->ipv6, &rules, why) == -ENOENT;
    free(rules);
    int r = reply_routes_put(why);
    if (r == 0 && spare)
        r = spared_find(n->ipv6, why);
    if (r < 0)
        return r;
    r = put_rules(n, true, why);
    if (r == 0 && n->machine[true])
        r = remember(n, why);
    if (spare)
        spared_go(n->ipv6);
    return r;
}

int pod_net_quiet(struct pod_net *n, char why[static WHY_MAX])
{
    return put_rules(n, false, why);
}

int pod_net_check(struct pod_net *n, char why[static WHY_MAX])
{
    char *rules = NULL;
    int r = redirect_read(n->ipv6, &rules, why);
    if (r == -ENOENT)
        why_say(r, why, "the pod's nftables rules (table weir) are missing");
    else if (r == 0 && strcmp(rules, n->rules) != 0)
        r = why_say(-EBADMSG, why, "the pod's nftables rules (table weir) were changed");
    free(rules);
    return r < 0 ? r : reply_routes_check(why);
}

int pod_net_remove(struct pod_net *n, char why[static WHY_MAX])
{
    int r = redirect_remove(n->ipv6, why);
    spared_remove(n->ipv6);
    return r < 0 ? r : reply_routes_remove(why);
}
