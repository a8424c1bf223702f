/* A line for each request that somebody taps; see the header. */
#include "nodeproxy/path/request_tap.h"

#include "nodeproxy/path/request_words.h"
#include "shared/base/clock.h"
#include "shared/http/http_path.h"
#include "shared/json/json_out.h"

enum { PATH_MAX_TOLD = 1024, TEXT_MAX_TOLD = 256, NAME_ROOM = 600 };

static void put(struct json_out *o, const char *name, struct text value, size_t most)
{
    if (value.len > 0)
        json_out_text(o, name, at_most(value, most));
}

static bool is_known(struct text label)
{
    return label.len > 0 && !text_equal(label, TEXT("unknown"));
}

/* "NAMESPACE/NAME", where both are known. */
static void put_workload(struct json_out *o, const char *name, const struct text *labels)
{
    char room[NAME_ROOM];
    struct text_out t = TEXT_OUT(room);
    if (!is_known(labels[0]) || !is_known(labels[1]))
        return;
    text_put(&t, labels[1]);
    text_putc(&t, '/');
    text_put(&t, labels[0]);
    json_out_text(o, name, (struct text){t.data, t.len});
}

static void put_known(struct json_out *o, const char *name, struct text label)
{
    if (is_known(label))
        put(o, name, label, NAME_ROOM);
}

static void put_sides(struct json_out *o, const struct request_tap *t,
                      const struct exchange_record *r)
{
    struct text v[ACCOUNT_LABELS];
    struct spiffe_id memory;
    char source[IP_TEXT_MAX], called[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
    t->account->labels(t->account->user, r, &memory, v);
    put_workload(o, "source", &v[ACCOUNT_LABEL_SOURCE]);
    put_known(o, "sourceIdentity", v[ACCOUNT_LABEL_SOURCE_ID]);
    if (t->source->len > 0)
        json_out_string(o, "sourceAddress", ip_print(t->source, source));
    put_workload(o, "destination", &v[ACCOUNT_LABEL_DESTINATION]);
    put_known(o, "destinationIdentity", v[ACCOUNT_LABEL_DESTINATION + 2]);
    put_known(o, "service", v[ACCOUNT_LABEL_SERVICE]);
    if (t->destination->ip.len > 0)
        json_out_string(o, "destinationAddress", addr_print(t->destination, called));
    if (t->outbound && r->to.port > 0)
        json_out_string(o, "endpoint", addr_print(&r->to, to));
}

static void put_request(struct json_out *o, const struct tap_filter *f,
                        const struct exchange_record *r)
{
    char flags[RESPONSE_FLAGS_TEXT_MAX];
    struct text path, query;
    http_path_split(r->path, &path, &query);
    put(o, "method", r->method, TEXT_MAX_TOLD);
    put(o, "authority", r->authority, TEXT_MAX_TOLD);
    put(o, "path", f->query ? r->path : path, PATH_MAX_TOLD);
    json_out_string(o, "protocol", r->client == HTTP_VERSION_2 ? "HTTP/2" : "HTTP/1.1");
    json_out_u64(o, "status", r->status);
    if (r->grpc_status >= 0)
        json_out_i64(o, "grpcStatus", r->grpc_status);
    json_out_u64(o, "durationMs", r->duration_ms);
    json_out_u64(o, "bytesReceived", r->bytes_received);
    json_out_u64(o, "bytesSent", r->bytes_sent);
    json_out_text(o, "flags", response_flags_text(response_flags_of(r), flags));
    put(o, "route", r->route, TEXT_MAX_TOLD);
    put(o, "policy", r->notes.policy, TEXT_MAX_TOLD);
    if (r->tries > 1)
        json_out_u64(o, "tries", r->tries);
    json_out_string(o, "ending", ending_text(r->ending));
}

static void write_line(const struct request_tap *t, const struct tap_filter *f,
                       const struct exchange_record *r, struct text_heap *out)
{
    char time[CLOCK_TEXT_MAX], name[NAME_ROOM];
    struct text_out pod = TEXT_OUT(name);
    struct json_out o;
    text_printf(&pod, "%s/%s", t->pod->ns, t->pod->name);
    json_out_init(&o, out, false);
    json_out_object(&o, NULL);
    json_out_string(&o, "time", clock_print(clock_unix_ms(), 1, time));
    json_out_string(&o, "direction", t->outbound ? "outbound" : "inbound");
    json_out_text(&o, "pod", (struct text){pod.data, pod.len});
    put_sides(&o, t, r);
    put_request(&o, f, r);
    json_out_end(&o);
    text_heap_puts(out, "\n");
}

void request_tap_write(const struct request_tap *t, const struct exchange_record *r)
{
    struct path_env *env = t->pod->env;
    const struct workload *self = directory_workload(env->directory, text_of(t->pod->uid));
    const struct tap_subject subject = {.ns = text_of(t->pod->ns),
                                        .pod = text_of(t->pod->name),
                                        .workload = text_of(self ? self->workload_name : ""),
                                        .outbound = t->outbound,
                                        .method = r->method,
                                        .path = r->path,
                                        .status = r->status};
    taps_let_go_over(&env->taps);
    for (unsigned i = 0; i < env->taps.n; i++) {
        const struct tap_filter *f = &env->taps.at[i]->filter;
        struct tap_batch *b = tap_filter_has(f, &subject) ? taps_room(&env->taps, i) : NULL;
        if (!b)
            continue;
        write_line(t, f, r, &b->lines);
        taps_wrote(&env->taps, i);
    }
}
