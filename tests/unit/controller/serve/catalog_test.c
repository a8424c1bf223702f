#include "controller/serve/catalog.h"
#include "shared/base/rng.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct resource *service(const char *name, const char *ip, unsigned port)
{
    char key[64];
    struct resource *r = NULL;
    struct service *s = service_new();
    snprintf(key, sizeof key, "n/%s", name);
    assert_int_equal(workload_set(&s->name, text_of(name)), 0);
    assert_int_equal(workload_set(&s->ns, TEXT("n")), 0);
    assert_int_equal(workload_set(&s->hostname, text_of(name)), 0);
    assert_int_equal(workload_set(&s->key, text_of(key)), 0);
    s->addresses = calloc(1, sizeof *s->addresses);
    s->addresses[0].network = text_dup(TEXT(""));
    assert_int_equal(ip_parse(text_of(ip), &s->addresses[0].ip), 0);
    s->n_addresses = 1;
    s->ports = calloc(1, sizeof *s->ports);
    s->ports[0] = (struct port_pair){.service_port = (uint16_t)port, .target_port = 1};
    s->n_ports = 1;
    assert_int_equal(resource_of_service(s, &r), 0);
    service_free(s);
    return r;
}

/* The names that changed after a sequence, as "+a -b". */
static const char *changes(const struct catalog *c, uint64_t after)
{
    static char buffer[4096];
    struct text_out out = TEXT_OUT(buffer);
    size_t index = catalog_after(c, XDS_ADDRESS, after);
    const struct catalog_entry *e;
    while ((e = catalog_next(c, XDS_ADDRESS, &index)))
        text_printf(&out, "%s%s%s", out.len ? " " : "", e->resource ? "+" : "-", e->name);
    return buffer;
}

static void order_of_changes(void **state)
{
    struct catalog c;
    (void)state;
    catalog_init(&c);
    assert_int_equal(catalog_put(&c, service("a", "10.0.0.1", 1)), 1);
    assert_int_equal(catalog_put(&c, service("b", "10.0.0.2", 1)), 1);
    assert_string_equal(changes(&c, 0), "+n/a +n/b");
    assert_int_equal(catalog_put(&c, service("a", "10.0.0.1", 1)), 0); /* equal: no change */
    uint64_t then = c.sequence;
    assert_string_equal(changes(&c, then), "");
    assert_int_equal(catalog_put(&c, service("a", "10.0.0.3", 1)), 1);
    struct resource *for_few = service("a", "10.0.0.3", 1);
    for_few->by_name_only = true; /* others hear of it */
    assert_int_equal(catalog_put(&c, for_few), 1);
    assert_string_equal(changes(&c, then), "+n/a");
    assert_string_equal(changes(&c, 0), "+n/b +n/a");
    assert_int_equal(catalog_remove(&c, XDS_ADDRESS, TEXT("n/b")), 0);
    assert_int_equal(catalog_remove(&c, XDS_ADDRESS, TEXT("n/b")), -ENOENT);
    assert_string_equal(changes(&c, 0), "+n/a -n/b");
    assert_int_equal(catalog_count(&c, XDS_ADDRESS), 1);
    assert_null(catalog_get(&c, XDS_ADDRESS, TEXT("n/b")));
    assert_int_equal(catalog_put(&c, service("b", "10.0.0.2", 1)), 1); /* out of its grave */
    assert_string_equal(changes(&c, 0), "+n/a +n/b");
    assert_int_equal(catalog_remove(&c, XDS_ADDRESS, TEXT("n/b")), 0);
    catalog_forget(&c, XDS_ADDRESS, c.sequence - 1);
    assert_string_equal(changes(&c, 0), "+n/a -n/b");
    catalog_forget(&c, XDS_ADDRESS, c.sequence);
    assert_string_equal(changes(&c, 0), "+n/a");
    assert_int_equal(c.entries[XDS_ADDRESS].count, 1);
    catalog_done(&c);
}

