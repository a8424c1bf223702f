/* What node proxies read of a store, as text: of ServiceEntries and WorkloadEntries. */
#ifndef TESTS_UNIT_CONTROLLER_TRANSLATE_ENTRY_TEXT_H
#define TESTS_UNIT_CONTROLLER_TRANSLATE_ENTRY_TEXT_H
#include "controller/translate/touched.h"
#include "shared/xds/routing.h"
#include "tests/unit/controller/fixture.h"

enum { ENTRY_TEXT_MAX = 16384 };

#define ENTRY(name, more, spec)                                                                    \
    "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: " name              \
    ", namespace: shop" more "}, spec: {" spec "}}\n---\n"
#define HTTP    "ports: [{number: 80, name: http, protocol: HTTP}], "
#define STATIC  "resolution: STATIC, "
#define AT(day) ", creationTimestamp: '2026-01-0" day "T00:00:00Z'"
#define POD(name, ip, labels)                                                                      \
    "{apiVersion: v1, kind: Pod, metadata: {name: " name ", namespace: shop, labels: {" labels     \
    "}}, status: {phase: Running, podIP: " ip "}}\n---\n"

static inline void put_ports(struct text_out *out, const struct port_pair *ports, size_t n)
{
    for (size_t i = 0; i < n; i++)
        text_printf(out, " %u->%u/%u", ports[i].service_port, ports[i].target_port,
                    ports[i].app_protocol);
}

static inline void put_service(struct text_out *out, const struct service *s)
{
    char ip[ADDR_TEXT_MAX];
    text_printf(out, "service %s (%s)", s->key, s->name);
    for (size_t i = 0; i < s->n_addresses; i++)
        text_printf(out, " %s", ip_print(&s->addresses[i].ip, ip));
    put_ports(out, s->ports, s->n_ports);
    text_puts(out, "\n");
}

static inline void put_workload(struct text_out *out, const struct workload *w)
{
    char ip[ADDR_TEXT_MAX];
    text_printf(out, "workload %s %s*%u", w->name, ip_print(&w->addresses[0], ip), w->capacity);
    if (w->locality.region[0])
        text_printf(out, " in %s/%s/%s", w->locality.region, w->locality.zone, w->locality.subzone);
    for (size_t i = 0; i < w->n_services; i++) {
        text_printf(out, " %s", w->services[i].key);
        put_ports(out, w->services[i].ports, w->services[i].n_ports);
    }
    text_puts(out, "\n");
}

static inline void put_address(struct text_out *out, const struct resource *r)
{
    char why[XDS_WHY_MAX];
    struct workload *w = NULL;
    struct service *s = NULL;
    if (xds_address_decode(r->body, r->body_len, &w, &s, why) < 0)
        fail_msg("%s: %s", r->name, why);
    if (s)
        put_service(out, s);
    else
        put_workload(out, w);
    workload_free(w);
    service_free(s);
}

static inline void put_endpoints(struct text_out *out, const struct resource *r)
{
    char why[XDS_WHY_MAX], at[ADDR_TEXT_MAX];
    struct endpoints *e;
    if (xds_endpoints_decode(r->body, r->body_len, &e, why) < 0)
        fail_msg("%s: %s", r->name, why);
    text_printf(out, "endpoints %s", r->name);
    for (size_t i = 0; i < e->n_groups; i++)
        for (size_t j = 0; j < e->groups[i].n_endpoints; j++)
            text_printf(out, " %s*%u", addr_print(&e->groups[i].endpoints[j].addr, at),
                        e->groups[i].endpoints[j].weight);
    text_puts(out, "\n");
    endpoints_free(e);
}

static inline void put_all(struct text_out *out, const struct object_store *store)
{
    struct resources all = {0};
    struct problems problems;
    problems_init(&problems);
    assert_int_equal(translate(store, &fixture_settings, &all, &problems), 0);
    for (size_t i = 0; i < all.n; i++) {
        const struct resource *r = all.items[i];
        if (r->type == XDS_ADDRESS)
            put_address(out, r);
        else if (r->type == XDS_ENDPOINTS)
            put_endpoints(out, r);
        else if (r->type == XDS_ROUTES && !r->by_name_only)
            text_printf(out, "table %s\n", r->name);
    }
    for (size_t i = 0; i < problems.n; i++)
        text_printf(out, "%s: %s%s%s\n", problems.items[i].object, problems.items[i].field,
                    problems.items[i].field[0] ? ": " : "", problems.items[i].message);
    resources_done(&all);
    problems_done(&problems);
}

static inline void assert_all(const char *yaml, const char *wanted)
{
    static char text[ENTRY_TEXT_MAX];
    struct text_out out = TEXT_OUT(text);
    struct object_store store;
    text[0] = '\0';
    object_store_init(&store);
    fixture_load(&store, yaml);
    put_all(&out, &store);
    assert_false(out.overflow);
    assert_string_equal(text, wanted);
    object_store_done(&store);
}

/* A change of one object is one of another's addresses, and of what is said of them. */
static inline void assert_touched(const struct view *v, enum object_kind kind, const char *changed,
                                  const char *other)
{
    struct touched t;
    touched_init(&t);
    assert_int_equal(touched_change(&t, v, NULL, object_store_get(v->store, kind, "shop", changed)),
                     0);
    assert_non_null(map_get(&t.objects, text_of(other)));
    touched_done(&t);
}
#endif
