/*
 * The pool of tunnels against a scripted HBONE server on loopback: what it answers, refuses, leaves unanswered or breaks
 * is the test's choice. One ring carries both ends.
 */
#include "nodeproxy/peer/peer_pool.h"
#include "nodeproxy/peer/hbone.h"
#include "shared/transport/listener.h"
#include "tests/unit/shared/transport/fixture.h"

#define SERVER_ID "spiffe://cluster.local/ns/shop/sa/server"
#define CLIENT_ID "spiffe://cluster.local/ns/shop/sa/client"

/* ---- the server ----------------------------------------------------------------------------------------- */

enum answer { ANSWER_STATUS, ANSWER_NOTHING, ANSWER_REFUSE, ANSWER_CLOSE, ANSWER_GOAWAY };
enum { SERVERS_MAX = 64, CALLS_MAX = 512 };

struct call {
    struct http2_stream stream;
    struct server *server;
    uint32_t code;
    uint64_t got;
    bool closed, ended;
};
struct server {
    struct h2_conn h2;
    bool closed, drained;
    char peer[128];
};
static struct {
    struct listener listener;
    bool listening;
    struct addr at;
    struct tls_config *tls;
    struct server servers[SERVERS_MAX];
    struct call calls[CALLS_MAX];
    unsigned n_servers, n_live, n_calls;
    enum answer answers[CALLS_MAX]; /* of the n-th CONNECT; the last one set goes on */
    unsigned n_answers, status;
    uint32_t streams_max;
    char authority[64];
} world;

static void call_head(struct http2_stream *s, const struct http2_head *head)
{
    (void)s;
    (void)head;
}

static void respond(struct call *c)
{
    char digits[4];
    snprintf(digits, sizeof digits, "%u", world.status);
    const struct http2_header headers[] = {{TEXT(":status"), {digits, 3}}};
    assert_int_equal(http2_stream_respond(&c->stream, headers, 1, world.status != 200), 0);
}

static enum answer answer_of(unsigned number)
{
    return world.n_answers == 0 ? ANSWER_STATUS : world.answers[number < world.n_answers ? number : world.n_answers - 1];
}

static void call_opened(struct http2_stream *s)
{
    struct call *c = container_of(s, struct call, stream);
    unsigned number = (unsigned)(c - world.calls);
    switch (answer_of(number)) {
    case ANSWER_STATUS: respond(c); break;
    case ANSWER_NOTHING: break;
    case ANSWER_REFUSE: break;
    case ANSWER_CLOSE: h2_conn_close(&c->server->h2); break;
    case ANSWER_GOAWAY:
        h2_conn_drain(&c->server->h2);
        respond(c);
        break;
    }
    bed_poke();
}

static void call_closed(struct http2_stream *s, uint32_t code)
{
    struct call *c = container_of(s, struct call, stream);
    c->closed = true;
    c->code = code;
    bed_poke();
}
static const struct http2_stream_events call_events = {.head = call_head, .closed = call_closed, .opened = call_opened};

/* What it gets it sends back, and the end too. */
static void call_received(struct stream *s, struct buf *bytes)
{
    struct call *c = s->user;
    c->got += bytes->len;
    stream_send(s, bytes);
}
static void call_ended(struct stream *s)
{
    ((struct call *)s->user)->ended = true;
    stream_finish(s);
}
static void call_nothing(struct stream *s) { (void)s; }
static void call_failed(struct stream *s, int error)
{
    (void)s;
    (void)error;
}
static const struct stream_events call_bytes = {call_received, call_ended, call_nothing, call_nothing, call_failed};

static struct http2_stream *server_request(struct h2_conn *h, const struct http2_head *head, unsigned *ret_status)
{
    assert_true(world.n_calls < CALLS_MAX);
    struct call *c = &world.calls[world.n_calls++];
    struct text wanted_host = http2_head_get(head, TEXT(":authority"));
    snprintf(world.authority, sizeof world.authority, "%.*s", (int)wanted_host.len, wanted_host.data);
    if (answer_of(world.n_calls - 1) == ANSWER_REFUSE) {
        c->closed = true;
        *ret_status = 0;
        return NULL;
    }
    c->server = h->user;
    http2_stream_init(&c->stream, &call_events);
    c->stream.stream.events = &call_bytes;
    c->stream.stream.user = c;
    return &c->stream;
}

