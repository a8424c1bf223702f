/*
 * With what the listeners of a Gateway end TLS: of each its port, its host, and a configuration with
 * its certificate. Made by the control thread of what the controller told it; immutable and reference
 * counted (atomic), held by every worker that serves the Gateway. A renewal makes a new one; living
 * connections keep what they began with. Bounded as shared/xds/gateway.h says.
 */
#ifndef NODEPROXY_PATH_LISTENER_SET_H
#define NODEPROXY_PATH_LISTENER_SET_H
#include "shared/tls/tls_config.h"
#include "shared/xds/gateway.h"

struct listener_certificate {
    uint16_t port;
    char host[GATEWAY_HOST_MAX + 1]; /* lower case; "*.": of all below it; "": any */
    bool streams; /* within its TLS are bytes, and not requests */
    struct tls_config *config;
};
struct listener_set;
/* -EINVAL with why, which names the listener; -ENOMEM, -EIO. */
int listener_set_new(struct listener_set **ret, const struct gateway_certificates *from,
                     char why[static XDS_WHY_MAX]);
struct listener_set *listener_set_ref(struct listener_set *s);
struct listener_set *listener_set_unref(struct listener_set *s); /* NULL is fine; returns NULL */
/* How precisely a listener's host ("": any) has this one, whose case does not count: 0: not at all, SIZE_MAX: it is
 * the same; of two wildcards the longer one more. */
size_t listener_host_fits(struct text own, struct text host);
/* The one of this port that has this host, whose case does not count: the most precise. NULL: none
 * has; also of a set that is NULL. */
const struct listener_certificate *listener_set_find(const struct listener_set *s, uint16_t port,
                                                     struct text host);
#endif
