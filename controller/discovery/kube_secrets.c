#include "controller/discovery/kube_secrets.h"
#include "controller/discovery/kube_source.h"
#include "controller/model/object_read.h"
#include "controller/model/read.h"
#include "shared/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { TICK_MS = 100 };
struct watch {
    struct kube_informer informer;
    struct kube_secrets *all;
    enum object_kind kind; /* Secret, ConfigMap */
    char ns[64], name[254], path[512];
    bool wanted;  /* in the look that runs */
    bool there;   /* in the list that runs */
    bool settled; /* answered, or nobody waits for it any more */
};

/* ---- What the server says ------------------------------------------------------------------- */

static void remove_object(struct watch *w)
{
    if (object_store_remove(w->all->store, w->kind, w->ns, w->name))
        w->all->changed(w->all->user);
}

static void list_begins(struct reflector *r)
{
    ((struct watch *)r->user)->there = false;
}

/* What is in it nobody hears of but the store: no complaint has a word of it. */
static int put(struct reflector *r, const struct json *document)
{
    struct watch *w = r->user;
    struct object_identity identity;
    struct json_error e = {0};
    struct object *o = NULL;
    int err = object_read_as(w->kind, document, KUBE_SOURCE_FILE, &o, &identity, &e);
    if (err == -ENOMEM)
        return err;
    if (err < 0 || strcmp(o->ns, w->ns) != 0 || strcmp(o->name, w->name) != 0) {
        object_unref(o);
        return 0;
    }
    o->line = 0;
    w->there = true;
    err = object_store_put(w->all->store, o);
    object_unref(o);
    if (err == 0)
        w->all->changed(w->all->user);
    return err == -ENOSPC ? 0 : err;
}

static int listed(struct reflector *r)
{
    struct watch *w = r->user;
    if (!w->there)
        remove_object(w);
    w->settled = true;
    w->all->changed(w->all->user);
    return 0;
}

static void removed(struct reflector *r, const char *ns, const char *name)
{
    (void)ns;
    (void)name;
    remove_object(r->user);
}

/* ---- Which are watched ---------------------------------------------------------------------- */

static void watch_free(void *value)
{
    struct watch *w = value;
    kube_informer_stop(&w->informer);
    free(w);
}

static struct watch *start(struct kube_secrets *s, const char *key, enum object_kind kind, const struct gateway_ref *ref)
{
    static const struct reflector_events events = {list_begins, put, listed, removed};
    struct watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct watch){.all = s, .kind = kind};
    snprintf(w->ns, sizeof w->ns, "%s", ref->ns);
    snprintf(w->name, sizeof w->name, "%s", ref->name);
    snprintf(w->path, sizeof w->path, "/api/v1/namespaces/%s/%s?fieldSelector=metadata.name%%3D%s", ref->ns, kind == OBJECT_SECRET ? "secrets" : "configmaps", ref->name);
    if (map_put(&s->watches, text_of(key), w, NULL) < 0) {
        free(w);
        return NULL;
    }
    kube_informer_start(&w->informer, s->client, s->ring, w->path, s->silence_ms, &events, w);
    return w;
}

/* Names go into a path: what is no name of Kubernetes is nobody's. */
static void want(struct kube_secrets *s, enum object_kind kind, const struct gateway_ref *ref)
{
    char key[OBJECT_KEY_MAX];
    if (ref->group[0] || strcmp(ref->kind, object_kind_name(kind)) != 0 || name_check_label(text_of(ref->ns)) ||
        name_check_subdomain(text_of(ref->name)))
        return;
    object_key(kind, ref->ns, ref->name, key);
    struct watch *w = map_get(&s->watches, text_of(key));
    if (!w && s->watches.count >= KUBE_SECRETS_MAX && !s->told_max) {
        s->told_max = true;
        log_warn("kube", "Gateways and BackendTLSPolicies refer to more than %d Secrets and ConfigMaps: the others are not read", KUBE_SECRETS_MAX);
    }
    if (!w && s->watches.count < KUBE_SECRETS_MAX)
        w = start(s, key, kind, ref);
    if (w)
        w->wanted = true;
}