static void server_ready(struct h2_conn *h)
{
    struct server *s = h->user;
    snprintf(s->peer, sizeof s->peer, "%s", conn_peer(&h->conn)->uri);
}
static void server_closed(struct h2_conn *h, int error)
{
    (void)error;
    ((struct server *)h->user)->closed = true;
    h2_conn_close(h);
}
static void server_drained(struct h2_conn *h)
{
    ((struct server *)h->user)->drained = true;
    world.n_live--;
    listener_release(&world.listener);
    bed_poke();
}
static const struct h2_conn_events server_events = {.ready = server_ready, .request = server_request, .closed = server_closed, .drained = server_drained};

static void accepted(struct listener *l, int taken_fd)
{
    (void)l;
    assert_true(world.n_servers < SERVERS_MAX);
    struct server *s = &world.servers[world.n_servers++];
    const struct h2_conn_options o = {.http2 = {.connect_only = true, .streams_max = world.streams_max}, .tls = world.tls};
    world.n_live++;
    assert_int_equal(h2_conn_open_server(&s->h2, bed.ring, taken_fd, &o, &server_events, s), 0);
}

static void listener_gone(struct listener *l)
{
    (void)l;
    world.listening = false;
    bed_poke();
}

/* ---- the client: a pool, its sockets, its certificate -------------------------------------------------------- */

static struct authority root;
static struct credential *credential, *renewed;
static struct spiffe_id server_id;
static struct socket_pool sockets;
static struct peer_pool pool;
static bool pool_gone;
static struct ring_task refill_task;
static unsigned wanted;
static bool no_sockets;

static void refill_run(struct ring_task *task)
{
    int fds[SOCKET_POOL_MAX];
    unsigned n = wanted;
    (void)task;
    wanted = 0;
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(socket_open(AF_INET, &fds[i]), 0);
    socket_pool_filled(&sockets, AF_INET, fds, n, 0);
}

static void refill(struct socket_pool *p, int family, unsigned n)
{
    (void)p;
    assert_int_equal(family, AF_INET);
    wanted = n;
    if (!no_sockets)
        ring_task_ask(bed.ring, &refill_task);
}

static void pool_drained(struct peer_pool *p)
{
    assert_ptr_equal(p, &pool);
    pool_gone = true;
    bed_poke();
}

static struct credential *credential_make(const char *uri)
{
    char pem[X509_PEM_MAX], root_pem[X509_PEM_MAX];
    const struct x509_template t = {
        .uri = text_of(uri), .path_len = -1, .not_before_s = clock_unix_s() - 60, .not_after_s = clock_unix_s() + 1800, .server = true, .client = true};
    struct credential *c;
    struct spiffe_id id;
    struct x509 leaf;
    struct key *key;
    uint8_t der[512];
    size_t len;
    const char *why = "";
    assert_int_equal(key_generate(&key), 0);
    public_of(key, der, sizeof der, &len);
    assert_int_equal(x509_make(&t, der, len, &root.cert, root.key, &leaf), 0);
    assert_int_equal(x509_to_pem(&leaf, pem, sizeof pem, &len), 0);
    assert_int_equal(x509_to_pem(&root.cert, root_pem, sizeof root_pem, &len), 0);
    assert_int_equal(spiffe_id_parse(text_of(uri), &id), 0);
    if (credential_new(&c, &id, key, text_of(pem), text_of(root_pem), clock_unix_s(), &why) < 0)
        fail_msg("%s", why);
    x509_done(&leaf);
    key_unref(key);
    return c;
}

static int begin_with(void **state, const struct peer_pool_options *o)
{
    if (bed_open(state) < 0)
        return -1;
    memset(&world, 0, sizeof world);
    world.status = 200;
    int fd = listen_loopback(&world.at);
    world.listening = true;
    authority_make(&root);
    credential = credential_make(CLIENT_ID);
    renewed = credential_make(CLIENT_ID);
    world.tls = identity_make(&root, TLS_SERVER, SERVER_ID, TEXT("h2"));
    assert_int_equal(spiffe_id_parse(TEXT(SERVER_ID), &server_id), 0);
    listener_open(&world.listener, bed.ring, fd, SERVERS_MAX, accepted, listener_gone, NULL);
    ring_task_init(&refill_task, refill_run);
    no_sockets = pool_gone = false;
    wanted = 0;
    socket_pool_init(&sockets, refill);
    struct peer_pool_options options = *o;
    options.ring = bed.ring;
    options.sockets = &sockets;
    peer_pool_init(&pool, &options, pool_drained);
    peer_pool_set_credential(&pool, credential);
    return 0;
}

