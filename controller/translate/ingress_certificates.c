#include "controller/translate/ingress_certificates.h"
#include "controller/translate/ingress_attach.h"
#include "shared/mesh/spiffe_id.h"
#include "shared/tls/web_key.h"
#include "shared/xds/gateway.h"
#include <errno.h>
#include <stdlib.h>

enum { IDENTITIES_MAX = 16 }; /* most often all pods have one service account */
struct identities {
    struct spiffe_id ids[IDENTITIES_MAX];
    char *texts[IDENTITIES_MAX];
    size_t n;
};

static void add_identity(const struct view *v, const struct object *pod, struct identities *all)
{
    struct spiffe_id *id = &all->ids[all->n];
    if (all->n == IDENTITIES_MAX ||
        spiffe_id_make(text_of(v->settings->trust_domain), text_of(pod->ns),
                       text_of(pod->pod.service_account), id) < 0)
        return;
    for (size_t i = 0; i < all->n; i++)
        if (spiffe_id_equal(&all->ids[i], id))
            return;
    all->texts[all->n++] = (char *)spiffe_id_text(id).data;
}

static void find_identities(const struct view *v, const struct object *gateway,
                            struct identities *all)
{
    struct view_range pods = view_namespace(v, OBJECT_POD, gateway->ns);
    for (size_t i = 0; i < pods.n; i++)
        if (ingress_of_pod(v, pods.items[i]) == gateway && !pods.items[i]->pod.over)
            add_identity(v, pods.items[i], all);
}

static void add(const struct view *v, const struct object *gateway, size_t listener,
                struct gateway_certificate *items, size_t *n)
{
    const struct ingress_listener *l = &gateway->ingress.listeners[listener];
    const struct gateway_ref *ref = &l->certificate;
    if (!l->has_certificate || !ingress_listener_serves(v, gateway, listener))
        return;
    const struct object *o = object_store_get(v->store, OBJECT_SECRET, ref->ns, ref->name);
    items[(*n)++] = (struct gateway_certificate){.port = l->port,
                                                 .host = text_of(l->hostname),
                                                 .streams = ingress_listener_table(l) == GATEWAY_TABLE_ENDED,
                                                 .chain = text_of(o->secret.chain),
                                                 .key = web_key_der(o->secret.key)};
}

static bool wants(const struct object *gateway)
{
    for (size_t i = 0; i < gateway->ingress.n_listeners; i++)
        if (gateway->ingress.listeners[i].has_certificate)
            return true;
    return false;
}

int ingress_certificates(const struct view *v, const struct object *gateway, struct resource **ret)
{
    struct gateway_certificate items[INGRESS_LISTENERS_MAX];
    char name[VIEW_KEY_MAX];
    struct identities all = {.n = 0};
    struct xds_bytes body;
    size_t n = 0;
    *ret = NULL;
    if (!ingress_is_ours(gateway) || !wants(gateway))
        return 0;
    find_identities(v, gateway, &all);
    if (all.n == 0)
        return 0;
    for (size_t i = 0; i < gateway->ingress.n_listeners; i++)
        add(v, gateway, i, items, &n);
    const struct gateway_certificates told = {.name = view_name(gateway->ns, gateway->name, name),
                                              .items = items,
                                              .n = n,
                                              .identities = all.texts,
                                              .n_identities = all.n};
    int err = xds_gateway_encode(&told, &body);
    return err < 0 ? err : resource_of_gateway(told.name, all.texts, all.n, &body, ret);
}
