/*
 * The pool of tunnels against a scripted HBONE server on loopback: what it answers, refuses, leaves
 * unanswered or breaks is the test's choice. One ring carries both ends; everything is made and given back
 * per test.
 */
#ifndef TESTS_UNIT_NODEPROXY_PEER_PEER_POOL_FIXTURE_H
#define TESTS_UNIT_NODEPROXY_PEER_PEER_POOL_FIXTURE_H
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

static inline void call_head(struct http2_stream *s, const struct http2_head *head)
{
    (void)s;
    (void)head;
}

static inline void respond(struct call *c)
{
    char digits[4];
    snprintf(digits, sizeof digits, "%u", world.status);
    const struct http2_header headers[] = {{TEXT(":status"), {digits, 3}}};
    assert_int_equal(http2_stream_respond(&c->stream, headers, 1, world.status != 200), 0);
}

static inline enum answer answer_of(unsigned number)
{
    return world.n_answers == 0 ? ANSWER_STATUS : world.answers[number < world.n_answers ? number : world.n_answers - 1];
}

static inline void call_opened(struct http2_stream *s)
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

static inline void call_closed(struct http2_stream *s, uint32_t code)
{
    struct call *c = container_of(s, struct call, stream);
    c->closed = true;
    c->code = code;
    bed_poke();
}
static const struct http2_stream_events call_events = {.head = call_head, .closed = call_closed, .opened = call_opened};

/* What it gets it sends back, and the end too. */
static inline void call_received(struct stream *s, struct buf *bytes)
{
    struct call *c = s->user;
    c->got += bytes->len;
    stream_send(s, bytes);
}
static inline void call_ended(struct stream *s)
{
    ((struct call *)s->user)->ended = true;
    stream_finish(s);
}
static inline void call_nothing(struct stream *s) { (void)s; }
static inline void call_failed(struct stream *s, int error)
{
    (void)s;
    (void)error;
}
static const struct stream_events call_bytes = {call_received, call_ended, call_nothing, call_nothing, call_failed};

static inline struct http2_stream *server_request(struct h2_conn *h, const struct http2_head *head, unsigned *ret_status)
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

static inline void server_ready(struct h2_conn *h)
{
    struct server *s = h->user;
    snprintf(s->peer, sizeof s->peer, "%s", conn_peer(&h->conn)->uri);
}
static inline void server_closed(struct h2_conn *h, int error)
{
    (void)error;
    ((struct server *)h->user)->closed = true;
    h2_conn_close(h);
}
static inline void server_drained(struct h2_conn *h)
{
    ((struct server *)h->user)->drained = true;
    world.n_live--;
    listener_release(&world.listener);
    bed_poke();
}
static const struct h2_conn_events server_events = {.ready = server_ready, .request = server_request, .closed = server_closed, .drained = server_drained};

static inline void accepted(struct listener *l, int taken_fd)
{
    (void)l;
    assert_true(world.n_servers < SERVERS_MAX);
    struct server *s = &world.servers[world.n_servers++];
    const struct h2_conn_options o = {.http2 = {.connect_only = true, .streams_max = world.streams_max}, .tls = world.tls};
    world.n_live++;
    assert_int_equal(h2_conn_open_server(&s->h2, bed.ring, taken_fd, &o, &server_events, s), 0);
}

static inline void listener_gone(struct listener *l)
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

static inline void refill_run(struct ring_task *task)
{
    int fds[SOCKET_POOL_MAX];
    unsigned n = wanted;
    (void)task;
    wanted = 0;
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(socket_open(AF_INET, &fds[i]), 0);
    socket_pool_filled(&sockets, AF_INET, fds, n, 0);
}

static inline void refill(struct socket_pool *p, int family, unsigned n)
{
    (void)p;
    assert_int_equal(family, AF_INET);
    wanted = n;
    if (!no_sockets)
        ring_task_ask(bed.ring, &refill_task);
}

static inline void pool_drained(struct peer_pool *p)
{
    assert_ptr_equal(p, &pool);
    pool_gone = true;
    bed_poke();
}

static inline struct credential *credential_make(const char *uri)
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

static inline int begin_with(void **state, const struct peer_pool_options *o)
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

static inline int begin(void **state) { return begin_with(state, &(struct peer_pool_options){.connect_ms = 3000}); }
static inline int begin_narrow(void **state) { return begin_with(state, &(struct peer_pool_options){.connect_ms = 3000, .streams_max = 2, .links_max = 2}); }

static inline bool all_gone(void) { return pool_gone && world.n_live == 0 && !world.listening; }

static inline int end(void **state)
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

static inline void user_received(struct stream *s, struct buf *bytes)
{
    ((struct user *)s->user)->got += bytes->len;
    buf_done(bytes);
    bed_poke();
}
static inline void user_ended(struct stream *s)
{
    ((struct user *)s->user)->n_ended++;
    bed_poke();
}
static inline void user_nothing(struct stream *s) { (void)s; }
static inline void user_failed(struct stream *s, int error)
{
    (void)error;
    ((struct user *)s->user)->n_failed++;
    bed_poke();
}
static const struct stream_events user_events = {user_received, user_ended, user_nothing, user_nothing, user_failed};

static inline void opened(struct tunnel *t, enum ending ending, const char *why)
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

static inline struct hbone_request *request_new(void)
{
    struct hbone_request *r = malloc(sizeof *r);
    const struct addr to = {{4, {10, 0, 0, 1}}, 8080};
    assert_non_null(r);
    hbone_request_make(r, &to, &to, TEXT(""), NULL, ring_rng(bed.ring));
    return r;
}

static inline int try_open(struct user *u)
{
    *u = (struct user){.ending = ENDING_NONE};
    return tunnel_open(&pool, &u->tunnel, &world.at, &server_id, request_new(), opened);
}

static inline struct user *open_one(unsigned i)
{
    assert_int_equal(try_open(&users[i]), 0);
    assert_int_equal(users[i].n_opened, 0); /* never from inside */
    return &users[i];
}

static unsigned n_users;
static inline bool all_told(void)
{
    for (unsigned i = 0; i < n_users; i++)
        if (users[i].n_opened == 0)
            return false;
    return true;
}

static inline void open_users(unsigned n)
{
    n_users = n;
    for (unsigned i = 0; i < n; i++)
        open_one(i);
}

static inline void close_users(void)
{
    for (unsigned i = 0; i < n_users; i++)
        tunnel_close(&users[i].tunnel);
}

static inline unsigned n_links(void) { return (unsigned)pool.n_links; }

/* ---- conditions to wait for ---- */

static inline bool first_has_ended(void) { return users[0].n_ended > 0; }
static inline bool links_are_gone(void) { return n_links() == 0; }
static inline bool four_told(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < n_users; i++)
        n += users[i].n_opened;
    return n >= 4;
}
static inline bool five_told(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < n_users; i++)
        n += users[i].n_opened;
    return n >= 5;
}

#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define POOL_TEST_NARROW(name) cmocka_unit_test_setup_teardown(name, begin_narrow, end)
#endif