static int begin(void **state) { return begin_with(state, &(struct peer_pool_options){.connect_ms = 3000}); }
static int begin_narrow(void **state) { return begin_with(state, &(struct peer_pool_options){.connect_ms = 3000, .streams_max = 2, .links_max = 2}); }

static bool all_gone(void) { return pool_gone && world.n_live == 0 && !world.listening; }

static int end(void **state)
{
    if (!pool.closing)
        peer_pool_close(&pool);
    listener_close(&world.listener);
    for (unsigned i = 0; i < world.n_servers; i++)
        if (!world.servers[i].drained)
            h2_conn_close(&world.servers[i].h2);
    bed_run_until(all_gone);
    ring_task_cancel(&refill_task);
    socket_pool_done(&sockets);
    assert_int_equal(atomic_load(&credential->refs), 1);
    assert_int_equal(atomic_load(&renewed->refs), 1);
    credential_unref(credential);
    credential_unref(renewed);
    tls_config_unref(world.tls);
    authority_done(&root);
    struct ring_stats stats;
    ring_stats(bed.ring, &stats);
    assert_int_equal(stats.chunks_live, 0);
    return bed_close(state);
}

/* ---- tunnels -------------------------------------------------------------------------------------------------- */

enum { USERS_MAX = 300 };
struct user {
    struct tunnel tunnel;
    enum ending ending;
    char why[128];
    unsigned n_opened, n_ended, n_failed;
    uint64_t got;
    bool close_when_told;
};
static struct user users[USERS_MAX];

static void user_received(struct stream *s, struct buf *bytes)
{
    ((struct user *)s->user)->got += bytes->len;
    buf_done(bytes);
    bed_poke();
}
static void user_ended(struct stream *s)
{
    ((struct user *)s->user)->n_ended++;
    bed_poke();
}
static void user_nothing(struct stream *s) { (void)s; }
static void user_failed(struct stream *s, int error)
{
    (void)error;
    ((struct user *)s->user)->n_failed++;
    bed_poke();
}
static const struct stream_events user_events = {user_received, user_ended, user_nothing, user_nothing, user_failed};

static void opened(struct tunnel *t, enum ending ending, const char *why)
{
    struct user *u = container_of(t, struct user, tunnel);
    u->n_opened++;
    u->ending = ending;
    snprintf(u->why, sizeof u->why, "%s", why);
    if (ending == ENDING_NONE) {
        t->stream.stream.events = &user_events;
        t->stream.stream.user = u;
    }
    if (u->close_when_told)
        tunnel_close(t);
    bed_poke();
}

static struct hbone_request *request_new(void)
{
    struct hbone_request *r = malloc(sizeof *r);
    const struct addr to = {{4, {10, 0, 0, 1}}, 8080};
    assert_non_null(r);
    hbone_request_make(r, &to, &to, TEXT(""), NULL, ring_rng(bed.ring));
    return r;
}

static int try_open(struct user *u)
{
    *u = (struct user){.ending = ENDING_NONE};
    return tunnel_open(&pool, &u->tunnel, &world.at, &server_id, request_new(), opened);
}

static struct user *open_one(unsigned i)
{
    assert_int_equal(try_open(&users[i]), 0);
    assert_int_equal(users[i].n_opened, 0); /* never from inside */
    return &users[i];
}

static unsigned n_users;
static bool all_told(void)
{
    for (unsigned i = 0; i < n_users; i++)
        if (users[i].n_opened == 0)
            return false;
    return true;
}

static void open_users(unsigned n)
{
    n_users = n;
    for (unsigned i = 0; i < n; i++)
        open_one(i);
}

static void close_users(void)
{
    for (unsigned i = 0; i < n_users; i++)
        tunnel_close(&users[i].tunnel);
}

