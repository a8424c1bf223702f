#include "shared/xds/delta.h"

#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/mesh/nouns.h"
#include "tests/unit/shared/xds/wire_writer.h"

#include <errno.h>

static char *word(struct rng *r)
{
    return heap_text("%.*s%u", (int)rng_below(r, 12), "some-name/x.y", (unsigned)rng_below(r, 100));
}

static char **words(struct rng *r, size_t *ret_n)
{
    size_t n = rng_below(r, 4);
    char **list = calloc(n + 1, sizeof *list);
    assert_non_null(list);
    for (size_t i = 0; i < n; i++)
        list[i] = word(r);
    *ret_n = n;
    return list;
}

/* Owned piece by piece, as a program makes one. */
static struct delta_request random_request(struct rng *r)
{
    struct delta_request q = {.node_id = word(r), .node_cluster = word(r), .type_url = word(r)};
    q.subscribe = words(r, &q.n_subscribe);
    q.unsubscribe = words(r, &q.n_unsubscribe);
    q.n_initial = rng_below(r, 4);
    q.initial = calloc(q.n_initial + 1, sizeof *q.initial);
    assert_non_null(q.initial);
    for (size_t i = 0; i < q.n_initial; i++)
        q.initial[i] = (struct xds_version){word(r), one_in(r, 4) ? heap_text("%s", "") : word(r)};
    q.nonce = word(r);
    if (one_in(r, 2)) {
        q.has_error = true;
        q.error_code = (int32_t)rng_below(r, 17);
        q.error_message = word(r);
    } else {
        q.error_message = heap_text("%s", "");
    }
    return q;
}

static struct delta_response random_response(struct rng *r)
{
    struct delta_response p = {.type_url = word(r), .nonce = word(r), .system_version = word(r)};
    p.removed = words(r, &p.n_removed);
    p.n_resources = rng_below(r, 5);
    p.resources = calloc(p.n_resources + 1, sizeof *p.resources);
    assert_non_null(p.resources);
    for (size_t i = 0; i < p.n_resources; i++) {
        struct delta_resource *x = &p.resources[i];
        *x = (struct delta_resource){.name = word(r), .version = word(r), .type_url = word(r)};
        x->aliases = words(r, &x->n_aliases);
        x->body_len = rng_below(r, 40);
        x->body = calloc(1, x->body_len + 1);
        assert_non_null(x->body);
        for (size_t b = 0; b < x->body_len; b++)
            x->body[b] = (uint8_t)rng_u64(r);
    }
    return p;
}

static void assert_words(char **a, size_t n_a, char **b, size_t n_b)
{
    assert_int_equal(n_a, n_b);
    for (size_t i = 0; i < n_a; i++)
        assert_string_equal(a[i], b[i]);
}

static void assert_requests(const struct delta_request *a, const struct delta_request *b)
{
    assert_string_equal(a->node_id, b->node_id);
    assert_string_equal(a->node_cluster, b->node_cluster);
    assert_string_equal(a->type_url, b->type_url);
    assert_words(a->subscribe, a->n_subscribe, b->subscribe, b->n_subscribe);
    assert_words(a->unsubscribe, a->n_unsubscribe, b->unsubscribe, b->n_unsubscribe);
    assert_int_equal(a->n_initial, b->n_initial);
    for (size_t i = 0; i < a->n_initial; i++) {
        assert_string_equal(a->initial[i].name, b->initial[i].name);
        assert_string_equal(a->initial[i].version, b->initial[i].version);
    }
    assert_string_equal(a->nonce, b->nonce);
    assert_int_equal(a->has_error, b->has_error);
    assert_int_equal(a->error_code, b->error_code);
    assert_string_equal(a->error_message, b->error_message);
}

