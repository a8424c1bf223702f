#include "controller/publish/ingress_patch.h"
#include "controller/publish/status_patch.h"
#include <errno.h>

/* ---- What is to be there -------------------------------------------------------------------- */

enum { CONDITIONS = 2, LISTENER_CONDITIONS = 4 };
static const char *const types[CONDITIONS] = {"Accepted", "Programmed"};
static const char *const listener_types[LISTENER_CONDITIONS] = {"Accepted", "Programmed",
                                                                "Conflicted", "ResolvedRefs"};

static struct condition condition_of(const struct gateway_condition *c, int64_t generation)
{
    struct condition ret = {.accepted = c->holds, .reason = c->reason, .generation = generation};
    struct text_out out = TEXT_OUT(ret.message);
    text_puts(&out, c->message);
    return ret;
}

static struct condition of_whole(const struct ingress_status *s, size_t i, int64_t generation)
{
    const struct gateway_condition *all[CONDITIONS] = {&s->accepted, &s->programmed};
    return condition_of(all[i], generation);
}

static struct condition of_listener(const struct ingress_listener_status *l, size_t i,
                                    int64_t generation)
{
    const struct gateway_condition *all[LISTENER_CONDITIONS] = {&l->accepted, &l->programmed,
                                                                &l->conflicted, &l->resolved};
    return condition_of(all[i], generation);
}

uint64_t ingress_patch_number(const struct ingress_status *s, int64_t generation)
{
    uint64_t number = 0;
    if (!s->listeners)
        return 0;
    for (size_t i = 0; i < CONDITIONS; i++) {
        const struct condition c = of_whole(s, i, generation);
        number = status_chain_number(number, condition_number(&c));
    }
    for (size_t i = 0; i < s->n_addresses; i++) {
        char text[IP_TEXT_MAX];
        number = status_chain(number, text_of(ip_print(&s->addresses[i], text)));
    }
    for (size_t i = 0; i < s->n_listeners; i++) {
        const struct ingress_listener_status *l = &s->listeners[i];
        number = status_chain(number, text_of(l->listener->name));
        number = status_chain_number(number, l->n_routes);
        for (size_t j = 0; j < LISTENER_CONDITIONS; j++) {
            const struct condition c = of_listener(l, j, generation);
            number = status_chain_number(number, condition_number(&c));
        }
    }
    return number;
}

/* ---- What is there -------------------------------------------------------------------------- */

static uint64_t chain_there(uint64_t number, const struct json *conditions, const char *type)
{
    const struct json *c = status_condition(conditions, type);
    return c ? status_chain_number(number, condition_entry_number(c)) : number;
}

uint64_t ingress_patch_there(const struct json *object)
{
    const struct json *list = json_get(object, "status.conditions");
    uint64_t number = 0;
    if (!text_equal(json_text(json_get(object, "spec.gatewayClassName")), TEXT(INGRESS_CLASS)))
        return 0;
    for (size_t i = 0; i < CONDITIONS; i++)
        number = chain_there(number, list, types[i]);
    json_for_each (a, json_get(object, "status.addresses"))
        number = status_chain(number, json_text(json_member(a, TEXT("value"))));
    json_for_each (l, json_get(object, "status.listeners")) {
        struct json_error e = {0};
        int64_t n = 0;
        json_opt_i64(l, "attachedRoutes", 0, INT32_MAX, &n, &e);
        number = status_chain(number, json_text(json_member(l, TEXT("name"))));
        number = status_chain_number(number, (uint64_t)n);
        for (size_t j = 0; j < LISTENER_CONDITIONS; j++)
            number = chain_there(number, json_member(l, TEXT("conditions")), listener_types[j]);
    }
    return number;
}

/* ---- The patch ------------------------------------------------------------------------------ */

static bool is_ours(const struct json *condition)
{
    struct text type = json_text(json_member(condition, TEXT("type")));
    return text_equal(type, text_of(types[0])) || text_equal(type, text_of(types[1]));
}

static void put_kind(struct json_out *o, const char *kind)
{
    json_out_object(o, NULL);
    json_out_string(o, "group", GATEWAY_GROUP);
    json_out_string(o, "kind", kind);
    json_out_end(o);
}

static void put_listener(struct json_out *o, const struct json *old,
                         const struct ingress_listener_status *l, int64_t generation,
                         int64_t unix_ms)
{
    const struct json *conditions = json_member(old, TEXT("conditions"));
    json_out_object(o, NULL);
    json_out_string(o, "name", l->listener->name);
    json_out_array(o, "supportedKinds");
    for (unsigned i = 0; i < INGRESS_KINDS; i++)
        if (l->listener->kinds & 1U << i)
            put_kind(o, ingress_kind_name(i));
    json_out_end(o);
    json_out_u64(o, "attachedRoutes", l->n_routes);
    json_out_array(o, "conditions");
    for (size_t i = 0; i < LISTENER_CONDITIONS; i++) {
        const struct condition c = of_listener(l, i, generation);
        condition_put(o, status_condition(conditions, listener_types[i]), listener_types[i], &c,
                      unix_ms);
    }
    json_out_end(o);
    json_out_end(o);
}

static const struct json *old_listener(const struct json *object, const char *name)
{
    json_for_each (l, json_get(object, "status.listeners"))
        if (text_equal(json_text(json_member(l, TEXT("name"))), text_of(name)))
            return l;
    return NULL;
}

static void put_addresses(struct json_out *o, const struct ingress_status *s)
{
    json_out_array(o, "addresses");
    for (size_t i = 0; i < s->n_addresses; i++) {
        char text[IP_TEXT_MAX];
        json_out_object(o, NULL);
        json_out_string(o, "type", "IPAddress");
        json_out_string(o, "value", ip_print(&s->addresses[i], text));
        json_out_end(o);
    }
    json_out_end(o);
}

int ingress_patch(const struct json *object, const struct ingress_status *s, int64_t generation,
                  int64_t unix_ms, struct text_heap *ret_body)
{
    const struct json *list;
    struct json_out o;
    if (json_count(json_get(object, "status.conditions")) > CONDITIONS_MAX)
        return -E2BIG;
    int err = status_patch_open(object, "conditions", &o, ret_body, &list);
    if (err < 0)
        return err;
    json_for_each (entry, list)
        if (!is_ours(entry))
            json_out_tree(&o, NULL, entry);
    for (size_t i = 0; i < CONDITIONS; i++) {
        const struct condition c = of_whole(s, i, generation);
        condition_put(&o, status_condition(list, types[i]), types[i], &c, unix_ms);
    }
    json_out_end(&o);
    put_addresses(&o, s);
    json_out_array(&o, "listeners");
    for (size_t i = 0; i < s->n_listeners; i++)
        put_listener(&o, old_listener(object, s->listeners[i].listener->name), &s->listeners[i],
                     generation, unix_ms);
    return status_patch_close(&o, ret_body);
}
