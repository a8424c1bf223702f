/*
 * What the pool of upstream links decides: which connection a request gets, when one is opened, who waits, and what ends. Its
 * connections are those of a simulated network to a server of http_calls.h.
 */
#include "nodeproxy/http/upstream_pool.h"
#include "tests/sim/http_calls.h"

static struct upstream_pool pool;
static struct ring *ring;
static unsigned n_opened, n_drained;
static int open_error;     /* what `open` says */
static bool never_opens;   /* it opens nothing, and says nothing */
static enum ending breaks; /* what is said of all links */
static bool all_leave;
static enum http_version spoken;

struct carrier {
    struct conn conn;
    struct upstream_link *link;
    struct ring_task task;
};
static struct carrier *last;

static void carrier_drained(struct conn *c)
{
    struct carrier *carrier = container_of(c, struct carrier, conn);
    struct upstream_link *l = carrier->link;
    free(carrier);
    upstream_gone(l);
}
static const struct conn_events carrier_events = {.drained = carrier_drained};

static void carrier_is_open(struct ring_task *t)
{
    struct carrier *c = container_of(t, struct carrier, task);
    upstream_opened(c->link, &c->conn.stream);
}

static int carrier_open(struct upstream_link *l)
{
    int fds[2];
    if (open_error < 0)
        return open_error;
    struct carrier *c = calloc(1, sizeof *c);
    assert_non_null(c);
    assert_int_equal(fake_socket_pair(net, fds), 0);
    assert_non_null(wire_new(server_ring, fds[1], spoken, true, &server_link_events, 0));
    conn_init(&c->conn, ring, fds[0], &carrier_events);
    ring_task_init(&c->task, carrier_is_open);
    c->link = l;
    l->carrier = c;
    n_opened++;
    last = c;
    if (!never_opens)
        ring_task_ask(ring, &c->task);
    return 0;
}
static void carrier_start(struct upstream_link *l)
{
    conn_start(&((struct carrier *)l->carrier)->conn);
}
static void carrier_close(struct upstream_link *l, bool clean)
{
    struct carrier *c = l->carrier;
    ring_task_cancel(&c->task);
    if (!clean)
        stream_reset(&c->conn.stream, -ECONNRESET);
    conn_close(&c->conn);
}
static enum ending carrier_broken(const struct upstream_link *l)
{
    (void)l;
    return breaks;
}
static bool carrier_leaving(const struct upstream_link *l)
{
    (void)l;
    return all_leave;
}
static const struct upstream_pool_ops ops = {.open = carrier_open,
                                             .start = carrier_start,
                                             .close = carrier_close,
                                             .broken = carrier_broken,
                                             .leaving = carrier_leaving};
static void pool_drained(struct upstream_pool *p)
{
    (void)p;
    n_drained++;
}

/* ---- who asks ------------------------------------------------------------- */

struct taker {
    struct upstream_wait wait;
    struct http_link *got;
    enum ending why;
    bool silent; /* its request is never answered */
};

static void use(struct taker *t, struct http_link *link)
{
    struct wire w = {.link = link};
    struct wish wish = {.status = 200, .answer_bytes = 10, .silent = t->silent};
    t->got = link;
    client = &w;
    assert_non_null(ask(&wish));
    client = NULL;
}
static void ready(struct upstream_wait *w, struct http_link *link, enum ending why)
{
    struct taker *t = container_of(w, struct taker, wait);
    t->why = why;
    if (link)
        use(t, link);
}

static struct upstream_endpoint endpoint(uint8_t n)
{
    return (struct upstream_endpoint){.to = {.ip = {4, {10, 0, 0, n}}, .port = 80},
                                      .version = spoken};
}

static int take_at(struct taker *t, const struct upstream_endpoint *to, bool fresh, bool silent)
{
    struct http_link *link;
    *t = (struct taker){.silent = silent};
    upstream_wait_init(&t->wait, ready);
    t->wait.fresh = fresh;
    int r = upstream_take(&pool, to, &t->wait, &link);
    if (r == 0)
        use(t, link);
    return r;
}
static int take(struct taker *t)
{
    struct upstream_endpoint to = endpoint(1);
    return take_at(t, &to, false, false);
}

