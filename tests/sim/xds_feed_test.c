/*
 * The feed on the simulated network and its clock: what a controller said is believed while it is
 * away for as long as max_age_ms says, and then no more, however it comes back.
 */
#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include "shared/service/xds_feed.h"
#include "shared/transport/listener.h"
#include "tests/support/fake_ring.h"
#include "tests/unit/shared/tls/tls_fixture.h"

#define CONTROLLER "spiffe://cluster.local/ns/weir-system/sa/weir-controller"
enum { MAX_AGE_MS = 100000, SOON_MS = 60000, NAMES = 2 };

static const char *const names[NAMES] = {"a", "b"};
static struct fake_net *net;
static struct ring *ours, *theirs; /* the feed's, and the controller's */
static struct party root, self, controller;

/* ---- the feed's owner -------------------------------------------------------- */

static struct xds_feed feed;
static struct tls_config *client_tls;
static unsigned n_synced, n_forgotten;
static bool have[NAMES], feed_gone;

static bool *named(struct text name)
{
    for (size_t i = 0; i < NAMES; i++)
        if (text_equal(name, text_of(names[i])))
            return &have[i];
    fail_msg("put or removed: %.*s", (int)name.len, name.data);
    return NULL;
}
static int put(struct xds_feed *f, enum xds_type type, struct text name, const uint8_t *body,
               size_t len, char why[static XDS_WHY_MAX])
{
    (void)f, (void)type, (void)body, (void)len, (void)why;
    *named(name) = true;
    return 0;
}
static void removed(struct xds_feed *f, enum xds_type type, struct text name)
{
    (void)f, (void)type;
    *named(name) = false;
}
static void changed(struct xds_feed *f)
{
    (void)f;
}
static void synced(struct xds_feed *f)
{
    assert_true(f->synced_told);
    n_synced++;
}
static void forgotten(struct xds_feed *f)
{
    assert_false(f->synced_told);
    memset(have, 0, sizeof have);
    n_forgotten++;
}
static const struct xds_feed_events events = {
    .put = put, .removed = removed, .changed = changed, .synced = synced, .forgotten = forgotten};

/* ---- a controller that is played here ---------------------------------------- */

static struct {
    struct tls_config *tls;
    struct listener listener;
    struct h2_conn h2;
    struct grpc_call call;
    struct addr at;
    bool listening, closing, connected, calling, silent;
    bool no_routes; /* it does not know them, and does not answer */
    bool has[NAMES]; /* what it tells of */
    unsigned n_streams, n_asked;
    size_t n_initial; /* resources that the client said to have, on the last stream */
} server;