static void aliases(void **state)
{
    struct catalog c;
    (void)state;
    catalog_init(&c);
    assert_int_equal(catalog_put(&c, service("a", "10.0.0.1", 1)), 1);
    assert_int_equal(catalog_put(&c, service("b", "10.0.0.1", 1)), 1);
    assert_int_equal(catalog_by_alias(&c, XDS_ADDRESS, TEXT("/10.0.0.1"))->n, 2);
    assert_int_equal(catalog_put(&c, service("a", "10.0.0.9", 1)), 1);
    assert_int_equal(catalog_by_alias(&c, XDS_ADDRESS, TEXT("/10.0.0.1"))->n, 1);
    assert_string_equal(catalog_by_alias(&c, XDS_ADDRESS, TEXT("/10.0.0.9"))->items[0]->name, "n/a");
    assert_int_equal(catalog_remove(&c, XDS_ADDRESS, TEXT("n/a")), 0);
    assert_null(catalog_by_alias(&c, XDS_ADDRESS, TEXT("/10.0.0.9")));
    catalog_done(&c);
}

static void graves_have_a_bound(void **state)
{
    struct catalog c;
    (void)state;
    catalog_init(&c);
    for (unsigned i = 0; i < GRAVES_MAX + 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "s%u", i);
        assert_int_equal(catalog_put(&c, service(name, "10.0.0.1", 1)), 1);
        struct text_out key = TEXT_OUT((char[64]){0});
        text_printf(&key, "n/%s", name);
        assert_int_equal(catalog_remove(&c, XDS_ADDRESS, (struct text){key.data, key.len}), 0);
    }
    assert_true(c.entries[XDS_ADDRESS].count <= GRAVES_MAX);
    assert_true(c.logs[XDS_ADDRESS].forgotten > 0);
    assert_true(c.logs[XDS_ADDRESS].n <= 2 * GRAVES_MAX + 1000);
    catalog_done(&c);
}

/* Whatever a reader's place, what comes after it leads to the present state. */
static void any_place_leads_to_the_present(void **state)
{
    enum { NAMES = 20, STEPS = 3000, READERS = 5 };
    unsigned now[NAMES] = {0}, seen[READERS][NAMES] = {{0}}; /* port; 0: absent */
    uint64_t at[READERS] = {0};
    struct catalog c;
    struct rng rng;
    (void)state;
    rng_seed(&rng, 5);
    catalog_init(&c);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned name = (unsigned)rng_below(&rng, NAMES);
        char text[16], key[32];
        snprintf(text, sizeof text, "s%u", name);
        snprintf(key, sizeof key, "n/%s", text);
        if (rng_below(&rng, 3)) {
            now[name] = 1 + (unsigned)rng_below(&rng, 5);
            assert_true(catalog_put(&c, service(text, "10.0.0.1", now[name])) >= 0);
        } else {
            assert_int_equal(catalog_remove(&c, XDS_ADDRESS, text_of(key)),
                             now[name] ? 0 : -ENOENT);
            now[name] = 0;
        }
        unsigned reader = (unsigned)rng_below(&rng, READERS);
        if (rng_below(&rng, 4))
            continue;
        size_t index = catalog_after(&c, XDS_ADDRESS, at[reader]);
        const struct catalog_entry *e;
        while ((e = catalog_next(&c, XDS_ADDRESS, &index))) {
            struct workload *w = NULL;
            struct service *s = NULL;
            char why[XDS_WHY_MAX];
            unsigned which = (unsigned)strtoul(e->name + 3, NULL, 10);
            assert_true(e->sequence > at[reader]);
            at[reader] = e->sequence;
            seen[reader][which] = 0;
            if (!e->resource)
                continue;
            assert_int_equal(
                xds_address_decode(e->resource->body, e->resource->body_len, &w, &s, why), 0);
            seen[reader][which] = s->ports[0].service_port;
            service_free(s);
        }
        assert_memory_equal(seen[reader], now, sizeof now);
        uint64_t least = UINT64_MAX;
        for (unsigned i = 0; i < READERS; i++)
            least = at[i] < least ? at[i] : least;
        catalog_forget(&c, XDS_ADDRESS, least);
    }
    catalog_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_of_changes),
        cmocka_unit_test(aliases),
        cmocka_unit_test(graves_have_a_bound),
        cmocka_unit_test(any_place_leads_to_the_present),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
