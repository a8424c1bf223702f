#define _GNU_SOURCE
/* A Gateway's certificates; see the header. */
#include "nodeproxy/control/gateway_feed.h"

#include "shared/base/log.h"
#include <errno.h>
#include <stdio.h>

static void take(struct gateway_feed *f, struct listener_set *taken)
{
    listener_set_unref(f->set);
    f->set = taken;
}

static int put(struct xds_feed *feed, enum xds_type type, struct text name, const uint8_t *body, size_t len,
               char why[static XDS_WHY_MAX])
{
    struct gateway_feed *f = feed->user;
    struct gateway_certificates c;
    struct listener_set *set = NULL;
    (void)type;
    int r = xds_gateway_decode(body, len, &c, why);
    explicit_bzero((void *)body, len); /* a copy of our client's, and nobody's after us */
    if (r < 0)
        return r;
    if (!text_equal(name, text_of(f->name)) || !text_equal(c.name, name)) {
        snprintf(why, XDS_WHY_MAX, "name: it is not of the Gateway %.200s", f->name);
        r = -EINVAL;
    } else
        r = listener_set_new(&set, &c, why);
    if (r == 0) {
        log_info("gateway", "%s: certificates of %zu listeners", f->name, c.n);
        take(f, set);
    }
    gateway_certificates_done(&c);
    return r;
}

static void removed(struct xds_feed *feed, enum xds_type type, struct text name)
{
    struct gateway_feed *f = feed->user;
    (void)type, (void)name;
    take(f, NULL);
}

static void changed(struct xds_feed *feed)
{
    struct gateway_feed *f = feed->user;
    f->changed(f);
}

static void synced(struct xds_feed *feed)
{
    (void)feed;
}

static const struct xds_feed_events events = {.put = put, .removed = removed, .changed = changed, .synced = synced};

void gateway_feed_open(struct gateway_feed *f, const struct gateway_feed_options *o)
{
    struct xds_feed_options feed = o->feed;
    *f = (struct gateway_feed){.changed = o->changed, .drained = o->drained, .user = o->user};
    (void)snprintf(f->name, sizeof f->name, "%s/%s", o->ns, o->gateway);
    feed.types = 1 << XDS_GATEWAY;
    xds_feed_init(&f->feed, &feed, &events, f);
}

void gateway_feed_set_tls(struct gateway_feed *f, struct tls_config *client)
{
    xds_feed_set_tls(&f->feed, client);
}

bool gateway_feed_is_of(const struct gateway_feed *f, const char *ns, const char *gateway)
{
    size_t len = strlen(ns);
    return strncmp(f->name, ns, len) == 0 && f->name[len] == '/' && strcmp(f->name + len + 1, gateway) == 0;
}

static void drained(void *arg)
{
    struct gateway_feed *f = arg;
    f->drained(f);
}

void gateway_feed_close(struct gateway_feed *f)
{
    take(f, NULL);
    xds_feed_close(&f->feed, drained, f);
}