static void answer(enum xds_type type)
{
    struct delta_resource resources[NAMES] = {0};
    char *gone[NAMES];
    struct delta_response r = {.type_url = (char *)xds_type_url(type),
                               .nonce = (char *)"1",
                               .system_version = (char *)"1",
                               .resources = resources,
                               .removed = gone};
    struct xds_bytes bytes;
    for (size_t i = 0; type == XDS_ADDRESS && i < NAMES; i++) {
        if (server.has[i])
            resources[r.n_resources++] = (struct delta_resource){.name = (char *)names[i],
                                                                 .version = (char *)"1",
                                                                 .type_url = r.type_url,
                                                                 .body = (uint8_t *)"x",
                                                                 .body_len = 1};
        else if (server.n_initial > 0)
            gone[r.n_removed++] = (char *)names[i];
    }
    assert_int_equal(delta_response_encode(&r, &bytes), 0);
    assert_int_equal(grpc_call_send(&server.call, bytes.data, bytes.len), 0);
    xds_bytes_done(&bytes);
}
static void call_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    struct delta_request q;
    enum xds_type type;
    char why[XDS_WHY_MAX];
    (void)call;
    assert_int_equal(delta_request_decode(data, len, &q, why), 0);
    if (!q.nonce[0]) { /* it begins */
        assert_int_equal(xds_type_of(text_of(q.type_url), &type), 0);
        server.n_initial += q.n_initial;
        server.n_asked++;
        if (!server.silent && !(server.no_routes && type == XDS_ROUTES))
            answer(type);
    }
    delta_request_done(&q);
}
static void call_closed(struct grpc_call *call, enum grpc_status status, struct text message)
{
    (void)call, (void)status, (void)message;
    server.calling = false;
}
static struct http2_stream *request(struct h2_conn *h, const struct http2_head *head,
                                    unsigned *ret_status)
{
    static const struct grpc_call_events call_events = {.message = call_message,
                                                        .closed = call_closed};
    struct text path, bearer;
    (void)h;
    assert_int_equal(grpc_request_check(head, &path, &bearer, ret_status), 0);
    assert_false(server.calling);
    server.calling = true;
    server.n_initial = server.n_asked = 0;
    server.n_streams++;
    grpc_call_accept(&server.call, ring_chunks(theirs), 1 << 20, &call_events, NULL);
    return &server.call.stream;
}
static void conn_ready(struct h2_conn *h)
{
    (void)h;
}
static void conn_closed(struct h2_conn *h, int error)
{
    (void)error;
    h2_conn_close(h);
}
static void conn_drained(struct h2_conn *h)
{
    (void)h;
    server.connected = false;
    listener_release(&server.listener);
}
static void accepted(struct listener *l, int taken_fd)
{
    static const struct h2_conn_events conn_events = {
        .ready = conn_ready, .request = request, .closed = conn_closed, .drained = conn_drained};
    const struct h2_conn_options o = {.tls = server.tls};
    (void)l;
    assert_false(server.connected);
    server.connected = true;
    assert_int_equal(h2_conn_open_server(&server.h2, theirs, taken_fd, &o, &conn_events, NULL), 0);
}
static void listener_gone(struct listener *l)
{
    (void)l;
    server.listening = server.closing = false;
}
static void server_comes(void)
{
    int fd;
    assert_int_equal(socket_listen(&server.at, 16, false, &fd), 0);
    assert_int_equal(socket_local(fd, &server.at), 0);
    listener_open(&server.listener, theirs, fd, 1, accepted, listener_gone, NULL);
    server.listening = true;
}
static bool is_away(void *arg)
{
    (void)arg;
    if (server.connected)
        h2_conn_close(&server.h2);
    if (server.listening && !server.closing) {
        server.closing = true;
        listener_close(&server.listener);
    }
    return !server.connected && !server.listening;
}
static void server_goes(void)
{
    assert_true(fake_net_run_until(net, is_away, NULL, SOON_MS));
}

/* ---- begin and end ------------------------------------------------------------ */

static struct tls_config *tls_of(enum tls_role role, const struct party *p)
{
    const struct tls_config_options o = {.role = role,
                                         .peer_auth = TLS_PEER_SVID,
                                         .key = p->key,
                                         .chain = &p->cert,
                                         .n_chain = 1,
                                         .roots = &root.cert,
                                         .n_roots = 1,
                                         .alpn = TEXT("h2")};
    struct tls_config *config;
    const char *why;
    assert_int_equal(tls_config_new(&config, &o, &why), 0);
    return config;
}

static bool is_synced(void *arg)
{
    return n_synced >= *(unsigned *)arg;
}
static void await_synced(unsigned n)
{
    assert_true(fake_net_run_until(net, is_synced, &n, SOON_MS));
    assert_int_equal(n_synced, n);
}

static struct fake_fault fault; /* of the first connection */

static unsigned asked_types = XDS_MESH;

