/*
 * A pod's nftables rules: table `inet weir` (`ip weir` where the kernel has no IPv6) in the
 * namespace that the calling thread is in.
 */
#ifndef NODEPROXY_WARDEN_REDIRECT_H
#define NODEPROXY_WARDEN_REDIRECT_H
#include "shared/base/why.h"
#include <stdbool.h>

#define PROBE_SOURCE_V4 "169.254.7.127"
#define PROBE_SOURCE_V6 "fd16:9254:7127:1337:ffff:ffff:ffff:ffff"

/* Puts the rules in place of whatever was there, in one transaction. on false: nothing new is
 * redirected, and what was is still translated and finds back.
 * dns: queries are captured, too. */
int redirect_put(bool ipv6, bool on, bool dns, char why[static WHY_MAX]);
int redirect_remove(bool ipv6, char why[static WHY_MAX]); /* fine if there are none */
/* The rules as the kernel has them, on the heap: equal texts are equal rules. -ENOENT: none. */
int redirect_read(bool ipv6, char **ret_text, char why[static WHY_MAX]);
#endif
