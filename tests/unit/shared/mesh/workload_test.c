#include "shared/mesh/workload.h"

#include "shared/mesh/service.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/mesh/nouns.h"

#include <errno.h>

static void a_new_one_is_usual(void **state)
{
    struct workload *w = workload_new();

    (void)state;
    assert_non_null(w);
    assert_string_equal(w->trust_domain, "cluster.local");
    assert_string_equal(w->uid, "");
    assert_string_equal(w->locality.subzone, "");
    assert_true(w->healthy);
    assert_int_equal(w->capacity, 1);
    assert_int_equal(workload_set(&w->uid, TEXT("abc")), 0);
    assert_string_equal(w->uid, "abc");
    assert_null(workload_free(w));
    assert_null(workload_free(NULL));
    assert_null(service_free(NULL));
}

/* Each change of one thing is a difference; back again, there is none. */
#define DIFFERS(equal, a, b, change, back)                                                         \
    do {                                                                                           \
        assert_true(equal(a, b));                                                                  \
        change;                                                                                    \
        assert_false(equal(a, b));                                                                 \
        assert_false(equal(b, a));                                                                 \
        back;                                                                                      \
        assert_true(equal(a, b));                                                                  \
    } while (0)

static void string_differs(const struct workload *a, struct workload *b, char **field)
{
    char *kept = *field;

    assert_true(workload_equal(a, b));
    *field = heap_text("%s!", kept);
    assert_false(workload_equal(a, b));
    assert_false(workload_equal(b, a));
    free(*field);
    *field = kept;
}

static void workload_equal_sees_every_field(void **state)
{
    struct rng rng, again;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 500; i++) {
        again = rng;
        struct workload *a = random_workload(&rng, i, 5, 4), *b = random_workload(&again, i, 5, 4);
        char **const strings[] = {
            &b->uid,
            &b->name,
            &b->ns,
            &b->hostname,
            &b->network,
            &b->trust_domain,
            &b->service_account,
            &b->node,
            &b->canonical_name,
            &b->canonical_revision,
            &b->workload_name,
            &b->cluster_id,
            &b->locality.region,
            &b->locality.zone,
            &b->locality.subzone,
        };
        for (size_t s = 0; s < ARRAY_SIZE(strings); s++)
            string_differs(a, b, strings[s]);
        for (size_t s = 0; s < b->n_policies; s++)
            string_differs(a, b, &b->policies[s]);
        for (size_t s = 0; s < b->n_services; s++)
            string_differs(a, b, &b->services[s].key);
        DIFFERS(workload_equal, a, b, b->type = (b->type + 1) % 4, b->type = a->type);
        DIFFERS(workload_equal, a, b, b->tunnel = !b->tunnel, b->tunnel = a->tunnel);
        DIFFERS(workload_equal, a, b, b->native_tunnel ^= true, b->native_tunnel ^= true);
        DIFFERS(workload_equal, a, b, b->healthy ^= true, b->healthy ^= true);
        DIFFERS(workload_equal, a, b, b->host_network ^= true, b->host_network ^= true);
        DIFFERS(workload_equal, a, b, b->capacity++, b->capacity--);
        DIFFERS(workload_equal, a, b, b->n_addresses++, b->n_addresses--);
        for (size_t k = 0; k < b->n_addresses; k++)
            DIFFERS(workload_equal, a, b, b->addresses[k].bytes[2]++, b->addresses[k].bytes[2]--);
        for (size_t s = 0; s < b->n_services; s++) {
            struct workload_service *service = &b->services[s];
            for (size_t p = 0; p < service->n_ports; p++) {
                struct port_pair *pair = &service->ports[p];
                DIFFERS(workload_equal, a, b, pair->service_port++, pair->service_port--);
                DIFFERS(workload_equal, a, b, pair->target_port++, pair->target_port--);
                DIFFERS(workload_equal, a, b, pair->app_protocol++, pair->app_protocol--);
            }
            if (service->n_ports)
                DIFFERS(workload_equal, a, b, service->n_ports--, service->n_ports++);
        }
        for (size_t k = 0; k < b->n_gateway_ports; k++) {
            struct gateway_port *p = &b->gateway_ports[k];
            DIFFERS(workload_equal, a, b, p->port++, p->port--);
            DIFFERS(workload_equal, a, b, p->tls ^= true, p->tls ^= true);
            assert_ptr_equal(workload_gateway_port(b, p->port), p);
        }
        assert_null(workload_gateway_port(b, 8080));
        if (b->n_gateway_ports)
            DIFFERS(workload_equal, a, b, b->n_gateway_ports--, b->n_gateway_ports++);
        for (size_t k = 0; k < b->n_labels; k++) {
            struct label *l = &b->labels[k], kept = *l;
            DIFFERS(workload_equal, a, b, l->name = TEXT("other"), l->name = kept.name);
            DIFFERS(workload_equal, a, b, l->value = TEXT("other"), l->value = kept.value);
        }
        if (b->n_labels)
            DIFFERS(workload_equal, a, b, b->n_labels--, b->n_labels++);
        if (b->n_policies)
            DIFFERS(workload_equal, a, b, b->n_policies--, b->n_policies++);
        DIFFERS(workload_equal, a, b, b->registry_only ^= true, b->registry_only ^= true);
        if (b->n_egress)
            DIFFERS(workload_equal, a, b, b->n_egress--, b->n_egress++);
        /* The services are a map: another order is no difference. */
        if (b->n_services >= 2) {
            struct workload_service first = b->services[0];
            b->services[0] = b->services[b->n_services - 1];
            b->services[b->n_services - 1] = first;
            assert_true(workload_equal(a, b));
            assert_true(workload_equal(b, a));
            DIFFERS(workload_equal, a, b, b->n_services--, b->n_services++);
        }
        (void)workload_free(a);
        (void)workload_free(b);
    }
}

