/* What every connection leaves behind: counters and a line; see the header. */
#include "nodeproxy/path/account.h"

#include "shared/base/log.h"
#include <stdio.h>
#include <stdlib.h>

enum account_label {
    L_REPORTER, L_SOURCE_WORKLOAD, L_SOURCE_NAMESPACE, L_SOURCE_PRINCIPAL, L_SOURCE_APP, L_SOURCE_VERSION, L_SOURCE_CLUSTER, L_SOURCE_CANONICAL,
    L_SOURCE_REVISION, L_DST_WORKLOAD, L_DST_NAMESPACE, L_DST_PRINCIPAL, L_DST_APP, L_DST_VERSION, L_DST_CLUSTER, L_DST_SERVICE,
    L_DST_SERVICE_NAME, L_DST_SERVICE_NAMESPACE, L_DST_CANONICAL, L_DST_REVISION, L_PROTOCOL, L_FLAGS, L_SECURITY, L_COUNT
};
_Static_assert((int)L_COUNT == ACCOUNT_LABELS && (int)L_PROTOCOL == ACCOUNT_LABEL_PROTOCOL && (int)L_FLAGS == ACCOUNT_LABEL_FLAGS &&
                   (int)L_SOURCE_WORKLOAD == ACCOUNT_LABEL_SOURCE && (int)L_SOURCE_PRINCIPAL == ACCOUNT_LABEL_SOURCE_ID &&
                   (int)L_DST_SERVICE == ACCOUNT_LABEL_SERVICE && (int)L_DST_WORKLOAD == ACCOUNT_LABEL_DESTINATION,
               "as the header says");
static const char *const label_names[L_COUNT] = {ACCOUNT_LABEL_NAMES};
#define FAMILY(symbol, metric, about) const struct metric_family symbol = {metric, about, METRIC_COUNTER, label_names, L_COUNT}
FAMILY(account_opened, "istio_tcp_connections_opened_total", "TCP connections opened.");
FAMILY(account_closed, "istio_tcp_connections_closed_total", "TCP connections closed.");
FAMILY(account_sent, "istio_tcp_sent_bytes_total", "Bytes sent from the server to the client.");
FAMILY(account_received, "istio_tcp_received_bytes_total", "Bytes received by the server from the client.");
FAMILY(account_for_requests, "weir_http_connections_opened_total", "Connections opened whose requests are counted, and not their bytes.");
FAMILY(account_failed, "istio_tcp_connections_failed_total", "TCP connections that were refused or failed, by response_flags.");

static struct text or_unknown(const char *value) { return value && value[0] ? text_of(value) : TEXT("unknown"); }

static void put_workload(struct text *v, const struct workload *w, const struct spiffe_id *id, enum account_label first)
{
    const struct text unknown = TEXT("unknown");
    bool source = first == L_SOURCE_WORKLOAD;
    v[first] = w ? or_unknown(w->workload_name) : unknown;
    v[first + 1] = w ? or_unknown(w->ns) : unknown;
    v[first + 2] = id && spiffe_id_present(id) ? spiffe_id_text(id) : unknown;
    v[first + 3] = w ? or_unknown(w->canonical_name) : unknown;
    v[first + 4] = w ? or_unknown(w->canonical_revision) : unknown;
    v[first + 5] = w ? or_unknown(w->cluster_id) : unknown;
    v[source ? L_SOURCE_CANONICAL : L_DST_CANONICAL] = v[first + 3];
    v[source ? L_SOURCE_REVISION : L_DST_REVISION] = w && w->canonical_revision[0] ? text_of(w->canonical_revision) : w ? TEXT("latest") : unknown;
}

void account_labels_of(enum reporter reporter, const struct account_subject *s, struct text v[static ACCOUNT_LABELS])
{
    const struct text unknown = TEXT("unknown");
    v[L_REPORTER] = reporter == REPORTER_SOURCE ? TEXT("source") : TEXT("destination");
    put_workload(v, s->source, s->source_id, L_SOURCE_WORKLOAD);
    put_workload(v, s->destination, s->destination_id, L_DST_WORKLOAD);
    v[L_DST_SERVICE] = s->service ? or_unknown(s->service->hostname) : unknown;
    v[L_DST_SERVICE_NAME] = s->service ? or_unknown(s->service->name) : s->black_hole ? TEXT("BlackHoleCluster") : unknown;
    v[L_DST_SERVICE_NAMESPACE] = s->service ? or_unknown(s->service->ns) : unknown;
    v[L_PROTOCOL] = TEXT("tcp");
    v[L_FLAGS] = TEXT("-");
    v[L_SECURITY] = s->mutual_tls ? TEXT("mutual_tls") : TEXT("none");
}

