#include "controller/publish/status_writer.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/kube/kube_api.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SEEN_MAX = 200000,
    LOOK_MS = 500,      /* changes are looked at together */
    PACE_MS = 100,      /* between two writes */
    AGAIN_MS = 30000,   /* the same is not written again before, should the watch not tell of it */
    REFUSED_MS = 10000, /* pause after a refusal */
    MARGIN_MS = 500,    /* of a write's deadline to the end of leading */
    QUEUE_MAX = 1000,
    NO_STATUS = 1,
};

struct seen { /* as the server has it */
    char *ns, *name;
    enum object_kind kind;
    int64_t generation;
    uint64_t has, wrote; /* numbers of what is said there */
    uint64_t wrote_ms;
    uint64_t round; /* in which it was seen: it is judged in a later one */
};

static void seen_free(void *value)
{
    struct seen *p = value;
    if (!p)
        return;
    free(p->ns);
    free(p->name);
    free(p);
}

/* ---- What is to be written ------------------------------------------------------------------ */

/* False: it can't be judged now, and is looked at again. */
static bool judge(struct status_writer *s, const struct seen *p, struct object_status *ret)
{
    const struct object_judged who = {p->kind, p->ns, p->name, p->generation, NULL};
    if (p->round == s->round)
        return false;
    int err = s->judge(s->user, &who, ret);
    s->dirty |= err < 0;
    return err == 0;
}

static bool is_due(struct status_writer *s, const struct seen *p)
{
    struct object_status wanted;
    if (!judge(s, p, &wanted))
        return false;
    uint64_t number = object_status_number(&wanted);
    object_status_done(&wanted);
    return number != p->has &&
           (number != p->wrote || ring_now_ms(s->ring) - p->wrote_ms >= AGAIN_MS);
}

static void write_next(struct status_writer *s, uint64_t wait_ms)
{
    if (s->n_queue > 0)
        timer_start(ring_timers(s->ring), &s->next, wait_ms);
    else if (s->dirty)
        timer_start(ring_timers(s->ring), &s->look, wait_ms > LOOK_MS ? wait_ms : LOOK_MS);
}

static void look(struct timer *t)
{
    struct status_writer *s = container_of(t, struct status_writer, look);
    const struct map_entry *e;
    if (!s->leader->leading || s->n_queue > 0 || s->request.transfer)
        return; /* whoever leads, or ends the queue, looks again */
    s->dirty = false;
    if (!s->queue)
        s->queue = calloc(QUEUE_MAX, sizeof *s->queue);
    for (size_t i = 0; s->queue && (e = map_next(&s->seen, &i));) {
        if (!is_due(s, e->value))
            continue;
        if (s->n_queue == QUEUE_MAX) {
            s->dirty = true;
            break;
        }
        snprintf(s->queue[s->n_queue++], OBJECT_KEY_MAX, "%s", e->key);
    }
    s->dirty |= !s->queue;
    write_next(s, 0);
}

void status_writer_judged(struct status_writer *s)
{
    s->round++;
    s->dirty = true;
    if (s->leader->leading && s->n_queue == 0 && !s->request.transfer && !timer_running(&s->look))
        timer_start(ring_timers(s->ring), &s->look, LOOK_MS);
}

void status_writer_lead_changed(struct status_writer *s)
{
    s->n_queue = 0;
    kube_cancel(&s->request);
    if (s->leader->leading)
        timer_start(ring_timers(s->ring), &s->look, LOOK_MS);
}

/* ---- One object ----------------------------------------------------------------------------- */

static int object_path(struct status_writer *s, const struct seen *p, const char *suffix,
                       char out[static LEASE_PATH_MAX + OBJECT_KEY_MAX])
{
    char base[LEASE_PATH_MAX];
    const char *api = s->api(s->user, p->kind, base);
    if (!api)
        return -ENOENT;
    snprintf(out, LEASE_PATH_MAX + OBJECT_KEY_MAX, "%s%s%s/%s/%s%s", api,
             p->ns[0] ? "/namespaces/" : "", p->ns, object_status_resource(p->kind), p->name,
             suffix);
    return 0;
}

/* How long a request may take, so that it is over while we lead. 0: it can't. */
static uint64_t time_left(const struct status_writer *s)
{
    uint64_t left_ms = kube_leader_left_ms(s->leader);
    return left_ms > MARGIN_MS ? left_ms - MARGIN_MS : 0;
}

/* False: the server refused; nothing more is asked of it for a while. */
static bool good(struct status_writer *s, const struct kube_request *q, const char *what)
{
    unsigned kind = q->error < 0 ? NO_STATUS : q->status;
    bool fine = q->error == 0 && (q->status == 200 || q->status == 404 || q->status == 409);
    if (!fine && kind != s->told)
        log_warn("status", "%s can't be %s: %s%.*s", s->key, what,
                 q->error < 0 ? q->why : "the API server answered ", q->error < 0 ? 0 : 300,
                 q->error < 0 ? "" : q->answer.data);
    s->told = fine ? 0 : kind;
    if (fine)
        return true;
    s->n_queue = 0;
    s->dirty = true;
    write_next(s, q->retry_after_ms > REFUSED_MS ? q->retry_after_ms : REFUSED_MS);
    return false;
}

