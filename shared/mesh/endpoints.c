#include "shared/mesh/endpoints.h"

#include "shared/base/map.h"
#include "shared/mesh/checks.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct endpoints *endpoints_new(size_t arena_max)
{
    struct endpoints *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    atomic_init(&e->refs, 1);
    arena_init(&e->arena, arena_max);
    e->overprovisioning_percent = OVERPROVISIONING_PERCENT;
    return e;
}

struct endpoints *endpoints_ref(struct endpoints *e)
{
    if (e)
        atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

struct endpoints *endpoints_free(struct endpoints *e)
{
    assert(!e || atomic_load(&e->refs) == 1);
    return endpoints_unref(e);
}

struct endpoints *endpoints_unref(struct endpoints *e)
{
    if (!e || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    arena_done(&e->arena);
    free(e);
    return NULL;
}

/* What must be there once: -EEXIST if it was already. */
static int once(struct map *seen, struct text key)
{
    void *old;
    int e = map_put(seen, key, seen, &old);
    return e < 0 ? e : old ? -EEXIST : 0;
}

static int check_endpoint(const struct place *at, const struct endpoint *e, struct map *seen,
                          char why[static WHY_MAX])
{
    char key[ADDR_KEY_BYTES], name[ENDPOINT_HOST_MAX + 8];
    struct text_out whole = TEXT_OUT(name);
    const struct place *address = AT(at, "endpoint.address");
    int error = place_count(AT(at, "metadata"), e->n_labels, ENDPOINT_LABELS_MAX, why);

    if (error < 0)
        return error;
    if (e->addr.port == 0)
        return place_refuse(AT(address, "port_value"), why, "is 0 or missing");
    if (e->weight == 0)
        return place_refuse(AT(at, "load_balancing_weight"), why, "is 0");
    if (e->hostname.len > ENDPOINT_HOST_MAX)
        return place_refuse(AT(at, "endpoint.hostname"), why, "is longer than %d bytes",
                            ENDPOINT_HOST_MAX);
    if (e->addr.ip.len != 0) {
        error = once(seen, addr_key(&e->addr, key));
    } else if (e->host.len == 0) {
        return place_refuse(AT(address, "address"), why, "is empty");
    } else if (e->host.len > ENDPOINT_HOST_MAX) {
        return place_refuse(AT(address, "address"), why, "is longer than %d bytes",
                            ENDPOINT_HOST_MAX);
    } else {
        text_put(&whole, e->host);
        text_printf(&whole, ":%u", e->addr.port);
        error = once(seen, (struct text){whole.data, whole.len});
    }
    if (error == -EEXIST)
        return place_refuse(address, why, "is there twice");
    return error < 0 ? place_no_memory(why) : 0;
}

static int check_group(const struct place *at, const struct endpoint_group *g,
                       struct map *localities, struct map *addresses, char why[static WHY_MAX])
{
    char text[1024];
    struct text_out name = TEXT_OUT(text);
    int error;

    if (g->priority >= ENDPOINT_PRIORITIES_MAX)
        return place_refuse(AT(at, "priority"), why, "is %u, at most %d may be", g->priority,
                            ENDPOINT_PRIORITIES_MAX - 1);
    text_printf(&name, "%u/%zu/%zu/", g->priority, g->region.len, g->zone.len);
    text_put(&name, g->region);
    text_put(&name, g->zone);
    text_put(&name, g->sub_zone);
    if (name.overflow)
        return place_refuse(AT(at, "locality"), why, "is too long");
    error = once(localities, (struct text){name.data, name.len});
    if (error == -EEXIST)
        return place_refuse(AT(at, "locality"), why, "is there twice with priority %u",
                            g->priority);
    if (error < 0)
        return place_no_memory(why);
    for (size_t i = 0; i < g->n_endpoints; i++) {
        error = check_endpoint(AT_I(at, "lb_endpoints", i), &g->endpoints[i], addresses, why);
        if (error < 0)
            return error;
    }
    return 0;
}

static int check_priorities(struct endpoints *e, char why[static WHY_MAX])
{
    bool there[ENDPOINT_PRIORITIES_MAX] = {false};

    e->n_priorities = 0;
    for (size_t i = 0; i < e->n_groups; i++) {
        there[e->groups[i].priority] = true;
        if (e->n_priorities <= e->groups[i].priority)
            e->n_priorities = e->groups[i].priority + 1;
    }
    for (size_t p = 0; p < e->n_priorities; p++) {
        if (!there[p])
            return place_refuse(AT(NULL, "endpoints"), why,
                                "has priority %zu and none with priority %zu", e->n_priorities - 1,
                                p);
    }
    return 0;
}

static int check_counts(struct endpoints *e, char why[static WHY_MAX])
{
    const struct checker c = {.why = why};
    int error = place_count(AT(NULL, "endpoints"), e->n_groups, ENDPOINT_GROUPS_MAX, why);

    if (error == 0)
        error = place_count(AT(NULL, "policy.drop_overloads"), e->n_drops, ENDPOINT_DROPS_MAX, why);
    for (size_t i = 0; error == 0 && i < e->n_drops; i++)
        error = check_fraction(&c, AT(AT_I(NULL, "policy.drop_overloads", i), "drop_percentage"),
                               e->drops[i].fraction);
    e->n_endpoints = 0;
    for (size_t i = 0; error == 0 && i < e->n_groups; i++) {
        e->n_endpoints += e->groups[i].n_endpoints;
        error = place_count(AT(AT_I(NULL, "endpoints", i), "lb_endpoints"), e->n_endpoints,
                            ENDPOINTS_MAX, why);
    }
    return error;
}

int endpoints_finish(struct endpoints *e, char why[static WHY_MAX])
{
    struct map localities, addresses;
    int error;

    if (e->name.len == 0)
        return place_refuse(AT(NULL, "cluster_name"), why, "is empty");
    if (e->overprovisioning_percent < 100)
        return place_refuse(AT(NULL, "policy.overprovisioning_factor"), why, "is %u, less than 100",
                            e->overprovisioning_percent);
    error = check_counts(e, why);
    if (error < 0)
        return error;
    map_init(&localities, 0);
    map_init(&addresses, 0);
    for (size_t i = 0; error == 0 && i < e->n_groups; i++)
        error =
            check_group(AT_I(NULL, "endpoints", i), &e->groups[i], &localities, &addresses, why);
    map_done(&localities, NULL);
    map_done(&addresses, NULL);
    if (error == 0)
        error = check_priorities(e, why);
    e->finished = error == 0;
    return error;
}
