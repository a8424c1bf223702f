#include "shared/mesh/service.h"

#include "shared/base/list.h"
#include "shared/mesh/owned.h"

#include <stdlib.h>

struct service *service_new(void)
{
    struct service *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    char **const fields[] = {&s->name, &s->ns, &s->hostname, &s->key};
    return strings_init(fields, ARRAY_SIZE(fields)) ? s : service_free(s);
}

struct service *service_free(struct service *s)
{
    if (!s)
        return NULL;
    free(s->name);
    free(s->ns);
    free(s->hostname);
    free(s->key);
    for (size_t i = 0; s->addresses && i < s->n_addresses; i++)
        free(s->addresses[i].network);
    free(s->addresses);
    free(s->ports);
    strings_free(s->subject_alt_names, s->n_subject_alt_names);
    strings_free(s->exported, s->n_exported);
    free(s);
    return NULL;
}

bool service_equal(const struct service *a, const struct service *b)
{
    if (strcmp(a->name, b->name) != 0 || strcmp(a->ns, b->ns) != 0 ||
        strcmp(a->hostname, b->hostname) != 0 || strcmp(a->key, b->key) != 0 ||
        a->n_addresses != b->n_addresses || a->n_ports != b->n_ports ||
        a->n_scopes != b->n_scopes || a->lb_mode != b->lb_mode ||
        a->allow_unhealthy != b->allow_unhealthy || a->ip_families != b->ip_families ||
        a->canonical != b->canonical)
        return false;
    for (size_t i = 0; i < a->n_addresses; i++) {
        if (strcmp(a->addresses[i].network, b->addresses[i].network) != 0 ||
            !ip_equal(&a->addresses[i].ip, &b->addresses[i].ip))
            return false;
    }
    for (size_t i = 0; i < a->n_ports; i++) {
        const struct port_pair *x = &a->ports[i], *y = &b->ports[i];
        if (x->service_port != y->service_port || x->target_port != y->target_port ||
            x->app_protocol != y->app_protocol)
            return false;
    }
    for (size_t i = 0; i < a->n_scopes; i++) {
        if (a->scopes[i] != b->scopes[i])
            return false;
    }
    return strings_equal(a->subject_alt_names, a->n_subject_alt_names, b->subject_alt_names,
                         b->n_subject_alt_names) &&
           strings_equal(a->exported, a->n_exported, b->exported, b->n_exported);
}
