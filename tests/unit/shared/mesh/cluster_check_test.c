/* What clusters and endpoints refuse, and where it is. */
#include "tests/unit/shared/mesh/routes.h"

#include "shared/mesh/cluster.h"
#include <errno.h>

static void test_endpoints_refuse_with_the_fields_place(void **state)
{
    static const char *const expected[] = {
        "cluster_name: is empty",
        "endpoints[1].lb_endpoints[0].endpoint.address: is there twice",
        "endpoints[1].lb_endpoints[0].endpoint.address.port_value: is 0 or missing",
        "endpoints[1].lb_endpoints[0].load_balancing_weight: is 0",
        "endpoints[1].lb_endpoints[0].endpoint.address.address: is empty",
        "endpoints[1].locality: is there twice with priority 0",
        "endpoints: has priority 2 and none with priority 1",
        "endpoints[1].priority: is 128, at most 127 may be",
        "policy.overprovisioning_factor: is 99, less than 100",
        "policy.drop_overloads[0].drop_percentage.denominator: is 1; 100, 10,000 or 1,000,000 "
        "would be "
        "right",
        "endpoints[1].lb_endpoints[0].endpoint.hostname: is longer than 255 bytes",
        "endpoints[1].lb_endpoints[0].endpoint.address.address: is longer than 255 bytes",
        NULL,
    };
    static char name[256];
    (void)state;
    memset(name, 'a', sizeof name);
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        struct endpoints *e = endpoints_new(1 << 16);
        char why[WHY_MAX] = "";
        e->name = TEXT("c");
        e->n_groups = 2;
        e->groups = arena_zero(&e->arena, 2, sizeof *e->groups);
        for (size_t g = 0; g < 2; g++) {
            e->groups[g].zone = g ? TEXT("b") : TEXT("a");
            e->groups[g].n_endpoints = 1;
            e->groups[g].endpoints = arena_zero(&e->arena, 1, sizeof(struct endpoint));
            e->groups[g].endpoints[0] =
                (struct endpoint){.addr = {{4, {10, 0, 0, (uint8_t)g}}, 80}, .weight = 1};
        }
        struct endpoint *p = e->groups[1].endpoints;
        struct endpoint_drop drop = {TEXT("x"), {1, 1}};
        switch (i) {
        case 0:
            e->name = TEXT("");
            break;
        case 1:
            p->addr.ip.bytes[3] = 0;
            break;
        case 2:
            p->addr.port = 0;
            break;
        case 3:
            p->weight = 0;
            break;
        case 4:
            p->addr.ip = (struct ip){0};
            break;
        case 5:
            e->groups[1].zone = TEXT("a");
            break;
        case 6:
            e->groups[1].priority = 2;
            break;
        case 7:
            e->groups[1].priority = 128;
            break;
        case 8:
            e->overprovisioning_percent = 99;
            break;
        case 9:
            e->drops = &drop;
            e->n_drops = 1;
            break;
        case 10:
            p->hostname = (struct text){name, 256};
            break;
        case 11:
            p->addr.ip = (struct ip){0};
            p->host = (struct text){name, 256};
            break;
        case 12: /* as long as may be */
            p->addr.ip = (struct ip){0};
            p->host = p->hostname = (struct text){name, 255};
            break;
        default:
            break;
        }
        assert_int_equal(endpoints_finish(e, why), expected[i] ? -EINVAL : 0);
        assert_string_equal(why, expected[i] ? expected[i] : "");
        assert_int_equal(e->finished, !expected[i]);
        endpoints_free(e);
    }
}

static void test_clusters_refuse_with_the_fields_place(void **state)
{
    static const char *const expected[] = {
        "name: is empty",
        "connect_timeout: is 0",
        "load_assignment: is missing",
        "load_assignment.cluster_name: is empty",
        "least_request_lb_config.choice_count: is 1; 2 to 100 would be right",
        "ring_hash_lb_config.minimum_ring_size: is above maximum_ring_size",
        "maglev_lb_config.table_size: is 65536, no prime number up to 5000011",
        "common_lb_config.healthy_panic_threshold: is 101; 0 to 100 would be right",
        "outlier_detection.interval: is 0",
        "outlier_detection.max_ejection_percent: is 101; 0 to 100 would be right",
        "health_checks[0].timeout: is 0",
        "health_checks[0].http_health_check.path: does not begin with /",
        "transport_socket.typed_config.common_tls_context.validation_context."
        "match_typed_subject_alt_names[0].matcher.safe_regex.regex: missing ): (",
        "lb_subset_config.subset_selectors[0].keys: is empty",
        "least_request_lb_config.choice_count: is 101; 2 to 100 would be right",
        NULL,
    };
    static struct health_check check = {CHECK_HTTP, .timeout_ms = 1, .interval_ms = 1,
                                        .unhealthy_threshold = 1, .healthy_threshold = 1};
    static struct text_match san = {.kind = TEXT_REGEX, .value = {"(", 1}};
    static struct subset_keys keys;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        struct cluster *c = cluster_new(1 << 16);
        struct health_check h = check;
        char why[WHY_MAX] = "";
        c->name = TEXT("c");
        switch (i) {
        case 0:
            c->name = TEXT("");
            break;
        case 1:
            c->connect_timeout_ms = 0;
            break;
        case 2:
            c->kind = CLUSTER_STATIC;
            break;
        case 3:
            c->kind = CLUSTER_STATIC;
            c->inline_endpoints = endpoints_new(100);
            break;
        case 4:
            c->balance.kind = BALANCE_LEAST_REQUEST;
            c->balance.choices = 1;
            break;
        case 5:
            c->balance.ring_max = 1023;
            break;
        case 6:
            c->balance.maglev_table = 65536;
            break;
        case 7:
            c->balance.panic_percent = 101;
            break;
        case 8:
            c->outlier_detection = true;
            c->outlier.interval_ms = 0;
            break;
        case 9:
            c->outlier_detection = true;
            c->outlier.max_ejection_percent = 101;
            break;
        case 10:
            h.timeout_ms = 0;
            c->health_checks = &h;
            c->n_health_checks = 1;
            break;
        case 11:
            c->health_checks = &h;
            c->n_health_checks = 1;
            break;
        case 12:
            c->tls.sans = &san;
            c->tls.n_sans = 1;
            break;
        case 13:
            c->subsets.keys = &keys;
            c->subsets.n_keys = 1;
            break;
        case 14:
            c->balance.kind = BALANCE_LEAST_REQUEST;
            c->balance.choices = 101;
            break;
        default:
            break;
        }
        assert_int_equal(cluster_finish(c, why), expected[i] ? -EINVAL : 0);
        assert_string_equal(why, expected[i] ? expected[i] : "");
        cluster_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoints_refuse_with_the_fields_place),
        cmocka_unit_test(test_clusters_refuse_with_the_fields_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
