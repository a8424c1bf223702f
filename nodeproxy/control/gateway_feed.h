/*
 * What the controller tells a Gateway's pod alone: the certificates of its listeners, asked for as the
 * pod, with its own certificate, so that no other node can have them (decision 35). Of one pod of this
 * node; owned by the node. Control thread. What it brought stays while the controller is away.
 */
#ifndef NODEPROXY_CONTROL_GATEWAY_FEED_H
#define NODEPROXY_CONTROL_GATEWAY_FEED_H
#include "nodeproxy/path/listener_set.h"
#include "shared/service/xds_feed.h"

struct gateway_feed {
    struct xds_feed feed;
    char name[XDS_NAME_MAX]; /* NAMESPACE/NAME of the Gateway: all else is none of its */
    struct listener_set *set; /* NULL: none was told, or none any more */
    void (*changed)(struct gateway_feed *f);
    void (*drained)(struct gateway_feed *f);
    void *user;
};
struct gateway_feed_options {
    struct xds_feed_options feed; /* its types are set here */
    const char *ns, *gateway;
    void (*changed)(struct gateway_feed *f); /* another set */
    void (*drained)(struct gateway_feed *f); /* after the close: its memory is the owner's */
    void *user;
};
void gateway_feed_open(struct gateway_feed *f, const struct gateway_feed_options *o);
void gateway_feed_set_tls(struct gateway_feed *f, struct tls_config *client); /* as xds_feed_set_tls() */
bool gateway_feed_is_of(const struct gateway_feed *f, const char *ns, const char *gateway);
void gateway_feed_close(struct gateway_feed *f); /* `drained` follows, perhaps at once */
#endif
