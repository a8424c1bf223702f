#include "shared/kube/reflector.h"
#include "shared/base/list.h"
#include "shared/kube/reflector_parts.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PAGE_TOKEN_MAX = 16384,
    REFUSAL_MAX = 64 * 1024,
    STUCK_MAX = 3,           /* watches that fail at the same place, before a list */
    SILENT_MAX = 2,          /* watches in a row that not even a bookmark came on */
    LONG_WATCH_MS = 10000,   /* one that lasted so long was no failure to begin */
    WATCH_MIN_S = 300,       /* the server ends a watch after this to twice this */
    BACKOFF_FIRST_MS = 1000, /* half to one and a half of it is waited, doubling */
    BACKOFF_LAST_MS = 20000,
};

const char *relist_reason_name(enum relist_reason reason)
{
    static const char *const names[] = {
#define X(name, text) text,
        RELIST_REASONS(X)
#undef X
    };
    return names[reason];
}

void reflector_init(struct reflector *r, const char *path, unsigned page, struct rng *rng,
                    const struct reflector_events *events, void *user)
{
    *r = (struct reflector){.path = path,
                            .page = page,
                            .rng = rng,
                            .events = events,
                            .user = user,
                            .question = REFLECTOR_LIST,
                            .starting = true,
                            .backoff_ms = BACKOFF_FIRST_MS};
    map_init(&r->known, REFLECTOR_OBJECTS_MAX);
    map_init(&r->fresh, REFLECTOR_OBJECTS_MAX);
    r->counters.relists[RELIST_INITIAL] = 1;
}

static void answer_done(struct reflector *r)
{
    kube_items_done(&r->items);
    kube_lines_done(&r->lines);
    text_heap_done(&r->refusal);
}

void reflector_done(struct reflector *r)
{
    answer_done(r);
    reflector_map_done(&r->known);
    reflector_map_done(&r->fresh);
    free(r->next_page);
}

/* ---- The question --------------------------------------------------------------------------- */

