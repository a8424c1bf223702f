#include "controller/discovery/kube_source.h"
#include "shared/base/log.h"
#include <errno.h>
#include <stdlib.h>

enum { MISSED_MAX = 2, COST_SHARE = 4 };

#define DEFINITIONS         "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#define ONLY_METADATA(kind) "application/json;as=" kind ";g=meta.k8s.io;v=v1,application/json"

/* ---- Changes -------------------------------------------------------------------------------- */

static bool all_listed(const struct kube_source *s)
{
    for (unsigned i = 0; i < OBJECT_KIND_COUNT; i++)
        if (s->kinds[i].running && !s->kinds[i].listed)
            return false;
    return s->discovered;
}

static struct problem problem_of(const char *object, const struct kube_complaint *c)
{
    return (struct problem){.severity = PROBLEM_ERROR,
                            .file = (char *)KUBE_SOURCE_FILE,
                            .object = (char *)object,
                            .field = c->field,
                            .message = c->message};
}

bool kube_source_unread(const struct kube_source *s, enum object_kind kind, const char *ns,
                        const char *name, struct problem *ret)
{
    char key[OBJECT_KEY_MAX];
    object_key(kind, ns, name, key);
    const struct kube_complaint *c = map_get(&s->kinds[kind].bad, text_of(key));
    if (c)
        *ret = problem_of("", c);
    return c != NULL;
}

static int problem_order(const void *a, const void *b)
{
    return strcmp(((const struct problem *)a)->object, ((const struct problem *)b)->object);
}

/* For people: what is beyond the list's bound is shared among namespaces. */
static void collect_problems(struct kube_source *s)
{
    struct problem_index index = {0};
    struct problems all = {.max = 0};
    size_t n = 0;
    problems_done(&s->problems);
    for (unsigned i = 0; i < OBJECT_KIND_COUNT; i++)
        n += s->kinds[i].bad.count;
    all.items = calloc(n + 1, sizeof *all.items);
    s->problems.no_memory = !all.items;
    for (unsigned i = 0; all.items && i < OBJECT_KIND_COUNT; i++) {
        const struct map_entry *e;
        for (size_t j = 0; (e = map_next(&s->kinds[i].bad, &j));)
            all.items[all.n++] = problem_of(e->key, e->value);
    }
    if (all.n > 1)
        qsort(all.items, all.n, sizeof *all.items, problem_order);
    if (problem_index_add(&index, &all) == 0)
        problem_index_share(&index, &s->problems);
    else
        s->problems.no_memory = true;
    if (s->problems.no_memory) { /* the next change tries again */
        s->problems.dropped = n - s->problems.n;
        log_warn("kube", "out of memory: %zu objects that can't be read are not listed",
                 s->problems.dropped);
    }
    problem_index_done(&index);
    free(all.items); /* what they say is the kinds' */
}

static void tell(struct kube_source *s)
{
    s->dirty = false;
    s->complete = true;
    collect_problems(s);
    s->changed(s);
}

static void debounced(struct timer *t)
{
    struct kube_source *s = container_of(t, struct kube_source, debounce);
    if (!s->complete && !all_listed(s))
        return;
    kube_secrets_look(&s->secrets);
    if (s->complete || kube_secrets_settled(&s->secrets))
        tell(s);
}

static void secrets_changed(void *user)
{
    kube_source_touch(user);
}

/* The first time at once, when the last kind is there. */
void kube_source_touch(struct kube_source *s)
{
    s->dirty = true;
    if (!timer_running(&s->debounce))
        timer_start(ring_timers(s->ring), &s->debounce, s->complete ? s->debounce_ms : 0);
}

void kube_source_cost(struct kube_source *s, uint64_t ms)
{
    uint64_t wait_ms = ms * COST_SHARE;
    s->debounce_ms = wait_ms < KUBE_DEBOUNCE_MIN_MS   ? KUBE_DEBOUNCE_MIN_MS
                     : wait_ms > KUBE_DEBOUNCE_MAX_MS ? KUBE_DEBOUNCE_MAX_MS
                                                      : wait_ms;
}