static unsigned n_links(void) { return (unsigned)pool.n_links; }

/* ---- the tests ---------------------------------------------------------------------------------------------------- */

static bool first_has_ended(void) { return users[0].n_ended > 0; }

static void one_tunnel_carries_many(void **state)
{
    (void)state;
    open_users(20);
    bed_run_until(all_told);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(users[i].n_opened, 1);
        assert_int_equal(users[i].ending, ENDING_NONE);
        assert_int_equal(users[i].tunnel.status, 200);
    }
    assert_int_equal(world.n_servers, 1);
    assert_int_equal(n_links(), 1);
    assert_string_equal(world.servers[0].peer, CLIENT_ID);
    assert_string_equal(world.authority, "10.0.0.1:8080");
    struct buf bytes = {0};
    assert_int_equal(buf_append(&bytes, ring_chunks(bed.ring), "hello", 5), 0);
    stream_send(&users[0].tunnel.stream.stream, &bytes);
    stream_finish(&users[0].tunnel.stream.stream);
    bed_run_until(first_has_ended);
    assert_int_equal(users[0].got, 5);
    assert_int_equal(users[0].n_failed, 0);
    assert_int_equal(pool.stats.streams_opened, 20);
    assert_int_equal(pool.stats.links_opened, 1);
    close_users();
}

static void refusals_have_their_endings(void **state)
{
    static const struct {
        unsigned status;
        enum ending ending;
    } table[] = {{401, ENDING_DENIED}, {503, ENDING_TUNNEL_REFUSED}, {400, ENDING_TUNNEL_REFUSED}, {404, ENDING_TUNNEL_REFUSED}, {302, ENDING_TUNNEL_REFUSED}, {204, ENDING_TUNNEL_REFUSED}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        world.status = table[i].status;
        open_users(1);
        bed_run_until(all_told);
        assert_int_equal(users[0].ending, table[i].ending);
        assert_int_equal(users[0].tunnel.status, table[i].status);
        close_users();
    }
    assert_int_equal(world.n_servers, 1); /* the link is none the worse */
    assert_int_equal(world.n_calls, ARRAY_SIZE(table)); /* an answer is an answer: not tried again */
    assert_int_equal(pool.stats.streams_failed, ARRAY_SIZE(table));
}

static bool all_calls_closed(void)
{
    for (unsigned i = 0; i < world.n_calls; i++)
        if (!world.calls[i].closed)
            return false;
    return world.n_calls > 0;
}

/* What the far end sees when the owner lets go, or its side breaks. */
static void letting_go_and_breaking_look_different(void **state)
{
    (void)state;
    open_users(2);
    bed_run_until(all_told);
    tunnel_close(&users[0].tunnel);
    tunnel_reset(&users[1].tunnel);
    bed_run_until(all_calls_closed);
    assert_int_equal(world.calls[0].code, HTTP2_CANCEL);
    assert_int_equal(world.calls[1].code, HTTP2_CONNECT_ERROR);
    assert_int_equal(users[0].n_failed + users[1].n_failed, 0); /* no event follows */
    tunnel_close(&users[0].tunnel); /* twice is once */
    tunnel_reset(&users[1].tunnel);
}

/* What was refused was surely not done, so it may be tried more often. */
static void no_answer_is_tried_again(void **state)
{
    static const enum answer bad[] = {ANSWER_CLOSE, ANSWER_REFUSE};
    static const unsigned tries[] = {2, 8};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        world.n_calls = 0;
        world.n_answers = 2;
        world.answers[0] = bad[i];
        world.answers[1] = ANSWER_STATUS;
        open_users(1);
        bed_run_until(all_told);
        assert_int_equal(users[0].ending, ENDING_NONE);
        assert_int_equal(world.n_calls, 2);
        close_users();
        world.n_calls = 0;
        world.n_answers = 1;
        open_users(1);
        bed_run_until(all_told);
        assert_int_equal(users[0].ending, ENDING_TUNNEL_FAILED);
        assert_true(users[0].why[0]);
        assert_int_equal(world.n_calls, tries[i]);
        close_users();
    }
}

