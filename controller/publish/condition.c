#include "controller/publish/condition.h"
#include "controller/publish/status_patch.h"
#include "shared/base/clock.h"
#include "shared/base/map.h"
#include <errno.h>
#include <stdio.h>

static bool said(struct problem_group of_it, enum problem_severity severity, struct text_out *out)
{
    bool any = false;
    for (size_t i = 0; i < of_it.n && !out->overflow; i++) {
        const struct problem *p = of_it.items[i];
        if (p->severity != severity)
            continue;
        text_printf(out, "%s%s%s%s", any ? "; " : "", p->field, p->field[0] ? ": " : "",
                    p->message);
        any = true;
    }
    return any;
}

void condition_judge(struct problem_group of_it, int64_t generation, struct condition *ret)
{
    *ret = (struct condition){.accepted = true, .reason = "Accepted", .generation = generation};
    struct text_out out = TEXT_OUT(ret->message);
    if (said(of_it, PROBLEM_ERROR, &out)) {
        ret->accepted = false;
        ret->reason = "Invalid"; /* the last good state stays in force */
    } else if (said(of_it, PROBLEM_WARNING, &out))
        ret->reason = "AppliedInPart";
    else
        text_puts(&out, "in force at the node proxies");
}

static uint64_t number_of(bool accepted, struct text reason, struct text message,
                          int64_t generation)
{
    static const uint64_t seed[2] = {0x7765697220636f6e, 0x646974696f6e2031};
    char all[CONDITION_MESSAGE_MAX + 256];
    struct text_out out = TEXT_OUT(all);
    text_printf(&out, "%d %lld ", accepted, (long long)generation);
    text_put(&out, reason);
    text_putc(&out, ' ');
    text_put(&out, message);
    uint64_t number = hash_bytes(seed, out.data, out.len);
    return number ? number : 1;
}

uint64_t condition_number(const struct condition *c)
{
    return number_of(c->accepted, text_of(c->reason), text_of(c->message), c->generation);
}

static const struct json *ours(const struct json *object, const char *type)
{
    return status_condition(json_get(object, "status.conditions"), type);
}

/* Istio's conditions write generations as strings or numbers, by their proto. */
static int64_t read_number(const struct json *value)
{
    struct json_error e = {0};
    uint64_t number = 0;
    int64_t plain = 0;
    if (json_is(value, JSON_STRING))
        return text_to_u64(json_text(value), INT64_MAX, &number) == 0 ? (int64_t)number : 0;
    return json_is(value, JSON_NUMBER) && json_read_i64(value, "", 0, INT64_MAX, &plain, &e) == 0
               ? plain
               : 0;
}

uint64_t condition_entry_number(const struct json *entry)
{
    return number_of(text_equal(json_text(json_member(entry, TEXT("status"))), TEXT("True")),
                     json_text(json_member(entry, TEXT("reason"))),
                     json_text(json_member(entry, TEXT("message"))),
                     read_number(json_member(entry, TEXT("observedGeneration"))));
}

uint64_t condition_there(const struct json *object, const char *type)
{
    const struct json *entry = ours(object, type);
    return entry ? condition_entry_number(entry) : 0;
}

int64_t condition_generation(const struct json *object)
{
    return read_number(json_get(object, "metadata.generation"));
}

/* When it became what it is: that stays while it stays. */
static void put_transition(struct json_out *o, const struct json *old, const struct condition *c,
                           int64_t unix_ms)
{
    char now[CLOCK_TEXT_MAX];
    struct text since = json_text(json_member(old, TEXT("lastTransitionTime")));
    bool was = text_equal(json_text(json_member(old, TEXT("status"))), TEXT("True"));
    if (old && since.len > 0 && was == c->accepted)
        json_out_text(o, "lastTransitionTime", since);
    else
        json_out_string(o, "lastTransitionTime", clock_print(unix_ms, 0, now));
}

void condition_put(struct json_out *o, const struct json *old, const char *type,
                   const struct condition *c, int64_t unix_ms)
{
    json_out_object(o, NULL);
    json_out_string(o, "type", type);
    json_out_string(o, "status", c->accepted ? "True" : "False");
    json_out_string(o, "reason", c->reason);
    json_out_string(o, "message", c->message);
    json_out_i64(o, "observedGeneration", c->generation);
    put_transition(o, old, c, unix_ms);
    json_out_end(o);
}

int condition_patch(const struct json *object, const char *type, const struct condition *c,
                    int64_t unix_ms, struct text_heap *ret_body)
{
    const struct json *list, *old = ours(object, type);
    struct json_out o;
    if (json_count(json_get(object, "status.conditions")) > CONDITIONS_MAX)
        return -E2BIG;
    int err = status_patch_open(object, "conditions", &o, ret_body, &list);
    if (err < 0)
        return err;
    json_for_each (entry, list) {
        if (entry == old)
            condition_put(&o, old, type, c, unix_ms);
        else
            json_out_tree(&o, NULL, entry);
    }
    if (!old)
        condition_put(&o, NULL, type, c, unix_ms);
    return status_patch_close(&o, ret_body);
}