static void assert_responses(const struct delta_response *a, const struct delta_response *b)
{
    assert_string_equal(a->type_url, b->type_url);
    assert_string_equal(a->nonce, b->nonce);
    assert_string_equal(a->system_version, b->system_version);
    assert_words(a->removed, a->n_removed, b->removed, b->n_removed);
    assert_int_equal(a->n_resources, b->n_resources);
    for (size_t i = 0; i < a->n_resources; i++) {
        const struct delta_resource *x = &a->resources[i], *y = &b->resources[i];
        assert_string_equal(x->name, y->name);
        assert_string_equal(x->version, y->version);
        assert_string_equal(x->type_url, y->type_url);
        assert_words(x->aliases, x->n_aliases, y->aliases, y->n_aliases);
        assert_int_equal(x->body_len, y->body_len);
        if (x->body_len)
            assert_memory_equal(x->body, y->body, x->body_len);
    }
}

static void there_and_back(void **state)
{
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 20000; i++) {
        struct delta_request q = random_request(&rng), q_back;
        struct delta_response p = random_response(&rng), p_back;
        char why[XDS_WHY_MAX];
        struct xds_bytes bytes;
        assert_int_equal(delta_request_encode(&q, &bytes), 0);
        assert_int_equal(delta_request_decode(bytes.data, bytes.len, &q_back, why), 0);
        xds_bytes_done(&bytes); /* what was decoded stands on its own */
        assert_requests(&q, &q_back);
        assert_int_equal(delta_response_encode(&p, &bytes), 0);
        assert_int_equal(delta_response_decode(bytes.data, bytes.len, &p_back, why), 0);
        xds_bytes_done(&bytes);
        assert_responses(&p, &p_back);
        delta_request_done(&q);
        delta_request_done(&q_back);
        delta_response_done(&p);
        delta_response_done(&p_back);
        assert_null(p.resources);
        assert_null(p_back.arena);
    }
}

/* Also where the node has no name; who does not ask to be registered says nothing of it. */
static void a_machine(void **state)
{
    static char one[] = "g", ns[] = "n", name[] = "g-1", at[] = "192.0.2.1,2001:db8::1";
    const struct delta_machine machines[] = {{one, ns, name, at}, {one, NULL, NULL, NULL}, {"", ns, name, at}, {0}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
        const struct delta_machine *m = &machines[i];
        struct delta_request q = {.node_id = one, .machine = *m, .type_url = ns, .nonce = ns}, back;
        struct xds_bytes bytes;
        char why[XDS_WHY_MAX];
        bool asks = m->group && m->group[0];
        assert_int_equal(delta_request_encode(&q, &bytes), 0);
        assert_int_equal(delta_request_decode(bytes.data, bytes.len, &back, why), 0);
        xds_bytes_done(&bytes);
        assert_string_equal(back.machine.group, asks ? m->group : "");
        assert_string_equal(back.machine.ns, asks && m->ns ? m->ns : "");
        assert_string_equal(back.machine.name, asks && m->name ? m->name : "");
        assert_string_equal(back.machine.addresses, asks && m->addresses ? m->addresses : "");
        delta_request_done(&back);
    }
}