static void a_peer_of_another_identity_is_told_to_all_at_once(void **state)
{
    (void)state;
    assert_int_equal(spiffe_id_parse(TEXT("spiffe://cluster.local/ns/shop/sa/somebody"), &server_id), 0);
    uint64_t start_ms = clock_monotonic_ms();
    open_users(5);
    bed_run_until(all_told);
    assert_true(clock_monotonic_ms() - start_ms < 2500); /* before any deadline */
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(users[i].ending, ENDING_PEER_MISMATCH);
        assert_string_equal(users[i].why, "the peer is " SERVER_ID);
    }
    assert_int_equal(world.n_calls, 0); /* not a byte of ours */
    assert_int_equal(pool.stats.links_failed, 1);
    /* And again, while the others still hold on. */
    n_users = 6;
    open_one(5);
    bed_run_until(all_told);
    assert_int_equal(users[5].ending, ENDING_PEER_MISMATCH);
    assert_int_equal(pool.stats.links_failed, 2);
    close_users();
}

static void nobody_there(void **state)
{
    (void)state;
    world.at.port = 1;
    open_users(3);
    users[1].close_when_told = true;
    bed_run_until(all_told);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(users[i].ending, ENDING_UNREACHABLE);
    close_users();
}

static bool links_are_gone(void) { return n_links() == 0; }

static void without_sockets_there_is_a_deadline(void **state)
{
    (void)state;
    no_sockets = true;
    pool.options.connect_ms = 100;
    open_users(2);
    bed_run_until(all_told);
    assert_int_equal(users[0].ending, ENDING_CONNECT_TIMEOUT);
    close_users();
    bed_run_until(links_are_gone);
    socket_pool_filled(&sockets, AF_INET, NULL, 0, -EMFILE); /* late: nobody waits */
    open_users(1);
    socket_pool_filled(&sockets, AF_INET, NULL, 0, -EMFILE);
    bed_run_until(all_told);
    assert_int_equal(users[0].ending, ENDING_LIMIT);
    close_users();
}

static void without_certificate_nothing_begins(void **state)
{
    (void)state;
    peer_pool_set_credential(&pool, NULL);
    assert_int_equal(try_open(&users[0]), -ENOKEY);
    tunnel_close(&users[0].tunnel); /* fine */
    assert_int_equal(users[0].n_opened + n_links(), 0);
}

static bool five_told(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < n_users; i++)
        n += users[i].n_opened;
    return n >= 5;
}
static bool four_told(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < n_users; i++)
        n += users[i].n_opened;
    return n >= 4;
}

/* Two links of two streams: the fifth waits until one of the four ends. */
static void who_finds_no_room_waits_for_it(void **state)
{
    (void)state;
    open_users(6);
    bed_run_until(four_told);
    bed_wait_ms(100);
    assert_false(five_told());
    assert_int_equal(n_links(), 2);
    assert_int_equal(pool.n_waiting, 2);
    timer_stop(ring_timers(bed.ring), &pool.sweep); /* at once, not when somebody looks around */
    for (unsigned i = 0; i < 6; i++)
        if (users[i].n_opened) {
            tunnel_close(&users[i].tunnel);
            break;
        }
    bed_run_until(five_told);
    assert_int_equal(pool.n_waiting, 1);
    for (unsigned i = 0; i < 6; i++)
        if (!users[i].n_opened)
            tunnel_close(&users[i].tunnel); /* gives up waiting */
    assert_int_equal(pool.n_waiting, 0);
    assert_int_equal(n_links(), 2);
    close_users();
}

/* A link breaks with what it carried; who waited gets a new one. */
static void who_waits_gets_the_place_of_a_broken_link(void **state)
{
    (void)state;
    open_users(6);
    bed_run_until(four_told);
    bed_wait_ms(50);
    timer_stop(ring_timers(bed.ring), &pool.sweep);
    h2_conn_close(&world.servers[0].h2);
    bed_run_until(all_told);
    unsigned failed = 0;
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(users[i].ending, ENDING_NONE);
        failed += users[i].n_failed;
    }
    assert_int_equal(failed, 2);
    assert_int_equal(world.n_servers, 3);
    close_users();
}

