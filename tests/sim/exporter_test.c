/*
 * Spans on their way to a collector that is played here, on the simulated network: whatever the collector, the network or the
 * memory does, each span that was given is taken or counted as dropped, none is held without end, and those that come after
 * arrive.
 */
#include "nodeproxy/trace/exporter.h"
#include "shared/base/log.h"
#include "shared/ring/socket.h"
#include "shared/transport/listener.h"
#include "tests/sim/sim_alloc.h"
#include "tests/sim/sim_chance.h"
#include "tests/support/fake_ring.h"
#include "tests/unit/shared/tls/tls_fixture.h"

#define COLLECTOR "spiffe://cluster.local/ns/monitoring/sa/collector"
enum { LONG_MS = 300000 };

static struct fake_net *net;
static struct ring *ours, *theirs;
static struct mailbox mailbox;
static struct exporter exporter;
static struct party root, self, collector;
static struct tls_config *client_tls;
static uint64_t n_given;
static bool gone, mailbox_gone;

/* ---- a collector -------------------------------------------------------------- */

static struct {
    struct tls_config *tls;
    struct listener listener;
    struct h2_conn h2;
    struct grpc_call call;
    struct addr at;
    bool listening, closing, connected, calling;
    bool silent;             /* it takes a call and says nothing */
    enum grpc_status status; /* that it ends calls with */
    struct text answer;
    unsigned n_calls, n_connections;
    size_t longest;
} server;

static void call_message(struct grpc_call *call, const uint8_t *data, size_t len)
{
    (void)data;
    server.longest = len > server.longest ? len : server.longest;
    if (server.silent)
        return;
    if (server.status == GRPC_OK)
        (void)grpc_call_send(call, (const uint8_t *)server.answer.data, server.answer.len);
    grpc_call_finish(call, server.status, NULL);
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
    assert_true(text_ends_with(path, TEXT("trace.v1.TraceService/Export")));
    assert_false(server.calling); /* one at a time */
    server.calling = true;
    server.n_calls++;
    grpc_call_accept(&server.call, ring_chunks(theirs), 4 << 20, &call_events, NULL);
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
    server.connected =
        h2_conn_open_server(&server.h2, theirs, taken_fd, &o, &conn_events, NULL) == 0;
    server.n_connections += server.connected;
    if (!server.connected)
        listener_release(&server.listener);
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
    assert_true(fake_net_run_until(net, is_away, NULL, LONG_MS));
}

/* ---- begin and end ------------------------------------------------------------- */

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

/* `identity` NULL: plain. */
static void begin(const char *identity)
{
    sim_chance_seed(1);
    net = fake_net_new(1);
    assert_non_null(net);
    assert_int_equal(ring_open(&ours, &(struct ring_options){0}, NULL), 0);
    assert_int_equal(ring_open(&theirs, &(struct ring_options){0}, NULL), 0);
    assert_int_equal(mailbox_open(&mailbox, ours), 0);
    memset(&server, 0, sizeof server);
    n_given = 0;
    gone = mailbox_gone = false;
    assert_int_equal(addr_parse(TEXT("127.0.0.1:0"), &server.at), 0);
    if (identity) {
        root = root_make("root");
        self = leaf_make(ALICE, &root);
        collector = leaf_make(COLLECTOR, &root);
        server.tls = tls_of(TLS_SERVER, &collector);
        client_tls = tls_of(TLS_CLIENT, &self);
    }
    server_comes();
    fake_ring_watch(ours);
    const struct exporter_options o = {
        .ring = ours, .mailbox = &mailbox, .collector = server.at, .identity = identity};
    exporter_init(&exporter, &o);
}

static void close_told(void *arg)
{
    *(bool *)arg = true;
}
static void mailbox_told(struct mailbox *m)
{
    (void)m;
    mailbox_gone = true;
}
static bool is_gone(void *arg)
{
    (void)arg;
    return gone && mailbox_gone;
}
static uint64_t n_counted(void)
{
    return exporter.exported + exporter.dropped;
}

static bool is_told(void *arg)
{
    return *(bool *)arg;
}
/* Once both are closed. */
static void over(void)
{
    assert_true(fake_net_run_until(net, is_gone, NULL, LONG_MS));
    assert_int_equal(exporter.queued_bytes, 0);
    assert_int_equal(n_counted(), n_given);
    if (server.listening)
        server_goes();
    assert_int_equal(fake_net_leaks(net), 0);
    if (server.tls) {
        tls_config_unref(client_tls);
        tls_config_unref(server.tls);
        party_done(&self);
        party_done(&collector);
        party_done(&root);
    }
    ring_free(ours);
    ring_free(theirs);
    net = fake_net_free(net);
}