static void written(struct kube_request *q)
{
    struct status_writer *s = q->user;
    if (!good(s, q, "written to"))
        return;
    struct seen *p = map_get(&s->seen, text_of(s->key));
    if (q->status == 200)
        s->writes++;
    else if (p) { /* it was written to meanwhile: the watch tells of it, and then it is looked at */
        s->conflicts++;
        p->wrote = 0;
        s->dirty = true;
    }
    write_next(s, PACE_MS);
}

static int write_status(struct status_writer *s, struct seen *p, const struct object_status *wanted,
                        const struct json *object)
{
    char path[LEASE_PATH_MAX + OBJECT_KEY_MAX], query[LEASE_PATH_MAX + OBJECT_KEY_MAX + 64];
    struct text_heap body;
    uint64_t left_ms = time_left(s);
    if (left_ms == 0 || object_path(s, p, "/status", path) < 0)
        return -ENOENT;
    int err = object_status_patch(wanted, object, clock_unix_ms(), &body);
    if (err == -E2BIG || err == -EINVAL) { /* trying again would not help: only when it changes */
        log_warn("status",
                 "%s: what counts of it can't be written: its status has too many "
                 "entries of others, or no such list",
                 s->key);
        p->wrote = object_status_number(wanted);
        p->wrote_ms = ring_now_ms(s->ring);
    }
    if (err < 0)
        return err;
    snprintf(query, sizeof query, "%s?fieldManager=weir-controller", path);
    const struct kube_call call = {.method = "PATCH",
                                   .path = query,
                                   .type = "application/merge-patch+json",
                                   .body = {body.data, body.len},
                                   .deadline_ms = left_ms};
    s->request.done = written;
    err = kube_send(s->client, &s->request, &call);
    text_heap_done(&body);
    if (err == 0) {
        p->wrote = object_status_number(wanted);
        p->wrote_ms = ring_now_ms(s->ring);
    }
    return err;
}

static void was_read(struct kube_request *q)
{
    struct status_writer *s = q->user;
    struct seen *p = map_get(&s->seen, text_of(s->key));
    struct object_status wanted = {0};
    struct json_error e = {0};
    struct json *object = NULL;
    if (!good(s, q, "read"))
        return;
    int err = p && q->status == 200 ? json_parse(q->answer, NULL, &object, &e) : -ENOENT;
    /* Another generation than the one that is judged: the watch will tell of it. */
    if (err == 0 && condition_generation(object) == p->generation && judge(s, p, &wanted) &&
        object_status_there(p->kind, object) != object_status_number(&wanted))
        err = write_status(s, p, &wanted, object);
    object_status_done(&wanted);
    json_free(object);
    if (!s->request.transfer)
        write_next(s, PACE_MS);
}

static void next(struct timer *t)
{
    struct status_writer *s = container_of(t, struct status_writer, next);
    char path[LEASE_PATH_MAX + OBJECT_KEY_MAX];
    uint64_t left_ms = time_left(s);
    if (s->request.transfer || s->n_queue == 0)
        return;
    snprintf(s->key, sizeof s->key, "%s", s->queue[--s->n_queue]);
    const struct seen *p = map_get(&s->seen, text_of(s->key));
    if (!p || left_ms == 0 || !is_due(s, p) || object_path(s, p, "", path) < 0) {
        write_next(s, 0);
        return;
    }
    const struct kube_call call = {.path = path, .deadline_ms = left_ms};
    s->request.done = was_read;
    if (kube_send(s->client, &s->request, &call) < 0) {
        s->dirty = true;
        write_next(s, REFUSED_MS);
    }
}

/* ---- What the server has -------------------------------------------------------------------- */

static struct seen *make(struct status_writer *s, const char *key, enum object_kind kind,
                         const char *ns, const char *name)
{
    struct seen *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    *p = (struct seen){.kind = kind, .ns = text_dup(text_of(ns)), .name = text_dup(text_of(name))};
    if (p->ns && p->name && map_put(&s->seen, text_of(key), p, NULL) == 0)
        return p;
    seen_free(p);
    return NULL;
}

void status_writer_see(struct status_writer *s, enum object_kind kind, const char *ns,
                       const char *name, const struct json *object)
{
    char key[OBJECT_KEY_MAX];
    if (!object_status_resource(kind))
        return;
    object_key(kind, ns, name, key);
    if (!object) {
        seen_free(map_remove(&s->seen, text_of(key)));
        return;
    }
    struct seen *p = map_get(&s->seen, text_of(key));
    if (!p)
        p = make(s, key, kind, ns, name);
    if (!p) {
        log_warn("status", "%s gets no status: out of memory, or there are too many", key);
        return;
    }
    p->generation = condition_generation(object);
    p->has = object_status_there(kind, object);
    if (p->has == p->wrote)
        p->wrote = 0; /* the watch tells of it: from here on it alone counts */
    p->round = s->round;
}

void status_writer_start(struct status_writer *s, struct kube_client *client, struct ring *ring,
                         const struct kube_leader *leader)
{
    s->client = client;
    s->ring = ring;
    s->leader = leader;
    s->request = (struct kube_request){.user = s};
    map_init(&s->seen, SEEN_MAX);
    timer_init(&s->look, look);
    timer_init(&s->next, next);
}

void status_writer_stop(struct status_writer *s)
{
    timer_stop(ring_timers(s->ring), &s->look);
    timer_stop(ring_timers(s->ring), &s->next);
    kube_cancel(&s->request);
    map_done(&s->seen, seen_free);
    free(s->queue);
    s->queue = NULL;
}