/* The peer allows fewer streams than we would open: the rest goes through other links, nothing is refused. */
static void the_peers_limit_counts(void **state)
{
    (void)state;
    enum { N = 20 };
    world.streams_max = 1;
    open_users(N);
    bed_run_until(all_told);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(users[i].ending, ENDING_NONE);
    assert_in_range(world.n_servers, N, 2 * N);
    close_users();
}

static bool second_server_is_gone(void) { return world.n_servers >= 2 && world.servers[0].drained; }

static void a_goaway_ends_a_link_with_its_last_stream(void **state)
{
    (void)state;
    world.n_answers = 2;
    world.answers[0] = ANSWER_GOAWAY;
    world.answers[1] = ANSWER_STATUS;
    open_users(1);
    bed_run_until(all_told);
    assert_int_equal(users[0].ending, ENDING_NONE);
    bed_wait_ms(50);
    n_users = 2;
    open_one(1);
    bed_run_until(all_told);
    assert_int_equal(users[1].ending, ENDING_NONE);
    assert_int_equal(world.n_servers, 2); /* the first one takes no more */
    assert_false(world.servers[0].drained);
    tunnel_close(&users[0].tunnel);
    bed_run_until(second_server_is_gone);
    assert_int_equal(users[1].n_failed, 0);
    close_users();
}

static void a_new_certificate_makes_new_links(void **state)
{
    (void)state;
    open_users(1);
    bed_run_until(all_told);
    peer_pool_set_credential(&pool, renewed);
    n_users = 2;
    open_one(1);
    bed_run_until(all_told);
    assert_int_equal(world.n_servers, 2);
    bed_wait_ms(50);
    assert_false(world.servers[0].drained); /* it lives as long as its stream */
    tunnel_close(&users[0].tunnel);
    bed_run_until(second_server_is_gone);
    assert_int_equal(n_links(), 1);
    close_users();
}

/* Renewed while those who wait have nothing but links of the old certificate. */
static void who_waits_gets_a_link_of_the_new_certificate(void **state)
{
    (void)state;
    open_users(5);
    bed_run_until(four_told);
    bed_wait_ms(50);
    assert_false(five_told());
    pool.options.links_max = 4;
    peer_pool_set_credential(&pool, renewed);
    bed_run_until(five_told);
    assert_int_equal(world.n_servers, 3);
    close_users();
}

static void an_idle_link_ends(void **state)
{
    (void)state;
    pool.options.idle_ms = 50;
    open_users(1);
    bed_run_until(all_told);
    bed_wait_ms(100);
    timer_start(ring_timers(bed.ring), &pool.sweep, 0);
    bed_wait_ms(20);
    assert_int_equal(n_links(), 1); /* it has a stream */
    close_users();
    bed_wait_ms(100);
    timer_start(ring_timers(bed.ring), &pool.sweep, 0);
    bed_run_until(links_are_gone);
    assert_int_equal(pool.groups.count, 0);
}

/* The stream has ended both ways, the link goes, and only then does the owner let go. */
static void a_tunnel_may_outlive_its_link(void **state)
{
    (void)state;
    pool.options.idle_ms = 1;
    open_users(1);
    bed_run_until(all_told);
    stream_finish(&users[0].tunnel.stream.stream);
    bed_run_until(first_has_ended);
    bed_wait_ms(20);
    timer_start(ring_timers(bed.ring), &pool.sweep, 0);
    bed_run_until(links_are_gone);
    assert_int_equal(pool.groups.count, 1);
    close_users();
    assert_int_equal(pool.groups.count, 0);
}

/* In whatever state it is closed: no event follows, and nothing of it is left. */
static void closing_in_every_state(void **state)
{
    (void)state;
    world.n_answers = 1;
    world.answers[0] = ANSWER_NOTHING;
    for (uint64_t ms = 0; ms < 20; ms++) {
        open_users(3);
        bed_wait_ms(ms);
        close_users();
        bed_wait_ms(ms % 3);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(users[i].n_opened, 0);
    }
    assert_true(n_links() > 0);
    assert_int_equal(pool.n_waiting, 0);
}

