/* The messages of the state of the world, against bytes that are written by hand. */
#include "shared/xds/sotw.h"

#include "shared/xds/delta.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/xds/wire_writer.h"

#include <errno.h>

/* Fields by number: envoy/service/discovery/v3/discovery.proto, google/rpc/status.proto. */
static void write_request(struct wire_writer *w)
{
    struct wire_writer node = {0}, status = {0}, at = {0};
    field_text(&at, 1, "north");
    field_text(&at, 2, "north-1");
    field_text(&at, 3, "rack");
    field_text(&node, 1, "id");
    field_text(&node, 2, "cluster");
    field_message(&node, 4, &at);
    field_text(&node, 6, "gRPC");
    field_number(&status, 1, 3);
    field_text(&status, 2, "is bad");
    w->len = 0;
    field_text(w, 1, "7");
    field_message(w, 2, &node);
    field_text(w, 3, "a");
    field_text(w, 3, "b");
    field_text(w, 4, "type");
    field_text(w, 5, "nonce");
    field_message(w, 6, &status);
}

static void write_response(struct wire_writer *w, const char *second_type)
{
    struct wire_writer first = {0}, second = {0};
    field_text(&first, 1, "type");
    field_bytes(&first, 2, "x\0y", 3);
    field_text(&second, 1, second_type);
    w->len = 0;
    field_text(w, 1, "7");
    field_message(w, 2, &first);
    field_message(w, 2, &second);
    field_text(w, 4, "type");
    field_text(w, 5, "nonce");
}

static void assert_written(const struct xds_bytes *b, const struct wire_writer *w)
{
    assert_int_equal(b->len, w->len);
    assert_memory_equal(b->data, w->data, w->len);
}

static void a_request(void **state)
{
    char why[XDS_WHY_MAX];
    struct wire_writer w;
    struct sotw_request q;
    struct xds_bytes bytes;
    (void)state;
    write_request(&w);
    assert_int_equal(sotw_request_decode(w.data, w.len, &q, why), 0);
    assert_string_equal(q.version, "7");
    assert_string_equal(q.node_id, "id");
    assert_string_equal(q.node_cluster, "cluster");
    assert_string_equal(q.user_agent, "gRPC");
    assert_string_equal(q.region, "north");
    assert_string_equal(q.zone, "north-1");
    assert_string_equal(q.sub_zone, "rack");
    assert_int_equal(q.n_names, 2);
    assert_string_equal(q.names[1], "b");
    assert_string_equal(q.type_url, "type");
    assert_string_equal(q.nonce, "nonce");
    assert_true(q.has_error);
    assert_int_equal(q.error_code, 3);
    assert_string_equal(q.error_message, "is bad");
    assert_int_equal(sotw_request_encode(&q, &bytes), 0);
    assert_written(&bytes, &w);
    xds_bytes_done(&bytes);
    sotw_request_done(&q);
    /* Of nothing all texts are empty, and nothing is written. */
    assert_int_equal(sotw_request_decode(NULL, 0, &q, why), 0);
    assert_string_equal(q.node_id, "");
    assert_string_equal(q.error_message, "");
    assert_false(q.has_error);
    assert_int_equal(sotw_request_encode(&q, &bytes), 0);
    assert_int_equal(bytes.len, 0);
    xds_bytes_done(&bytes);
    sotw_request_done(&q);
}

static void a_response(void **state)
{
    char why[XDS_WHY_MAX];
    struct wire_writer w;
    struct sotw_response p;
    struct xds_bytes bytes;
    (void)state;
    write_response(&w, "type");
    assert_int_equal(sotw_response_decode(w.data, w.len, &p, why), 0);
    assert_string_equal(p.version, "7");
    assert_string_equal(p.type_url, "type");
    assert_string_equal(p.nonce, "nonce");
    assert_int_equal(p.n_resources, 2);
    assert_int_equal(p.resources[0].len, 3);
    assert_memory_equal(p.resources[0].data, "x\0y", 3);
    assert_int_equal(p.resources[1].len, 0);
    assert_int_equal(sotw_response_encode(&p, &bytes), 0);
    assert_written(&bytes, &w);
    xds_bytes_done(&bytes);
    sotw_response_done(&p);
}

