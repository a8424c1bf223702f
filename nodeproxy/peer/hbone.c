/* Heads of HBONE; see the header. */
#include "nodeproxy/peer/hbone.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

bool hbone_port_is_own(uint16_t port) { return port == 15001 || port == 15006 || port == 15008 || port == 15053; }

static const char *type_key(enum workload_type type)
{
    switch (type) {
    case WORKLOAD_DEPLOYMENT: return "k8s.deployment.name";
    case WORKLOAD_CRONJOB: return "k8s.cronjob.name";
    case WORKLOAD_JOB: return "k8s.job.name";
    case WORKLOAD_POD: break;
    }
    return "k8s.pod.name";
}

/* Values with characters that W3C baggage does not allow raw are left out rather than mangled. */
static bool baggage_safe(const char *value)
{
    for (const unsigned char *c = (const unsigned char *)value; *c; c++)
        if (*c <= 0x20 || *c >= 0x7f || *c == ',' || *c == ';' || *c == '"' || *c == '\\' || *c == '%')
            return false;
    return true;
}

static void baggage_put(struct text_out *o, const char *key, const char *value)
{
    if (!value[0] || !baggage_safe(value))
        return;
    if (o->len > 0)
        text_putc(o, ',');
    text_puts(o, key);
    text_putc(o, '=');
    text_puts(o, value);
}

static void baggage_make(struct text_out *o, const struct workload *w)
{
    baggage_put(o, "k8s.cluster.name", w->cluster_id);
    baggage_put(o, "k8s.namespace.name", w->ns);
    baggage_put(o, type_key(w->type), w->workload_name);
    baggage_put(o, "service.name", w->canonical_name);
    baggage_put(o, "service.version", w->canonical_revision);
    baggage_put(o, "cloud.region", w->locality.region);
    baggage_put(o, "cloud.availability_zone", w->locality.zone);
}

void hbone_request_make(struct hbone_request *r, const struct addr *destination, const struct addr *source, struct text service_host,
                        const struct workload *from, struct rng *rng)
{
    char text[ADDR_TEXT_MAX];
    struct text_out authority = TEXT_OUT(r->authority), forwarded = TEXT_OUT(r->forwarded);
    struct text_out baggage = TEXT_OUT(r->baggage), trace = TEXT_OUT(r->traceparent);
    r->authority[0] = r->forwarded[0] = r->baggage[0] = r->traceparent[0] = '\0';
    text_puts(&authority, addr_print(destination, text));
    text_printf(&forwarded, "for=\"%s\"", addr_print(source, text));
    if (service_host.len > 0) {
        text_puts(&forwarded, ";host=");
        text_put(&forwarded, service_host);
    }
    if (from)
        baggage_make(&baggage, from);
    text_printf(&trace, "00-%016" PRIx64 "%016" PRIx64 "-%016" PRIx64 "-00", rng_u64(rng), rng_u64(rng) | 1, rng_u64(rng) | 1);
}

size_t hbone_request_headers(const struct hbone_request *r, struct http2_header *out, size_t n_max)
{
    const struct http2_header all[] = {
        {TEXT(":method"), TEXT("CONNECT")},
        {TEXT(":authority"), text_of(r->authority)},
        {TEXT("forwarded"), text_of(r->forwarded)},
        {TEXT("traceparent"), text_of(r->traceparent)},
        {TEXT("baggage"), text_of(r->baggage)},
    };
    size_t n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all && n < n_max; i++)
        if (all[i].value.len > 0)
            out[n++] = all[i];
    return n;
}

static bool host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

int hbone_authority_parse(struct text t, struct hbone_authority *ret)
{
    struct hbone_authority a = {0};
    if (t.len == 0 || t.len >= HBONE_AUTHORITY_MAX)
        return -EINVAL;
    if (addr_parse(t, &a.addr) == 0) {
        if (a.addr.port == 0)
            return -EINVAL;
        *ret = a;
        return 0;
    }
    struct text host, port;
    uint64_t number;
    if (!text_split(t, ':', &host, &port) || host.len == 0 || host.len > 253)
        return -EINVAL;
    if (text_to_u64(port, 65535, &number) < 0 || number == 0)
        return -EINVAL;
    bool letter = false;
    for (size_t i = 0; i < host.len; i++) {
        if (!host_char(host.data[i]))
            return -EINVAL;
        letter |= host.data[i] > '9';
    }
    if (!letter) /* digits and dots that are no address: malformed, not a name */
        return -EINVAL;
    a.is_name = true;
    a.host = host;
    a.addr.port = (uint16_t)number;
    *ret = a;
    return 0;
}

/* The value of the first "NAME=" of a `forwarded` header; RFC 7239, 4. */
static struct text forwarded_value(struct text forwarded, struct text name)
{
    struct text rest = forwarded, part;
    while (rest.len > 0) {
        if (!text_split(rest, ';', &part, &rest)) {
            part = rest;
            rest.len = 0;
        }
        part = text_trim(part);
        if (!text_starts_with(part, name))
            continue;
        part.data += name.len;
        part.len -= name.len;
        if (part.len >= 2 && part.data[0] == '"' && part.data[part.len - 1] == '"') {
            part.data++;
            part.len -= 2;
        }
        return part;
    }
    return (struct text){NULL, 0};
}

struct text hbone_forwarded_host(struct text forwarded) { return forwarded_value(forwarded, TEXT("host=")); }

int hbone_forwarded_for(struct text forwarded, struct addr *ret)
{
    struct addr a;
    if (addr_parse(forwarded_value(forwarded, TEXT("for=")), &a) < 0 || a.port == 0)
        return -EINVAL;
    *ret = a;
    return 0;
}

unsigned hbone_status(const struct http2_head *answer)
{
    uint64_t status;
    struct text t = http2_head_get(answer, TEXT(":status"));
    if (t.len != 3 || text_to_u64(t, 999, &status) < 0)
        return 0;
    return (unsigned)status;
}
