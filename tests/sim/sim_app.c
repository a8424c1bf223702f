#include "tests/sim/sim_app.h"

#include "tests/sim/sim_alloc.h"

enum { STUCK_MS = 60 * 1000, /* without any progress */ PIECE_MAX = 16384, PIECE_MIN = 256 };

/* ---- the pattern --------------------------------------------------------------------------------------------- */

static uint64_t word_of(unsigned flow, bool client, uint64_t number)
{
    uint64_t z = ((uint64_t)flow * 2 + client) * 0x9e3779b97f4a7c15u + number * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 30) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint8_t byte_of(const struct sim_flow *f, bool client, uint64_t at)
{
    if (client && at < SIM_HEADER_BYTES)
        return (uint8_t)(at < 4 ? 0xa5 : f->id >> 8 * (at - 4));
    return (uint8_t)(word_of(f->id, client, at / 8) >> 8 * (at % 8));
}

/* ---- ends ------------------------------------------------------------------------------------------------------ */

static void tick(struct timer *t);

static void end_init(struct sim_end *e, struct sim_apps *apps, int fd)
{
    e->apps = apps;
    e->fd = fd;
    timer_init(&e->tick, tick);
}

static void tick_later(struct sim_end *e)
{
    unsigned most = e->flow ? e->flow->tick_ms_max : 3;
    timer_start(ring_timers(e->apps->mesh->apps), &e->tick,
                rng_below(e->apps->mesh->rng, most + 1));
}

static void end_done(struct sim_end *e)
{
    e->done = true;
    socket_close(e->fd);
    e->fd = -1;
}

static void end_failed(struct sim_end *e, ssize_t error)
{
    e->error = (int)error;
    end_done(e);
}

static struct sim_end *other_of(const struct sim_end *e)
{
    return e->is_client ? e->flow->server : &e->flow->client;
}

/* Nothing that the other side said may be missing, and it must have said that this was all. */
static void check_eof(const struct sim_end *e)
{
    const struct sim_end *other = e->flow ? other_of(e) : NULL;
    if (other && (other->fin_sent || other->aborted) && e->got == other->sent)
        return;
    print_error(
        "%s of flow %d got a clean end after %llu bytes; the other side sent %llu and has %s\n",
        e->is_client ? "client" : "server", e->flow ? (int)e->flow->id : -1,
        (unsigned long long)e->got, other ? (unsigned long long)other->sent : 0,
        !other            ? "never been there"
        : other->fin_sent ? "finished"
                          : "not finished");
    sim_tell_living(e->apps->mesh);
    fail_msg("an end that is none");
}

static void server_found(struct sim_end *e)
{
    struct sim_apps *a = e->apps;
    unsigned id = (unsigned)(e->header[4] | e->header[5] << 8 | e->header[6] << 16);
    assert_true(e->header[0] == 0xa5 && e->header[3] == 0xa5 && id < a->n_flows);
    struct sim_flow *f = a->flows[id];
    assert_null(f->server); /* a request is never made twice */
    f->server = e;
    e->flow = f;
    if (f->to)
        assert_int_equal(fake_socket_namespace(e->fd), f->to->namespace_id);
    /* The application sees the client itself; an address of the other family can't be shown. */
    if (!ip_equal(&f->client.local.ip, &e->local.ip) && f->client.local.ip.len == e->local.ip.len)
        assert_true(ip_equal(&e->peer.ip, &f->client.local.ip));
}

static bool abort_now(struct sim_end *e)
{
    const struct sim_flow *f = e->flow;
    enum sim_abort how = !f ? SIM_NO_ABORT : e->is_client ? f->client_aborts : f->server_aborts;
    if (how == SIM_NO_ABORT || e->got < f->abort_at)
        return false;
    e->aborted = true;
    if (how == SIM_RESET)
        socket_set_reset_on_close(e->fd);
    end_done(e);
    return true;
}

/* False: over. */
static bool read_some(struct sim_end *e)
{
    uint8_t piece[PIECE_MAX];
    size_t budget = e->flow ? e->flow->read_max : SIM_HEADER_BYTES;
    while (budget > 0 && !e->eof) {
        size_t most = budget < sizeof piece ? budget : sizeof piece;
        if (!e->flow)
            most = SIM_HEADER_BYTES - (size_t)e->got;
        ssize_t n = fake_socket_read(e->fd, piece, most);
        if (n == -EAGAIN)
            return true;
        if (n < 0) {
            end_failed(e, n);
            return false;
        }
        if (n == 0) {
            check_eof(e);
            e->eof = true;
            return true;
        }
        for (ssize_t i = 0; i < n; i++) {
            if (!e->flow)
                e->header[e->got + (uint64_t)i] = piece[i];
            else if (piece[i] != byte_of(e->flow, !e->is_client, e->got + (uint64_t)i))
                fail_msg("flow %u: byte %llu of %s is wrong", e->flow->id,
                         (unsigned long long)e->got + (uint64_t)i,
                         e->is_client ? "the answer" : "the request");
        }
        e->got += (uint64_t)n;
        budget -= (size_t)n < budget ? (size_t)n : budget;
        if (!e->flow && e->got == SIM_HEADER_BYTES)
            server_found(e);
        if (abort_now(e))
            return false;
    }
    return true;
}

