/* What the two processes say to each other survives the way, and nothing else is understood. */
#include "nodeproxy/capture/wire_client.h"

#include "shared/base/list.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

static unsigned char bytes[WIRE_BYTES_MAX + 1];
static struct ip many[WIRE_ADDRESSES_MAX + 1];

static void fill_addresses(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = (struct ip){.len = 4, .bytes = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};
    many[1] = (struct ip){.len = 16, .bytes = {0xfd, 1, [15] = 9}};
}

/* ---- requests ---- */

static const struct {
    struct wire_request q;
    size_t n_fds;
} good[] = {
    {{.id = 1, .kind = WIRE_HELLO}, 0},
    {{.id = 2, .kind = WIRE_NETNS_OPEN, .path = "/run/netns/a"}, 0},
    {{.id = 3, .kind = WIRE_ENROL}, 1},
    {{.id = 5, .kind = WIRE_KEEP}, 1 + POD_LISTENERS},
    {{.id = 6, .kind = WIRE_CHECK}, 1},
    {{.id = 7, .kind = WIRE_RELEASE}, 1},
    {{.id = 8, .kind = WIRE_FORGET}, 0},
    {{.id = 9, .kind = WIRE_FORGET}, 1},
    {{.id = 10, .kind = WIRE_SOCKETS, .family = AF_INET, .type = SOCK_STREAM, .count = 1}, 1},
    {{.id = ~0ull,
      .kind = WIRE_SOCKETS,
      .family = AF_INET6,
      .type = SOCK_DGRAM,
      .count = PACKET_FDS_MAX},
     1},
    {{.id = 12, .kind = WIRE_NODE_RULES}, 0},
    {{.id = 13, .kind = WIRE_NODE_RULES, .addresses = many, .n_addresses = WIRE_ADDRESSES_MAX}, 0},
    {{.id = 14, .kind = WIRE_NODE_RULES, .more = true, .addresses = many, .n_addresses = 2}, 0},
};

static void requests_survive(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        const struct wire_request *q = &good[i].q;
        struct wire_request back;
        size_t len = wire_client_encode(q, bytes);
        assert_in_range(len, 1, WIRE_BYTES_MAX);
        assert_int_equal(wire_decode_request(bytes, len, good[i].n_fds, &back), 0);
        assert_true(wire_request_id(bytes, len) == q->id);
        assert_true(back.id == q->id && back.kind == q->kind && back.family == q->family &&
                    back.type == q->type &&
                    back.count == q->count && back.more == q->more);
        assert_int_equal(back.n_addresses, q->n_addresses);
        if (q->n_addresses > 0)
            assert_memory_equal(back.addresses, q->addresses, q->n_addresses * sizeof *many);
        if (q->path)
            assert_string_equal(back.path, q->path);
    }
}
/* With no other number of descriptors, not cut, and with nothing after it. */
static void requests_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct wire_request back = {.id = 77};
        size_t len = wire_client_encode(&good[i].q, bytes);
        for (size_t fds = 0; fds <= 6; fds++) {
            bool listed = false;
            for (size_t k = 0; k < ARRAY_SIZE(good); k++)
                listed |= good[k].q.kind == good[i].q.kind && good[k].n_fds == fds;
            int r = wire_decode_request(bytes, len, fds, &back);
            assert_int_equal(r, listed ? 0 : -EBADMSG);
        }
        bytes[len] = 0;
        back.id = 77;
        assert_int_equal(wire_decode_request(bytes, len + 1, good[i].n_fds, &back), -EBADMSG);
        for (size_t cut = 1; cut <= len && cut < 17; cut++)
            assert_int_equal(wire_decode_request(bytes, len - cut, good[i].n_fds, &back), -EBADMSG);
        assert_int_equal(back.id, 77); /* untouched */
    }
}
static void refused(const struct wire_request *q, size_t n_fds)
{
    struct wire_request back;
    size_t len = wire_client_encode(q, bytes);
    assert_true(len > 0);
    assert_int_equal(wire_decode_request(bytes, len, n_fds, &back), -EBADMSG);
}
static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    refused(&(struct wire_request){.id = 0, .kind = WIRE_HELLO}, 0);
    refused(&(struct wire_request){.id = 1, .kind = (enum wire_kind)0}, 0);
    refused(&(struct wire_request){.id = 1, .kind = (enum wire_kind)(WIRE_KINDS)}, 0);
    struct wire_request sockets = {
        .id = 1, .kind = WIRE_SOCKETS, .family = AF_INET, .type = SOCK_STREAM};
    refused(&sockets, 1);
    sockets.count = PACKET_FDS_MAX + 1;
    refused(&sockets, 1);
    sockets.count = 1;
    sockets.family = AF_UNIX;
    refused(&sockets, 1);
    sockets.family = AF_INET;
    sockets.type = SOCK_RAW;
    refused(&sockets, 1);
    refused(&(struct wire_request){.id = 1, .kind = WIRE_CHECK, .type = SOCK_STREAM}, 1);
    refused(&(struct wire_request){.id = 1, .kind = WIRE_CHECK, .count = 1}, 1);
    refused(&(struct wire_request){.id = 1, .kind = WIRE_CHECK, .more = true}, 1);
    refused(
        &(struct wire_request){.id = 1, .kind = WIRE_CHECK, .addresses = many, .n_addresses = 1},
        1);
    refused(&(struct wire_request){.id = 1, .kind = WIRE_NETNS_OPEN, .path = "run/netns/a"}, 0);
    refused(&(struct wire_request){.id = 1, .kind = WIRE_NETNS_OPEN, .path = ""}, 0);
    refused(&(struct wire_request){.id = 1, .kind = WIRE_NETNS_OPEN}, 0);

    struct ip bad = {.len = 5, .bytes = {1}};
    refused(
        &(struct wire_request){
            .id = 1, .kind = WIRE_NODE_RULES, .addresses = &bad, .n_addresses = 1},
        0);
    bad =
        (struct ip){.len = 16, .bytes = {[10] = 0xff, 0xff, 10, 0, 0, 1}}; /* an IPv4 in disguise */
    refused(
        &(struct wire_request){
            .id = 1, .kind = WIRE_NODE_RULES, .addresses = &bad, .n_addresses = 1},
        0);
}
static void a_path_has_one_end(void **state)
{
    (void)state;
    struct wire_request back, q = {.id = 1, .kind = WIRE_NETNS_OPEN, .path = "/run/netns/a"};
    size_t len = wire_client_encode(&q, bytes);
    bytes[len - 4] = '\0';
    assert_int_equal(wire_decode_request(bytes, len, 0, &back), -EBADMSG);
    bytes[len - 4] = 's';
    bytes[len - 1] = 'x';
    assert_int_equal(wire_decode_request(bytes, len, 0, &back), -EBADMSG);
}
static void what_is_too_long_is_not_encoded(void **state)
{
    (void)state;
    char path[WIRE_PATH_MAX + 2];
    memset(path, '/', sizeof path);
    path[WIRE_PATH_MAX] = '\0';
    struct wire_request q = {.id = 1, .kind = WIRE_NETNS_OPEN, .path = path};
    assert_int_equal(wire_client_encode(&q, bytes), 0);
    path[WIRE_PATH_MAX - 1] = '\0';
    assert_true(wire_client_encode(&q, bytes) > 0);
    q = (struct wire_request){
        .id = 1, .kind = WIRE_NODE_RULES, .addresses = many, .n_addresses = WIRE_ADDRESSES_MAX + 1};
    assert_int_equal(wire_client_encode(&q, bytes), 0);
}