static void settle(void)
{
    fake_net_run_for(net, 20);
}

static void begin(enum http_version version, const struct upstream_pool_options *o)
{
    struct upstream_pool_options options = o ? *o : (struct upstream_pool_options){0};
    net = fake_net_new(1);
    chance = fake_net_rng(net);
    as_it_was = true;
    fake_net_set_weather(net, &(struct fake_weather){.socket_bytes = 65536});
    assert_int_equal(ring_open(&ring, NULL, NULL), 0);
    assert_int_equal(ring_open(&server_ring, NULL, NULL), 0);
    client_ring = ring;
    list_init(&calls);
    n_calls = n_wires = n_opened = n_drained = 0;
    open_error = 0;
    never_opens = all_leave = false;
    breaks = ENDING_NONE;
    spoken = version;
    options.ring = ring;
    upstream_pool_init(&pool, &options, &ops, pool_drained);
}

static bool nothing_left(void *arg)
{
    (void)arg;
    return n_wires == 0 && n_calls == 0 && n_drained == 1;
}

static void finish(void)
{
    list_for_each (n, &calls) { /* those that nobody answers */
        struct call *c = container_of(n, struct call, link);
        if (c->is_client)
            call_over(c, -ECANCELED);
    }
    upstream_pool_close(&pool);
    assert_true(fake_net_run_until(net, nothing_left, NULL, 60 * 1000));
    assert_int_equal(fake_net_leaks(net), 0);
    ring_free(ring);
    ring_free(server_ring);
    net = fake_net_free(net);
}

/* ---- cases ---------------------------------------------------------------- */

static void one_is_used_again(void **state)
{
    (void)state;
    begin(HTTP_VERSION_1, NULL);
    struct taker a, b;
    assert_int_equal(take(&a), -EAGAIN);
    settle();
    assert_false(a.wait.reused);
    assert_int_equal(take(&b), 0);
    assert_ptr_equal(a.got, b.got);
    assert_true(b.wait.reused);
    settle();
    struct upstream_endpoint other = endpoint(2), port = endpoint(1), named = endpoint(1),
                             of_another = endpoint(1);
    port.to.port = 81;
    named.way = of_another.way = UPSTREAM_TUNNEL;
    named.identity = TEXT("a");
    of_another.identity = TEXT("b"); /* whoever must be there, nobody else's connection is taken */
    const struct upstream_endpoint *others[] = {&other, &port, &named, &of_another};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        assert_int_equal(take_at(&b, others[i], false, false), -EAGAIN);
        settle();
        assert_ptr_not_equal(a.got, b.got);
    }
    assert_int_equal(n_opened, 5);
    finish();
}

/* The two that were used last come first; the third one idles. */
static void last_in_first_out(void **state)
{
    (void)state;
    begin(HTTP_VERSION_1, &(struct upstream_pool_options){.idle_ms = 5000});
    struct taker t[3], again;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(take(&t[i]), -EAGAIN);
    settle();
    assert_int_equal(n_opened, 3);
    assert_int_equal(take(&again), 0);
    struct http_link *warm = again.got;
    for (unsigned i = 0; i < 5; i++) {
        settle();
        assert_int_equal(take(&again), 0);
        assert_ptr_equal(again.got, warm);
    }
    for (unsigned i = 0; i < 8; i++) { /* the others idle too long */
        fake_net_run_for(net, 1000);
        assert_int_equal(take(&again), 0);
        assert_ptr_equal(again.got, warm);
    }
    assert_int_equal(pool.n_links, 1);
    finish();
}

