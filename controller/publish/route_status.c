#include "controller/publish/route_status.h"
#include "controller/publish/status_patch.h"
#include <errno.h>

enum { CONDITIONS = 3, REF_MAX = 2048 };

/* ---- What is to be there -------------------------------------------------------------------- */

static const char *const types[CONDITIONS] = {"Accepted", "ResolvedRefs", "PartiallyInvalid"};

/* False: the condition is left out. */
static bool condition_of(const struct gateway_parent_status *p, size_t i, int64_t generation,
                         struct condition *ret)
{
    const struct gateway_condition *all[CONDITIONS] = {&p->accepted, &p->resolved, &p->partial};
    *ret = (struct condition){
        .accepted = all[i]->holds, .reason = all[i]->reason, .generation = generation};
    struct text_out out = TEXT_OUT(ret->message);
    text_puts(&out, all[i]->message);
    return all[i]->holds || all[i] != &p->partial;
}

/* A reference as its author has written it. */
static void print_ref(const struct gateway_parent *p, struct text_out *out)
{
    text_printf(out, "%s %s %s %s %s %u", p->ref.group, p->ref.kind, p->ns_said ? p->ref.ns : "",
                p->ref.name, p->section, p->ref.port);
}

uint64_t route_status_number(const struct route_status *s)
{
    uint64_t number = 0;
    for (size_t i = 0; i < s->n; i++) {
        char ref[REF_MAX];
        struct text_out out = TEXT_OUT(ref);
        print_ref(s->parents[i].parent, &out);
        number = status_chain(number, (struct text){out.data, out.len});
        for (size_t j = 0; j < CONDITIONS; j++) {
            struct condition c;
            if (!condition_of(&s->parents[i], j, s->generation, &c))
                continue;
            number = status_chain(number, text_of(types[j]));
            number = status_chain_number(number, condition_number(&c));
        }
    }
    return number;
}

/* ---- What is there -------------------------------------------------------------------------- */

static bool is_ours(const struct json *entry)
{
    return text_equal(json_text(json_member(entry, TEXT("controllerName"))),
                      TEXT(ROUTE_STATUS_CONTROLLER));
}

static struct text said(const struct json *ref, const char *name, const char *absent)
{
    const struct json *j = json_member(ref, text_of(name));
    return json_is(j, JSON_STRING) ? json_text(j) : text_of(absent);
}

static const char *list_of(bool ancestors)
{
    return ancestors ? "ancestors" : "parents";
}

static const char *ref_of(bool ancestors)
{
    return ancestors ? "ancestorRef" : "parentRef";
}

static void print_entry(const struct json *entry, bool ancestors, struct text_out *out)
{
    static const char *const absent[][2] = {{"group", GATEWAY_GROUP},
                                            {"kind", "Gateway"},
                                            {"namespace", ""},
                                            {"name", ""},
                                            {"sectionName", ""}};
    const struct json *ref = json_member(entry, text_of(ref_of(ancestors)));
    struct json_error e = {0};
    int64_t port = 0;
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        text_put(out, said(ref, absent[i][0], absent[i][1]));
        text_putc(out, ' ');
    }
    json_opt_i64(ref, "port", 0, UINT16_MAX, &port, &e);
    text_printf(out, "%u", (unsigned)port);
}

uint64_t route_status_there(const struct json *object, bool ancestors)
{
    uint64_t number = 0;
    json_for_each (entry, json_member(json_get(object, "status"), text_of(list_of(ancestors)))) {
        char ref[REF_MAX];
        struct text_out out = TEXT_OUT(ref);
        if (!is_ours(entry))
            continue;
        print_entry(entry, ancestors, &out);
        number = status_chain(number, (struct text){out.data, out.len});
        json_for_each (c, json_member(entry, TEXT("conditions"))) {
            number = status_chain(number, json_text(json_member(c, TEXT("type"))));
            number = status_chain_number(number, condition_entry_number(c));
        }
    }
    return number;
}

/* ---- The patch ------------------------------------------------------------------------------ */

static const struct json *old_entry(const struct json *list, bool ancestors, const struct gateway_parent *p)
{
    char wanted[REF_MAX], have[REF_MAX];
    struct text_out out = TEXT_OUT(wanted);
    print_ref(p, &out);
    json_for_each (entry, list) {
        struct text_out is = TEXT_OUT(have);
        if (!is_ours(entry))
            continue;
        print_entry(entry, ancestors, &is);
        if (strcmp(wanted, have) == 0)
            return entry;
    }
    return NULL;
}

static void put_ref(struct json_out *o, bool ancestors, const struct gateway_parent *p)
{
    json_out_object(o, ref_of(ancestors));
    json_out_string(o, "group", p->ref.group);
    json_out_string(o, "kind", p->ref.kind);
    if (p->ns_said)
        json_out_string(o, "namespace", p->ref.ns);
    json_out_string(o, "name", p->ref.name);
    if (p->section[0])
        json_out_string(o, "sectionName", p->section);
    if (p->ref.port)
        json_out_u64(o, "port", p->ref.port);
    json_out_end(o);
}

static void put_parent(struct json_out *o, const struct json *old, const struct route_status *s,
                       const struct gateway_parent_status *p, int64_t unix_ms)
{
    json_out_object(o, NULL);
    put_ref(o, s->ancestors, p->parent);
    json_out_string(o, "controllerName", ROUTE_STATUS_CONTROLLER);
    json_out_array(o, "conditions");
    for (size_t i = 0; i < CONDITIONS; i++) {
        struct condition c;
        if (condition_of(p, i, s->generation, &c))
            condition_put(o, status_condition(json_member(old, TEXT("conditions")), types[i]), types[i], &c, unix_ms);
    }
    json_out_end(o);
    json_out_end(o);
}

int route_status_patch(const struct json *object, const struct route_status *s, int64_t unix_ms,
                       struct text_heap *ret_body)
{
    const struct json *list;
    struct json_out o;
    size_t n = s->n;
    json_for_each (entry, json_member(json_get(object, "status"), text_of(list_of(s->ancestors))))
        n += !is_ours(entry);
    if (n > (s->ancestors ? ROUTE_STATUS_ANCESTORS_MAX : ROUTE_STATUS_PARENTS_MAX))
        return -E2BIG;
    int err = status_patch_open(object, list_of(s->ancestors), &o, ret_body, &list);
    if (err < 0)
        return err;
    json_for_each (entry, list)
        if (!is_ours(entry))
            json_out_tree(&o, NULL, entry);
    for (size_t i = 0; i < s->n; i++)
        put_parent(&o, old_entry(list, s->ancestors, s->parents[i].parent), s, &s->parents[i], unix_ms);
    return status_patch_close(&o, ret_body);
}
