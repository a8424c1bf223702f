#include "shared/kube/lease.h"
#include "shared/base/clock.h"
#include "shared/json/json_out.h"
#include <assert.h>
#include <stdio.h>

enum { DURATION_MAX_S = 3600, BODY_BYTES_MAX = 1024 * 1024, JITTER_PERCENT = 20, SOON_SHARE = 10 };

void lease_init(struct lease *l, const struct lease_options *options, struct rng *rng)
{
    assert(options->renew_ms < options->duration_ms && options->retry_ms < options->renew_ms);
    *l = (struct lease){.options = *options, .rng = rng, .next = LEASE_GET};
}

bool lease_leading(const struct lease *l, uint64_t now_ms)
{
    return l->held && now_ms < l->renewed_ms + l->options.renew_ms;
}

uint64_t lease_until_ms(const struct lease *l)
{
    return l->held ? l->renewed_ms + l->options.renew_ms : 0;
}

/* ---- What is asked -------------------------------------------------------------------------- */

/* As metav1.MicroTime is written. */
static void put_time(struct json_out *o, const char *name, int64_t unix_ms)
{
    char text[CLOCK_TEXT_MAX], micro[CLOCK_TEXT_MAX + 8];
    clock_print(unix_ms, 1, text);
    size_t len = strlen(text);
    snprintf(micro, sizeof micro, "%.*s000Z", (int)(len > 0 ? len - 1 : 0), text);
    json_out_string(o, name, micro);
}

static void put_spec(const struct lease *l, struct json_out *o, const char *holder,
                     uint64_t duration_ms, int64_t unix_ms, bool taking)
{
    json_out_object(o, "spec");
    json_out_string(o, "holderIdentity", holder);
    json_out_u64(o, "leaseDurationSeconds", duration_ms / 1000);
    put_time(o, "renewTime", unix_ms);
    if (taking) {
        put_time(o, "acquireTime", unix_ms);
        json_out_i64(o, "leaseTransitions",
                     l->next == LEASE_CREATE ? 0 : l->transitions + 1);
    }
    json_out_end(o);
}

static void write_body(const struct lease *l, const char *holder, uint64_t duration_ms,
                       int64_t unix_ms, bool taking, char out[static LEASE_BODY_MAX])
{
    struct text_heap heap;
    struct json_out o;
    text_heap_init(&heap, LEASE_BODY_MAX - 1);
    json_out_init(&o, &heap, false);
    json_out_object(&o, NULL);
    json_out_string(&o, "apiVersion", "coordination.k8s.io/v1");
    json_out_string(&o, "kind", "Lease");
    json_out_object(&o, "metadata");
    json_out_string(&o, "name", l->options.name);
    json_out_string(&o, "namespace", l->options.ns);
    if (l->next == LEASE_PATCH) /* else somebody else's would be overwritten */
        json_out_string(&o, "resourceVersion", l->version);
    json_out_end(&o);
    put_spec(l, &o, holder, duration_ms, unix_ms, taking);
    json_out_end(&o);
    snprintf(out, LEASE_BODY_MAX, "%s", heap.failed || !heap.data ? "" : heap.data);
    text_heap_done(&heap);
}

static void write_path(const struct lease *l, bool collection, char out[static LEASE_PATH_MAX])
{
    snprintf(out, LEASE_PATH_MAX, "/apis/coordination.k8s.io/v1/namespaces/%s/leases%s%s",
             l->options.ns, collection ? "" : "/", collection ? "" : l->options.name);
}

static bool is_ours(const struct lease *l)
{
    return strcmp(l->holder, l->options.identity) == 0;
}

void lease_ask(struct lease *l, uint64_t now_ms, int64_t unix_ms, struct lease_question *ret)
{
    ret->body[0] = '\0';
    if (l->next != LEASE_GET) {
        write_body(l, l->options.identity, l->options.duration_ms, unix_ms,
                   l->next == LEASE_CREATE || !is_ours(l), ret->body);
        if (!ret->body[0])
            l->next = LEASE_GET; /* no memory: ask for it again */
    }
    ret->verb = l->next;
    write_path(l, l->next == LEASE_CREATE, ret->path);
    l->asked_ms = now_ms;
}

