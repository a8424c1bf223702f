/*
 * The routing rule and the route that bring answers to a client's address back to the proxy (`ip
 * rule fwmark 0x111/0xfff lookup 100`, `ip route local default dev lo table 100`), in the namespace
 * that the calling thread is in, by rtnetlink.
 */
#ifndef NODEPROXY_WARDEN_REPLY_ROUTES_H
#define NODEPROXY_WARDEN_REPLY_ROUTES_H
#include "nodeproxy/capture/privileged.h"

/* family: AF_INET, or AF_INET6 where netns_ipv6_on(). Idempotent. */
int reply_routes_put(int family, char why[static PRIVILEGED_WHY_MAX]);
int reply_routes_remove(int family,
                        char why[static PRIVILEGED_WHY_MAX]); /* fine if there are none */
int reply_routes_check(
    int family, char why[static PRIVILEGED_WHY_MAX]); /* -ENOENT: why names what is missing */
#endif