static void packed_is_the_same(void **state)
{
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 2000; i++) {
        struct workload *w = random_workload(&rng, i, 5, 4);
        struct workload *packed = workload_pack(w), *again = workload_pack(packed);
        assert_true(packed && again);
        assert_true(workload_equal(w, packed));
        (void)workload_free(w);
        assert_true(workload_equal(packed, again));
        (void)workload_free(packed);
        (void)workload_free(again);
    }
    struct workload *w = workload_new();
    assert_non_null(w);
    alloc_fail_at(0);
    assert_null(workload_pack(w));
    assert_true(alloc_failed());
    (void)workload_free(w);
}

static void service_equal_sees_every_field(void **state)
{
    struct rng rng, again;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 500; i++) {
        again = rng;
        struct service *a = random_service(&rng, i, 5), *b = random_service(&again, i, 5);
        char **const strings[] = {&b->name, &b->ns, &b->hostname, &b->key};
        for (size_t s = 0; s < ARRAY_SIZE(strings) + b->n_subject_alt_names + b->n_addresses; s++) {
            size_t rest = s - ARRAY_SIZE(strings);
            char **field = s < ARRAY_SIZE(strings) ? strings[s]
                           : rest < b->n_subject_alt_names
                               ? &b->subject_alt_names[rest]
                               : &b->addresses[rest - b->n_subject_alt_names].network;
            char *kept = *field;
            DIFFERS(service_equal, a, b, *field = heap_text("%s!", kept),
                    (free(*field), *field = kept));
        }
        DIFFERS(service_equal, a, b, b->lb_mode = (b->lb_mode + 1) % 4, b->lb_mode = a->lb_mode);
        DIFFERS(service_equal, a, b, b->allow_unhealthy ^= true, b->allow_unhealthy ^= true);
        DIFFERS(service_equal, a, b, b->ip_families++, b->ip_families--);
        DIFFERS(service_equal, a, b, b->canonical ^= true, b->canonical ^= true);
        DIFFERS(service_equal, a, b, b->n_scopes++, b->n_scopes--);
        DIFFERS(service_equal, a, b, b->n_addresses++, b->n_addresses--);
        DIFFERS(service_equal, a, b, b->n_ports++, b->n_ports--);
        DIFFERS(service_equal, a, b, b->n_exported++, b->n_exported--);
        DIFFERS(service_equal, a, b, b->n_subject_alt_names++, b->n_subject_alt_names--);
        for (size_t k = 0; k < b->n_scopes; k++)
            DIFFERS(service_equal, a, b, b->scopes[k]++, b->scopes[k]--);
        for (size_t k = 0; k < b->n_addresses; k++)
            DIFFERS(service_equal, a, b, b->addresses[k].ip.bytes[3]++,
                    b->addresses[k].ip.bytes[3]--);
        for (size_t k = 0; k < b->n_ports; k++) {
            DIFFERS(service_equal, a, b, b->ports[k].service_port++, b->ports[k].service_port--);
            DIFFERS(service_equal, a, b, b->ports[k].target_port++, b->ports[k].target_port--);
            DIFFERS(service_equal, a, b, b->ports[k].app_protocol++, b->ports[k].app_protocol--);
        }
        (void)service_free(a);
        (void)service_free(b);
    }
}

static void without_memory(void **state)
{
    (void)state;
    bool failed = true;
    for (long n = 0; failed; n++) {
        alloc_fail_at(n);
        struct workload *w = workload_new();
        failed = alloc_failed();
        assert_true(failed == !w);
        (void)workload_free(w);
    }
    failed = true;
    for (long n = 0; failed; n++) {
        alloc_fail_at(n);
        struct service *s = service_new();
        failed = alloc_failed();
        assert_true(failed == !s);
        (void)service_free(s);
    }
    struct workload *w = workload_new();
    assert_non_null(w);
    assert_int_equal(workload_set(&w->uid, TEXT("old")), 0);
    alloc_fail_at(0);
    assert_int_equal(workload_set(&w->uid, TEXT("new")), -ENOMEM);
    assert_true(alloc_failed());
    assert_string_equal(w->uid, "old");
    (void)workload_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_one_is_usual), cmocka_unit_test(workload_equal_sees_every_field),
        cmocka_unit_test(packed_is_the_same), cmocka_unit_test(service_equal_sees_every_field),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
