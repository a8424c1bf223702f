/*
 * Notes on the rules
 * - The marks: what the proxy opens to the application, from the client's address, must have its
 *   answers come back to the proxy instead of leaving for the client.
 * - The proxy picks the port for the client's address, and the client may have the same one in use to
 *   the application, or take it later. Tracking would mix the two up, so the first direction of what
 *   the proxy opens is tracked in a zone of its own; the answers are found in the usual one.
 * - The nat chains see a connection's first packet only. On the loopback that is the output chain,
 *   so what a pod sends to itself passes both.
 * - Every first packet that tracking sees is redirected, not only a SYN: a connection whose tracking
 *   was lost reaches a listener that does not know it and is reset. It never goes on outside the
 *   mesh. Those that a running pod had before its enrolment are not tracked (spared.h).
 * - Packets that tracking can't place (`invalid`) would leave with the addresses that the
 *   application sees, past the proxy, in plain: they are dropped. The state comes first in that
 *   rule: it is all that an ordinary packet is asked.
 * - The mark of a packet does not survive a change of namespace, so nobody outside can send 0x539.
 *   Inside, setting a mark takes CAP_NET_ADMIN, with which a pod could as well remove the rules.
 * - A query over UDP keeps the address that it asks: only its port changes, and it is led to the
 *   loopback as the answers above are. The answer comes from that address (IP_TRANSPARENT) and has its
 *   port changed back. Nothing of it is tracked, so nothing of it can be lost in tracking. From
 *   outside nobody reaches that port; IPv6's link-local resolvers would need an interface's name.
 */
#include "nodeproxy/warden/redirect.h"

#include "nodeproxy/capture/privileged.h"
#include "nodeproxy/warden/nft.h"
#include "shared/base/text.h"
#include <assert.h>

int redirect_put(bool ipv6, bool on, bool dns, char why[static WHY_MAX])
{
    char text[4096];
    struct text_out out = TEXT_OUT(text);
    text_printf(&out,
                "define MASK = 0x%x\n"
                "define OTHERS = 0x%x\n"
                "define PROXY = 0x%x\n"
                "define REPLY = 0x%x\n"
                "define DNS = %d\n",
                MARK_MASK, ~(unsigned)MARK_MASK, MARK_PROXY, MARK_REPLY, PORT_DNS);
    text_printf(&out,
                "add table %1$s weir\n"
                "delete table %1$s weir\n"
                "table %1$s weir {\n"
                "chain prerouting_mark {\n"
                "type filter hook prerouting priority mangle; policy accept;\n"
                "ct state invalid meta l4proto tcp iifname != \"lo\" drop\n"
                "iifname != \"lo\" udp dport $DNS drop\n"
                "meta mark & $MASK == $PROXY ct mark set ct mark & $OTHERS | $REPLY\n"
                "}\n"
                "chain output_zone {\n"
                "type filter hook output priority -300; policy accept;\n"
                "oifname \"lo\" meta mark & $MASK == $PROXY meta l4proto tcp ct original zone set 1\n"
                "}\n"
                "chain output_mark {\n"
                "type route hook output priority mangle; policy accept;\n"
                "ct state invalid meta l4proto tcp oifname != \"lo\" drop\n"
                "ct mark & $MASK == $REPLY meta mark set ct mark\n"
                "}\n"
                "chain prerouting_redirect {\n"
                "type nat hook prerouting priority dstnat; policy accept;\n"
                "ip saddr " PROBE_SOURCE_V4 " accept\n"
                "%2$s"
                "iifname \"lo\" accept\n"
                "meta mark & $MASK == $PROXY accept\n"
                "%6$s tcp dport != %3$d redirect to :%4$d\n"
                "}\n"
                "chain output_redirect {\n"
                "type nat hook output priority -100; policy accept;\n"
                "oifname \"lo\" accept\n"
                "meta mark & $MASK == $PROXY accept\n"
                "%7$s"
                "%6$s meta l4proto tcp redirect to :%5$d\n"
                "}\n",
                ipv6 ? "inet" : "ip", ipv6 ? "ip6 saddr " PROBE_SOURCE_V6 " accept\n" : "",
                PORT_HBONE, PORT_INBOUND, PORT_OUTBOUND, on ? "" : "#",
                on && dns ? "tcp dport 53 redirect to :$DNS\n" : "");
    if (dns)
        text_printf(&out,
                    "chain output_dns {\n"
                    "type route hook output priority -300; policy accept;\n"
                    "meta mark & $MASK == $PROXY udp sport $DNS udp sport set 53 notrack accept\n"
                    "oifname \"lo\" accept\n"
                    "meta mark & $MASK == $PROXY accept\n"
                    "%s"
                    "%s udp dport 53 udp dport set $DNS notrack meta mark set meta mark & $OTHERS | "
                    "$REPLY\n"
                    "}\n",
                    ipv6 ? "ip6 daddr fe80::/10 accept\n" : "", on ? "" : "#");
    text_puts(&out, "}\n");
    assert(!out.overflow);
    return nft_run(text, NULL, why);
}

int redirect_remove(bool ipv6, char why[static WHY_MAX])
{
    return nft_run(ipv6 ? "add table inet weir\ndelete table inet weir\n"
                        : "add table ip weir\ndelete table ip weir\n",
                   NULL, why);
}

int redirect_read(bool ipv6, char **ret_text, char why[static WHY_MAX])
{
    return nft_run(ipv6 ? "list table inet weir" : "list table ip weir", ret_text, why);
}
