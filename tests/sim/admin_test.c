/*
 * The admin endpoint's patience, on the simulated clock: with clients that say nothing, half a
 * request, or read nothing.
 */
#include "shared/service/admin.h"
#include "tests/support/fake_ring.h"
#include "tests/unit/shared/transport/fixture.h"

enum { LARGE = 4 << 20, IDLE_MS = 60 * 1000 };

static struct fake_net *net;
static struct ring *ring;
static struct admin *admin;
static struct addr at;
static char large[LARGE];
static bool drained;
static struct admin_exchange *kept;

static void dump(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    (void)q;
    (void)arg;
    admin_answer(x, 200, NULL, (struct text){large, LARGE});
}

static void keep(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    (void)q;
    (void)arg;
    kept = x;
}

static const struct admin_route routes[] = {{"GET", "/dump", dump, NULL},
                                            {"GET", "/later", keep, NULL}};

static void on_drained(void *arg)
{
    (void)arg;
    drained = true;
}
static bool is_drained(void *arg)
{
    (void)arg;
    return drained;
}

static int begin(void **state)
{
    struct addr any;

    (void)state;
    drained = false;
    kept = NULL;
    net = fake_net_new(1);
    assert_non_null(net);
    fake_net_set_weather(
        net, &(struct fake_weather){.socket_bytes = 65536}); /* It is about time alone. */
    assert_int_equal(ring_open(&ring, &(struct ring_options){0}, NULL), 0);
    assert_int_equal(admin_new(&admin, ring, routes, ARRAY_SIZE(routes)), 0);
    assert_int_equal(addr_parse(TEXT("127.0.0.1:0"), &any), 0);
    assert_int_equal(admin_listen_tcp(admin, &any, 3), 0);
    assert_int_equal(admin_local(admin, 0, &at), 0);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    admin_close(admin, on_drained, NULL);
    assert_true(fake_net_run_until(net, is_drained, NULL, 1000));
    assert_int_equal(fake_net_leaks(net), 0);
    ring_free(ring);
    net = fake_net_free(net);
    return 0;
}

static int join(const char *words)
{
    int fd;

    assert_int_equal(socket_open(AF_INET, &fd), 0);
    int r = fake_socket_connect(fd, &at);
    assert_true(r == 0 || r == -EAGAIN);
    fake_net_run_for(net, 1000);
    if (r == -EAGAIN)
        assert_int_equal(fake_socket_connect(fd, &at), 0);
    if (words[0])
        assert_int_equal(fake_socket_write(fd, words, strlen(words)), strlen(words));
    return fd;
}

/* What is there to be read; -1: the connection has ended or is reset. */
static long read_some(int fd, size_t most)
{
    static char room[LARGE];
    ssize_t n = fake_socket_read(fd, room, most < sizeof room ? most : sizeof room);
    return n > 0 ? (long)n : n == -EAGAIN ? 0 : -1;
}

static void patience_ends(const char *words)
{
    int fd = join(words);
    fake_net_run_for(net, IDLE_MS - 5000);
    assert_int_equal(read_some(fd, 100), 0);
    fake_net_run_for(net, 10000);
    assert_int_equal(read_some(fd, 100), -1);
    socket_close(fd);
}

static void silence(void **state)
{
    (void)state;
    patience_ends("");
}

static void half_a_request(void **state)
{
    (void)state;
    patience_ends("GET /dump HTTP/1.1\r\nHo");
}

/* A byte now and then does not prolong it. */
static void drop_by_drop(void **state)
{
    static const char words[] = "GET /dump HTTP/1.1\r\nHost: xxxxxxxxxxxxxxxxxxxxxxxx";
    int fd = join("");
    size_t i = 0;

    (void)state;
    while (fake_socket_write(fd, &words[i], 1) == 1 && read_some(fd, 100) == 0 &&
           ++i < sizeof words - 1)
        fake_net_run_for(net, 5000);
    assert_in_range(i, 10, 14);
    socket_close(fd);
}

/* A handler may take its time. */
static void handlers_are_waited_for(void **state)
{
    (void)state;
    int fd = join("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    fake_net_run_for(net, 20 * IDLE_MS);
    assert_int_equal(read_some(fd, 100), 0);
    assert_non_null(kept);
    admin_answer(kept, 200, NULL, TEXT("at last\n"));
    fake_net_run_for(net, 1000);
    assert_true(read_some(fd, 1000) > 0);
    socket_close(fd);
}

/* Who reads slowly gets all of a large answer; who stops reading is left. */
static void slow_reader(void **state)
{
    (void)state;
    int fd = join("GET /dump HTTP/1.1\r\nHost: x\r\n\r\n");
    size_t got = 0;
    while (got < LARGE) {
        fake_net_run_for(net, 9000);
        long n = read_some(fd, LARGE);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_true(fake_net_now_ms(net) > 5 * (uint64_t)IDLE_MS);
    socket_close(fd);
}

static void reader_who_stopped(void **state)
{
    (void)state;
    int fd = join("GET /dump HTTP/1.1\r\nHost: x\r\n\r\n");
    fake_net_run_for(net, IDLE_MS + 20000);
    long n, got = 0;
    while ((n = read_some(fd, LARGE)) > 0)
        got += n;
    assert_int_equal(n, -1);
    assert_in_range(got, 1, LARGE / 2);
    socket_close(fd);
}

#define ON_NET(test) cmocka_unit_test_setup_teardown(test, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_NET(silence),      ON_NET(half_a_request),
        ON_NET(drop_by_drop), ON_NET(handlers_are_waited_for),
        ON_NET(slow_reader),  ON_NET(reader_who_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