/* Whatever is on its way: all is given back, and each span was counted. */
static void end(void)
{
    exporter_close(&exporter, close_told, &gone);
    mailbox_close(&mailbox, mailbox_told);
    over();
}

static void give(size_t n, size_t len)
{
    static char bytes[8192];
    assert_true(len <= sizeof bytes);
    for (size_t i = 0; i < n; i++, n_given++)
        exporter_give(&exporter, n_given % 2 ? TEXT("pod b") : TEXT("pod a"),
                      (struct text){bytes, len});
    assert_true(exporter.queued_bytes <= TRACE_QUEUED_MAX);
}
static bool all_counted(void *arg)
{
    (void)arg;
    return n_counted() == n_given;
}
static void await(void)
{
    assert_true(fake_net_run_until(net, all_counted, NULL, LONG_MS));
    assert_int_equal(exporter.queued_bytes, 0);
}

/* ---- the cases ------------------------------------------------------------------ */

static void taken(void **state)
{
    (void)state;
    begin(NULL);
    give(3, 100);
    await();
    assert_int_equal(exporter.exported, 3);
    assert_int_equal(server.n_calls, 1); /* they waited for one another */
    give(2 * TRACE_BATCH_SPANS + 1, 10);
    await();
    assert_int_equal(server.n_calls, 4);
    give(1000, 8000);
    await();
    assert_int_equal(exporter.dropped, 0);
    assert_in_range(server.longest, TRACE_BATCH_BYTES / 2, TRACE_BATCH_BYTES + TRACE_BATCH_SPANS * 64);
    server.answer = TEXT("\x0a\x02\x08\x02"); /* two were rejected */
    give(5, 100);
    await();
    assert_int_equal(exporter.dropped, 2);
    end();
}

/* While nobody is there spans wait, so many bytes of them and no more; then those are told. */
static void away(void **state)
{
    (void)state;
    begin(NULL);
    server_goes();
    give(2000, 8000);
    assert_in_range(exporter.dropped, 900, 1000);
    uint64_t dropped = exporter.dropped;
    fake_net_run_for(net, 60000);
    assert_int_equal(n_counted(), dropped);
    server_comes();
    await();
    assert_int_equal(exporter.dropped, dropped);
    end();
}

/* It takes each call and never answers: five tries of ten seconds. What came later is told when it speaks again. */
static void slow(void **state)
{
    (void)state;
    begin(NULL);
    server.silent = true;
    give(10, 100);
    uint64_t began_ms = fake_net_now_ms(net);
    await();
    assert_int_equal(exporter.dropped, 10);
    assert_int_equal(server.n_calls, TRACE_TRIES);
    assert_in_range(fake_net_now_ms(net) - began_ms, 50000, 60000);
    give(10, 100);
    fake_net_run_for(net, 15000);
    server.silent = false;
    await();
    assert_int_equal(exporter.exported, 10);
    server.silent = true;
    give(700, 100); /* the end comes in the middle of a call */
    fake_net_run_for(net, 3000);
    assert_true(server.calling);
    end();
}

static void refused(void **state)
{
    static char huge[TRACE_ANSWER_MAX + 1];
    (void)state;
    begin(NULL);
    server.status = GRPC_INVALID_ARGUMENT;
    give(10, 100);
    await();
    assert_int_equal(server.n_calls, 1);
    assert_int_equal(exporter.dropped, 10);
    server.status = GRPC_UNAVAILABLE;
    give(10, 100);
    await();
    assert_int_equal(server.n_calls, 1 + TRACE_TRIES);
    server.status = GRPC_OK;
    server.answer = (struct text){huge, sizeof huge};
    give(10, 100);
    await();
    assert_int_equal(exporter.dropped, 30); /* it is not read to its end */
    server.answer = TEXT("");
    give(10, 100);
    await();
    assert_int_equal(exporter.exported, 10);
    end();
}

static void mutual_tls(void **state)
{
    (void)state;
    begin(COLLECTOR);
    give(10, 100);
    fake_net_run_for(net, 60000); /* our own certificate is not there yet */
    assert_false(server.connected);
    exporter_set_tls(&exporter, client_tls);
    await();
    assert_int_equal(exporter.exported, 10);
    end();
    begin("spiffe://cluster.local/ns/monitoring/sa/other");
    exporter_set_tls(&exporter, client_tls);
    give(10, 100);
    fake_net_run_for(net, 60000);
    assert_int_equal(n_counted(), 0);
    assert_int_equal(server.n_calls, 0); /* nothing is said to whoever has not proved it */
    end();
}

