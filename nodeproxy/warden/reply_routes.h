/*
 * The routing rule and the route that bring answers to a client's address back to the proxy (`ip
 * rule fwmark 0x111/0xfff lookup 100`, `ip route local default dev lo table 100`), for IPv4 and for
 * IPv6 where the namespace has it, in the one that the calling thread is in, by rtnetlink.
 */
#ifndef NODEPROXY_WARDEN_REPLY_ROUTES_H
#define NODEPROXY_WARDEN_REPLY_ROUTES_H
#include "shared/base/why.h"

int reply_routes_put(char why[static WHY_MAX]);    /* idempotent */
int reply_routes_remove(char why[static WHY_MAX]); /* fine if there are none */
int reply_routes_check(char why[static WHY_MAX]);  /* -ENOENT: why names what is missing */
#endif