static void reads_what_others_write(void **state)
{
    struct wire_writer w = {0}, sub = {0}, any = {0};
    struct delta_request q;
    struct delta_response p;
    char why[XDS_WHY_MAX];

    (void)state;
    field_text(&sub, 1, "node-id");
    field_text(&sub, 2, "cluster");
    unknown_fields(&sub);
    field_message(&w, 1, &sub);
    field_text(&w, 2, "type");
    field_text(&w, 3, "sub-1");
    field_text(&w, 3, "*");
    field_text(&w, 4, "unsub");
    sub.len = 0;
    field_text(&sub, 1, "name");
    field_text(&sub, 2, "version");
    field_message(&w, 5, &sub);
    field_text(&w, 6, "nonce");
    sub.len = 0;
    field_number(&sub, 1, 3);
    field_text(&sub, 2, "wrong");
    field_message(&w, 7, &sub);
    unknown_fields(&w);
    assert_int_equal(delta_request_decode(w.data, w.len, &q, why), 0);
    struct delta_request expected = {
        .node_id = (char *)"node-id",
        .node_cluster = (char *)"cluster",
        .type_url = (char *)"type",
        .subscribe = (char *[]){(char *)"sub-1", (char *)"*"},
        .n_subscribe = 2,
        .unsubscribe = (char *[]){(char *)"unsub"},
        .n_unsubscribe = 1,
        .initial = (struct xds_version[]){{(char *)"name", (char *)"version"}},
        .n_initial = 1,
        .nonce = (char *)"nonce",
        .has_error = true,
        .error_code = 3,
        .error_message = (char *)"wrong",
    };
    assert_requests(&q, &expected);
    delta_request_done(&q);

    w.len = sub.len = 0;
    field_text(&w, 1, "system");
    field_text(&sub, 1, "v1");
    field_text(&any, 1, "any-type");
    field_bytes(&any, 2, "\0\1", 2);
    field_message(&sub, 2, &any);
    field_text(&sub, 3, "resource");
    field_text(&sub, 4, "alias");
    unknown_fields(&sub);
    field_message(&w, 2, &sub);
    field_text(&w, 4, "type");
    field_text(&w, 5, "nonce");
    field_text(&w, 6, "gone");
    unknown_fields(&w);
    assert_int_equal(delta_response_decode(w.data, w.len, &p, why), 0);
    struct delta_resource resource = {
        .name = (char *)"resource",
        .version = (char *)"v1",
        .aliases = (char *[]){(char *)"alias"},
        .n_aliases = 1,
        .type_url = (char *)"any-type",
        .body = (uint8_t *)"\0\1",
        .body_len = 2,
    };
    struct delta_response wanted = {
        .type_url = (char *)"type",
        .nonce = (char *)"nonce",
        .system_version = (char *)"system",
        .resources = &resource,
        .n_resources = 1,
        .removed = (char *[]){(char *)"gone"},
        .n_removed = 1,
    };
    assert_responses(&p, &wanted);
    delta_response_done(&p);
}

/* An answer with nothing but a type and a nonce: an ACK, byte for byte. */
static void writes_what_others_read(void **state)
{
    static const uint8_t ack[] = {0x12, 0x01, 't', 0x32, 0x01, 'n'};
    static const uint8_t nack[] = {0x12, 0x01, 't',  0x32, 0x01, 'n', 0x3a,
                                   0x05, 0x08, 0x03, 0x12, 0x01, 'w'};
    static const uint8_t first[] = {0x0a, 0x03, 0x0a, 0x01, 'i', 0x12, 0x01, 't',
                                    0x2a, 0x06, 0x0a, 0x01, 'a', 0x12, 0x01, 'v'};
    struct delta_request q = {.type_url = (char *)"t", .nonce = (char *)"n"};
    struct xds_bytes bytes;

    (void)state;
    assert_int_equal(delta_request_encode(&q, &bytes), 0);
    assert_int_equal(bytes.len, sizeof ack);
    assert_memory_equal(bytes.data, ack, sizeof ack);
    xds_bytes_done(&bytes);
    q.has_error = true;
    q.error_code = 3;
    q.error_message = (char *)"w";
    assert_int_equal(delta_request_encode(&q, &bytes), 0);
    assert_int_equal(bytes.len, sizeof nack);
    assert_memory_equal(bytes.data, nack, sizeof nack);
    xds_bytes_done(&bytes);
    q = (struct delta_request){.node_id = (char *)"i",
                               .type_url = (char *)"t",
                               .n_initial = 1,
                               .initial = (struct xds_version[]){{(char *)"a", (char *)"v"}}};
    assert_int_equal(delta_request_encode(&q, &bytes), 0);
    assert_int_equal(bytes.len, sizeof first);
    assert_memory_equal(bytes.data, first, sizeof first);
    xds_bytes_done(&bytes);

    static const uint8_t response[] = {0x12, 0x0e, 0x0a, 0x01, 'v',  0x12, 0x06, 0x0a, 0x01,
                                       't',  0x12, 0x01, 'b',  0x1a, 0x01, 'r',  0x22, 0x01,
                                       't',  0x2a, 0x01, 'n',  0x32, 0x01, 'g'};
    struct delta_resource resource = {.name = (char *)"r",
                                      .version = (char *)"v",
                                      .type_url = (char *)"t",
                                      .body = (uint8_t *)"b",
                                      .body_len = 1};
    struct delta_response p = {.type_url = (char *)"t",
                               .nonce = (char *)"n",
                               .resources = &resource,
                               .n_resources = 1,
                               .removed = (char *[]){(char *)"g"},
                               .n_removed = 1};
    assert_int_equal(delta_response_encode(&p, &bytes), 0);
    assert_int_equal(bytes.len, sizeof response);
    assert_memory_equal(bytes.data, response, sizeof response);
    xds_bytes_done(&bytes);
}