static void the_last_ones(void **state)
{
    (void)state;
    begin(NULL);
    give(700, 100);
    fake_net_run_for(net, 100); /* less than they wait for one another */
    assert_in_range(n_counted(), 0, 699);
    end();
    assert_int_equal(exporter.exported, 700);
    /* Who is not there, or says nothing, is not waited for. */
    for (int silent = 0; silent < 2; silent++) {
        begin(NULL);
        server.silent = silent;
        if (!silent)
            server_goes();
        give(3, 100);
        fake_net_run_for(net, 100);
        uint64_t began_ms = fake_net_now_ms(net);
        exporter_close(&exporter, close_told, &gone);
        assert_true(fake_net_run_until(net, is_told, &gone, 2000));
        assert_in_range(fake_net_now_ms(net) - began_ms, 0, 1500);
        assert_int_equal(exporter.dropped, 3);
        mailbox_close(&mailbox, mailbox_told);
        over();
    }
}

/* What is said after it is said by the new one, though nothing was wrong with the connection. */
static void a_certificate_is_renewed(void **state)
{
    (void)state;
    begin(COLLECTOR);
    exporter_set_tls(&exporter, client_tls);
    give(10, 100);
    await();
    give(10, 100);
    await();
    assert_int_equal(server.n_connections, 1);
    struct tls_config *renewed = tls_of(TLS_CLIENT, &self);
    exporter_set_tls(&exporter, renewed);
    give(10, 100);
    await();
    assert_int_equal(server.n_connections, 2);
    assert_int_equal(exporter.exported, 30);
    server.silent = true; /* in the middle of a call: then that one is heard to its end */
    give(10, 100);
    fake_net_run_for(net, 3000);
    assert_true(server.calling);
    exporter_set_tls(&exporter, client_tls);
    server.silent = false;
    fake_net_run_for(net, 3000);
    assert_int_equal(server.n_connections, 2);
    await();
    assert_int_equal(server.n_connections, 3);
    assert_int_equal(exporter.exported, 40);
    tls_config_unref(renewed);
    end();
}

/* ---- faults ---------------------------------------------------------------------- */

static void play(void)
{
    give(3, 100);
    await();
}

static void each_point_fails(void **state)
{
    static const enum fake_fault_kind kinds[] = {FAKE_ERROR, FAKE_LATE, FAKE_STALL};
    static const unsigned points[] = {FAKE_AT_CONNECT, FAKE_AT_RECV, FAKE_AT_SEND};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds) * ARRAY_SIZE(points); i++) {
        struct fake_fault f = {.points = points[i % ARRAY_SIZE(points)], .kind = kinds[i / ARRAY_SIZE(points)]};
        const int *errors = NULL;
        size_t n = f.kind == FAKE_ERROR ? fake_fault_errors(f.points, &errors) : 1;
        for (size_t e = 0; e < n; e++) {
            f.error = errors ? errors[e] : 0;
            f.nth = 0;
            bool reached;
            do {
                f.nth++;
                begin(NULL);
                fake_net_set_fault(net, &f);
                play();
                reached = fake_net_points(net) >= f.nth;
                fake_net_set_fault(net, NULL);
                uint64_t dropped = exporter.dropped;
                play();
                assert_int_equal(exporter.dropped, dropped);
                end();
            } while (reached);
            assert_in_range(f.nth, 2, 200);
        }
    }
}

static void each_allocation_fails(void **state)
{
    uint64_t n = 0;
    bool failed;
    (void)state;
    do {
        begin(NULL);
        sim_alloc_enter();
        sim_alloc_fail_at(++n);
        play();
        failed = sim_alloc_failed();
        sim_alloc_fail_at(0);
        sim_alloc_leave();
        uint64_t dropped = exporter.dropped;
        play();
        assert_int_equal(exporter.dropped, dropped);
        end();
    } while (failed);
    assert_in_range(n, 5, 2000);
    print_message("  %llu allocations\n", (unsigned long long)n - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken),      cmocka_unit_test(away),
        cmocka_unit_test(slow),       cmocka_unit_test(refused),
        cmocka_unit_test(mutual_tls), cmocka_unit_test(the_last_ones),
        cmocka_unit_test(a_certificate_is_renewed), cmocka_unit_test(each_point_fails),
        cmocka_unit_test(each_allocation_fails),
    };
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    return cmocka_run_group_tests_name("exporter", tests, NULL, NULL);
}