bool lease_release(struct lease *l, int64_t unix_ms, struct lease_question *ret)
{
    bool told = l->held && l->next == LEASE_PATCH;
    if (told) {
        write_body(l, "", 1000, unix_ms, false, ret->body);
        ret->verb = LEASE_PATCH;
        write_path(l, false, ret->path);
        told = ret->body[0] != '\0';
    }
    l->held = false;
    l->next = LEASE_GET;
    return told;
}

/* ---- What is answered ----------------------------------------------------------------------- */

static void keep(char out[static LEASE_TEXT_MAX], struct text t)
{
    snprintf(out, LEASE_TEXT_MAX, "%.*s", (int)(t.len < LEASE_TEXT_MAX ? t.len : 0),
             t.len ? t.data : "");
}

/* false: it is no Lease that can be understood. */
static bool read_lease(struct lease *l, uint64_t now_ms, struct text body)
{
    const struct json_limits limits = {BODY_BYTES_MAX, 20000, 32};
    struct json_error e = {0};
    struct json *tree = NULL;
    char holder[LEASE_TEXT_MAX], renewed[LEASE_TEXT_MAX];
    int64_t duration_s = (int64_t)(l->options.duration_ms / 1000), transitions = 0;
    if (json_parse(body, &limits, &tree, &e) < 0)
        return false;
    const struct json *spec = json_member(tree, TEXT("spec"));
    struct text version = json_text(json_get(tree, "metadata.resourceVersion"));
    (void)json_opt_i64(spec, "leaseDurationSeconds", 1, DURATION_MAX_S, &duration_s, &e);
    (void)json_opt_i64(spec, "leaseTransitions", 0, INT32_MAX, &transitions, &e);
    keep(holder, json_text(json_member(spec, TEXT("holderIdentity"))));
    keep(renewed, json_text(json_member(spec, TEXT("renewTime"))));
    bool good = version.len > 0 && version.len < LEASE_TEXT_MAX && json_is(tree, JSON_OBJECT);
    if (good) {
        keep(l->version, version);
        if (strcmp(holder, l->holder) != 0 || strcmp(renewed, l->renew_time) != 0)
            l->observed_ms = now_ms;
        memcpy(l->holder, holder, sizeof holder);
        memcpy(l->renew_time, renewed, sizeof renewed);
        l->holder_duration_ms = (uint64_t)duration_s * 1000;
        l->transitions = transitions;
    }
    json_free(tree);
    return good;
}

static uint64_t later(struct lease *l)
{
    return rng_jitter(l->rng, l->options.retry_ms, JITTER_PERCENT);
}

/* Seen, or gone: take it if it is nobody's, ours, or over. Whoever held one that was deleted may not know
 * of it yet. */
static uint64_t judge(struct lease *l, uint64_t now_ms, enum lease_verb take)
{
    uint64_t over_ms = l->observed_ms + l->holder_duration_ms;
    if (!is_ours(l))
        l->held = false;
    if (!l->holder[0] || is_ours(l) || now_ms >= over_ms) {
        l->next = take;
        return 0;
    }
    uint64_t wait_ms = later(l);
    return over_ms - now_ms < wait_ms ? over_ms - now_ms : wait_ms;
}

uint64_t lease_answered(struct lease *l, uint64_t now_ms, int error, unsigned status,
                        struct text body)
{
    enum lease_verb asked = l->next;
    bool good = error == 0 && (status == 200 || status == 201) && read_lease(l, now_ms, body);
    l->next = LEASE_GET;
    if (good && asked == LEASE_GET)
        return judge(l, now_ms, LEASE_PATCH);
    if (good) {
        l->held = is_ours(l);
        l->renewed_ms = l->asked_ms;
        l->next = l->held ? LEASE_PATCH : LEASE_GET;
        return l->options.retry_ms;
    }
    if (asked == LEASE_GET && error == 0 && status == 404)
        return judge(l, now_ms, LEASE_CREATE);
    if (l->held && error == 0 && status == 409) /* somebody wrote in it: it may still be ours */
        return l->options.retry_ms / SOON_SHARE;
    return later(l);
}
