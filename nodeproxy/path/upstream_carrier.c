#include "nodeproxy/path/upstream_carrier.h"

#include "nodeproxy/path/carrier.h"
#include <errno.h>

static void link_opened(void *user, struct stream *stream)
{
    upstream_opened(user, stream);
}

static void link_failed(void *user, enum ending ending, const char *why)
{
    const struct upstream_link *l = user;
    /* What a handshake says is static; what a tunnel says is in its own lines. */
    upstream_failed(user, ending, upstream_link_endpoint(l)->tls ? why : NULL);
}

static void link_gone(void *user)
{
    upstream_gone(user);
}

static const struct carrier_events carrier_events = {
    .opened = link_opened, .failed = link_failed, .gone = link_gone};

static int link_open(struct upstream_link *l)
{
    struct local_pod *p = container_of(l->pool, struct local_pod, upstreams);
    const struct upstream_endpoint *to = upstream_link_endpoint(l);
    const struct addr source = carrier_own_address(p, ip_family(&to->to.ip));
    struct carrier *c;
    int r = carrier_open(&c, p, to, &source, &carrier_events, l);
    if (r == 0)
        l->carrier = c;
    return r == -ENOKEY ? -ENOBUFS : r;
}

static void link_start(struct upstream_link *l)
{
    carrier_start(l->carrier);
}

static void link_close(struct upstream_link *l, bool clean)
{
    carrier_close(l->carrier, clean);
}

static enum ending link_broken(const struct upstream_link *l)
{
    return carrier_broken(l->carrier);
}

static bool link_is_leaving(const struct upstream_link *l)
{
    return carrier_is_leaving(l->carrier);
}

const struct upstream_pool_ops upstream_carrier_ops = {.open = link_open,
                                                       .start = link_start,
                                                       .close = link_close,
                                                       .broken = link_broken,
                                                       .leaving = link_is_leaving};
