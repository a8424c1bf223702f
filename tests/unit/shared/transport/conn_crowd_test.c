/* Many connections through an echo server on the same ring; every tenth resets in mid-stream. */
#include "shared/transport/conn.h"
#include "shared/transport/listener.h"
#include "tests/unit/shared/transport/fixture.h"

enum { CROWD = 200, AT_ONCE = 50, PAYLOAD = 100000 };

/* One connection through an echo server: a client, and what the server has accepted. */
struct member {
    struct conn conn;
    bool is_client, rude, finished, ended, failed, over;
    uint64_t sent, got;
    bool bad;
};
static struct crowd {
    struct listener listener;
    struct addr at;
    unsigned n_begun, n_clients, n_servers, n_good, n_rude, n_accepted, n_server_failed;
    bool listening, tls;
} crowd;

static void member_end(struct member *m)
{
    conn_close(&m->conn);
}

static void crowd_fill(void);

static bool crowd_gone(void)
{
    return !crowd.listening && crowd.n_clients == 0 && crowd.n_servers == 0;
}

static void member_drained(struct conn *c)
{
    struct member *m = container_of(c, struct member, conn);

    if (m->is_client) {
        crowd.n_clients--;
        if (m->rude)
            crowd.n_rude++;
        else if (m->got == PAYLOAD && m->ended && !m->bad && !m->failed)
            crowd.n_good++;
        crowd_fill();
        if (crowd.n_begun == CROWD && crowd.n_clients == 0)
            listener_close(&crowd.listener);
    } else {
        crowd.n_servers--;
        crowd.n_server_failed += m->failed;
        listener_release(&crowd.listener);
    }
    free(m);
    bed_poke();
}

static void member_pump(struct member *m)
{
    struct stream *s = &m->conn.stream;

    while (m->sent < PAYLOAD && stream_queued(s) < 8192) {
        struct buf part = {0};
        pattern_append(&part, 7, m->sent, 1000);
        m->sent += 1000;
        stream_send(s, &part);
    }
    if (m->sent == PAYLOAD && !m->conn.finish_asked)
        stream_finish(s);
}

static void member_received(struct stream *s, struct buf *bytes)
{
    struct member *m = s->user;
    size_t len = bytes->len;

    if (!m->is_client) {
        stream_send(s, bytes);
        m->got += len;
        return;
    }
    m->bad = !pattern_take(bytes, 7, m->got) || m->bad;
    m->got += len;
    if (m->rude && m->got > PAYLOAD / 2) {
        stream_reset(s, -ECANCELED);
        conn_close(&m->conn);
        return;
    }
    member_pump(m);
}

static void member_both(struct member *m)
{
    if (m->ended && m->finished)
        member_end(m);
}

static void member_ended(struct stream *s)
{
    struct member *m = s->user;
    m->ended = true;
    if (!m->is_client)
        stream_finish(s);
    member_both(m);
}

static void member_finished(struct stream *s)
{
    struct member *m = s->user;
    m->finished = true;
    member_both(m);
}

static void member_writable(struct stream *s)
{
    if (((struct member *)s->user)->is_client)
        member_pump(s->user);
}

static void member_failed(struct stream *s, int error)
{
    struct member *m = s->user;
    assert_true(error == -ECONNRESET || error == -EPIPE);
    m->failed = true;
    member_end(m);
}

static void member_secured(struct conn *c, int result)
{
    struct member *m = container_of(c, struct member, conn);
    assert_int_equal(result, 0);
    conn_start(c);
    if (m->is_client)
        member_pump(m);
}

static void member_connected(struct conn *c, int result)
{
    assert_int_equal(result, 0);
    if (crowd.tls)
        assert_int_equal(conn_secure(c, client_tls), 0);
    else
        member_secured(c, 0);
}

static const struct stream_events member_stream_events = {
    member_received, member_ended, member_writable, member_finished, member_failed};
static const struct conn_events member_conn_events = {
    .connected = member_connected, .secured = member_secured, .drained = member_drained};

static struct member *member_new(int fd, bool is_client)
{
    struct member *m = calloc(1, sizeof *m);

    assert_non_null(m);
    m->is_client = is_client;
    conn_init(&m->conn, bed.ring, fd, &member_conn_events);
    m->conn.stream.events = &member_stream_events;
    m->conn.stream.user = m;
    return m;
}

static void crowd_fill(void)
{
    while (crowd.n_clients < AT_ONCE && crowd.n_begun < CROWD) {
        int fd = -1;
        assert_int_equal(socket_open(AF_INET, &fd), 0);
        struct member *m = member_new(fd, true);
        m->rude = crowd.n_begun++ % 10 == 9;
        crowd.n_clients++;
        conn_connect(&m->conn, &crowd.at);
    }
}

static void crowd_accepted(struct listener *l, int fd)
{
    struct member *m = member_new(fd, false);

    (void)l;
    crowd.n_accepted++;
    crowd.n_servers++;
    if (crowd.tls)
        assert_int_equal(conn_secure(&m->conn, server_tls), 0);
    else
        conn_start(&m->conn);
}

static void crowd_drained(struct listener *l)
{
    (void)l;
    crowd.listening = false;
    bed_poke();
}

static void run_crowd(bool tls)
{
    crowd = (struct crowd){.listening = true, .tls = tls};
    listener_open(&crowd.listener, bed.ring, listen_loopback(&crowd.at), 2 * AT_ONCE,
                  crowd_accepted, crowd_drained, NULL);
    crowd_fill();
    bed_run_until(crowd_gone);
    assert_int_equal(crowd.n_accepted, CROWD);
    assert_int_equal(crowd.n_rude, CROWD / 10);
    assert_int_equal(crowd.n_good, CROWD - CROWD / 10);
    assert_int_equal(crowd.n_server_failed, CROWD / 10);
}
static void plain_crowd(void **state)
{
    (void)state;
    run_crowd(false);
}
static void tls_crowd(void **state)
{
    (void)state;
    run_crowd(true);
}

static int make_identities(void **state)
{
    (void)state;
    identities_make(TEXT(""));
    return 0;
}

#define ON_RING(test) cmocka_unit_test_setup_teardown(test, bed_open, bed_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RING(plain_crowd),
        ON_RING(tls_crowd),
    };
    return cmocka_run_group_tests(tests, make_identities, identities_done);
}