static bool may_send(const struct sim_end *e)
{
    const struct sim_flow *f = e->flow;
    if (!f)
        return false;
    if (e->is_client && f->order == SIM_SERVER_FIRST)
        return e->sent < SIM_HEADER_BYTES || e->eof;
    return e->is_client || f->order != SIM_CLIENT_FIRST || e->eof;
}

static bool write_some(struct sim_end *e)
{
    uint8_t piece[PIECE_MAX];
    uint64_t total = !e->flow ? 0 : e->is_client ? e->flow->client_bytes : e->flow->server_bytes;
    for (int i = 0; i < 4 && may_send(e) && e->sent < total; i++) {
        size_t n = 1 + (size_t)rng_below(e->apps->mesh->rng, sizeof piece);
        if (n > total - e->sent)
            n = (size_t)(total - e->sent);
        if (e->is_client && e->flow->order == SIM_SERVER_FIRST && e->sent < SIM_HEADER_BYTES &&
            n > SIM_HEADER_BYTES - e->sent)
            n = (size_t)(SIM_HEADER_BYTES - e->sent);
        if (n > e->taken_last + PIECE_MIN) /* who takes little is not offered much: it costs time */
            n = e->taken_last + PIECE_MIN;
        for (size_t j = 0; j < n; j++)
            piece[j] = byte_of(e->flow, e->is_client, e->sent + j);
        ssize_t r = fake_socket_write(e->fd, piece, n);
        e->taken_last = r > 0 ? 2 * (size_t)r : 0;
        if (r == -EAGAIN)
            return true;
        if (r < 0) {
            end_failed(e, r);
            return false;
        }
        e->sent += (uint64_t)r;
    }
    if (e->flow && e->sent == total && may_send(e) && !e->fin_sent) {
        /* It fails where the connection is broken; reading tells, unless all has been read before. */
        int r = socket_shutdown_send(e->fd);
        if (r < 0 && e->eof) {
            end_failed(e, r);
            return false;
        }
        e->fin_sent = r == 0;
    }
    return true;
}

static void client_connect(struct sim_end *e)
{
    int r = fake_socket_connect(e->fd, &e->flow->destination);
    if (r == -EAGAIN)
        return;
    if (r < 0) {
        end_failed(e, r);
        return;
    }
    e->connected = true;
    e->flow->captured = e->flow->from->captured;
    assert_int_equal(socket_local(e->fd, &e->local), 0);
}

static void tick(struct timer *t)
{
    struct sim_end *e = container_of(t, struct sim_end, tick);
    sim_alloc_leave();
    if (!e->connected) {
        client_connect(e);
        if (e->connected && e->flow->silent_ms > 0) {
            timer_start(ring_timers(e->apps->mesh->apps), t, e->flow->silent_ms);
            return;
        }
    }
    if (e->connected && !e->done && read_some(e) && write_some(e) && e->eof && e->fin_sent)
        end_done(e);
    if (!e->done)
        tick_later(e);
}

/* ---- accepting ------------------------------------------------------------------------------------------------------ */

static void accept_some(struct timer *t)
{
    struct sim_apps *a = container_of(t, struct sim_apps, accepting);
    struct sim_mesh *m = a->mesh;
    int fd;
    sim_alloc_leave();
    for (unsigned i = 0; i < m->n_listeners; i++)
        while (fake_socket_accept(m->listeners[i].fd, &fd) == 0) {
            struct sim_end *e = calloc(1, sizeof *e);
            assert_non_null(e);
            end_init(e, a, fd);
            e->connected = true;
            assert_int_equal(socket_local(fd, &e->local) + socket_peer(fd, &e->peer), 0);
            e->next = a->servers;
            a->servers = e;
            tick_later(e);
        }
    timer_start(ring_timers(m->apps), t, 1 + rng_below(m->rng, 3));
}

/* ---- flows ------------------------------------------------------------------------------------------------------------ */

void sim_apps_open(struct sim_apps *a, struct sim_mesh *m)
{
    *a = (struct sim_apps){.mesh = m};
    timer_init(&a->accepting, accept_some);
    timer_start(ring_timers(m->apps), &a->accepting, 1);
}