static void what_is_wrong_is_refused(void **state)
{
    static const unsigned request_texts[] = {1, 3, 4, 5}, response_texts[] = {1, 4, 5};
    static const char *const in_node[] = {"node.id: is longer than 1024 bytes",
                                          "node.cluster: is longer than 1024 bytes"};
    char name[XDS_NAME_MAX + 2], why[XDS_WHY_MAX];
    struct wire_writer w, sub;
    struct sotw_request q;
    struct sotw_response p;
    (void)state;
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(request_texts); i++) {
        w.len = 0;
        field_text(&w, request_texts[i], name);
        assert_int_equal(sotw_request_decode(w.data, w.len, &q, why), -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(response_texts); i++) {
        w.len = 0;
        field_text(&w, response_texts[i], name);
        assert_int_equal(sotw_response_decode(w.data, w.len, &p, why), -EINVAL);
    }
    for (unsigned i = 0; i < 2; i++) {
        w.len = sub.len = 0;
        field_text(&sub, 1 + i, name);
        field_message(&w, 2, &sub);
        assert_int_equal(sotw_request_decode(w.data, w.len, &q, why), -EINVAL);
        assert_string_equal(why, in_node[i]);
    }
    write_response(&w, "other");
    assert_int_equal(sotw_response_decode(w.data, w.len, &p, why), -EINVAL);
    assert_string_equal(why, "resources[1]: is of another type than the response");
}

/* As many as one message may have, and one more. */
static void has_a_maximum(void **state)
{
    struct sotw_response p = {.type_url = (char *)"t"}, p_back;
    struct sotw_request q = {.type_url = (char *)"t"}, q_back;
    char why[XDS_WHY_MAX];
    struct xds_bytes bytes;
    (void)state;
    p.resources = calloc(XDS_RESOURCES_MAX + 1, sizeof *p.resources);
    q.names = calloc(XDS_RESOURCES_MAX + 1, sizeof *q.names);
    assert_true(p.resources && q.names);
    for (size_t i = 0; i <= XDS_RESOURCES_MAX; i++) {
        p.resources[i] = (struct xds_bytes){(uint8_t *)"body", 4};
        q.names[i] = (char *)"some-name";
    }
    for (size_t n = XDS_RESOURCES_MAX; n <= XDS_RESOURCES_MAX + 1; n++) {
        int expected = n > XDS_RESOURCES_MAX ? -EINVAL : 0;
        p.n_resources = q.n_names = n;
        assert_int_equal(sotw_response_encode(&p, &bytes), 0);
        assert_int_equal(sotw_response_decode(bytes.data, bytes.len, &p_back, why), expected);
        xds_bytes_done(&bytes);
        assert_int_equal(sotw_request_encode(&q, &bytes), 0);
        assert_int_equal(sotw_request_decode(bytes.data, bytes.len, &q_back, why), expected);
        xds_bytes_done(&bytes);
        if (expected == 0) {
            sotw_response_done(&p_back);
            sotw_request_done(&q_back);
        }
    }
    free(p.resources);
    free(q.names);
}

static void without_memory(void **state)
{
    char why[XDS_WHY_MAX];
    struct wire_writer request, response;
    bool failed[4] = {true, true, true, true};
    (void)state;
    write_request(&request);
    write_response(&response, "type");
    for (long n = 0; failed[0] || failed[1] || failed[2] || failed[3]; n++) {
        struct sotw_request q = {0};
        struct sotw_response p = {0};
        struct xds_bytes bytes = {0};
        alloc_fail_at(n);
        int r = sotw_request_decode(request.data, request.len, &q, why);
        assert_int_equal(r, (failed[0] = alloc_failed()) ? -ENOMEM : 0);
        alloc_fail_at(n);
        r = sotw_request_encode(&q, &bytes);
        assert_int_equal(r, (failed[1] = alloc_failed()) ? -ENOMEM : 0);
        xds_bytes_done(&bytes);
        sotw_request_done(&q);
        alloc_fail_at(n);
        r = sotw_response_decode(response.data, response.len, &p, why);
        assert_int_equal(r, (failed[2] = alloc_failed()) ? -ENOMEM : 0);
        alloc_fail_at(n);
        r = sotw_response_encode(&p, &bytes);
        assert_int_equal(r, (failed[3] = alloc_failed()) ? -ENOMEM : 0);
        xds_bytes_done(&bytes);
        sotw_response_done(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request),     cmocka_unit_test(a_response),
        cmocka_unit_test(has_a_maximum), cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
