#include "nodeproxy/path/request_log.h"

#include "nodeproxy/path/request_words.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include <inttypes.h>
#include <stdio.h>

/* Escaped: in Istio's formats, where a line has no room to be cut, all maxima and keys are less than it. */
enum { PATH_MAX_LOGGED = 1024, NAME_MAX_LOGGED = 200, NUMBER_MAX = 24, CLUSTER_MAX = 300 };

static const char *protocol_of(const struct exchange_record *r)
{
    return r->client == HTTP_VERSION_2 ? "HTTP/2" : "HTTP/1.1";
}

static bool is_outbound(const struct request_log *l)
{
    return l->account->reporter == REPORTER_SOURCE;
}

static bool has_endpoint(const struct request_log *l)
{
    return is_outbound(l) || l->goes_on;
}

/* ---- with fields ------------------------------------------------------------------------------- */

static void put_addr(struct log_line *l, const char *key, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    if (a->ip.len > 0)
        log_line_text(l, key, text_of(addr_print(a, text)));
}

static void put_ids(struct log_line *line, const struct exchange_record *r)
{
    char id[2 * TRACE_ID_BYTES + 1];
    struct text_out o = TEXT_OUT(id);
    if (r->request)
        log_line_text(line, "request_id",
                      at_most(http_head_get(r->request, TEXT("x-request-id")), NAME_MAX_LOGGED));
    if (!r->trace || !r->trace->recorded)
        return;
    trace_put_hex(&o, r->trace->context.trace_id, TRACE_ID_BYTES);
    log_line_text(line, "trace_id", (struct text){o.data, o.len});
}

static void write_fields(const struct request_log *l, const struct exchange_record *r)
{
    char duration[32], flags[RESPONSE_FLAGS_TEXT_MAX];
    struct log_line line;
    log_line_begin(&line, account_level(r->ending), "access", "request complete");
    put_addr(&line, "src.addr", l->source);
    log_line_text(&line, "src.workload", account_label(l->account, ACCOUNT_LABEL_SOURCE));
    log_line_text(&line, "src.identity", account_label(l->account, ACCOUNT_LABEL_SOURCE_ID));
    put_addr(&line, "dst.addr", l->destination);
    log_line_text(&line, "dst.workload", account_label(l->account, ACCOUNT_LABEL_DESTINATION));
    log_line_text(&line, "direction", is_outbound(l) ? TEXT("outbound") : TEXT("inbound"));
    log_line_text(&line, "method", at_most(r->method, NAME_MAX_LOGGED));
    log_line_text(&line, "authority", at_most(r->authority, NAME_MAX_LOGGED));
    log_line_text(&line, "path", at_most(r->path, PATH_MAX_LOGGED));
    log_line_text(&line, "protocol", text_of(protocol_of(r)));
    log_line_u64(&line, "status", r->status);
    if (r->grpc_status >= 0)
        log_line_u64(&line, "grpc_status", (uint64_t)r->grpc_status);
    log_line_u64(&line, "bytes_sent", r->bytes_sent);
    log_line_u64(&line, "bytes_recv", r->bytes_received);
    snprintf(duration, sizeof duration, "%" PRIu64 "ms", r->duration_ms);
    log_line_text(&line, "duration", text_of(duration));
    if (response_flags_of(r) != 0)
        log_line_text(&line, "flags", response_flags_text(response_flags_of(r), flags));
    if (r->tries > 1)
        log_line_u64(&line, "tries", r->tries);
    if (has_endpoint(l))
        put_addr(&line, "endpoint", &r->to);
    log_line_text(&line, "route", at_most(r->route, NAME_MAX_LOGGED));
    put_ids(&line, r);
    log_line_text(&line, "policy", r->notes.policy);
    log_line_text(&line, "dry_run", r->notes.dry_run);
    log_line_text(&line, "audit", r->notes.audit);
    log_line_text(&line, "ending", text_of(ending_text(r->ending)));
    if (r->why && r->why[0])
        log_line_text(&line, "error", text_of(r->why));
    log_line_end(&line);
}

/* ---- as Istio ---------------------------------------------------------------------------------- */

/* https://istio.io/latest/docs/tasks/observability/logs/access-log/#default-access-log-format: "-" for
 * what is not there. Numbers stand without quotes in JSON, null for none. */