/* Beyond the bound of series all count into one whose labels say so; the line still names who it was. */
static char **names_copy(const struct text *v)
{
    size_t bytes = 0;
    for (size_t i = 0; i < L_COUNT; i++)
        bytes += v[i].len + 1;
    char **names = malloc(L_COUNT * sizeof *names + bytes);
    if (!names)
        return NULL;
    char *at = (char *)(names + L_COUNT);
    for (size_t i = 0; i < L_COUNT; at += v[i++].len + 1) {
        names[i] = at;
        memcpy(at, v[i].data, v[i].len);
        at[v[i].len] = '\0';
    }
    return names;
}

static void begin_series(struct account *a, struct path_env *env, struct text v[static L_COUNT], bool requests, struct relay *relay)
{
    if (requests)
        v[L_PROTOCOL] = TEXT("http");
    a->opened = metrics_series(env->metrics, requests ? &account_for_requests : &account_opened, v);
    a->names = a->opened->label_values;
    if (!a->names || !text_equal(text_of(a->names[L_REPORTER]), v[L_REPORTER]))
        a->names = a->own_names = names_copy(v);
    metric_add(a->opened, 1);
    if (requests)
        return;
    a->closed = metrics_series(env->metrics, &account_closed, v);
    a->sent = metrics_series(env->metrics, &account_sent, v);
    a->received = metrics_series(env->metrics, &account_received, v);
    if (relay) {
        relay->client.count = a->received;
        relay->server.count = a->sent;
    }
}

void account_begin(struct account *a, struct path_env *env, enum reporter reporter, const struct account_subject *subject, struct relay *relay)
{
    static const struct account_subject nothing;
    struct text v[L_COUNT];
    account_labels_of(reporter, subject ? subject : &nothing, v);
    a->begun = true;
    a->reporter = reporter;
    if (subject && subject->undecided)
        a->names = a->own_names = names_copy(v);
    a->undecided = a->names; /* without memory it is one of bytes */
    if (!a->undecided)
        begin_series(a, env, v, subject && subject->requests && !subject->undecided, relay);
}

void account_decide(struct account *a, struct path_env *env, bool requests, struct relay *relay)
{
    struct text v[L_COUNT];
    char **names = a->own_names;
    if (!a->undecided)
        return;
    a->undecided = false;
    account_labels(a, v);
    a->names = a->own_names = NULL;
    begin_series(a, env, v, requests, relay);
    if (a->names)
        free(names);
    else
        a->names = a->own_names = names;
}

void account_count_as(struct account *a, struct path_env *env, enum reporter reporter, const struct account_subject *subject, struct relay *relay)
{
    struct text v[L_COUNT];
    char **names = a->own_names;
    if (!a->undecided)
        return;
    a->undecided = false;
    a->own_names = NULL;
    account_labels_of(reporter, subject, v);
    begin_series(a, env, v, false, relay);
    free(a->own_names);
    a->names = a->own_names = names;
}

void account_labels(const struct account *a, struct text ret[static ACCOUNT_LABELS])
{
    for (size_t i = 0; i < L_COUNT; i++)
        ret[i] = a->names ? text_of(a->names[i]) : TEXT("unknown");
}

struct text account_label(const struct account *a, unsigned l)
{
    struct text t = a->names ? text_of(a->names[l]) : TEXT("");
    return text_equal(t, TEXT("unknown")) ? TEXT("") : t;
}

static void count_failure(const struct account *a, struct path_env *env, enum ending ending)
{
    struct text v[L_COUNT];
    account_labels(a, v);
    v[L_FLAGS] = text_of(ending_flag(ending));
    metric_add(metrics_series(env->metrics, &account_failed, v), 1);
}