static void closing_the_pool_in_every_state(void **state)
{
    (void)state;
    world.n_answers = 1;
    world.answers[0] = ANSWER_NOTHING;
    for (uint64_t ms = 0; ms < 10; ms++) {
        open_users(2);
        bed_wait_ms(ms);
        close_users();
        peer_pool_close(&pool);
        assert_int_equal(try_open(&users[0]), -ENOBUFS);
        pool_gone = false;
        while (!pool_gone)
            bed_wait_ms(1);
        const struct peer_pool_options o = {.ring = bed.ring, .sockets = &sockets, .connect_ms = 3000};
        peer_pool_init(&pool, &o, pool_drained);
        peer_pool_set_credential(&pool, credential);
        pool_gone = false;
    }
}

static void there_are_limits(void **state)
{
    (void)state;
    no_sockets = true;
    struct tunnel *all = calloc(PEER_WAITING_MAX + 1, sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < PEER_WAITING_MAX; i++)
        assert_int_equal(tunnel_open(&pool, &all[i], &world.at, &server_id, request_new(), opened), 0);
    assert_int_equal(tunnel_open(&pool, &all[PEER_WAITING_MAX], &world.at, &server_id, request_new(), opened), -ENOBUFS);
    assert_in_range(n_links(), 1, 256);
    for (size_t i = 0; i < PEER_WAITING_MAX; i++)
        tunnel_close(&all[i]);
    assert_int_equal(pool.n_waiting, 0);
    free(all);
}

/* One handshake at a time: who needs another link meanwhile is refused, or waits where there is one. It counts no longer once it is over,
 * well or not. */
static void handshakes_are_bounded(void **state)
{
    const struct bounds_max max = {.pod[BOUND_OPENING] = 1};
    const struct addr nowhere = {.ip = world.at.ip, .port = 1};
    struct bound_view v;
    struct bounds *node;
    struct turns turns;
    struct pod_turn turn;
    struct tunnel other;
    (void)state;
    assert_int_equal(bounds_new(&node, &max), 0);
    turns_init(&turns, bed.ring);
    pod_turn_init(&turn, &turns);
    pool.options.bounds = bounds_pod(node, "uid", "shop", "web");
    pool.options.turn = &turn;
    open_users(1);
    assert_int_equal(tunnel_open(&pool, &other, &nowhere, &server_id, request_new(), opened), -ENOBUFS);
    bounds_view_pods(node, BOUND_OPENING, &v);
    assert_int_equal(v.reached, 1);
    bed_run_until(all_told);
    bounds_view(node, BOUND_OPENING, &v);
    assert_int_equal(v.now, 0);
    close_users();
    users[0] = (struct user){.ending = ENDING_NONE};
    assert_int_equal(tunnel_open(&pool, &users[0].tunnel, &nowhere, &server_id, request_new(), opened), 0);
    bed_run_until(all_told);
    assert_int_equal(users[0].ending, ENDING_UNREACHABLE);
    tunnel_close(&users[0].tunnel);
    peer_pool_set_credential(&pool, renewed);
    bed_run_until(links_are_gone);
    bounds_view(node, BOUND_OPENING, &v);
    assert_int_equal(v.now, 0);
    pod_bounds_unref(pool.options.bounds);
    pool.options.bounds = NULL;
    pool.options.turn = NULL;
    pod_turn_done(&turn);
    turns_done(&turns);
    bounds_free(node);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define NARROW(name) cmocka_unit_test_setup_teardown(name, begin_narrow, end)
    const struct CMUnitTest tests[] = {
        TEST(one_tunnel_carries_many),
        TEST(refusals_have_their_endings),
        TEST(letting_go_and_breaking_look_different),
        TEST(no_answer_is_tried_again),
        TEST(a_peer_of_another_identity_is_told_to_all_at_once),
        TEST(nobody_there),
        TEST(without_sockets_there_is_a_deadline),
        TEST(without_certificate_nothing_begins),
        NARROW(who_finds_no_room_waits_for_it),
        NARROW(who_waits_gets_the_place_of_a_broken_link),
        TEST(the_peers_limit_counts),
        TEST(a_goaway_ends_a_link_with_its_last_stream),
        TEST(a_new_certificate_makes_new_links),
        NARROW(who_waits_gets_a_link_of_the_new_certificate),
        TEST(an_idle_link_ends),
        TEST(a_tunnel_may_outlive_its_link),
        TEST(closing_in_every_state),
        TEST(closing_the_pool_in_every_state),
        TEST(there_are_limits),
        TEST(handshakes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
