#include "controller/translate/translate.h"
#include "controller/translate/from_authorization.h"
#include "controller/translate/from_pod.h"
#include "controller/translate/from_service.h"
#include "controller/translate/from_slice.h"
#include "controller/translate/peer.h"
#include <errno.h>
#include <stdlib.h>

void resources_done(struct resources *r)
{
    for (size_t i = 0; i < r->n; i++)
        resource_free(r->items[i]);
    free(r->items);
    *r = (struct resources){0};
}

/* The name as people know the object, for what can't be encoded. */
static void refuse(const struct object *o, int error, struct problems *problems)
{
    char key[OBJECT_KEY_MAX];
    object_key(o->kind, o->ns, o->name, key);
    problems_add(problems, PROBLEM_ERROR, o->file, o->line, key, "",
                 "can't be sent to the proxies: %s", strerror(-error));
}

static int resources_add(struct resources *all, struct resource *taken)
{
    if (all->n == all->size) {
        size_t size = all->size ? 2 * all->size : 256;
        struct resource **items = realloc(all->items, size * sizeof(struct resource *));
        if (!items) {
            resource_free(taken);
            return -ENOMEM;
        }
        all->items = items;
        all->size = size;
    }
    all->items[all->n++] = taken;
    return 0;
}

/* Takes the noun. Only a lack of memory stops the translation. */
static int add_workload(struct resources *all, struct workload *taken, const struct object *o,
                        struct problems *problems)
{
    struct resource *r = NULL;
    int err = taken ? resource_of_workload(taken, &r) : 0;
    workload_free(taken);
    if (err < 0 && err != -ENOMEM) {
        refuse(o, err, problems);
        return 0;
    }
    return r ? resources_add(all, r) : err;
}

static int add_service(struct resources *all, struct service *taken, const struct object *o,
                       struct problems *problems)
{
    struct resource *r = NULL;
    int err = taken ? resource_of_service(taken, &r) : 0;
    service_free(taken);
    if (err < 0 && err != -ENOMEM) {
        refuse(o, err, problems);
        return 0;
    }
    return r ? resources_add(all, r) : err;
}

static int add_policy(struct resources *all, struct policy *taken, const struct object *o,
                      struct problems *problems)
{
    struct resource *r = NULL;
    int err = taken ? resource_of_policy(taken, &r) : 0;
    policy_free(taken);
    if (err < 0 && err != -ENOMEM) {
        refuse(o, err, problems);
        return 0;
    }
    return r ? resources_add(all, r) : err;
}

static int translate_policies(const struct view *v, struct resources *all,
                              struct problems *problems)
{
    struct view_range authorizations = view_all(v, OBJECT_AUTHORIZATION_POLICY);
    struct view_range peers = view_all(v, OBJECT_PEER_AUTHENTICATION);
    struct policy *p;
    int r = 0;
    for (size_t i = 0; i < authorizations.n && r == 0; i++) {
        r = from_authorization(v, authorizations.items[i], &p, problems);
        if (r == 0)
            r = add_policy(all, p, authorizations.items[i], problems);
    }
    for (size_t i = 0; i < peers.n && r == 0; i++) {
        peer_warn(v, peers.items[i], problems);
        r = peer_policy(v, peers.items[i], &p);
        if (r == 0)
            r = add_policy(all, p, peers.items[i], problems);
    }
    if (peers.n > 0 && r == 0) {
        r = peer_static_policy(v, &p);
        if (r == 0)
            r = add_policy(all, p, peers.items[0], problems);
    }
    return r;
}

static int translate_services(const struct view *v, struct resources *all,
                              struct problems *problems)
{
    struct view_range services = view_all(v, OBJECT_SERVICE);
    int r = 0;
    for (size_t i = 0; i < services.n && r == 0; i++) {
        struct service *s;
        r = from_service(v, services.items[i], &s);
        if (r == 0)
            r = add_service(all, s, services.items[i], problems);
    }
    return r;
}

static int translate_workloads(const struct view *v, struct resources *all,
                               struct problems *problems)
{
    struct view_range pods = view_all(v, OBJECT_POD), slices = view_all(v, OBJECT_ENDPOINT_SLICE);
    struct workload *w;
    int r = 0;
    for (size_t i = 0; i < pods.n && r == 0; i++) {
        r = from_pod(v, pods.items[i], &w, problems);
        if (r == 0)
            r = add_workload(all, w, pods.items[i], problems);
    }
    for (size_t i = 0; i < slices.n && r == 0; i++) {
        for (size_t j = 0; j < slices.items[i]->slice.n_endpoints && r == 0; j++) {
            r = from_slice(v, slices.items[i], j, &w);
            if (r == 0)
                r = add_workload(all, w, slices.items[i], problems);
        }
    }
    return r;
}

int translate(const struct object_store *s, const struct translate_settings *settings,
              struct resources *ret, struct problems *problems)
{
    struct view v;
    struct resources all = {0};
    int r = view_open(&v, s, settings);
    if (r < 0)
        return r;
    r = translate_policies(&v, &all, problems);
    if (r == 0)
        r = translate_services(&v, &all, problems);
    if (r == 0)
        r = translate_workloads(&v, &all, problems);
    view_close(&v);
    if (r < 0)
        resources_done(&all);
    else
        *ret = all;
    return r;
}