struct sim_flow *sim_flow_new(struct sim_apps *a, struct sim_pod *from, struct sim_pod *to,
                              const struct addr *destination, uint64_t client_bytes,
                              uint64_t server_bytes)
{
    sim_alloc_leave();
    assert_true(a->n_flows < SIM_FLOWS_MAX);
    struct sim_flow *f = calloc(1, sizeof *f);
    assert_non_null(f);
    *f = (struct sim_flow){
        .id = a->n_flows,
        .from = from,
        .to = to,
        .destination = *destination,
        .client_bytes = client_bytes + SIM_HEADER_BYTES,
        .server_bytes = server_bytes,
        .read_max = 65536,
        .tick_ms_max = 3,
    };
    f->client.flow = f;
    f->client.is_client = true;
    f->client.fd = -1;
    f->client.apps = a;
    timer_init(&f->client.tick, tick);
    a->flows[a->n_flows++] = f;
    return f;
}

void sim_flow_start(struct sim_flow *f)
{
    struct sim_end *e = &f->client;
    struct sim_mesh *m = e->apps->mesh;
    sim_alloc_leave();
    f->started = true;
    uint32_t before = fake_net_enter_namespace(m->net, f->from->namespace_id);
    int fd, r = socket_open(ip_family(&f->destination.ip), &fd);
    fake_net_enter_namespace(m->net, before);
    assert_int_equal(r, 0);
    end_init(e, e->apps, fd);
    tick_later(e);
}

void sim_flow_pattern(const struct sim_flow *f, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = byte_of(f, true, i);
}

bool sim_flow_clean(const struct sim_flow *f)
{
    const struct sim_end *c = &f->client, *s = f->server;
    return s && c->eof && c->fin_sent && s->eof && s->fin_sent && c->sent == f->client_bytes &&
           s->got == c->sent && s->sent == f->server_bytes && c->got == s->sent;
}

bool sim_flow_done(const struct sim_flow *f)
{
    return f->client.done && (!f->server || f->server->done);
}

bool sim_apps_done(void *apps)
{
    const struct sim_apps *a = apps;
    for (unsigned i = 0; i < a->n_flows; i++)
        if (a->flows[i]->started && !sim_flow_done(a->flows[i]))
            return false;
    for (const struct sim_end *e = a->servers; e; e = e->next)
        if (!e->done)
            return false;
    return true;
}

static void tell_end(const struct sim_end *e)
{
    char local[ADDR_TEXT_MAX], peer[ADDR_TEXT_MAX];
    print_error("    %s %s %s: sent %llu%s, got %llu%s%s%s error %d\n",
                e->is_client ? "client" : "server", addr_print(&e->local, local),
                addr_print(&e->peer, peer), (unsigned long long)e->sent, e->fin_sent ? " all" : "",
                (unsigned long long)e->got, e->eof ? " all" : "",
                e->done        ? ", done"
                : e->connected ? ", living"
                               : ", connecting",
                e->aborted ? ", aborted" : "", e->error);
}

void sim_flow_tell(const struct sim_flow *f)
{
    char to[ADDR_TEXT_MAX];
    print_error("  flow %u from %s to %s, order %d, to send %llu and %llu%s\n", f->id,
                f->from->name, addr_print(&f->destination, to), (int)f->order,
                (unsigned long long)f->client_bytes, (unsigned long long)f->server_bytes,
                sim_flow_clean(f) ? ", clean" : "");
    tell_end(&f->client);
    if (f->server)
        tell_end(f->server);
}

static uint64_t progress(const struct sim_apps *a)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < a->n_flows; i++)
        sum += a->flows[i]->client.got + a->flows[i]->client.sent + a->flows[i]->client.done;
    for (const struct sim_end *e = a->servers; e; e = e->next)
        sum += e->got + e->sent + e->done;
    return sum;
}

void sim_apps_run(struct sim_apps *a)
{
    for (uint64_t before = UINT64_MAX, now; (now = progress(a)) != before; before = now)
        if (fake_net_run_until(a->mesh->net, sim_apps_done, a, STUCK_MS))
            return;
    for (unsigned i = 0; i < a->n_flows; i++)
        if (a->flows[i]->started && !sim_flow_done(a->flows[i]))
            sim_flow_tell(a->flows[i]);
    sim_tell_living(a->mesh);
    fail_msg("flows are stuck");
}

struct sim_flow *sim_flow_of_client(const struct sim_apps *a, const struct addr *client)
{
    for (unsigned i = 0; i < a->n_flows; i++)
        if (a->flows[i]->client.connected && addr_equal(&a->flows[i]->client.local, client))
            return a->flows[i];
    return NULL;
}

void sim_apps_close(struct sim_apps *a)
{
    assert_true(sim_apps_done(a));
    timer_stop(ring_timers(a->mesh->apps), &a->accepting);
    for (unsigned i = 0; i < a->n_flows; i++)
        free(a->flows[i]);
    for (struct sim_end *e = a->servers, *next; e; e = next) {
        next = e->next;
        free(e);
    }
    *a = (struct sim_apps){0};
}