static bool is_granted(const struct kube_secrets *s, const struct object *gateway, const struct gateway_ref *ref)
{
    const struct map_entry *e;
    if (strcmp(gateway->ns, ref->ns) == 0)
        return true;
    for (size_t i = 0; (e = map_next(&s->store->objects[OBJECT_REFERENCE_GRANT], &i));) {
        const struct object *o = e->value;
        if (strcmp(o->ns, ref->ns) == 0 && reference_grant_allows(&o->grant, gateway, ref))
            return true;
    }
    return false;
}

/* Not from within one of their events: a watch may end. */
static void end_unwanted(struct kube_secrets *s)
{
    const struct map_entry *e;
    for (size_t i = 0; (e = map_next(&s->watches, &i));) {
        struct watch *w = e->value;
        if (w->wanted)
            continue;
        remove_object(w);
        (void)map_remove(&s->watches, text_of(e->key));
        watch_free(w);
        i = 0;
    }
}

static void waited(struct timer *t)
{
    struct kube_secrets *s = container_of(t, struct kube_secrets, wait);
    bool enough = ring_now_ms(s->ring) - s->since_ms >= KUBE_SECRETS_PATIENCE_MS;
    const struct map_entry *e;
    for (size_t i = 0; (e = map_next(&s->watches, &i));) {
        struct watch *w = e->value;
        w->settled = w->settled || enough || w->informer.told;
    }
    if (kube_secrets_settled(s))
        s->changed(s->user);
    else
        timer_start(ring_timers(s->ring), &s->wait, TICK_MS);
}

void kube_secrets_look(struct kube_secrets *s)
{
    const struct map_entry *e;
    for (size_t i = 0; (e = map_next(&s->watches, &i));)
        ((struct watch *)e->value)->wanted = false;
    for (size_t i = 0; (e = map_next(&s->store->objects[OBJECT_INGRESS], &i));) {
        const struct object *o = e->value;
        for (size_t j = 0; strcmp(o->ingress.class_name, INGRESS_CLASS) == 0 && j < o->ingress.n_listeners; j++) {
            const struct ingress_listener *l = &o->ingress.listeners[j];
            if (l->has_certificate && is_granted(s, o, &l->certificate))
                want(s, OBJECT_SECRET, &l->certificate);
        }
    }
    for (size_t i = 0; (e = map_next(&s->store->objects[OBJECT_BACKEND_TLS_POLICY], &i));) {
        const struct object *o = e->value;
        for (size_t j = 0; j < o->backend_tls.n_roots; j++)
            want(s, OBJECT_CONFIG_MAP, &o->backend_tls.roots[j]);
    }
    end_unwanted(s);
    if (!kube_secrets_settled(s) && !timer_running(&s->wait)) {
        s->since_ms = ring_now_ms(s->ring);
        timer_start(ring_timers(s->ring), &s->wait, TICK_MS);
    }
}

bool kube_secrets_settled(const struct kube_secrets *s)
{
    const struct map_entry *e;
    for (size_t i = 0; (e = map_next(&s->watches, &i));)
        if (!((const struct watch *)e->value)->settled)
            return false;
    return true;
}

/* ---- Life ----------------------------------------------------------------------------------- */

void kube_secrets_init(struct kube_secrets *s, struct kube_client *client, struct ring *ring, struct object_store *store,
                       uint64_t silence_ms, void (*changed)(void *user), void *user)
{
    *s = (struct kube_secrets){.client = client, .ring = ring, .store = store, .silence_ms = silence_ms, .changed = changed, .user = user};
    map_init(&s->watches, KUBE_SECRETS_MAX);
    timer_init(&s->wait, waited);
}

void kube_secrets_done(struct kube_secrets *s)
{
    timer_stop(ring_timers(s->ring), &s->wait);
    map_done(&s->watches, watch_free);
}