/* ---- Which kinds there are ------------------------------------------------------------------ */

static void follow(struct kube_source *s, struct kube_kind *k, const struct kube_api *a)
{
    char path[sizeof k->path];
    struct text_out out = TEXT_OUT(path);
    if (!a->version) {
        if (k->running && ++k->missed >= MISSED_MAX) {
            log_info("kube", "%s is gone", k->path);
            kube_kind_stop(k);
            kube_kind_forget(k);
        }
        return;
    }
    k->missed = 0;
    kube_api_path(a, &out);
    if (k->running && strcmp(k->path, path) == 0)
        return;
    if (s->discovered)
        log_info("kube", "%s is there now", path);
    kube_kind_stop(k);
    kube_kind_start(k, path);
}

static void round_over(struct kube_discovery *d)
{
    struct kube_source *s = container_of(d, struct kube_source, discovery);
    for (unsigned i = 0; i < OBJECT_KIND_COUNT; i++)
        follow(s, &s->kinds[i], &d->apis[i]);
    s->discovered = true;
}

static void definitions_begin(struct reflector *r)
{
    (void)r;
}

static int definition_put(struct reflector *r, const struct json *object)
{
    struct kube_source *s = r->user;
    (void)object;
    if (r->listed)
        kube_discovery_soon(&s->discovery);
    return 0;
}

static int definitions_listed(struct reflector *r)
{
    struct kube_source *s = r->user;
    if (r->listed)
        kube_discovery_soon(&s->discovery);
    return 0;
}

static void definition_removed(struct reflector *r, const char *ns, const char *name)
{
    struct kube_source *s = r->user;
    (void)ns;
    (void)name;
    kube_discovery_soon(&s->discovery);
}

static void watch_definitions(struct kube_source *s)
{
    static const struct reflector_events events = {definitions_begin, definition_put,
                                                   definitions_listed, definition_removed};
    kube_informer_start(&s->definitions, s->client, s->ring, DEFINITIONS, s->silence_ms, &events,
                        s);
    s->definitions.accept_list = ONLY_METADATA("PartialObjectMetadataList");
    s->definitions.accept_watch = ONLY_METADATA("PartialObjectMetadata");
}

/* ---- Life ----------------------------------------------------------------------------------- */

int kube_source_open(struct kube_source *s, struct ring *ring, const struct kube_source_options *o,
                     struct object_store *store, void (*changed)(struct kube_source *s), void *user)
{
    *s = (struct kube_source){.ring = ring,
                              .store = store,
                              .silence_ms = o->silence_ms,
                              .debounce_ms = KUBE_DEBOUNCE_MIN_MS,
                              .changed = changed,
                              .user = user};
    int err = kube_client_open(&s->client, ring, o->taken_config);
    if (err < 0)
        return err;
    problems_init(&s->problems);
    timer_init(&s->debounce, debounced);
    for (unsigned i = 0; i < OBJECT_KIND_COUNT; i++)
        kube_kind_init(&s->kinds[i], s, (enum object_kind)i);
    kube_secrets_init(&s->secrets, s->client, ring, store, o->silence_ms, secrets_changed, s);
    kube_discovery_start(&s->discovery, s->client, ring, round_over);
    watch_definitions(s);
    return 0;
}

static void client_closed(void *arg)
{
    struct kube_source *s = arg;
    if (s->closed)
        s->closed(s);
}

void kube_source_close(struct kube_source *s, void (*closed)(struct kube_source *s))
{
    s->closed = closed;
    timer_stop(ring_timers(s->ring), &s->debounce);
    kube_discovery_stop(&s->discovery);
    kube_informer_stop(&s->definitions);
    kube_secrets_done(&s->secrets);
    for (unsigned i = 0; i < OBJECT_KIND_COUNT; i++)
        kube_kind_done(&s->kinds[i]);
    problems_done(&s->problems);
    kube_client_close(s->client, client_closed, s);
}