static void begin_unsynced(uint64_t max_age_ms)
{
    net = fake_net_new(1);
    assert_non_null(net);
    assert_int_equal(ring_open(&ours, &(struct ring_options){0}, NULL), 0);
    assert_int_equal(ring_open(&theirs, &(struct ring_options){0}, NULL), 0);
    root = root_make("root");
    self = leaf_make(ALICE, &root);
    controller = leaf_make(CONTROLLER, &root);
    bool no_routes = server.no_routes;
    memset(&server, 0, sizeof server);
    server.no_routes = no_routes;
    memset(have, 0, sizeof have);
    n_synced = n_forgotten = 0;
    feed_gone = false;
    server.tls = tls_of(TLS_SERVER, &controller);
    server.has[0] = server.has[1] = true;
    assert_int_equal(addr_parse(TEXT("127.0.0.1:0"), &server.at), 0);
    server_comes();
    const struct xds_feed_options o = {.ring = ours,
                                       .controller = server.at,
                                       .controller_identity = CONTROLLER,
                                       .node_id = "test",
                                       .types = asked_types,
                                       .max_age_ms = max_age_ms};
    xds_feed_init(&feed, &o, &events, NULL);
    client_tls = tls_of(TLS_CLIENT, &self);
    fake_ring_watch(ours);
    fake_net_set_fault(net, &fault);
    xds_feed_set_tls(&feed, client_tls);
}

/* Connected, and all that there is was told. */
static void begin(uint64_t max_age_ms)
{
    begin_unsynced(max_age_ms);
    await_synced(1);
    assert_true(have[0] && have[1]);
    assert_int_equal(server.n_initial, 0);
}

static void gone(void *arg)
{
    *(bool *)arg = true;
}
static bool is_gone(void *arg)
{
    return *(bool *)arg;
}
static void end(void)
{
    xds_feed_close(&feed, gone, &feed_gone);
    assert_true(fake_net_run_until(net, is_gone, &feed_gone, SOON_MS));
    server_goes();
    assert_int_equal(fake_net_leaks(net), 0);
    tls_config_unref(client_tls);
    tls_config_unref(server.tls);
    party_done(&self);
    party_done(&controller);
    party_done(&root);
    ring_free(ours);
    ring_free(theirs);
    net = fake_net_free(net);
}

/* ---- the cases ----------------------------------------------------------------- */

/* A controller that does not know routes keeps nobody from being ready; one that does is waited for. */
static void routes(void **state)
{
    (void)state;
    asked_types = XDS_MESH_AND_ROUTES;
    for (int knows = 0; knows < 2; knows++) {
        server.no_routes = !knows;
        begin_unsynced(0);
        fake_net_run_for(net, 3000);
        assert_true(have[0] && have[1]);
        assert_int_equal(n_synced, knows);
        await_synced(1);
        fake_net_run_for(net, 20000);
        assert_int_equal(n_synced, 1);
        end();
    }
    asked_types = XDS_MESH;
}

static void back_in_time(void **state)
{
    (void)state;
    begin(MAX_AGE_MS);
    server_goes();
    fake_net_run_for(net, MAX_AGE_MS / 2);
    assert_true(feed.synced_told && have[0] && have[1]);
    server.has[0] = false;
    server_comes();
    unsigned before = server.n_streams;
    while (server.n_streams == before || have[0])
        fake_net_run_for(net, 1000);
    assert_int_equal(server.n_initial, NAMES); /* it asks for differences */
    fake_net_run_for(net, 10 * MAX_AGE_MS);    /* connected, nothing grows old */
    assert_int_equal(n_forgotten, 0);
    assert_int_equal(n_synced, 1);
    assert_true(feed.synced_told && have[1]);
    end();
}

static void too_late(void **state)
{
    (void)state;
    begin(MAX_AGE_MS);
    server_goes();
    fake_net_run_for(net, MAX_AGE_MS - 1000);
    assert_true(feed.synced_told && have[0] && have[1]);
    fake_net_run_for(net, 2000);
    assert_int_equal(n_forgotten, 1);
    assert_false(feed.synced_told || have[0] || have[1]);
    server.has[0] = false;
    server_comes();
    await_synced(2);
    assert_int_equal(server.n_initial, 0); /* it asks for everything */
    assert_true(!have[0] && have[1]);
    fake_net_run_for(net, 10 * MAX_AGE_MS);
    assert_int_equal(n_forgotten, 1);
    end();
}

/* A controller that takes the call and says nothing has not come back; and what was said to it on
 * that call is of no worth any more when the time is over. */
