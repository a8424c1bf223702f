#include "nodeproxy/capture/socket_pool.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct socket_pool pool;
static unsigned asked[2], wanted[2]; /* v4, v6 */

static void refill(struct socket_pool *p, int family, unsigned n)
{
    assert_ptr_equal(p, &pool);
    asked[family == AF_INET6]++;
    wanted[family == AF_INET6] = n;
}

struct guest {
    struct socket_waiter waiter;
    int fd; /* or -errno; 0: nothing yet */
    struct guest *forgets; /* while it is told */
};

static void got(struct socket_waiter *w, int taken_fd)
{
    struct guest *g = container_of(w, struct guest, waiter);
    assert_int_equal(g->fd, 0);
    g->fd = taken_fd;
    if (g->forgets)
        socket_pool_forget(&pool, &g->forgets->waiter);
}

static void guest_init(struct guest *g)
{
    *g = (struct guest){.fd = 0};
    socket_waiter_init(&g->waiter, got);
}

static void begin(void)
{
    memset(asked, 0, sizeof asked);
    memset(wanted, 0, sizeof wanted);
    socket_pool_init(&pool, refill);
}

static void fill(int family, unsigned n)
{
    int fds[SOCKET_POOL_MAX];
    for (unsigned i = 0; i < n; i++) {
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(fds[i] > 0);
    }
    socket_pool_filled(&pool, family, fds, n, 0);
}

static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

static unsigned open_count(void)
{
    unsigned n = 0;
    for (int fd = 3; fd < 1024; fd++)
        n += is_open(fd);
    return n;
}

static int take(int family, struct guest *g)
{
    guest_init(g);
    return socket_pool_take(&pool, family, &g->waiter);
}

static void an_idle_pool_holds_nothing(void **state)
{
    (void)state;
    begin();
    assert_int_equal(asked[0] + asked[1] + pool.v4.n + pool.v6.n, 0);
    assert_false(socket_pool_tick(&pool));
    socket_pool_done(&pool);
}

static void who_comes_first_waits_and_is_served_first(void **state)
{
    struct guest a, b, c;
    (void)state;
    begin();
    assert_int_equal(take(AF_INET, &a), -EAGAIN);
    assert_int_equal(asked[0], 1);
    assert_true(wanted[0] > SOCKET_POOL_MIN); /* for who waits, and some to keep */
    assert_int_equal(take(AF_INET, &b), -EAGAIN);
    assert_int_equal(take(AF_INET6, &c), -EAGAIN);
    assert_int_equal(asked[0], 1); /* one question at a time */
    assert_int_equal(asked[1], 1);
    fill(AF_INET, 1);
    assert_true(a.fd > 0 && b.fd == 0 && c.fd == 0);
    assert_int_equal(asked[0], 2); /* one still waits */
    fill(AF_INET, 3);
    assert_true(b.fd > 0 && c.fd == 0);
    assert_int_equal(pool.v4.n, 2);
    struct guest d;
    int fd = take(AF_INET, &d);
    assert_true(fd > 0 && is_open(fd));
    fill(AF_INET6, 1);
    assert_true(c.fd > 0);
    close(a.fd), close(b.fd), close(c.fd), close(fd);
    socket_pool_done(&pool);
}

static void demand_makes_it_larger_up_to_a_maximum(void **state)
{
    struct guest g;
    unsigned most = 0;
    (void)state;
    begin();
    for (int i = 0; i < 1000; i++) {
        unsigned before = asked[0];
        int fd = take(AF_INET, &g);
        if (asked[0] > before) {
            most = wanted[0] > most ? wanted[0] : most;
            assert_in_range(wanted[0], 1, SOCKET_POOL_MAX);
            fill(AF_INET, wanted[0]);
        }
        fd = fd == -EAGAIN ? g.fd : fd;
        assert_true(fd > 0);
        close(fd);
        assert_in_range(pool.v4.n, 0, SOCKET_POOL_MAX);
    }
    assert_true(most > SOCKET_POOL_MIN);
    assert_true(asked[0] < 500); /* in batches */
    unsigned before = open_count(), held = pool.v4.n;
    socket_pool_done(&pool);
    assert_int_equal(open_count(), before - held);
}

