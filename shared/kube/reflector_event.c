/*
 * One line of a watch: what has happened to which object, or what is wrong.
 */
#include "shared/kube/reflector_parts.h"
#include <errno.h>
#include <stdio.h>

enum { CODE_EXPIRED = 410 };

void reflector_read_status(const struct json *status, struct reflector_status *ret)
{
    struct json_error ignored = {0};
    int64_t code = 0, retry_s = 0;
    struct text reason = json_text(json_member(status, TEXT("reason")));
    struct text message = json_text(json_member(status, TEXT("message")));
    const struct json *details = json_member(status, TEXT("details"));
    *ret = (struct reflector_status){0};
    (void)json_opt_i64(status, "code", 0, 999, &code, &ignored);
    (void)json_opt_i64(details, "retryAfterSeconds", 0, 86400, &retry_s, &ignored);
    ret->code = (unsigned)code;
    ret->retry_after_ms = (uint64_t)retry_s * 1000;
    ret->expired = code == CODE_EXPIRED || text_equal(reason, TEXT("Expired")) ||
                   text_equal(reason, TEXT("Gone"));
    json_for_each (cause, json_member(details, TEXT("causes")))
        if (text_equal(json_text(json_member(cause, TEXT("reason"))),
                       TEXT("ResourceVersionTooLarge")))
            ret->version_too_new = true;
    if (text_starts_with(message, TEXT("Too large resource version")))
        ret->version_too_new = true;
    struct text_out out = TEXT_OUT(ret->message);
    text_put(&out, message.len ? message : reason);
}

static void broken(struct reflector *r, const char *what)
{
    r->verdict = VERDICT_BROKEN;
    snprintf(r->why, sizeof r->why, "%s", what);
}

/* What can't be kept for lack of memory comes again: the version stays what it was. */
static void take(struct reflector *r, int err, const struct reflector_identity *i)
{
    if (err < 0) {
        r->error = err;
        snprintf(r->why, sizeof r->why, "%s", strerror(-err));
        return;
    }
    memcpy(r->version, i->version.data, i->version.len + 1);
    r->progressed = true;
    r->stuck = 0;
}

static void changed(struct reflector *r, const struct json *object,
                    const struct reflector_identity *i)
{
    int err = 0;
    if (reflector_knows(&r->known, i))
        r->counters.duplicates++;
    else {
        err = r->events->put(r, object);
        if (err == 0)
            err = reflector_remember(&r->known, i);
    }
    take(r, err, i);
}

/* An old event about an earlier object of that name says nothing about the one that is there. */
static void deleted(struct reflector *r, const struct reflector_identity *i)
{
    if (reflector_is_another(&r->known, i))
        r->counters.duplicates++;
    else {
        reflector_forget(&r->known, i);
        r->events->removed(r, i->ns.len ? i->ns.data : "", i->name.data);
    }
    take(r, 0, i);
}

static void bookmark(struct reflector *r, const struct json *object)
{
    struct text version =
        json_text(json_member(json_member(object, TEXT("metadata")), TEXT("resourceVersion")));
    if (version.len == 0 || version.len >= REFLECTOR_VERSION_MAX) {
        broken(r, "a bookmark without a version");
        return;
    }
    r->bookmarks = true;
    take(r, 0, &(struct reflector_identity){.version = version});
}

static void refused(struct reflector *r, const struct json *object)
{
    struct reflector_status status;
    reflector_read_status(object, &status);
    r->verdict = status.expired ? VERDICT_EXPIRED : VERDICT_REFUSED;
    r->retry_after_ms = status.retry_after_ms;
    snprintf(r->why, sizeof r->why, "%u %s", status.code, status.message);
}

static void one_event(struct reflector *r, const struct json *event)
{
    struct text type = json_text(json_member(event, TEXT("type")));
    const struct json *object = json_member(event, TEXT("object"));
    struct reflector_identity i;
    if (text_equal(type, TEXT("ERROR")))
        refused(r, object);
    else if (text_equal(type, TEXT("BOOKMARK")))
        bookmark(r, object);
    else if (reflector_identify(object, &i) < 0)
        broken(r, "an event without a name or a version");
    else if (text_equal(type, TEXT("ADDED")) || text_equal(type, TEXT("MODIFIED")))
        changed(r, object, &i);
    else if (text_equal(type, TEXT("DELETED")))
        deleted(r, &i);
    else
        broken(r, "an event of an unknown type");
}

void reflector_event(struct reflector *r, struct text line)
{
    const struct json_limits limits = {REFLECTOR_OBJECT_BYTES_MAX, 1000000, 100};
    struct json_error e = {0};
    struct json *event = NULL;
    if (r->verdict != VERDICT_NONE || r->error < 0)
        return;
    r->counters.events++;
    int err = json_parse(line, &limits, &event, &e);
    if (err == -ENOMEM)
        r->error = err;
    else if (err < 0)
        broken(r, e.text);
    else
        one_event(r, event);
    json_free(event);
}
