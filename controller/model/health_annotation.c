#include "controller/model/health_annotation.h"

#include "controller/model/traffic_read.h"
#include "shared/http/http_grammar.h"
#include <errno.h>

enum { STATUSES_MAX = 16, BYTES_MAX = 256, THRESHOLD_MAX = 1000 };

static uint64_t read_ms(struct reader *r, struct gateway_flaw *f, const struct json *j,
                        const char *name, uint64_t min_ms, uint64_t absent)
{
    uint64_t ms = traffic_duration(r, f, j, name, 1, absent);
    if (ms < min_ms && ms != absent)
        traffic_flaw(r, f, read_member(j, name), "is less than %llu ms", (unsigned long long)min_ms);
    if (ms > HEALTH_TIMES_MAX_MS)
        traffic_flaw(r, f, read_member(j, name), "is more than an hour");
    return ms;
}

static uint32_t read_threshold(struct reader *r, struct gateway_flaw *f, const struct json *j,
                               const char *name, uint32_t absent)
{
    uint32_t n = gateway_number(r, j, name, THRESHOLD_MAX, absent);
    if (n == 0)
        traffic_flaw(r, f, read_member(j, name), "is 0");
    return n;
}

static void read_statuses(struct reader *r, const struct json *http, struct health_check *h)
{
    const struct json *list = read_list(r, http, "expectedStatuses", STATUSES_MAX);
    struct status_range *items = read_array(r, json_count(list), sizeof *items);
    h->expected = items;
    json_for_each (j, list) {
        int64_t status = 0;
        json_read_i64(j, "", 100, 599, &status, r->error);
        if (!items)
            return;
        items[h->n_expected++] = (struct status_range){(uint16_t)status, (uint16_t)(status + 1)};
    }
}

static void read_http(struct reader *r, struct gateway_flaw *f, const struct json *of,
                      struct health_check *h)
{
    static const char *const known[] = {"path", "method", "hostname", "expectedStatuses", NULL};
    const struct json *j = read_object(r, of, "http");
    h->kind = CHECK_HTTP;
    h->path = text_of(read_string(r, j, "path"));
    h->method = text_of(read_string(r, j, "method"));
    h->host = text_of(read_string(r, j, "hostname"));
    gateway_known(r, f, j, known);
    if (!j || h->path.len == 0)
        traffic_flaw(r, f, j ? j : of, "http.path is missing");
    else if (!http_is_path(h->path) || h->path.data[0] != '/')
        traffic_flaw(r, f, read_member(j, "path"), "is no path");
    if (h->method.len == 0)
        h->method = TEXT("GET");
    /* The safe ones (RFC 9110, 9.2.1): it is the Service's clients who ask, as themselves, and its endpoints may be anybody's. */
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS"};
    bool is_one = false;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        is_one |= text_equal(h->method, text_of(methods[i]));
    if (!is_one)
        traffic_flaw(r, f, read_member(j, "method"), "is no method that can be asked by");
    if (h->host.len > 0 && !http_is_authority(h->host))
        traffic_flaw(r, f, read_member(j, "hostname"), "is no host");
    read_statuses(r, j, h);
}

static struct text read_bytes(struct reader *r, struct gateway_flaw *f, const struct json *of,
                              const char *name)
{
    static const char *const known[] = {"text", NULL};
    const struct json *j = read_object(r, of, name);
    struct text t = text_of(read_string(r, j, "text"));
    gateway_known(r, f, j, known);
    if (j && (t.len == 0 || t.len > BYTES_MAX))
        traffic_flaw(r, f, j, "text has not 1 to %d bytes", BYTES_MAX);
    return t;
}

static void read_tcp(struct reader *r, struct gateway_flaw *f, const struct json *of,
                     struct health_check *h)
{
    static const char *const known[] = {"send", "receive", NULL};
    const struct json *j = read_object(r, of, "tcp");
    h->kind = CHECK_TCP;
    h->send = read_bytes(r, f, j, "send");
    struct text wanted = read_bytes(r, f, j, "receive");
    gateway_known(r, f, j, known);
    if (h->send.len > 0 && wanted.len == 0)
        traffic_flaw(r, f, j, "says what is sent, and not what is to be received");
    struct text *one = wanted.len > 0 ? read_array(r, 1, sizeof *one) : NULL;
    if (!one)
        return;
    *one = wanted;
    h->receive = one;
    h->n_receive = 1;
}