static void what_is_wrong_is_refused(void **state)
{
    char name[XDS_NAME_MAX + 2], why[XDS_WHY_MAX];
    struct wire_writer w = {0}, sub = {0};
    struct delta_request q;
    struct delta_response p;
    static const unsigned request_texts[] = {2, 3, 4, 6}, response_texts[] = {1, 4, 5, 6};

    (void)state;
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    for (unsigned i = 0; i < 4; i++) {
        w.len = 0;
        field_text(&w, request_texts[i], name);
        assert_int_equal(delta_request_decode(w.data, w.len, &q, why), -EINVAL);
        w.len = 0;
        field_text(&w, response_texts[i], name);
        assert_int_equal(delta_response_decode(w.data, w.len, &p, why), -EINVAL);
    }
    for (unsigned field = 1; field <= 2; field++) {
        w.len = sub.len = 0;
        field_text(&sub, field, name);
        field_message(&w, 1, &sub);
        assert_int_equal(delta_request_decode(w.data, w.len, &q, why), -EINVAL);
        w.len = 0;
        field_message(&w, 5, &sub);
        assert_int_equal(delta_request_decode(w.data, w.len, &q, why), -EINVAL);
        assert_non_null(strstr(why, "initial_resource_versions"));
    }
    static const unsigned resource_texts[] = {1, 3, 4};
    for (unsigned i = 0; i < 3; i++) {
        w.len = sub.len = 0;
        field_text(&sub, resource_texts[i], name);
        field_message(&w, 2, &sub);
        assert_int_equal(delta_response_decode(w.data, w.len, &p, why), -EINVAL);
        assert_non_null(strstr(why, "resources."));
    }
    w.len = 0;
    field_bytes(&w, 5, "a\0b", 3);
    assert_int_equal(delta_response_decode(w.data, w.len, &p, why), -EINVAL);
    assert_non_null(strstr(why, "nonce"));
}

/* As many as one message may have, and one more. */
static void has_a_maximum(void **state)
{
    struct delta_response p = {.type_url = (char *)"t"};
    struct delta_request q = {.type_url = (char *)"t"};
    char why[XDS_WHY_MAX];
    struct xds_bytes bytes;

    (void)state;
    p.resources = calloc(XDS_RESOURCES_MAX + 1, sizeof *p.resources);
    q.subscribe = calloc(XDS_RESOURCES_MAX + 1, sizeof *q.subscribe);
    assert_true(p.resources && q.subscribe);
    for (size_t i = 0; i <= XDS_RESOURCES_MAX; i++) {
        p.resources[i] = (struct delta_resource){.name = (char *)"some-name",
                                                 .version = (char *)"1",
                                                 .type_url = (char *)"type",
                                                 .body = (uint8_t *)"body",
                                                 .body_len = 4};
        q.subscribe[i] = (char *)"some-name";
    }
    for (size_t n = XDS_RESOURCES_MAX; n <= XDS_RESOURCES_MAX + 1; n++) {
        struct delta_response p_back;
        struct delta_request q_back;
        int expected = n > XDS_RESOURCES_MAX ? -EINVAL : 0;
        p.n_resources = q.n_subscribe = n;
        assert_int_equal(delta_response_encode(&p, &bytes), 0);
        int r = delta_response_decode(bytes.data, bytes.len, &p_back, why);
        assert_int_equal(r, expected);
        if (r == 0) {
            assert_int_equal(p_back.n_resources, n);
            delta_response_done(&p_back);
        }
        xds_bytes_done(&bytes);
        assert_int_equal(delta_request_encode(&q, &bytes), 0);
        r = delta_request_decode(bytes.data, bytes.len, &q_back, why);
        assert_int_equal(r, expected);
        if (r == 0)
            delta_request_done(&q_back);
        xds_bytes_done(&bytes);
    }
    free(p.resources);
    free(q.subscribe);
}