static void back_but_silent(void **state)
{
    (void)state;
    begin(MAX_AGE_MS);
    server_goes();
    uint64_t lost_ms = fake_net_now_ms(net);
    server.silent = true;
    server_comes();
    unsigned first = server.n_streams;
    for (unsigned cut = 0; cut < 3; cut++) {
        unsigned before = server.n_streams;
        while (server.n_streams == before || server.n_asked < 2)
            fake_net_run_for(net, 500);
        assert_int_equal(server.n_initial, NAMES);
        fake_net_run_for(net, 5000);
        if (cut < 2) {
            server_goes();
            server_comes();
        }
    }
    assert_true(server.n_streams >= first + 3);
    assert_int_equal(n_forgotten, 0);
    while (n_forgotten == 0 && fake_net_now_ms(net) < lost_ms + 2 * MAX_AGE_MS)
        fake_net_run_for(net, 100);
    assert_int_equal(n_forgotten, 1);
    assert_in_range(fake_net_now_ms(net) - lost_ms, MAX_AGE_MS - 1000, MAX_AGE_MS + 1000);
    assert_false(feed.synced_told);
    /* On a stream that began after that. */
    server.silent = false;
    server.has[0] = false;
    await_synced(2);
    assert_int_equal(server.n_initial, 0);
    assert_true(!have[0] && have[1]);
    end();
}

static void for_ever(void **state)
{
    (void)state;
    begin(0);
    server_goes();
    fake_net_run_for(net, 3600 * 1000);
    assert_int_equal(n_forgotten, 0);
    assert_true(feed.synced_told && have[0] && have[1]);
    end();
}

/* ---- faults: each point of a first and of a second connection goes wrong ------------------------ */

static bool agrees(void *arg)
{
    (void)arg;
    return feed.synced_told && have[0] == server.has[0] && have[1] == server.has[1];
}

/* Whether the n-th point was reached. */
static bool play(const struct fake_fault *f, bool second)
{
    fault = second ? (struct fake_fault){.nth = 0} : *f;
    begin(MAX_AGE_MS);
    bool reached = fake_net_points(net) >= f->nth;
    if (second) {
        server_goes();
        server.has[0] = false;
        fake_net_set_fault(net, f);
        server_comes();
        assert_true(fake_net_run_until(net, agrees, NULL, 2 * SOON_MS));
        reached = fake_net_points(net) >= f->nth;
    }
    fake_net_set_fault(net, NULL);
    assert_true(fake_net_run_until(net, agrees, NULL, 2 * SOON_MS));
    assert_int_equal(n_forgotten, 0); /* what was believed stays in the meantime */
    fault = (struct fake_fault){.nth = 0};
    end();
    return reached;
}

static void each_point_fails(void **state)
{
    static const enum fake_fault_kind kinds[] = {FAKE_ERROR, FAKE_ONE_BYTE, FAKE_HALF, FAKE_LATE,
                                                 FAKE_STALL};
    static const unsigned points[] = {FAKE_AT_CONNECT, FAKE_AT_RECV, FAKE_AT_SEND};
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_SIZE(kinds) * ARRAY_SIZE(points); i++) {
        bool second = i % 2;
        struct fake_fault f = {.points = points[i / 2 % ARRAY_SIZE(points)],
                               .kind = kinds[i / 2 / ARRAY_SIZE(points)],
                               .nth = 0};
        const int *errors = NULL;
        size_t n = f.kind == FAKE_ERROR ? fake_fault_errors(f.points, &errors) : 1;
        for (size_t e = 0; e < n; e++) {
            f.error = errors ? errors[e] : 0;
            f.nth = 0;
            do
                f.nth++;
            while (play(&f, second));
            assert_in_range(f.nth, 2, 1000);
        }
        print_message("  kind %d at %u, %s connection: %llu points\n", f.kind, f.points,
                      second ? "second" : "first", (unsigned long long)f.nth - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes), cmocka_unit_test(back_in_time),     cmocka_unit_test(too_late),
        cmocka_unit_test(back_but_silent),  cmocka_unit_test(for_ever),
        cmocka_unit_test(each_point_fails),
    };
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    return cmocka_run_group_tests_name("xds_feed", tests, NULL, NULL);
}
