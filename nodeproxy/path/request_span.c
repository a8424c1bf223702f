#include "nodeproxy/path/request_span.h"

#include "nodeproxy/path/request_words.h"
#include "shared/base/clock.h"

enum { SPAN_MAX = 8192, RESOURCE_MAX = 2048, TEXT_MAX = 1024, NAME_MAX_SAID = 256 };

static struct text or_unknown(const char *s)
{
    return s && s[0] ? text_of(s) : TEXT("unknown");
}

/* Whose span it is. As Istio names services: "reviews.default". */
static size_t make_resource(const struct local_pod *pod, const struct workload *self, uint8_t *out)
{
    char name[600];
    struct text_out o = TEXT_OUT(name);
    const struct config *c = pod->env->config;
    text_printf(&o, "%s.%s", self && self->canonical_name[0] ? self->canonical_name : pod->name,
                pod->ns);
    const struct otlp_attribute attributes[] = {
        {"service.name", {o.data, o.len}, 0},
        {"k8s.namespace.name", text_of(pod->ns), 0},
        {"k8s.pod.name", text_of(pod->name), 0},
        {"k8s.node.name", text_of(c->node), 0},
        {"k8s.cluster.name", text_of(c->cluster_id), 0},
    };
    return otlp_resource(attributes, ARRAY_SIZE(attributes), out, RESOURCE_MAX);
}

static void put_istio(struct otlp_span *s, const struct local_pod *pod, const struct workload *self)
{
    otlp_put(s, "istio.canonical_service", or_unknown(self ? self->canonical_name : NULL));
    otlp_put(s, "istio.canonical_revision",
             self && self->canonical_revision[0] ? text_of(self->canonical_revision)
                                                 : TEXT("latest"));
    otlp_put(s, "istio.namespace", text_of(pod->ns));
    otlp_put(s, "istio.cluster_id", text_of(pod->env->config->cluster_id));
    otlp_put(s, "istio.mesh_id", text_of(pod->env->config->trust_domain));
}

struct made { /* what attributes point into */
    char flags[RESPONSE_FLAGS_TEXT_MAX], to[ADDR_TEXT_MAX], url[2 * TEXT_MAX];
};

static void put_request(struct otlp_span *s, const struct exchange_record *r, struct made *m)
{
    struct text_out url = TEXT_OUT(m->url);
    struct text authority = at_most(r->authority, NAME_MAX_SAID);
    text_puts(&url, "http://");
    text_put(&url, authority);
    text_put(&url, at_most(r->path, TEXT_MAX));
    otlp_put(s, "component", TEXT("proxy"));
    otlp_put(s, "guid:x-request-id",
             at_most(http_head_get(r->request, TEXT("x-request-id")), NAME_MAX_SAID));
    otlp_put(s, "http.url", (struct text){url.data, url.len});
    otlp_put(s, "http.method", at_most(r->method, NAME_MAX_SAID));
    otlp_put(s, "http.protocol",
             r->client == HTTP_VERSION_2 ? TEXT("HTTP/2") : TEXT("HTTP/1.1"));
    otlp_put(s, "user_agent",
             at_most(http_head_get(r->request, TEXT("user-agent")), NAME_MAX_SAID));
    otlp_put_number(s, "request_size", (int64_t)r->bytes_received);
    if (!r->grpc)
        return;
    otlp_put(s, "grpc.path", at_most(r->path, TEXT_MAX));
    otlp_put(s, "grpc.authority", authority);
}

static void put_answer(struct otlp_span *s, const struct exchange_record *r, struct made *m)
{
    otlp_put_number(s, "http.status_code", r->status);
    otlp_put_number(s, "response_size", (int64_t)r->bytes_sent);
    otlp_put(s, "response_flags", response_flags_text(response_flags_of(r), m->flags));
    if (r->cluster.len > 0)
        otlp_put(s, "upstream_cluster", at_most(r->cluster, NAME_MAX_SAID));
    if (r->to.port > 0)
        otlp_put(s, "upstream_address", text_of(addr_print(&r->to, m->to)));
    if (r->grpc && r->grpc_status >= 0)
        otlp_put_number(s, "grpc.status_code", response_grpc_status(r));
    if (r->tries > 1)
        otlp_put_number(s, "http.request.resend_count", r->tries - 1);
    if (s->failed)
        otlp_put(s, "error", TEXT("true"));
}

/* Istio's: the authority, and all that is below it. */
static struct text name_of(const struct exchange_record *r, struct text_out *out)
{
    text_put(out, at_most(r->authority, NAME_MAX_SAID));
    text_puts(out, "/*");
    return (struct text){out->data, out->len};
}

void request_span_give(const struct local_pod *pod, bool server, const struct exchange_record *r)
{
    const struct request_trace *t = r->trace;
    struct exporter *e = t && t->recorded ? pod->env->tracer->exporter : NULL;
    uint8_t span_bytes[SPAN_MAX], resource_bytes[RESOURCE_MAX];
    char name[NAME_MAX_SAID + 8];
    struct text_out name_out = TEXT_OUT(name);
    struct made made;
    if (!e)
        return;
    const struct workload *self = directory_workload(pod->env->directory, text_of(pod->uid));
    uint64_t now_ns = clock_unix_us() * 1000, took_ns = (clock_monotonic_us() - t->began_us) * 1000;
    struct otlp_span s = {
        .trace_id = t->context.trace_id,
        .span_id = t->span_id,
        .parent_id = t->context.parent ? t->context.span_id : NULL,
        .state = at_most(http_head_get(r->request, TEXT("tracestate")), TEXT_MAX),
        .name = name_of(r, &name_out),
        .server = server,
        .failed = response_is_failure(r),
        .start_ns = now_ns - took_ns,
        .end_ns = now_ns,
    };
    put_request(&s, r, &made);
    put_answer(&s, r, &made);
    put_istio(&s, pod, self);
    size_t span = otlp_span(&s, span_bytes, sizeof span_bytes);
    size_t resource = make_resource(pod, self, resource_bytes);
    if (span > 0 && resource > 0)
        exporter_give(e, (struct text){(char *)resource_bytes, resource},
                      (struct text){(char *)span_bytes, span});
    else
        exporter_drop(e);
}
