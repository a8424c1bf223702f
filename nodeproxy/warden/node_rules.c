/*
 * The node itself is trusted: kubelet's probes, and everything else that runs in the node's
 * namespace (pods with hostNetwork too), reach enrolled pods past the proxy, from PROBE_SOURCE.
 * Since a pod lets that source through, nobody else may send from it: what arrives at the node with
 * it is dropped, routed or bridged. `skuid` is known for packets of a local socket only, so
 * forwarded ones are never translated.
 */
#include "nodeproxy/warden/node_rules.h"

#include "nodeproxy/warden/nft.h"
#include "nodeproxy/warden/redirect.h"
#include "shared/base/log.h"
#include <errno.h>
#include <stdio.h>

enum { TEXT_MAX = 1024 * 1024 };

static void write_reset(struct text_heap *o, const char *family)
{
    text_heap_printf(o, "add table %s weir_node\ndelete table %s weir_node\n", family, family);
}

static void write_set(struct text_heap *o, uint8_t ip_len, const struct ip *pods, size_t n_pods)
{
    text_heap_printf(o, "set pods_v%d {\ntype ipv%d_addr\n", ip_len == 4 ? 4 : 6,
                     ip_len == 4 ? 4 : 6);
    const char *before = "elements = { ";
    bool any = false;
    for (size_t i = 0; i < n_pods; i++) {
        char text[IP_TEXT_MAX];
        if (pods[i].len != ip_len)
            continue;
        text_heap_printf(o, "%s%s", any ? ", " : before, ip_print(&pods[i], text));
        any = true;
    }
    text_heap_puts(o, any ? " }\n}\n" : "}\n");
}

static void write_table(struct text_heap *o, bool ipv6, const struct ip *pods, size_t n_pods)
{
    text_heap_printf(o, "table %s weir_node {\n", ipv6 ? "inet" : "ip");
    write_set(o, 4, pods, n_pods);
    if (ipv6)
        write_set(o, 16, pods, n_pods);
    text_heap_puts(o, "chain received {\n"
                      "type filter hook prerouting priority raw; policy accept;\n"
                      "ip saddr " PROBE_SOURCE_V4 " iifname != \"lo\" drop\n");
    if (ipv6)
        text_heap_puts(o, "ip6 saddr " PROBE_SOURCE_V6 " iifname != \"lo\" drop\n");
    /* Before kube-proxy's masquerading (srcnat): the first translation of a connection is the one
     * that counts. */
    text_heap_puts(
        o, "}\nchain probes {\n"
           "type nat hook postrouting priority srcnat - 10; policy accept;\n"
           "ip daddr @pods_v4 meta l4proto tcp meta skuid >= 0 snat ip to " PROBE_SOURCE_V4 "\n");
    if (ipv6)
        text_heap_puts(
            o, "ip6 daddr @pods_v6 meta l4proto tcp meta skuid >= 0 snat ip6 to " PROBE_SOURCE_V6
               "\n");
    text_heap_puts(o, "}\n}\n");
}

/* Pods of one bridge reach each other without passing the node's own IP layer. */
static void write_bridge_table(struct text_heap *o)
{
    text_heap_puts(o, "table bridge weir_node {\n"
                      "chain received {\n"
                      "type filter hook prerouting priority -300; policy accept;\n"
                      "ip saddr " PROBE_SOURCE_V4 " drop\n"
                      "ip6 saddr " PROBE_SOURCE_V6 " drop\n"
                      "}\n}\n");
}

static int put(bool ipv6, bool bridge, const struct ip *pods, size_t n_pods,
               char why[static PRIVILEGED_WHY_MAX])
{
    struct text_heap out;
    text_heap_init(&out, TEXT_MAX);
    write_reset(&out, ipv6 ? "inet" : "ip");
    if (bridge)
        write_reset(&out, "bridge");
    if (n_pods > 0) {
        write_table(&out, ipv6, pods, n_pods);
        if (bridge)
            write_bridge_table(&out);
    }
    int r = -ENOMEM;
    if (out.failed)
        snprintf(why, PRIVILEGED_WHY_MAX, "no memory for the rules of %zu addresses", n_pods);
    else
        r = nft_apply(out.data, why);
    text_heap_done(&out);
    return r;
}

int node_rules_put(bool ipv6, bool *bridge, const struct ip *pods, size_t n_pods,
                   char why[static PRIVILEGED_WHY_MAX])
{
    int r = put(ipv6, *bridge, pods, n_pods, why);
    if (r == 0 || !*bridge)
        return r;
    char bridge_why[PRIVILEGED_WHY_MAX];
    memcpy(bridge_why, why, sizeof bridge_why);
    if (put(ipv6, false, pods, n_pods, why) < 0)
        return r;
    *bridge = false;
    log_warn("capture",
             "the kernel can't filter bridges (%s): where pods of one node are joined by a bridge, "
             "one with "
             "CAP_NET_RAW could send as if it were the node's probe",
             bridge_why);
    return 0;
}
