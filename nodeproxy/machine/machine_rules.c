/*
 * Notes on the rules (those of a pod, nodeproxy/warden/redirect.c, say the rest)
 * - The namespace is everybody's: what is not chosen is not touched, neither dropped nor marked, and
 *   what the machine forwards for others is left alone (`fib daddr type local`).
 * - A connection's user and cgroup are those of its socket, so the proxy's own are known by their
 *   mark, and what it opens to controller, CA and collector by where it leads.
 * - 15001, 15006 and 15053 are for what was redirected: nobody outside reaches them. (The check is
 *   made before addresses are translated.)
 * - Connections that chosen processes have when the rules come are not spared: whoever tracked them
 *   before, as a firewall does, keeps them; else they are reset and made anew, through the mesh. To
 *   spare them here would take them out of a firewall's tracking.
 */
#include "nodeproxy/machine/machine.h"
#include "shared/base/list.h"
#include <errno.h>
#include <stdio.h>

static void put_ports(struct text_out *o, const char *before, const uint16_t *ports, size_t n,
                      const char *after)
{
    if (n == 0)
        return;
    text_printf(o, "%s { ", before);
    for (size_t i = 0; i < n; i++)
        text_printf(o, "%s%u", i > 0 ? ", " : "", ports[i]);
    text_printf(o, " } %s\n", after);
}

/* Each way of being chosen is a rule of its own. */
static void put_chosen(struct text_out *o, const struct machine_scope *s, const char *what)
{
    if (s->n_users > 0)
        text_puts(o, "meta skuid { ");
    for (size_t i = 0; i < s->n_users; i++)
        text_printf(o, "%s%u", i > 0 ? ", " : "", s->users[i]);
    if (s->n_users > 0)
        text_printf(o, " } %s\n", what);
    for (size_t i = 0; i < s->cgroups->n; i++) {
        const char *path = s->cgroups->items[i];
        unsigned level = 1;
        for (const char *c = path; *c; c++)
            level += *c == '/';
        text_printf(o, "socket cgroupv2 level %u \"%s\" %s\n", level, path, what);
    }
}

static void put_left_alone(struct text_out *o, const struct machine_scope *s, const char *protocol)
{
    char text[IP_TEXT_MAX];
    text_puts(o, "oifname \"lo\" accept\n"
                 "meta mark & $MASK == $PROXY accept\n");
    for (size_t i = 0; i < s->n_excluded; i++) {
        const struct prefix *p = &s->excluded[i];
        if (p->ip.len == 4 || s->ipv6)
            text_printf(o, "%s daddr %s/%u accept\n", p->ip.len == 4 ? "ip" : "ip6",
                        ip_print(&p->ip, text), p->bits);
    }
    for (size_t i = 0; i < s->n_own; i++) {
        const struct addr *a = &s->own[i];
        if (a->ip.len == 4 || s->ipv6)
            text_printf(o, "%s daddr %s tcp dport %u accept\n", a->ip.len == 4 ? "ip" : "ip6",
                        ip_print(&a->ip, text), a->port);
    }
    char before[16];
    snprintf(before, sizeof before, "%s dport", protocol);
    put_ports(o, before, s->excluded_ports, s->n_excluded_ports, "accept");
}

static void put_dns(struct text_out *o, const struct machine_scope *s, bool on)
{
    text_puts(o, "chain output_dns {\n"
                 "type route hook output priority -300; policy accept;\n"
                 "meta mark & $MASK == $PROXY udp sport $DNS udp sport set 53 notrack accept\n");
    put_left_alone(o, s, "udp");
    if (s->ipv6)
        text_puts(o, "ip6 daddr fe80::/10 accept\n");
    if (on)
        put_chosen(o, s,
                   "udp dport 53 udp dport set $DNS notrack "
                   "meta mark set meta mark & $OTHERS | $REPLY");
    text_puts(o, "}\n");
}

int machine_rules(const struct machine_scope *s, bool on, char out[static MACHINE_RULES_MAX])
{
    struct text_out o = {out, 0, MACHINE_RULES_MAX, false};
    text_printf(&o,
                "define MASK = 0x%x\n"
                "define OTHERS = 0x%x\n"
                "define PROXY = 0x%x\n"
                "define REPLY = 0x%x\n"
                "define DNS = %d\n",
                MARK_MASK, ~(unsigned)MARK_MASK, MARK_PROXY, MARK_REPLY, PORT_DNS);
    text_printf(&o,
                "add table %1$s weir\n"
                "delete table %1$s weir\n"
                "table %1$s weir {\n"
                "chain prerouting_mark {\n"
                "type filter hook prerouting priority mangle; policy accept;\n"
                "iifname != \"lo\" tcp dport { %2$d, %3$d, %4$d } fib daddr type local drop\n"
                "iifname != \"lo\" udp dport %4$d fib daddr type local drop\n"
                "iifname \"lo\" meta mark & $MASK == $PROXY ct mark set ct mark & $OTHERS | $REPLY\n",
                s->ipv6 ? "inet" : "ip", PORT_OUTBOUND, PORT_INBOUND, PORT_DNS);
    put_ports(&o, "ct state invalid iifname != \"lo\" tcp dport", s->ports, s->n_ports,
              "fib daddr type local drop");
    text_puts(&o, "}\n"
                  "chain output_zone {\n"
                  "type filter hook output priority -300; policy accept;\n"
                  "oifname \"lo\" meta mark & $MASK == $PROXY meta l4proto tcp ct original zone set 1\n"
                  "}\n"
                  "chain output_mark {\n"
                  "type route hook output priority mangle; policy accept;\n");
    put_chosen(&o, s, "ct state invalid meta l4proto tcp oifname != \"lo\" drop");
    put_ports(&o, "ct state invalid oifname != \"lo\" tcp sport", s->ports, s->n_ports, "drop");
    text_puts(&o, "ct mark & $MASK == $REPLY meta mark set ct mark\n"
                  "}\n"
                  "chain prerouting_redirect {\n"
                  "type nat hook prerouting priority dstnat; policy accept;\n"
                  "iifname \"lo\" accept\n");
    char to[48];
    snprintf(to, sizeof to, "fib daddr type local redirect to :%d", PORT_INBOUND);
    if (on)
        put_ports(&o, "tcp dport", s->ports, s->n_ports, to);
    text_puts(&o, "}\n"
                  "chain output_redirect {\n"
                  "type nat hook output priority -100; policy accept;\n");
    put_left_alone(&o, s, "tcp");
    if (on && s->dns)
        put_chosen(&o, s, "tcp dport 53 redirect to :$DNS");
    snprintf(to, sizeof to, "meta l4proto tcp redirect to :%d", PORT_OUTBOUND);
    if (on)
        put_chosen(&o, s, to);
    text_puts(&o, "}\n");
    if (s->dns)
        put_dns(&o, s, on);
    text_puts(&o, "}\n");
    return o.overflow ? -EMSGSIZE : 0;
}
