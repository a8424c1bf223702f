/*
 * - Nothing tracked a pod's connections before our rules came, so that each of them would look new
 *   with its next packet: redirected to a listener that does not know it, or, if that packet is the
 *   last one (FIN, RST), dropped as invalid. So they are not tracked (`notrack`, before tracking).
 * - A first packet ends what is spared of its addresses and ports: who uses them again is captured.
 * - An open that has not been answered yet is not spared: its answer is dropped, its first packet is
 *   sent again, and that is captured.
 */
#include "nodeproxy/warden/spared.h"

#include "nodeproxy/warden/nft.h"
#include "shared/base/log.h"
#include "shared/base/proc_tcp.h"
#include <errno.h>
#include <stdio.h>

#define FLAGS "tcp flags & (fin | syn | rst | ack)"
enum { TEXT_MAX = 4 * 1024 * 1024 };

struct sets { /* elements */
    struct text_heap v4, v6;
    size_t n;
};

static bool spare(const struct proc_tcp *t, void *arg)
{
    struct sets *s = arg;
    char here[IP_TEXT_MAX], there[IP_TEXT_MAX];
    if (!t->joined || ip_is_loopback(&t->local.ip) || t->local.ip.len != t->remote.ip.len)
        return true;
    text_heap_printf(t->local.ip.len == 4 ? &s->v4 : &s->v6, "%s . %u . %s . %u,\n",
                     ip_print(&t->local.ip, here), t->local.port, ip_print(&t->remote.ip, there),
                     t->remote.port);
    return ++s->n < SPARED_MAX;
}

static void write_chain(struct text_heap *o, const char *ip, const char *hook, const char *pair)
{
    text_heap_printf(o,
                     "chain %1$s_%2$s {\n"
                     "type filter hook %2$s priority raw; policy accept;\n" FLAGS
                     " == syn delete @%1$s_pairs { %3$s }\n" FLAGS
                     " != syn %3$s @%1$s_pairs notrack\n"
                     "}\n",
                     ip, hook, pair);
}

static void write_family(struct text_heap *o, const char *ip, const struct text_heap *elements)
{
    char sent[128], received[128];
    if (elements->len == 0)
        return;
    snprintf(sent, sizeof sent, "%1$s saddr . tcp sport . %1$s daddr . tcp dport", ip);
    snprintf(received, sizeof received, "%1$s daddr . tcp dport . %1$s saddr . tcp sport", ip);
    text_heap_printf(o, "set %s_pairs {\ntypeof %s\nsize %d\nflags dynamic\nelements = { %s }\n}\n",
                     ip, sent, SPARED_MAX, elements->data);
    write_chain(o, ip, "output", sent);
    write_chain(o, ip, "prerouting", received);
}

/* In place of a table of that name; body NULL: none. */
static int put_table(bool ipv6, const char *name, const struct text_heap *body,
                     char why[static WHY_MAX])
{
    struct text_heap out;
    text_heap_init(&out, TEXT_MAX + 1024);
    text_heap_printf(&out, "add table %1$s %2$s\ndelete table %1$s %2$s\n", ipv6 ? "inet" : "ip",
                     name);
    if (body && body->len > 0)
        text_heap_printf(&out, "table %s %s {\n%s}\n", ipv6 ? "inet" : "ip", name, body->data);
    int r = out.failed || (body && body->failed)
                ? why_say(-ENOMEM, why, "no memory for the connections that the pod has")
                : nft_run(out.data, NULL, why);
    text_heap_done(&out);
    return r;
}

static int hold(bool ipv6, char why[static WHY_MAX])
{
    struct text_heap body;
    text_heap_init(&body, TEXT_MAX);
    text_heap_puts(&body, "chain sent {\n"
                          "type filter hook output priority raw; policy accept;\n"
                          "oifname != \"lo\" " FLAGS " == syn drop\n}\n"
                          "chain received {\n"
                          "type filter hook prerouting priority raw; policy accept;\n"
                          "iifname != \"lo\" " FLAGS " == syn drop\n}\n");
    int r = put_table(ipv6, "weir_hold", &body, why);
    text_heap_done(&body);
    return r;
}

int spared_find(bool ipv6, char why[static WHY_MAX])
{
    struct sets s = {0};
    struct text_heap body;
    int r = hold(ipv6, why);
    if (r < 0)
        return r;
    text_heap_init(&s.v4, TEXT_MAX);
    text_heap_init(&s.v6, TEXT_MAX);
    text_heap_init(&body, TEXT_MAX);
    proc_tcp_each(spare, &s);
    write_family(&body, "ip", &s.v4);
    write_family(&body, "ip6", &s.v6);
    body.failed |= s.v4.failed || s.v6.failed;
    r = put_table(ipv6, "weir_spared", &body, why);
    text_heap_done(&s.v4);
    text_heap_done(&s.v6);
    text_heap_done(&body);
    if (s.n > 0)
        log_info("warden", "%zu connections that a pod has already go on past the mesh", s.n);
    if (r < 0)
        spared_go(ipv6);
    return r;
}

void spared_go(bool ipv6)
{
    char why[WHY_MAX];
    if (put_table(ipv6, "weir_hold", NULL, why) < 0)
        log_error("warden", "a pod can't open connections: %s", why);
}

void spared_remove(bool ipv6)
{
    char why[WHY_MAX];
    if (put_table(ipv6, "weir_spared", NULL, why) < 0)
        log_warn("warden", "table weir_spared stays in a pod: %s", why);
}
