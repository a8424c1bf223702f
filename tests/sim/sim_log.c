#include "tests/sim/sim_log.h"

#include "shared/base/log.h"
#include <sys/mman.h>
#include <unistd.h>

static int log_fd = -1;
static FILE *reader;

void sim_log_open(void)
{
    log_fd = memfd_create("access-log", MFD_CLOEXEC);
    assert_true(log_fd >= 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", log_fd);
    reader = fopen(path, "r"); /* with a place of its own */
    assert_non_null(reader);
    log_configure(LOG_INFO, LOG_TEXT, 0);
    log_set_fd(log_fd);
}

void sim_log_close(void)
{
    if (!reader)
        return;
    log_set_fd(2);
    fclose(reader);
    close(log_fd);
    reader = NULL;
    log_fd = -1;
}

void sim_log_tell(void)
{
    char line[SIM_LINE_MAX];
    if (!reader)
        return;
    sim_log_rewind();
    while (fgets(line, sizeof line, reader))
        fputs(line, stderr);
}

void sim_log_rewind(void)
{
    rewind(reader);
}

static bool next_of(char line[static SIM_LINE_MAX], const char *what)
{
    while (fgets(line, SIM_LINE_MAX, reader))
        if (strstr(line, what))
            return true;
    return false;
}

bool sim_log_next(char line[static SIM_LINE_MAX])
{
    return next_of(line, " access: connection complete ");
}

bool sim_log_next_request(char line[static SIM_LINE_MAX])
{
    return next_of(line, " access: request complete ");
}

unsigned sim_log_requests(const char *ending)
{
    char line[SIM_LINE_MAX], value[SIM_LINE_MAX];
    unsigned n = 0;
    sim_log_rewind();
    while (sim_log_next_request(line))
        n += strcmp(sim_log_field(line, "ending", value), ending) == 0;
    return n;
}

const char *sim_log_field(const char *line, const char *key, char out[static SIM_LINE_MAX])
{
    char want[64];
    snprintf(want, sizeof want, " %s=", key);
    const char *at = strstr(line, want);
    size_t n = 0;
    out[0] = '\0';
    if (!at)
        return out;
    at += strlen(want);
    bool quoted = *at == '"';
    if (quoted)
        at++;
    while (*at && *at != '\n' && (quoted ? *at != '"' : *at != ' '))
        out[n++] = *at++;
    out[n] = '\0';
    return out;
}

void sim_log_check_requests(void)
{
    char line[SIM_LINE_MAX], value[SIM_LINE_MAX];
    sim_log_rewind();
    while (sim_log_next_request(line)) {
        bool source = strcmp(sim_log_field(line, "direction", value), "outbound") == 0;
        if (!sim_log_field(line, source ? "src.workload" : "dst.workload", value)[0])
            fail_msg("a request of nobody: %s", line);
    }
}

static struct addr addr_field(const char *line, const char *key)
{
    char value[SIM_LINE_MAX];
    struct addr a = {.port = 0};
    if (sim_log_field(line, key, value)[0])
        assert_int_equal(addr_parse(text_of(value), &a), 0);
    return a;
}

static uint64_t number_field(const char *line, const char *key)
{
    char value[SIM_LINE_MAX];
    return strtoull(sim_log_field(line, key, value), NULL, 10);
}

static bool field_is(const char *line, const char *key, const char *expected)
{
    char value[SIM_LINE_MAX];
    return strcmp(sim_log_field(line, key, value), expected) == 0;
}

bool sim_log_outbound(const struct sim_flow *f, char line[static SIM_LINE_MAX])
{
    sim_log_rewind();
    while (sim_log_next(line)) {
        struct addr source = addr_field(line, "src.addr");
        if (field_is(line, "direction", "outbound") && addr_equal(&source, &f->client.local))
            return true;
    }
    return false;
}

/* An identity in the log is the one of the pod that has the address: nobody spoke with another's. */
static void check_identity(struct sim_mesh *m, const char *line, const char *address_key,
                           const char *identity_key, bool required)
{
    char value[SIM_LINE_MAX];
    struct addr a = addr_field(line, address_key);
    const struct sim_pod *p = sim_pod_at(m, &a.ip);
    sim_log_field(line, identity_key, value);
    if (!value[0] && !required)
        return;
    if (!p || !p->node || (strcmp(value, p->id.text) != 0 && strcmp(value, p->id_before.text) != 0))
        fail_msg("the identity '%s' is not that of %s: %s", value, p ? p->name : "nobody", line);
}

/*
 * Everything was handed to both applications, read or not. Through a tunnel the source can't know what happens after its half-close
 * has left (nor could TCP tell it): what breaks then is broken for the server too, which hears of it.
 */
static bool closed_is_true(const struct sim_flow *f)
{
    const struct sim_end *c = &f->client, *s = f->server;
    if (!s || !(c->fin_sent ? c->sent == f->client_bytes : c->aborted))
        return false;
    if (s->error && !s->fin_sent)
        return false;
    bool answered = (s->fin_sent ? s->sent == f->server_bytes : s->aborted) &&
                    ((c->eof && c->got == s->sent) || c->aborted);
    bool asked = (s->eof && s->got == c->sent) || s->aborted || s->error;
    return answered && asked;
}

/* The source's line of a flow. */
static void check_outbound(struct sim_apps *a, const char *line)
{
    struct addr source = addr_field(line, "src.addr");
    struct sim_flow *f = sim_flow_of_client(a, &source);
    if (!f && source.port == 0 && a->mesh->calls_failed)
        return; /* nobody could say who it was */
    if (!f)
        fail_msg("a line about nobody: %s", line);
    if (++f->n_lines > 1)
        fail_msg("flow %u has two lines, the second is %s", f->id, line);
    check_identity(a->mesh, line, "src.addr", "src.identity", false);
    if (field_is(line, "ending", "closed")) {
        if (!closed_is_true(f)) {
            sim_flow_tell(f);
            fail_msg("closed, but not everything arrived: %s", line);
        }
        assert_int_equal(number_field(line, "bytes_sent"), f->client.sent);
        assert_int_equal(number_field(line, "bytes_recv"), f->server->sent);
    }
}

static void check_inbound(struct sim_apps *a, const char *line)
{
    bool tunnel = addr_field(line, "dst.hbone_addr").port != 0;
    check_identity(a->mesh, line, "src.addr", "src.identity", tunnel);
    check_identity(a->mesh, line, "dst.addr", "dst.identity", false);
    if (!tunnel && !field_is(line, "src.identity", "") && field_is(line, "status", "")) {
        /* On the same node: told by the namespace that it came from. */
        struct addr from = addr_field(line, "src.addr"), to = addr_field(line, "dst.addr");
        const struct sim_pod *p = sim_pod_at(a->mesh, &from.ip), *q = sim_pod_at(a->mesh, &to.ip);
        assert_true(p && q && p->node == q->node);
    }
}

static uint64_t metric_sum(const struct sim_node *n, const char *name)
{
    struct metrics *all[] = {n->env.metrics};
    struct text_heap out;
    uint64_t sum = 0;
    text_heap_init(&out, 16 << 20);
    metrics_print(all, 1, false, &out);
    assert_false(out.failed);
    for (const char *at = out.data; at && (at = strstr(at, name)); at++) {
        const char *value =
            at[strlen(name)] == '{' && (at == out.data || at[-1] == '\n') ? strstr(at, "} ") : NULL;
        if (value)
            sum += strtoull(value + 2, NULL, 10);
    }
    text_heap_done(&out);
    return sum;
}

/*
 * - Each line has an ending, and is about a connection that an application made, at most one at the source.
 * - `closed` is only said where every byte has arrived both ways.
 * - Who exchanged bytes through a captured pod has a line.
 * - As many lines as endings that were counted; as many opened as closed.
 */
void sim_log_check(struct sim_apps *a)
{
    struct sim_mesh *m = a->mesh;
    char line[SIM_LINE_MAX], value[SIM_LINE_MAX];
    uint64_t n = 0, endings = 0;
    for (unsigned i = 0; i < a->n_flows; i++)
        a->flows[i]->n_lines = 0;
    sim_log_rewind();
    while (sim_log_next(line)) {
        n++;
        assert_true(sim_log_field(line, "ending", value)[0]);
        if (field_is(line, "direction", "outbound"))
            check_outbound(a, line);
        else
            check_inbound(a, line);
    }
    for (unsigned i = 0; i < a->n_flows; i++) {
        const struct sim_flow *f = a->flows[i];
        if (f->captured && f->server && f->n_lines == 0) {
            sim_flow_tell(f);
            fail_msg("a connection without a line");
        }
    }
    assert_int_equal(m->nodes[0].env.endings[ENDING_NONE] + m->nodes[1].env.endings[ENDING_NONE],
                     0);
    for (enum ending e = 0; e < ENDING_COUNT; e++)
        endings += sim_ending_count(m, e);
    assert_int_equal(endings, n);
    uint64_t opened = 0, closed = 0;
    for (unsigned i = 0; i < SIM_NODES; i++) {
        opened += metric_sum(&m->nodes[i], "istio_tcp_connections_opened_total");
        closed += metric_sum(&m->nodes[i], "istio_tcp_connections_closed_total");
    }
    if (m->memory_failed) { /* a series for which there is no memory is counted nowhere */
        assert_true(opened <= n && closed <= n);
    } else {
        assert_int_equal(opened, n);
        assert_int_equal(closed, n);
    }
    assert_true(n >=
                m->nodes[0].env.next_id +
                    m->nodes[1].env.next_id); /* what was refused before it began has no number */
}