static void read_grpc(struct reader *r, struct gateway_flaw *f, const struct json *of,
                      struct health_check *h)
{
    static const char *const known[] = {"service", "authority", NULL};
    const struct json *j = read_object(r, of, "grpc");
    h->kind = CHECK_GRPC;
    h->service = text_of(read_string(r, j, "service"));
    h->host = text_of(read_string(r, j, "authority"));
    gateway_known(r, f, j, known);
    if (h->service.len > BYTES_MAX)
        traffic_flaw(r, f, read_member(j, "service"), "has more than %d bytes", BYTES_MAX);
    if (h->host.len > 0 && !http_is_authority(h->host))
        traffic_flaw(r, f, read_member(j, "authority"), "is no host");
}

static void read_check(struct reader *r, struct gateway_flaw *f, const struct json *j,
                       struct health_check *h)
{
    static const char *const types[] = {"HTTP", "TCP", "GRPC", NULL};
    static void (*const readers[])(struct reader *, struct gateway_flaw *, const struct json *,
                                   struct health_check *) = {read_http, read_tcp, read_grpc};
    static const char *const parts[] = {"http", "tcp", "grpc"};
    static const char *const known[] = {
        "type",    "timeout",         "interval",      "unhealthyInterval", "unhealthyThreshold",
        "healthyThreshold", "jitterPercent", "reuseConnection", "port", "http", "tcp", "grpc", NULL};
    unsigned type = 0;
    gateway_known(r, f, j, known);
    if (!read_member(j, "type"))
        traffic_flaw(r, f, j, "type is missing");
    json_opt_choice(j, "type", types, &type, r->error);
    *h = (struct health_check){
        .timeout_ms = read_ms(r, f, j, "timeout", 1, 1000),
        .interval_ms = read_ms(r, f, j, "interval", HEALTH_INTERVAL_MIN_MS, 3000),
        .unhealthy_interval_ms = read_ms(r, f, j, "unhealthyInterval", HEALTH_INTERVAL_MIN_MS, 0),
        .unhealthy_threshold = read_threshold(r, f, j, "unhealthyThreshold", 3),
        .healthy_threshold = read_threshold(r, f, j, "healthyThreshold", 1),
        .jitter_percent = gateway_number(r, j, "jitterPercent", 100, 0),
        .reuse_connection = read_bool(r, j, "reuseConnection", true),
        .alt_port = read_port(r, j, "port")};
    for (unsigned i = 0; i < 3; i++)
        if (i != type && read_member(j, parts[i]))
            traffic_flaw(r, f, read_member(j, parts[i]), "does not go with this type");
    readers[type](r, f, j, h);
}

static const char *flaw_text(struct reader *r, const struct reader *own,
                             const struct gateway_flaw *f)
{
    const char *text = json_failed(own->error) ? own->error->text : f->text;
    return json_failed(own->error) || f->kind != GATEWAY_NO_FLAW ? read_copy(r, text_of(text)) : NULL;
}

const struct health_check *health_annotation_read(struct reader *r, const struct object *o,
                                                  const char **ret_flaw)
{
    const char *said = labels_get(&o->annotations, HEALTH_ANNOTATION);
    struct json_error error = {.line = 0};
    struct gateway_flaw flaw = {.kind = GATEWAY_NO_FLAW};
    struct json *tree = NULL;
    struct health_check *h = NULL;
    *ret_flaw = NULL;
    if (!said)
        return NULL;
    int e = json_parse(text_of(said), NULL, &tree, &error);
    struct reader own = {.arena = r->arena, .error = &error, .document = tree};
    if (e == 0 && !json_is(tree, JSON_OBJECT))
        read_fail(&own, tree, "must be an object");
    else if (e == 0 && (h = read_array(&own, 1, sizeof *h)))
        read_check(&own, &flaw, tree, h);
    r->no_memory |= own.no_memory || e == -ENOMEM;
    *ret_flaw = flaw_text(r, &own, &flaw);
    json_free(tree);
    return *ret_flaw ? NULL : h;
}
