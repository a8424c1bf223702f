/*
 * The node itself is trusted: kubelet's probes, and everything else that runs in the node's
 * namespace (pods with hostNetwork too), reach enrolled pods past the proxy, from PROBE_SOURCE.
 * Since a pod lets that source through, nobody else may send from it: what arrives at the node with
 * it is dropped, routed or bridged. `skuid` is known for packets of a local socket only, so
 * forwarded ones are never translated; and that before kube-proxy's masquerading (srcnat), since
 * the first translation of a connection is the one that counts.
 */
#include "nodeproxy/warden/node_rules.h"

#include "nodeproxy/warden/nft.h"
#include "nodeproxy/warden/redirect.h"
#include "shared/base/log.h"
#include <errno.h>

enum { TEXT_MAX = 1024 * 1024 };

static void write_rules(struct text_heap *o, bool ipv6, bool bridge)
{
    text_heap_printf(
        o,
        "table %1$s weir_node {\n"
        "set pods_v4 { type ipv4_addr; }\n"
        "set pods_v6 { type ipv6_addr; }\n"
        "chain received {\n"
        "type filter hook prerouting priority raw; policy accept;\n"
        "ip saddr " PROBE_SOURCE_V4 " iifname != \"lo\" drop\n"
        "%2$s"
        "}\n"
        "chain probes {\n"
        "type nat hook postrouting priority srcnat - 10; policy accept;\n"
        "ip daddr @pods_v4 meta l4proto tcp meta skuid >= 0 snat ip to " PROBE_SOURCE_V4 "\n"
        "%3$s"
        "}\n}\n",
        ipv6 ? "inet" : "ip", ipv6 ? "ip6 saddr " PROBE_SOURCE_V6 " iifname != \"lo\" drop\n" : "",
        ipv6 ? "ip6 daddr @pods_v6 meta l4proto tcp meta skuid >= 0 "
               "snat ip6 to " PROBE_SOURCE_V6 "\n"
             : "");
    /* Pods of one bridge reach each other without passing the node's own IP layer. */
    if (bridge)
        text_heap_puts(o, "table bridge weir_node {\n"
                          "chain received {\n"
                          "type filter hook prerouting priority -300; policy accept;\n"
                          "ip saddr " PROBE_SOURCE_V4 " drop\n"
                          "ip6 saddr " PROBE_SOURCE_V6 " drop\n"
                          "}\n}\n");
}

static int put(bool ipv6, bool bridge, bool more, const struct ip *pods, size_t n_pods,
               char why[static WHY_MAX])
{
    struct text_heap out;
    char text[IP_TEXT_MAX];
    const char *table = ipv6 ? "inet" : "ip";
    text_heap_init(&out, TEXT_MAX);
    if (!more)
        text_heap_printf(&out, "add table %1$s weir_node\ndelete table %1$s weir_node\n", table);
    if (!more && bridge)
        text_heap_puts(&out, "add table bridge weir_node\ndelete table bridge weir_node\n");
    if (!more && n_pods > 0)
        write_rules(&out, ipv6, bridge);
    for (size_t i = 0; i < n_pods; i++)
        text_heap_printf(&out, "add element %s weir_node pods_v%d { %s }\n", table,
                         pods[i].len == 4 ? 4 : 6, ip_print(&pods[i], text));
    int r = out.failed ? why_say(-ENOMEM, why, "no memory for the rules of %zu addresses", n_pods)
                       : nft_run(out.data ? out.data : "", NULL, why);
    text_heap_done(&out);
    return r;
}

int node_rules_put(bool ipv6, bool *bridge, bool more, const struct ip *pods, size_t n_pods,
                   char why[static WHY_MAX])
{
    char without[WHY_MAX];
    int r = put(ipv6, *bridge, more, pods, n_pods, why);
    if (r == 0 || more || !*bridge || put(ipv6, false, false, pods, n_pods, without) < 0)
        return r;
    *bridge = false;
    log_warn("warden",
             "the kernel can't filter bridges (%s): where pods of one node are joined by a bridge, "
             "one with CAP_NET_RAW could send as if it were the node's probe",
             why);
    return 0;
}