/* A batch is short, since those who wait all go on at once: many who wait take several, one after the other. */
static void a_batch_is_short(void **state)
{
    struct guest g[2 * SOCKET_POOL_PIECE];
    (void)state;
    begin();
    for (size_t i = 0; i < ARRAY_SIZE(g); i++)
        assert_int_equal(take(AF_INET, &g[i]), -EAGAIN);
    unsigned asks = asked[0];
    assert_int_equal(asks, 1);
    fill(AF_INET, wanted[0]);
    for (; asked[0] > asks; asks++) {
        assert_in_range(wanted[0], 1, SOCKET_POOL_PIECE);
        fill(AF_INET, wanted[0]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(g); i++) {
        assert_true(g[i].fd > 0);
        close(g[i].fd);
    }
    assert_true(asks > 1);
    socket_pool_done(&pool);
}

static void more_than_there_is_room_for_is_closed(void **state)
{
    (void)state;
    begin();
    unsigned before = open_count();
    fill(AF_INET, SOCKET_POOL_MAX);
    fill(AF_INET, SOCKET_POOL_MAX);
    assert_int_equal(pool.v4.n, SOCKET_POOL_MAX);
    assert_int_equal(open_count(), before + SOCKET_POOL_MAX);
    socket_pool_done(&pool);
    fill(AF_INET, 2); /* late */
    assert_int_equal(open_count(), before);
}

static void an_error_goes_to_all_who_wait(void **state)
{
    struct guest a, b, c;
    (void)state;
    begin();
    take(AF_INET, &a);
    take(AF_INET, &b);
    take(AF_INET6, &c);
    socket_pool_filled(&pool, AF_INET, NULL, 0, -EMFILE);
    assert_int_equal(a.fd, -EMFILE);
    assert_int_equal(b.fd, -EMFILE);
    assert_int_equal(c.fd, 0);
    unsigned before = asked[0];
    take(AF_INET, &a); /* and the next one asks again */
    assert_int_equal(asked[0], before + 1);
    socket_pool_done(&pool);
    assert_int_equal(a.fd, -ECANCELED);
    assert_int_equal(c.fd, -ECANCELED);
    assert_int_equal(take(AF_INET, &a), -ECANCELED);
}

/* Who waits has a deadline of its own, and the sockets may still come before it. */
static void slow_sockets_are_asked_for_again(void **state)
{
    struct guest a;
    (void)state;
    begin();
    take(AF_INET, &a);
    assert_int_equal(asked[0], 1);
    socket_pool_filled(&pool, AF_INET, NULL, 0, -ETIMEDOUT);
    assert_int_equal(a.fd, 0);
    assert_int_equal(asked[0], 2);
    fill(AF_INET, 1);
    assert_true(a.fd > 0);
    socket_pool_filled(&pool, AF_INET, NULL, 0, -ETIMEDOUT);
    assert_int_equal(asked[0], 2); /* for nobody */
    close(a.fd);
    socket_pool_done(&pool);
}

/* One that is told may make others stop waiting. */
static void told_ones_may_forget_others(void **state)
{
    struct guest a, b, c;
    (void)state;
    begin();
    take(AF_INET, &a);
    take(AF_INET, &b);
    take(AF_INET, &c);
    a.forgets = &b;
    socket_pool_filled(&pool, AF_INET, NULL, 0, -EMFILE);
    assert_int_equal(a.fd, -EMFILE);
    assert_int_equal(b.fd, 0);
    assert_int_equal(c.fd, -EMFILE);
    take(AF_INET, &a);
    take(AF_INET, &b);
    a.forgets = &b;
    fill(AF_INET, 2);
    assert_true(a.fd > 0 && b.fd == 0);
    assert_int_equal(pool.v4.n, 1);
    close(a.fd);
    socket_pool_done(&pool);
}

static void who_forgets_is_not_told(void **state)
{
    struct guest a, b;
    (void)state;
    begin();
    take(AF_INET, &a);
    take(AF_INET6, &b);
    socket_pool_forget(&pool, &b.waiter);
    socket_pool_forget(&pool, &b.waiter);
    guest_init(&b);
    socket_pool_forget(&pool, &b.waiter); /* never waited */
    fill(AF_INET, 1);
    fill(AF_INET6, 1);
    assert_true(a.fd > 0 && b.fd == 0);
    assert_int_equal(pool.v6.n, 1);
    assert_int_equal(pool.v4.n_waiting + pool.v6.n_waiting, 0);
    close(a.fd);
    socket_pool_done(&pool);
}

static void there_is_a_limit_to_waiting(void **state)
{
    struct guest *all = calloc(SOCKET_POOL_WAITERS_MAX + 1, sizeof *all);
    (void)state;
    assert_non_null(all);
    begin();
    for (size_t i = 0; i < SOCKET_POOL_WAITERS_MAX; i++)
        assert_int_equal(take(AF_INET, &all[i]), -EAGAIN);
    assert_int_equal(take(AF_INET, &all[SOCKET_POOL_WAITERS_MAX]), -ENOBUFS);
    assert_int_equal(take(AF_INET6, &all[SOCKET_POOL_WAITERS_MAX]), -EAGAIN);
    assert_in_range(wanted[0], 1, SOCKET_POOL_MAX);
    socket_pool_done(&pool);
    for (size_t i = 0; i <= SOCKET_POOL_WAITERS_MAX; i++)
        assert_int_equal(all[i].fd, -ECANCELED);
    free(all);
}

static void what_nobody_takes_goes_back(void **state)
{
    struct guest g;
    (void)state;
    begin();
    unsigned before = open_count();
    fill(AF_INET, 60);
    int fd = take(AF_INET, &g);
    assert_true(socket_pool_tick(&pool)); /* one was taken since: it keeps the rest */
    assert_int_equal(pool.v4.n, 59);
    for (int i = 0; i < 10 && socket_pool_tick(&pool); i++)
        ;
    assert_int_equal(pool.v4.n, 0);
    assert_false(socket_pool_tick(&pool));
    close(fd);
    assert_int_equal(open_count(), before);
    socket_pool_done(&pool);
}

static void a_lost_answer_is_asked_for_again(void **state)
{
    struct guest a, b;
    (void)state;
    begin();
    take(AF_INET, &a);
    assert_int_equal(asked[0], 1);
    assert_true(socket_pool_tick(&pool)); /* it may just be on its way */
    assert_int_equal(asked[0], 1);
    assert_true(socket_pool_tick(&pool));
    assert_int_equal(asked[0], 2);
    fill(AF_INET, 2); /* both answers come */
    fill(AF_INET, 2);
    assert_true(a.fd > 0);
    assert_int_equal(pool.v4.n, 3);
    close(a.fd);
    /* Nobody waits any more when it is found out: the next one asks. */
    while (pool.v4.n > 0)
        (void)close(take(AF_INET, &b));
    unsigned before = asked[0];
    take(AF_INET, &b);
    assert_in_range(asked[0], before, before + 1);
    socket_pool_forget(&pool, &b.waiter);
    socket_pool_tick(&pool);
    assert_false(socket_pool_tick(&pool));
    before = asked[0];
    take(AF_INET, &b);
    assert_int_equal(asked[0], before + 1);
    socket_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_pool_holds_nothing),
        cmocka_unit_test(who_comes_first_waits_and_is_served_first),
        cmocka_unit_test(demand_makes_it_larger_up_to_a_maximum),
        cmocka_unit_test(a_batch_is_short),
        cmocka_unit_test(more_than_there_is_room_for_is_closed),
        cmocka_unit_test(an_error_goes_to_all_who_wait),
        cmocka_unit_test(slow_sockets_are_asked_for_again),
        cmocka_unit_test(told_ones_may_forget_others),
        cmocka_unit_test(who_forgets_is_not_told),
        cmocka_unit_test(there_is_a_limit_to_waiting),
        cmocka_unit_test(what_nobody_takes_goes_back),
        cmocka_unit_test(a_lost_answer_is_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
