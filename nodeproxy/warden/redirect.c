/*
 * Notes on the rules
 * - The nat chains see a connection's first packet only. On the loopback that is the output chain,
 *   so what a pod sends to itself passes both.
 * - Every first packet that tracking sees is redirected, not only a SYN: a connection that was
 *   opened before enrolment, or whose tracking was lost, reaches a listener that does not know it
 *   and is reset. It never goes on outside the mesh.
 * - Packets that tracking can't place (`invalid`) would leave with the addresses that the
 *   application sees, past the proxy, in plain: they are dropped. The state comes first in that
 *   rule: it is all that an ordinary packet is asked.
 * - The mark of a packet does not survive a change of namespace, so nobody outside can send 0x539.
 *   Inside, setting a mark takes CAP_NET_ADMIN, with which a pod could as well remove the rules.
 */
#include "nodeproxy/warden/redirect.h"

#include "nodeproxy/warden/nft.h"
#include <assert.h>

static const char *family(bool ipv6)
{
    return ipv6 ? "inet" : "ip";
}

static void write_rules(struct text_out *o, bool ipv6)
{
    const char *f = family(ipv6);
    text_printf(o, "add table %s weir\ndelete table %s weir\ntable %s weir {\n", f, f, f);

    /* A connection that the proxy opens to the application, from the client's address: its answers
     * must come back to the proxy instead of leaving for the client. */
    text_printf(o,
                "chain prerouting_mark {\n"
                "type filter hook prerouting priority mangle; policy accept;\n"
                "ct state invalid meta l4proto tcp iifname != \"lo\" drop\n"
                "meta mark & 0x%x == 0x%x ct mark set ct mark & 0x%x | 0x%x\n"
                "}\n",
                MARK_MASK, MARK_PROXY, ~(unsigned)MARK_MASK, MARK_REPLY);
    text_printf(o,
                "chain output_mark {\n"
                "type route hook output priority mangle; policy accept;\n"
                "ct state invalid meta l4proto tcp oifname != \"lo\" drop\n"
                "ct mark & 0x%x == 0x%x meta mark set ct mark\n"
                "}\n",
                MARK_MASK, MARK_REPLY);

    text_puts(o, "chain prerouting_redirect {\n"
                 "type nat hook prerouting priority dstnat; policy accept;\n"
                 "ip saddr " PROBE_SOURCE_V4 " accept\n");
    if (ipv6)
        text_puts(o, "ip6 saddr " PROBE_SOURCE_V6 " accept\n");
    text_printf(o,
                "iifname \"lo\" accept\n"
                "meta mark & 0x%x == 0x%x accept\n"
                "tcp dport != %d redirect to :%d\n"
                "}\n",
                MARK_MASK, MARK_PROXY, PORT_HBONE, PORT_INBOUND);
    text_printf(o,
                "chain output_redirect {\n"
                "type nat hook output priority -100; policy accept;\n"
                "oifname \"lo\" accept\n"
                "meta mark & 0x%x == 0x%x accept\n"
                "meta l4proto tcp redirect to :%d\n"
                "}\n}\n",
                MARK_MASK, MARK_PROXY, PORT_OUTBOUND);
}

int redirect_put(bool ipv6, char why[static PRIVILEGED_WHY_MAX])
{
    char text[4096];
    struct text_out out = TEXT_OUT(text);
    write_rules(&out, ipv6);
    assert(!out.overflow);
    return nft_apply(text, why);
}

int redirect_remove(bool ipv6, char why[static PRIVILEGED_WHY_MAX])
{
    char text[128];
    struct text_out out = TEXT_OUT(text);
    text_printf(&out, "add table %s weir\ndelete table %s weir\n", family(ipv6), family(ipv6));
    assert(!out.overflow);
    return nft_apply(text, why);
}

int redirect_read(bool ipv6, char **ret_text, char why[static PRIVILEGED_WHY_MAX])
{
    return nft_list(ipv6 ? "list table inet weir" : "list table ip weir", ret_text, why);
}