bool account_is_failure(enum ending e)
{
    return e != ENDING_CLOSED && e != ENDING_RESET_BY_CLIENT && e != ENDING_RESET_BY_SERVER && e != ENDING_DRAINED && e != ENDING_WORKLOAD_GONE && e != ENDING_IDLE_TIMEOUT;
}

enum log_level account_level(enum ending e) { return account_is_failure(e) ? LOG_WARN : LOG_INFO; }

bool account_may_log(const struct path_env *env, struct pod_bounds *bounds, enum ending ending)
{
    enum bound which = account_is_failure(ending) ? BOUND_LOG_FAILURES : BOUND_LOG_LINES;
    return env->config->access_log && log_enabled(account_level(ending)) && bound_tick(bounds, which, ring_now_ms(env->ring));
}

static void put_addr(struct log_line *l, const char *key, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    if (a->ip.len > 0)
        log_line_text(l, key, text_of(addr_print(a, text)));
}

static void write_line(const struct account *a, const struct path_env *env, enum reporter reporter, const struct relay *relay, const struct account_line *line)
{
    bool source = reporter == REPORTER_SOURCE;
    char duration[32];
    struct log_line l;
    log_line_begin(&l, account_level(line->ending), "access", "connection complete");
    put_addr(&l, "src.addr", &line->source);
    log_line_text(&l, "src.workload", account_label(a, L_SOURCE_WORKLOAD));
    log_line_text(&l, "src.namespace", account_label(a, L_SOURCE_NAMESPACE));
    log_line_text(&l, "src.identity", account_label(a, L_SOURCE_PRINCIPAL));
    put_addr(&l, "dst.addr", &line->destination);
    put_addr(&l, "dst.hbone_addr", &line->hbone);
    if (line->endpoint.port > 0)
        put_addr(&l, "endpoint", &line->endpoint);
    if (line->route.len > 0)
        log_line_text(&l, "route", line->route);
    log_line_text(&l, "dst.service", account_label(a, L_DST_SERVICE));
    log_line_text(&l, "dst.workload", account_label(a, L_DST_WORKLOAD));
    log_line_text(&l, "dst.namespace", account_label(a, L_DST_NAMESPACE));
    log_line_text(&l, "dst.identity", account_label(a, L_DST_PRINCIPAL));
    log_line_text(&l, "direction", source ? TEXT("outbound") : TEXT("inbound"));
    /* As ztunnel's log: seen from the reporting side, unlike the metrics. */
    log_line_u64(&l, "bytes_sent", source ? relay->client.bytes : relay->server.bytes);
    log_line_u64(&l, "bytes_recv", source ? relay->server.bytes : relay->client.bytes);
    snprintf(duration, sizeof duration, "%llums", (unsigned long long)(ring_now_ms(env->ring) - a->opened_ms));
    log_line_text(&l, "duration", text_of(duration));
    log_line_text(&l, "policy", line->policy);
    log_line_text(&l, "dry_run", line->dry_run);
    log_line_text(&l, "audit", line->audit);
    if (line->status != 0 && line->status != 200)
        log_line_u64(&l, "status", line->status);
    log_line_text(&l, "ending", text_of(ending_text(line->ending)));
    if (account_is_failure(line->ending))
        log_line_text(&l, "error", line->why.len > 0 ? line->why : text_of(ending_meaning(line->ending)));
    log_line_end(&l);
}

void account_end(struct account *a, struct path_env *env, enum reporter reporter, const struct relay *relay, const struct account_line *line)
{
    if (!a->begun)
        account_begin(a, env, reporter, NULL, NULL);
    account_decide(a, env, false, NULL);
    if (a->closed)
        metric_add(a->closed, 1);
    env->endings[line->ending]++;
    if (account_is_failure(line->ending))
        count_failure(a, env, line->ending);
    if (account_may_log(env, line->bounds, line->ending))
        write_line(a, env, reporter, relay, line);
    free(a->own_names);
    a->names = a->own_names = NULL;
}

void account_refused(struct path_env *env, enum reporter reporter, const struct account_line *line)
{
    static const struct relay nothing;
    struct account a = {.opened_ms = ring_now_ms(env->ring)};
    account_end(&a, env, reporter, &nothing, line);
}