/* ---- answers ---- */

static void answers_survive(void **state)
{
    (void)state;
    struct wire_answer back, a = {.id = 5, .generation = ~0ull, .result = -EADDRINUSE};
    memset(a.why, 'w', sizeof a.why - 1);
    size_t len = wire_encode_answer(&a, bytes);
    assert_int_equal(wire_client_decode(bytes, len, &back), 0);
    assert_true(back.id == 5 && back.generation == ~0ull && back.result == -EADDRINUSE);
    assert_string_equal(back.why, a.why);
    bytes[len] = 'w'; /* one more has no room for its end */
    assert_int_equal(wire_client_decode(bytes, len + 1, &back), -EBADMSG);
    bytes[len - 1] = '\0';
    assert_int_equal(wire_client_decode(bytes, len, &back), -EBADMSG);

    a = (struct wire_answer){.generation = 1};
    len = wire_encode_answer(&a, bytes);
    assert_int_equal(wire_client_decode(bytes, len, &back), 0);
    assert_string_equal(back.why, "");
    assert_int_equal(wire_client_decode(bytes, len - 1, &back), -EBADMSG);
    bytes[len] = 'w'; /* a reason, and nothing went wrong */
    assert_int_equal(wire_client_decode(bytes, len + 1, &back), -EBADMSG);
    static const struct wire_answer bad[] = {
        {.generation = 0}, {.generation = 1, .result = 1}, {.generation = 1, .result = -4096}};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        len = wire_encode_answer(&bad[i], bytes);
        assert_int_equal(wire_client_decode(bytes, len, &back), -EBADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_survive),
        cmocka_unit_test(requests_are_exact),
        cmocka_unit_test(what_is_no_request_is_refused),
        cmocka_unit_test(a_path_has_one_end),
        cmocka_unit_test(what_is_too_long_is_not_encoded),
        cmocka_unit_test(answers_survive),
    };
    fill_addresses();
    return cmocka_run_group_tests_name("warden/wire", tests, NULL, NULL);
}