static void every_truncation_is_refused(void **state)
{
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 100; i++) {
        struct delta_request q = random_request(&rng), q_back;
        struct delta_response p = random_response(&rng), p_back;
        struct xds_bytes both[2];
        char why[XDS_WHY_MAX];
        assert_int_equal(delta_request_encode(&q, &both[0]), 0);
        assert_int_equal(delta_response_encode(&p, &both[1]), 0);
        for (unsigned k = 0; k < 2; k++) {
            for (size_t len = 0; len < both[k].len; len++) {
                uint8_t *copy = exact_copy(both[k].data, len);
                int r = k ? delta_response_decode(copy, len, &p_back, why)
                          : delta_request_decode(copy, len, &q_back, why);
                /* Cut between two fields it is a message, without the last ones; else never. */
                assert_int_equal(r, whole_fields(both[k].data, len) ? 0 : -EINVAL);
                if (r == 0 && k)
                    delta_response_done(&p_back);
                else if (r == 0)
                    delta_request_done(&q_back);
                free(copy);
            }
            xds_bytes_done(&both[k]);
        }
        delta_request_done(&q);
        delta_response_done(&p);
    }
}

static void no_garbage_breaks_it(void **state)
{
    unsigned decoded = 0;
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 20000; i++) {
        struct delta_request q = random_request(&rng), q_back;
        struct delta_response p = random_response(&rng), p_back;
        struct xds_bytes bytes;
        char why[XDS_WHY_MAX];
        assert_int_equal(
            i % 2 ? delta_request_encode(&q, &bytes) : delta_response_encode(&p, &bytes), 0);
        for (unsigned k = (unsigned)rng_below(&rng, 5); bytes.len && k > 0; k--)
            bytes.data[rng_below(&rng, bytes.len)] ^= (uint8_t)(1u << rng_below(&rng, 8));
        if (delta_request_decode(bytes.data, bytes.len, &q_back, why) == 0) {
            decoded++;
            delta_request_done(&q_back);
        }
        if (delta_response_decode(bytes.data, bytes.len, &p_back, why) == 0) {
            decoded++;
            delta_response_done(&p_back);
        }
        xds_bytes_done(&bytes);
        delta_request_done(&q);
        delta_response_done(&p);
    }
    assert_true(decoded > 1000 && decoded < 39000);
}

static void without_memory(void **state)
{
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 100; i++) {
        struct delta_request q = random_request(&rng), q_back;
        struct delta_response p = random_response(&rng), p_back;
        struct xds_bytes bytes;
        char why[XDS_WHY_MAX];
        for (unsigned k = 0; k < 2; k++) {
            bool failed = true;
            for (long n = 0; failed; n++) {
                alloc_fail_at(n);
                int r = k ? delta_response_encode(&p, &bytes) : delta_request_encode(&q, &bytes);
                failed = alloc_failed();
                assert_int_equal(r, failed ? -ENOMEM : 0);
            }
            failed = true;
            for (long n = 0; failed; n++) {
                alloc_fail_at(n);
                int r = k ? delta_response_decode(bytes.data, bytes.len, &p_back, why)
                          : delta_request_decode(bytes.data, bytes.len, &q_back, why);
                failed = alloc_failed();
                assert_int_equal(r, failed ? -ENOMEM : 0);
            }
            xds_bytes_done(&bytes);
        }
        delta_request_done(&q_back);
        delta_response_done(&p_back);
        delta_request_done(&q);
        delta_response_done(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(a_machine),          cmocka_unit_test(reads_what_others_write),
        cmocka_unit_test(writes_what_others_read), cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(has_a_maximum),           cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(no_garbage_breaks_it),    cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