static void streams_share_one(void **state)
{
    (void)state;
    begin(HTTP_VERSION_2, NULL);
    struct upstream_endpoint to = endpoint(1);
    struct taker t[100];
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(take_at(&t[i], &to, false, true), -EAGAIN);
    assert_int_equal(n_opened, 1);
    settle();
    for (unsigned i = 0; i < 100; i++)
        assert_ptr_equal(t[i].got, t[0].got);
    struct taker more; /* it has no stream left */
    assert_int_equal(take(&more), -EAGAIN);
    settle();
    assert_int_equal(n_opened, 2);
    assert_ptr_not_equal(more.got, t[0].got);
    finish();
}

static void bounds(void **state)
{
    (void)state;
    begin(HTTP_VERSION_1,
          &(struct upstream_pool_options){.connections_max = 2, .waiting_max = 3, .idle_max = 1});
    struct upstream_endpoint to = endpoint(1);
    struct taker t[6];
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(take_at(&t[i], &to, false, i == 0), -EAGAIN);
    assert_int_equal(take(&t[3]), -ENOBUFS); /* so many wait */
    assert_int_equal(n_opened, 2);
    settle();
    assert_non_null(t[2].got); /* after the one that was answered */
    assert_ptr_equal(t[1].got, t[2].got);
    assert_int_equal(pool.n_waiting, 0);
    assert_int_equal(pool.n_links, 2);
    /* Of those that idle one may stay; the one that waits for its answer does. */
    struct upstream_endpoint other = endpoint(2);
    assert_int_equal(take_at(&t[4], &other, false, false), -EAGAIN);
    settle();
    fake_net_run_for(net, 5000);
    assert_int_equal(pool.n_links, 2);
    assert_int_equal(pool.n_idle, 1);
    finish();
}

/* One that waits is no one's when it has gone. */
static void forgotten(void **state)
{
    (void)state;
    begin(HTTP_VERSION_1, NULL);
    struct taker a, b;
    assert_int_equal(take(&a), -EAGAIN);
    assert_int_equal(take(&b), -EAGAIN);
    upstream_forget(&a.wait);
    upstream_forget(&a.wait);
    settle();
    assert_null(a.got);
    assert_non_null(b.got);
    assert_int_equal(pool.n_waiting, 0);
    finish();
}

static void failures(void **state)
{
    (void)state;
    begin(HTTP_VERSION_1, NULL);
    struct taker a, b;
    open_error = -ENOMEM;
    assert_int_equal(take(&a), -ENOMEM);
    assert_null(a.wait.group);
    open_error = 0;
    never_opens = true;
    assert_int_equal(take(&a), -EAGAIN);
    struct carrier *first = last;
    assert_int_equal(take(&b), -EAGAIN);
    upstream_failed(first->link, ENDING_UNREACHABLE, NULL); /* the other one may come yet */
    assert_int_equal(a.why, ENDING_NONE);
    upstream_failed(last->link, ENDING_CONNECT_TIMEOUT, NULL);
    assert_int_equal(a.why, ENDING_CONNECT_TIMEOUT);
    assert_int_equal(b.why, ENDING_CONNECT_TIMEOUT);
    assert_int_equal(pool.n_waiting, 0);
    never_opens = false;
    settle();
    assert_int_equal(pool.groups.count, 0); /* nothing is kept of it */
    assert_int_equal(take(&a), -EAGAIN);
    settle();
    assert_non_null(a.got);
    finish();
}

/* What can't be said twice takes no connection that has idled: its server may be about to close it. */
static void fresh(void **state)
{
    (void)state;
    begin(HTTP_VERSION_1, NULL);
    struct upstream_endpoint to = endpoint(1);
    struct taker a, b;
    assert_int_equal(take_at(&a, &to, true, false), -EAGAIN);
    settle();
    assert_int_equal(take_at(&b, &to, true, false), 0); /* it was used just now */
    fake_net_run_for(net, 1500);
    assert_int_equal(take_at(&b, &to, true, false), -EAGAIN);
    settle();
    assert_int_equal(n_opened, 2);
    assert_ptr_not_equal(a.got, b.got);
    assert_false(b.wait.reused);
    fake_net_run_for(net, 1500);
    assert_int_equal(take(&b), 0);
    finish();
}