struct values {
    char start[CLOCK_TEXT_MAX], flags[RESPONSE_FLAGS_TEXT_MAX], details[512], cluster[32];
    char source[ADDR_TEXT_MAX], destination[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
    char status[NUMBER_MAX], received[NUMBER_MAX], sent[NUMBER_MAX], duration[NUMBER_MAX],
        server[NUMBER_MAX];
};
enum style { PLAIN, QUOTED, NUMBER }; /* in text; in JSON all but numbers are quoted */
struct value {
    const char *key;
    enum style style;
    struct text text;
    const char *after; /* in text */
};

static struct text number(char out[static NUMBER_MAX], uint64_t n)
{
    return (struct text){out, (size_t)snprintf(out, NUMBER_MAX, "%" PRIu64, n)};
}

static struct text address(char out[static ADDR_TEXT_MAX], const struct addr *a)
{
    return a->port > 0 ? text_of(addr_print(a, out)) : TEXT("");
}

static struct text field(const struct exchange_record *r, struct text name)
{
    return r->request ? http_head_get(r->request, name) : TEXT("");
}

static struct text cluster_of(const struct request_log *l, const struct exchange_record *r,
                              char out[static 32])
{
    struct text_out o = {out, 0, 32, false};
    if (has_endpoint(l))
        return r->cluster;
    text_printf(&o, "inbound|%u||", l->destination->port);
    return (struct text){o.data, o.len};
}

static void put_escaped(struct text_out *o, const struct value *v)
{
    struct text t = v->text;
    char piece[TEXT_ESCAPE_MAX];
    size_t n, most = o->len + (strcmp(v->key, "path") == 0               ? (size_t)PATH_MAX_LOGGED
                               : strcmp(v->key, "upstream_cluster") == 0 ? (size_t)CLUSTER_MAX
                                                                         : (size_t)NAME_MAX_LOGGED);
    while ((n = text_escape_next(&t, piece)) > 0 && o->len + n <= most)
        text_put(o, (struct text){piece, n});
}

static void put_text(struct text_out *o, const struct value *v)
{
    if (v->style == QUOTED)
        text_putc(o, '"');
    if (v->text.len > 0)
        put_escaped(o, v);
    else
        text_putc(o, '-');
    if (v->style == QUOTED)
        text_putc(o, '"');
    text_puts(o, v->after);
}

static void put_json(struct text_out *o, const struct value *v)
{
    text_printf(o, "%s\"%s\":", o->len > 1 ? "," : "", v->key);
    if (v->text.len == 0) {
        text_puts(o, "null");
        return;
    }
    if (v->style != NUMBER)
        text_putc(o, '"');
    put_escaped(o, v);
    if (v->style != NUMBER)
        text_putc(o, '"');
}

static void write_istio(const struct request_log *l, const struct exchange_record *r, bool json)
{
    struct values m;
    struct log_line line;
    log_line_begin_plain(&line, account_level(r->ending), "access");
    if (line.off)
        return;
    struct text_out details = TEXT_OUT(m.details);
    const struct addr *to = has_endpoint(l) || !r->chosen ? &r->to : l->destination;
    int64_t start_ms = clock_unix_ms() - (int64_t)r->duration_ms;
    const struct value values[] = {
        {"start_time", PLAIN, text_of(clock_print(start_ms, 1, m.start)), "] \""},
        {"method", PLAIN, r->method, " "},
        {"path", PLAIN, r->path, " "},
        {"protocol", PLAIN, text_of(protocol_of(r)), "\" "},
        {"response_code", NUMBER, number(m.status, r->status), " "},
        {"response_flags", PLAIN, response_flags_text(response_flags_of(r), m.flags), " "},
        {"response_code_details", PLAIN, response_details(r, &details), " "},
        {"connection_termination_details", PLAIN, TEXT(""), " "},
        {"upstream_transport_failure_reason", QUOTED, text_of(r->why), " "},
        {"bytes_received", NUMBER, number(m.received, r->bytes_received), " "},
        {"bytes_sent", NUMBER, number(m.sent, r->bytes_sent), " "},
        {"duration", NUMBER, number(m.duration, r->duration_ms), " "},
        {"upstream_service_time", PLAIN,
         r->server_ms >= 0 ? number(m.server, (uint64_t)r->server_ms) : TEXT(""), " "},
        {"x_forwarded_for", QUOTED, field(r, TEXT("x-forwarded-for")), " "},
        {"user_agent", QUOTED, field(r, TEXT("user-agent")), " "},
        {"request_id", QUOTED, field(r, TEXT("x-request-id")), " "},
        {"authority", QUOTED, r->authority, " "},
        {"upstream_host", QUOTED, address(m.to, to), " "},
        {"upstream_cluster", PLAIN, cluster_of(l, r, m.cluster), " "},
        {"upstream_local_address", PLAIN, TEXT(""), " "},
        {"downstream_local_address", PLAIN, address(m.destination, l->destination), " "},
        {"downstream_remote_address", PLAIN, address(m.source, l->source), " "},
        {"requested_server_name", PLAIN, TEXT(""), " "},
        {"route_name", PLAIN, r->route.len > 0 ? r->route : TEXT("default"), ""},
    };
    text_puts(&line.out, json ? "{" : "[");
    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        (json ? put_json : put_text)(&line.out, &values[i]);
    if (json)
        text_putc(&line.out, '}');
    log_line_end_plain(&line);
}

void request_log_write(const struct request_log *l, const struct exchange_record *r)
{
    const struct config *c = l->env->config;
    if (!account_may_log(l->env, l->bounds, r->ending))
        return;
    if (c->request_log == REQUEST_LOG_FIELDS)
        write_fields(l, r);
    else
        write_istio(l, r, c->request_log == REQUEST_LOG_ISTIO_JSON);
}
