/*
 * Everything that needs privileges: entering network namespaces, nftables rules, routing rules,
 * sockets that must be born inside a pod, the node's own rules for probes. The warden does it
 * (nodeproxy/warden), a process of its own; this is who asks it, from the control thread only. A
 * call waits for the answer, at most five seconds (-ETIMEDOUT), through a restart of the warden
 * too. No byte of traffic passes here.
 *
 * In a pod's namespace: table `inet weir`; outbound TCP is redirected to 15001, inbound TCP but
 * 15008 to 15006; DNS queries to 15053 (TCP redirected; UDP led there with the address that was
 * asked, untracked); loopback and the pod's calls to itself stay untouched; sockets with mark 0x539
 * are the proxy's own; replies to spoofed sources come back by connmark 0x111, `ip rule fwmark
 * 0x111/0xfff lookup 100` and a local route, IPv4 and IPv6 (Istio's layout).
 * On the node: TCP from the node's own processes to enrolled pods gets the source 169.254.7.127
 * (IPv6 fd16:9254:7127:1337:ffff:ffff:ffff:ffff), which the pods' rules let through untouched;
 * nobody else can send from it: forwarded and received packets with that source are dropped.
 */
#ifndef NODEPROXY_CAPTURE_PRIVILEGED_H
#define NODEPROXY_CAPTURE_PRIVILEGED_H
#include "shared/base/addr.h"
#include "shared/base/why.h"

enum { PORT_OUTBOUND = 15001, PORT_INBOUND = 15006, PORT_HBONE = 15008, PORT_DNS = 15053 };
enum { MARK_PROXY = 0x539, MARK_REPLY = 0x111, MARK_MASK = 0xfff, ROUTE_TABLE_REPLY = 100 };
enum { PRIVILEGED_WHY_MAX = WHY_MAX, POD_ADDRESSES_MAX = 8 };

struct privileged;
enum { POD_LISTENERS = 5 };
struct pod_listeners { /* listening (UDP: bound, transparent), dual stack [::], owned by the caller */
    union {
        struct {
            int outbound, inbound, hbone, dns_tcp, dns_udp;
        };
        int fds[POD_LISTENERS]; /* the same, in this order */
    };
};
#define POD_LISTENERS_NONE ((struct pod_listeners){.fds = {[0 ... POD_LISTENERS - 1] = -1}})

/* channel: this side's end of the SOCK_SEQPACKET pair; it stays the caller's. -EPERM and others:
 * why names what is missing (root? CAP_NET_ADMIN and CAP_SYS_ADMIN? nf_tables in the kernel?). */
int privileged_open(struct privileged **ret, int channel, char why[static PRIVILEGED_WHY_MAX]);
struct privileged *privileged_free(struct privileged *p);
int privileged_channel(const struct privileged *p);
/* To be called when the channel is readable (warden_watch.h): a new warden that says so is given
 * what it has to keep. */
void privileged_look(struct privileged *p);
/* -EINVAL: no absolute path, no network namespace, or the node's own. */
int privileged_netns_open(struct privileged *p, const char *path, int *ret_netns_fd,
                          char why[static PRIVILEGED_WHY_MAX]);
/* Listeners first, then rules (one transaction), so that no packet is redirected to nobody.
 * Idempotent: rules are replaced. Listeners that exist (another node proxy handed them over)
 * are used as they are and stay the caller's whatever happens; POD_LISTENERS_NONE: those that are
 * kept of a data process that died are given again, or new ones are made. -EINVAL: some but not
 * all, or not this pod's listeners. They are looked at again until release or forget: the caller
 * closes them after that, not before. */
int privileged_enrol(struct privileged *p, int netns_fd, struct pod_listeners *io_listeners,
                     char why[static PRIVILEGED_WHY_MAX]);
/* As enrol, of a pod that runs: connections that it has already go on, past us. Nothing of the kind
 * if its rules are there: then those that it has may be ours. */
int privileged_enrol_running(struct privileged *p, int netns_fd, struct pod_listeners *io_listeners,
                             char why[static PRIVILEGED_WHY_MAX]);
/* Nothing new is redirected; what was goes on. enrol brings it back, release ends it. */
int privileged_quiet(struct privileged *p, int netns_fd, char why[static PRIVILEGED_WHY_MAX]);
/* Rules and routes are as enrol made them; why says what is missing or was changed. */
int privileged_check(struct privileged *p, int netns_fd, char why[static PRIVILEGED_WHY_MAX]);
/* Takes out all that enrol put in; if it fails, what is kept of the listeners is still kept. */
int privileged_release(struct privileged *p, int netns_fd, char why[static PRIVILEGED_WHY_MAX]);
/* The rules stay, and nothing is kept of the pod's listeners any more (every enrolled pod has
 * duplicates of them kept, which is what a crash of the data process needs, and what an orderly end,
 * a vanished namespace or a successor that has them now does not): connections are refused once the
 * caller has closed its own. netns_fd -1: of all pods. */
void privileged_forget(struct privileged *p, int netns_fd);
/* n sockets born in the namespace in one setns: mark and IP(V6)_TRANSPARENT set. type: SOCK_STREAM
 * (TCP, NODELAY) or SOCK_DGRAM. */
int privileged_sockets(struct privileged *p, int netns_fd, int family, int type, int *ret_fds,
                       size_t n);
/* Replaces the node's rules; n_pods 0: removes them. At most pods-max times POD_ADDRESSES_MAX. */
int privileged_node_rules(struct privileged *p, const struct ip *pods, size_t n_pods,
                          char why[static PRIVILEGED_WHY_MAX]);
#endif