/* At the bound, too: the one that has idled makes room. */
static void fresh_at_the_bound(void **state)
{
    (void)state;
    begin(HTTP_VERSION_1, &(struct upstream_pool_options){.connections_max = 1});
    struct upstream_endpoint to = endpoint(1);
    struct taker a, b;
    assert_int_equal(take(&a), -EAGAIN);
    fake_net_run_for(net, 1500);
    assert_int_equal(take_at(&b, &to, true, false), -EAGAIN);
    fake_net_run_for(net, 100);
    assert_non_null(b.got);
    assert_false(b.wait.reused);
    assert_int_equal(n_opened, 2);
    assert_int_equal(pool.n_links, 1);
    finish();
}

/* Who waits for one that is being opened does not get an old one because another old one has ended. */
static void fresh_is_waited_for(void **state)
{
    (void)state;
    begin(HTTP_VERSION_1, NULL);
    struct upstream_endpoint to = endpoint(1);
    struct taker a, b, c;
    assert_int_equal(take(&a), -EAGAIN);
    assert_int_equal(take(&b), -EAGAIN);
    fake_net_run_for(net, 1500);
    assert_int_equal(pool.n_idle, 2);
    never_opens = true;
    assert_int_equal(take_at(&c, &to, true, false), -EAGAIN);
    http_link_close(a.got);
    settle();
    assert_null(c.got);
    upstream_opened(last->link, &last->conn.stream);
    settle();
    assert_non_null(c.got);
    assert_ptr_not_equal(c.got, b.got);
    finish();
}

/* Who waits at the bound gets the place of one that has closed. */
static void place_of_another(void **state)
{
    (void)state;
    begin(HTTP_VERSION_1, &(struct upstream_pool_options){.connections_max = 1});
    struct upstream_endpoint to = endpoint(1);
    struct taker a, b;
    assert_int_equal(take_at(&a, &to, false, true), -EAGAIN);
    settle();
    assert_non_null(a.got);
    assert_int_equal(take(&b), -EAGAIN);
    http_link_close(a.got);
    fake_net_run_for(net, 100);
    assert_non_null(b.got);
    assert_int_equal(n_opened, 2);
    assert_int_equal(pool.n_waiting, 0);
    list_for_each (n, &calls) /* the server's, which nobody asks for any more */
        call_over(container_of(n, struct call, link), -ECANCELED);
    finish();
}

static void ended_from_outside(void **state)
{
    (void)state;
    for (enum http_version v = HTTP_VERSION_1; v <= HTTP_VERSION_2; v++) {
        begin(v, NULL);
        struct taker a;
        assert_int_equal(take(&a), -EAGAIN);
        settle();
        upstream_pool_look(&pool);
        settle();
        assert_int_equal(pool.n_links, 1); /* nothing is wrong with it */
        breaks = ENDING_IDENTITY_CHANGED;
        upstream_pool_look(&pool);
        settle();
        assert_int_equal(pool.n_links, 0);
        breaks = ENDING_NONE;
        assert_int_equal(take(&a), -EAGAIN);
        settle();
        all_leave = true; /* not closed, but not used any more */
        assert_int_equal(take(&a), -EAGAIN);
        all_leave = false;
        settle();
        assert_int_equal(n_opened, 3);
        all_leave = true; /* what idles ends */
        upstream_pool_look(&pool);
        all_leave = false;
        fake_net_run_for(net, 5000);
        assert_int_equal(pool.n_links, 0);
        finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_used_again),
        cmocka_unit_test(last_in_first_out),
        cmocka_unit_test(streams_share_one),
        cmocka_unit_test(bounds),
        cmocka_unit_test(forgotten),
        cmocka_unit_test(failures),
        cmocka_unit_test(fresh),
        cmocka_unit_test(fresh_at_the_bound),
        cmocka_unit_test(fresh_is_waited_for),
        cmocka_unit_test(place_of_another),
        cmocka_unit_test(ended_from_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