/* Tokens and versions are opaque: whatever they hold goes as it is. */
static void put_parameter(struct text_out *out, const char *name, const char *value)
{
    text_puts(out, name);
    for (const char *c = value; *c; c++) {
        bool plain = (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
                     (*c >= 'A' && *c <= 'Z') || strchr("-._~", *c);
        if (plain)
            text_putc(out, *c);
        else
            text_printf(out, "%%%02X", (unsigned char)*c);
    }
}

/* The first list takes what the server's cache has; a later one nothing older than what we know. */
static void print_list(const struct reflector *r, struct text_out *out)
{
    text_printf(out, "%s%climit=%u", r->path, strchr(r->path, '?') ? '&' : '?', r->page);
    if (r->next_page)
        put_parameter(out, "&continue=", r->next_page);
    else if (!r->consistent && !r->version[0])
        text_puts(out, "&resourceVersion=0");
    else if (!r->consistent) {
        put_parameter(out, "&resourceVersion=", r->version);
        text_puts(out, "&resourceVersionMatch=NotOlderThan");
    }
}

static void list_item(struct kube_items *s, struct text item)
{
    const struct json_limits limits = {REFLECTOR_OBJECT_BYTES_MAX, 1000000, 100};
    struct reflector *r = container_of(s, struct reflector, items);
    struct json_error e = {0};
    struct json *object = NULL;
    struct reflector_identity i;
    if (r->error < 0)
        return;
    r->error = json_parse(item, &limits, &object, &e);
    if (r->error == 0)
        r->error = reflector_identify(object, &i);
    if (r->error == 0) {
        if (!reflector_knows(&r->known, &i))
            r->error = r->events->put(r, object);
        if (r->error == 0)
            r->error = reflector_remember(&r->fresh, &i);
    }
    if (r->error < 0)
        snprintf(r->why, sizeof r->why, "an object of the list: %s",
                 json_failed(&e) ? e.text : strerror(-r->error));
    json_free(object);
}

static void watch_line(struct kube_lines *l, struct text line)
{
    reflector_event(container_of(l, struct reflector, lines), line);
}

enum reflector_question reflector_ask(struct reflector *r, uint64_t now_ms,
                                      struct text_out *ret_path)
{
    answer_done(r);
    text_heap_init(&r->refusal, REFUSAL_MAX);
    kube_items_init(&r->items, REFLECTOR_OBJECT_BYTES_MAX, list_item);
    kube_lines_init(&r->lines, REFLECTOR_OBJECT_BYTES_MAX, watch_line);
    r->verdict = VERDICT_NONE;
    r->error = 0;
    r->retry_after_ms = 0;
    r->begun_ms = now_ms;
    r->progressed = false;
    if (r->question == REFLECTOR_WATCH) {
        text_puts(ret_path, r->path);
        text_putc(ret_path, strchr(r->path, '?') ? '&' : '?');
        put_parameter(ret_path, "watch=1&allowWatchBookmarks=true&resourceVersion=", r->version);
        text_printf(ret_path, "&timeoutSeconds=%d",
                    WATCH_MIN_S + (int)rng_below(r->rng, WATCH_MIN_S));
        return REFLECTOR_WATCH;
    }
    if (r->starting) {
        reflector_map_done(&r->fresh);
        map_init(&r->fresh, REFLECTOR_OBJECTS_MAX);
        r->events->begin(r);
        r->starting = false;
    }
    print_list(r, ret_path);
    return REFLECTOR_LIST;
}

/* ---- The answer ----------------------------------------------------------------------------- */

bool reflector_bytes(struct reflector *r, unsigned status, struct text bytes)
{
    if (status != 200) {
        text_heap_put(&r->refusal, bytes);
        return !r->refusal.failed;
    }
    if (r->question == REFLECTOR_LIST) {
        kube_items_put(&r->items, bytes);
        return r->error == 0 && r->items.error == 0;
    }
    kube_lines_put(&r->lines, bytes);
    return r->error == 0 && r->lines.error == 0 && r->verdict == VERDICT_NONE;
}

static uint64_t backoff(struct reflector *r, uint64_t at_least_ms)
{
    uint64_t wait_ms = rng_jitter(r->rng, r->backoff_ms, 50);
    r->backoff_ms = r->backoff_ms * 2 < BACKOFF_LAST_MS ? r->backoff_ms * 2 : BACKOFF_LAST_MS;
    if (at_least_ms > REFLECTOR_RETRY_AFTER_MAX_MS)
        at_least_ms = REFLECTOR_RETRY_AFTER_MAX_MS;
    if (at_least_ms > 0)
        at_least_ms += rng_below(r->rng, 500);
    return wait_ms > at_least_ms ? wait_ms : at_least_ms;
}

static void read_refusal(struct reflector *r, unsigned status, struct reflector_status *ret)
{
    struct json_error e = {0};
    struct json *body = NULL;
    *ret = (struct reflector_status){0};
    if (r->refusal.len > 0 &&
        json_parse((struct text){r->refusal.data, r->refusal.len}, NULL, &body, &e) == 0)
        reflector_read_status(body, ret);
    json_free(body);
    snprintf(r->why, sizeof r->why, "%u %s", status, ret->message);
}

static void list_again(struct reflector *r)
{
    free(r->next_page);
    r->next_page = NULL;
    r->question = REFLECTOR_LIST;
    r->starting = true;
}

static uint64_t relist(struct reflector *r, enum relist_reason reason)
{
    r->counters.relists[reason]++;
    r->stuck = r->silent = 0;
    list_again(r);
    return backoff(r, 0);
}

static uint64_t list_failed(struct reflector *r, int error, unsigned status, uint64_t retry_ms)
{
    struct reflector_status refusal = {0};
    if (error == 0 && status != 200) {
        read_refusal(r, status, &refusal);
        if (status == 410 || refusal.expired || refusal.version_too_new) {
            r->consistent = true; /* neither our version nor the page is there any more */
            list_again(r);
        }
    } else if (error == 0 || r->error < 0 || r->items.error < 0)
        list_again(r); /* a page that is not whole, or not to be understood */
    if (refusal.retry_after_ms > retry_ms)
        retry_ms = refusal.retry_after_ms;
    return backoff(r, retry_ms);
}

/* What surrounds the items: the version, and where the next page begins. */
static int read_rest(struct reflector *r, char version[static REFLECTOR_VERSION_MAX],
                     char **ret_next)
{
    struct json_error e = {0};
    struct json *rest = NULL;
    int err = json_parse((struct text){r->items.rest.data, r->items.rest.len}, NULL, &rest, &e);
    if (err < 0)
        return err;
    const struct json *metadata = json_member(rest, TEXT("metadata"));
    struct text of_list = json_text(json_member(metadata, TEXT("resourceVersion")));
    struct text next = json_text(json_member(metadata, TEXT("continue")));
    if (of_list.len == 0 || of_list.len >= REFLECTOR_VERSION_MAX || next.len > PAGE_TOKEN_MAX / 3)
        err = -EINVAL;
    else {
        memcpy(version, of_list.data, of_list.len + 1);
        *ret_next = next.len ? text_dup(next) : NULL;
        err = next.len && !*ret_next ? -ENOMEM : 0;
    }
    json_free(rest);
    return err;
}

static void tell_removed(struct reflector *r)
{
    char ns[REFLECTOR_KEY_MAX];
    const char *name;
    const struct map_entry *e;
    for (size_t i = 0; (e = map_next(&r->known, &i));) {
        if (map_get(&r->fresh, (struct text){e->key, e->key_len}))
            continue;
        reflector_key_split(e, ns, &name);
        r->events->removed(r, ns, name);
    }
}

/* The last page has come: from here on it counts, as a whole. */
static int list_complete(struct reflector *r, const char *version)
{
    int err = r->events->listed(r);
    if (err < 0)
        return err;
    tell_removed(r);
    reflector_map_done(&r->known);
    r->known = r->fresh;
    map_init(&r->fresh, REFLECTOR_OBJECTS_MAX);
    snprintf(r->version, sizeof r->version, "%s", version);
    r->listed = true;
    r->consistent = false;
    r->question = REFLECTOR_WATCH;
    return 0;
}

static uint64_t list_answered(struct reflector *r, int error, unsigned status, uint64_t retry_ms)
{
    char version[REFLECTOR_VERSION_MAX];
    char *next = NULL;
    if (error == 0 && status == 200 && r->error == 0) {
        r->error = kube_items_end(&r->items);
        if (r->error == 0)
            r->error = read_rest(r, version, &next);
        if (r->error == 0 && !next)
            r->error = list_complete(r, version);
        if (r->error < 0)
            snprintf(r->why, sizeof r->why, "the list can't be taken: %s", strerror(-r->error));
    }
    if (error < 0 || status != 200 || r->error < 0)
        return list_failed(r, error, status, retry_ms);
    free(r->next_page);
    r->next_page = next;
    return 0;
}

static uint64_t watch_failed(struct reflector *r, unsigned status, uint64_t retry_ms)
{
    struct reflector_status refusal = {0};
    r->counters.watch_errors++;
    if (status && status != 200)
        read_refusal(r, status, &refusal);
    if (r->verdict == VERDICT_EXPIRED || status == 410 || refusal.expired)
        return relist(r, RELIST_EXPIRED);
    bool ours = status == 401 || status == 403 || status == 408 || status == 429;
    bool senseless = r->verdict != VERDICT_NONE || (status >= 400 && status < 500 && !ours);
    if (senseless && ++r->stuck >= STUCK_MAX)
        return relist(r, RELIST_BROKEN);
    if (r->retry_after_ms > retry_ms)
        retry_ms = r->retry_after_ms;
    if (refusal.retry_after_ms > retry_ms)
        retry_ms = refusal.retry_after_ms;
    return backoff(r, retry_ms);
}

static uint64_t watch_answered(struct reflector *r, uint64_t now_ms, int error, unsigned status,
                               uint64_t retry_ms)
{
    bool lasted = r->progressed || now_ms - r->begun_ms >= LONG_WATCH_MS;
    if (lasted)
        r->backoff_ms = BACKOFF_FIRST_MS;
    if (r->lines.error < 0)
        r->error = r->lines.error;
    if (r->error == -E2BIG)
        r->verdict = VERDICT_BROKEN;
    if (r->progressed)
        r->silent = 0;
    else if (error == -ETIMEDOUT && status == 200 && r->bookmarks && ++r->silent >= SILENT_MAX) {
        r->counters.watch_errors++;
        return relist(r, RELIST_SILENT);
    }
    if (error == 0 && status == 200 && r->error == 0 && r->verdict == VERDICT_NONE)
        return lasted ? 0 : backoff(r, 0);
    return watch_failed(r, status, retry_ms);
}

uint64_t reflector_answered(struct reflector *r, uint64_t now_ms, int error, unsigned status,
                            uint64_t retry_after_ms)
{
    uint64_t wait_ms = r->question == REFLECTOR_LIST
                           ? list_answered(r, error, status, retry_after_ms)
                           : watch_answered(r, now_ms, error, status, retry_after_ms);
    answer_done(r);
    return wait_ms;
}
