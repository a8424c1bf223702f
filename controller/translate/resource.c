#include "controller/translate/resource.h"
#include "shared/base/map.h"
#include "shared/tls/secret.h"
#include "shared/xds/gateway.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct resource *resource_new(enum xds_type type, const char *name,
                                     struct xds_bytes *taken_body)
{
    /* Fixed, so that a controller that starts anew gives the same version to the same body. */
    static const uint64_t seeds[2][2] = {{0x776569722d786473, 1}, {0x776569722d786473, 2}};
    struct resource *r = calloc(1, sizeof *r);
    if (!r) {
        if (type == XDS_GATEWAY)
            secret_free(taken_body->data, taken_body->len);
        else
            xds_bytes_done(taken_body);
        return NULL;
    }
    r->type = type;
    r->body = taken_body->data;
    r->body_len = taken_body->len;
    *taken_body = (struct xds_bytes){0};
    snprintf(r->version, sizeof r->version, "%016llx%016llx",
             (unsigned long long)hash_bytes(seeds[0], r->body, r->body_len),
             (unsigned long long)hash_bytes(seeds[1], r->body, r->body_len));
    r->name = text_dup(text_of(name));
    return r->name ? r : resource_free(r);
}

struct resource *resource_free(struct resource *r)
{
    if (!r)
        return NULL;
    for (size_t i = 0; i < r->n_aliases; i++)
        free(r->aliases[i]);
    for (size_t i = 0; i < r->n_services; i++)
        free(r->services[i]);
    free(r->aliases);
    free(r->services);
    free(r->name);
    if (r->type == XDS_GATEWAY)
        secret_free(r->body, r->body_len);
    else
        free(r->body);
    free(r->locality);
    free(r);
    return NULL;
}

static int resource_add_alias(struct resource *r, const char *network, const struct ip *ip)
{
    char printed[IP_TEXT_MAX], alias[512];
    snprintf(alias, sizeof alias, "%s/%s", network, ip_print(ip, printed));
    char *copy = text_dup(text_of(alias));
    if (!copy)
        return -ENOMEM;
    r->aliases[r->n_aliases++] = copy;
    return 0;
}

int resource_of_workload(const struct workload *w, struct resource **ret)
{
    struct xds_bytes body;
    int err = xds_workload_encode(w, &body);
    if (err < 0)
        return err;
    struct resource *r = resource_new(XDS_ADDRESS, w->uid, &body);
    if (!r)
        return -ENOMEM;
    r->aliases = calloc(w->n_addresses + 1, sizeof *r->aliases);
    r->services = calloc(w->n_services + 1, sizeof *r->services);
    if (!r->aliases || !r->services)
        goto no_memory;
    for (size_t i = 0; i < w->n_addresses; i++)
        if (resource_add_alias(r, w->network, &w->addresses[i]) < 0)
            goto no_memory;
    for (size_t i = 0; i < w->n_services; i++) {
        r->services[i] = text_dup(text_of(w->services[i].key));
        if (!r->services[i])
            goto no_memory;
        r->n_services++;
    }
    *ret = r;
    return 0;
no_memory:
    resource_free(r);
    return -ENOMEM;
}

int resource_of_service(const struct service *s, struct resource **ret)
{
    struct xds_bytes body;
    int err = xds_service_encode(s, &body);
    if (err < 0)
        return err;
    struct resource *r = resource_new(XDS_ADDRESS, s->key, &body);
    if (!r)
        return -ENOMEM;
    r->is_service = true;
    r->aliases = calloc(s->n_addresses + 1, sizeof *r->aliases);
    if (!r->aliases) {
        resource_free(r);
        return -ENOMEM;
    }
    for (size_t i = 0; i < s->n_addresses; i++) {
        if (resource_add_alias(r, s->addresses[i].network, &s->addresses[i].ip) < 0) {
            resource_free(r);
            return -ENOMEM;
        }
    }
    *ret = r;
    return 0;
}

int resource_of_policy(const struct policy *p, struct resource **ret)
{
    struct xds_bytes body;
    int err = xds_policy_encode(p, &body);
    if (err < 0)
        return err;
    *ret = resource_new(XDS_AUTHORIZATION, p->key, &body);
    return *ret ? 0 : -ENOMEM;
}

int resource_of_body(enum xds_type type, const char *name, struct xds_bytes *taken_body,
                     struct resource **ret)
{
    struct resource *r = resource_new(type, name, taken_body);
    if (!r)
        return -ENOMEM;
    *ret = r;
    return 0;
}

int resource_of_gateway(struct text name, char *const *identities, size_t n,
                        struct xds_bytes *taken_body, struct resource **ret)
{
    char key[XDS_NAME_MAX + 1];
    struct text_out out = TEXT_OUT(key);
    struct xds_bytes kept = {secret_new(taken_body->len), taken_body->len};
    if (kept.data)
        memcpy(kept.data, taken_body->data, taken_body->len);
    xds_secret_bytes_done(taken_body);
    text_put(&out, name);
    struct resource *r = kept.data ? resource_new(XDS_GATEWAY, key, &kept) : NULL;
    if (!r)
        return -ENOMEM;
    r->aliases = calloc(n + 1, sizeof *r->aliases);
    for (size_t i = 0; r->aliases && i < n; i++) {
        r->aliases[i] = text_dup(text_of(identities[i]));
        r->n_aliases += r->aliases[i] != NULL;
    }
    if (!r->aliases || r->n_aliases < n) {
        resource_free(r);
        return -ENOMEM;
    }
    *ret = r;
    return 0;
}

bool resource_equal(const struct resource *a, const struct resource *b)
{
    return a->type == b->type && a->by_name_only == b->by_name_only &&
           a->nearness == b->nearness && a->locality_len == b->locality_len &&
           (a->locality_len == 0 || memcmp(a->locality, b->locality, a->locality_len) == 0) && a->balanced_anyhow == b->balanced_anyhow &&
           a->body_len == b->body_len && memcmp(a->body, b->body, a->body_len) == 0;
}
