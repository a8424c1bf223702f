/* The roots in every namespace; see the header. */
#include "ca/publish.h"

#include "shared/base/log.h"
#include "shared/json/json_out.h"
#include "shared/kube/kube_api.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { AGAIN_MS = 1000, UNSEEN_MS = 30000, BACKOFF_MIN_MS = 500, BACKOFF_MAX_MS = 30000, BODY_MAX = 512 * 1024 };

struct space { /* one namespace, owned by `spaces` */
    struct list link; /* in `due`; alone otherwise */
    struct publish *publish;
    struct kube_request request;
    char *name;
    uint64_t written_ms, not_before_ms;
    bool wanted; /* it is there, and not being deleted */
    bool good;   /* its ConfigMap was seen, and says what it should */
    bool in_flight;
};

static void pump_soon(struct publish *p, uint64_t ms)
{
    if (!p->stopped && (!timer_running(&p->pump) || ms == 0))
        timer_start(ring_timers(p->ring), &p->pump, ms);
}

static void look_at(struct space *s)
{
    struct publish *p = s->publish;
    list_remove(&s->link);
    if (!s->wanted || s->good || s->in_flight || !p->maps_listed)
        return;
    list_push_back(&p->due, &s->link);
    pump_soon(p, 0);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void written(struct kube_request *q)
{
    struct space *s = container_of(q, struct space, request);
    struct publish *p = s->publish;
    s->in_flight = false;
    p->n_in_flight--;
    if (q->error == 0 && (q->status == 200 || q->status == 201)) {
        p->written++;
        p->backoff_ms = BACKOFF_MIN_MS;
        look_at(s); /* the watch will show it; where it does not, once more in a while */
        pump_soon(p, 0);
        return;
    }
    p->failed++;
    log_warn("publish", "ConfigMap %s/%s can't be written: %s %u%s", s->name, p->name,
             q->error ? q->why : "the API server answered", q->status,
             q->status == 403 ? " (is the namespace on its way out, or is the ClusterRole missing?)"
                              : "");
    s->not_before_ms = ring_now_ms(p->ring) + p->backoff_ms;
    p->backoff_ms = p->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : p->backoff_ms * 2;
    look_at(s);
}

static int body_make(const struct publish *p, struct text_heap *body)
{
    struct json_out o;
    text_heap_init(body, BODY_MAX);
    json_out_init(&o, body, false);
    json_out_object(&o, NULL);
    json_out_string(&o, "apiVersion", "v1");
    json_out_string(&o, "kind", "ConfigMap");
    json_out_object(&o, "metadata");
    json_out_string(&o, "name", p->name);
    json_out_object(&o, "labels");
    json_out_string(&o, "app.kubernetes.io/managed-by", "weir-ca");
    json_out_string(&o, "app.kubernetes.io/part-of", "weir");
    json_out_end(&o);
    json_out_end(&o);
    json_out_object(&o, "data");
    json_out_string(&o, PUBLISH_KEY, p->pem);
    json_out_end(&o);
    json_out_end(&o);
    return body->failed ? -ENOMEM : 0;
}

static int space_write(struct space *s)
{
    struct publish *p = s->publish;
    char path[1024];
    struct text_heap body;
    int r = body_make(p, &body);
    snprintf(path, sizeof path, "/api/v1/namespaces/%s/configmaps/%s", s->name, p->name);
    s->request = (struct kube_request){.done = written};
    if (r == 0)
        r = kube_patch(p->client, &s->request, path, KUBE_PATCH_APPLY,
                       (struct text){body.data, body.len}, "weir-ca", true);
    text_heap_done(&body);
    if (r < 0)
        return r;
    s->in_flight = true;
    s->written_ms = ring_now_ms(p->ring);
    s->not_before_ms = s->written_ms + UNSEEN_MS;
    p->n_in_flight++;
    return 0;
}

static void pump(struct timer *t)
{
    struct publish *p = container_of(t, struct publish, pump);
    uint64_t now_ms = ring_now_ms(p->ring), wait_ms = UINT64_MAX;
    list_for_each (n, &p->due) {
        struct space *s = container_of(n, struct space, link);
        if (p->n_in_flight >= PUBLISH_IN_FLIGHT_MAX)
            return; /* written() goes on */
        if (s->not_before_ms > now_ms) {
            if (s->not_before_ms - now_ms < wait_ms)
                wait_ms = s->not_before_ms - now_ms;
        } else if (space_write(s) == 0) {
            list_remove(&s->link);
        } else {
            wait_ms = AGAIN_MS;
            break;
        }
    }
    if (wait_ms < UINT64_MAX)
        pump_soon(p, wait_ms);
}

/* ---- namespaces ------------------------------------------------------------------------------ */

static struct space *space_of(struct publish *p, struct text name)
{
    struct space *s = map_get(&p->spaces, name);
    if (s)
        return s;
    s = calloc(1, sizeof *s);
    char *copy = s ? text_dup(name) : NULL;
    if (!copy || map_put(&p->spaces, name, s, NULL) < 0) {
        free(copy);
        free(s);
        return NULL;
    }
    list_init(&s->link);
    s->publish = p;
    s->name = copy;
    return s;
}

static void space_free(void *value)
{
    struct space *s = value;
    if (s->in_flight) {
        kube_cancel(&s->request);
        s->publish->n_in_flight--;
    }
    list_remove(&s->link);
    free(s->name);
    free(s);
}

static void forget(struct publish *p, struct space *s)
{
    map_remove(&p->spaces, text_of(s->name));
    space_free(s);
    pump_soon(p, 0); /* perhaps it held a place */
}

static void list_begins(struct reflector *r)
{
    (void)r; /* each object counts as it comes, and those that are gone are told of */
}

static int namespace_put(struct reflector *r, const struct json *object)
{
    struct publish *p = r->user;
    struct space *s = space_of(p, json_text(json_get(object, "metadata.name")));
    if (!s)
        return -ENOMEM;
    s->wanted = !json_get(object, "metadata.deletionTimestamp");
    look_at(s);
    return 0;
}

static int namespaces_listed(struct reflector *r)
{
    (void)r;
    return 0;
}

static void namespace_removed(struct reflector *r, const char *ns, const char *name)
{
    struct publish *p = r->user;
    struct space *s = map_get(&p->spaces, text_of(name));
    (void)ns;
    if (!s)
        return;
    s->wanted = false;
    forget(p, s);
}

/* ---- ConfigMaps ------------------------------------------------------------------------------ */

/* Somebody has changed it; but there is no fight with who does it again and again. */
static void spoiled(struct space *s)
{
    s->good = false;
    if (s->not_before_ms > s->written_ms + AGAIN_MS)
        s->not_before_ms = s->written_ms + AGAIN_MS;
    look_at(s);
}

static int map_put_seen(struct reflector *r, const struct json *object)
{
    struct publish *p = r->user;
    if (!text_equal(json_text(json_get(object, "metadata.name")), text_of(p->name)))
        return 0;
    struct space *s = space_of(p, json_text(json_get(object, "metadata.namespace")));
    if (!s)
        return -ENOMEM;
    const struct json *data = json_member(object, TEXT("data"));
    if (text_equal(json_text(json_member(data, TEXT(PUBLISH_KEY))), text_of(p->pem))) {
        s->good = true;
        look_at(s);
    } else
        spoiled(s);
    return 0;
}

/* From here on what was not seen is missing. */
static int maps_listed(struct reflector *r)
{
    struct publish *p = r->user;
    const struct map_entry *e;
    p->maps_listed = true;
    for (size_t i = 0; (e = map_next(&p->spaces, &i));)
        look_at(e->value);
    return 0;
}

static void map_gone(struct reflector *r, const char *ns, const char *name)
{
    struct publish *p = r->user;
    struct space *s = map_get(&p->spaces, text_of(ns));
    (void)name;
    if (!s)
        return;
    spoiled(s);
    if (!s->wanted && !s->in_flight)
        forget(p, s);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

void publish_open(struct publish *p, struct ring *ring, struct kube_client *client,
                  const char *name, const char *pem)
{
    static const struct reflector_events of_namespaces = {list_begins, namespace_put,
                                                          namespaces_listed, namespace_removed};
    static const struct reflector_events of_maps = {list_begins, map_put_seen, maps_listed,
                                                    map_gone};
    *p = (struct publish){
        .ring = ring, .client = client, .name = name, .pem = pem, .backoff_ms = BACKOFF_MIN_MS};
    map_init(&p->spaces, PUBLISH_NAMESPACES_MAX);
    list_init(&p->due);
    timer_init(&p->pump, pump);
    snprintf(p->path, sizeof p->path, "/api/v1/configmaps?fieldSelector=metadata.name%%3D%s", name);
    kube_informer_start(&p->namespaces, client, ring, "/api/v1/namespaces", 0, &of_namespaces, p);
    kube_informer_start(&p->maps, client, ring, p->path, 0, &of_maps, p);
}

void publish_changed(struct publish *p)
{
    const struct map_entry *e;
    for (size_t i = 0; (e = map_next(&p->spaces, &i));)
        spoiled(e->value);
}

void publish_close(struct publish *p)
{
    p->stopped = true;
    timer_stop(ring_timers(p->ring), &p->pump);
    kube_informer_stop(&p->namespaces);
    kube_informer_stop(&p->maps);
    map_done(&p->spaces, space_free);
}
