/*
 * What other proxies say of themselves in a CONNECT and its answer: host= and for= in `forwarded`, and :status.
 * The host is a piece of the input, the client an address with a port; a status has three digits. What we
 * write ourselves with any bytes as names stays inside its memory, and baggage keeps its shape: no value
 * splits a list.
 * covers: nodeproxy/peer/hbone.c
 */
#include "nodeproxy/peer/hbone.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count(const char *s, char c)
{
    size_t n = 0;
    for (; *s; s++)
        n += *s == c;
    return n;
}

static void write_request(struct text name)
{
    static const struct addr a = {{4, {10, 0, 0, 1}}, 80};
    struct hbone_request r;
    struct rng rng;
    struct workload *w = workload_new();
    if (!w)
        abort();
    rng_seed(&rng, 1);
    if (workload_set(&w->ns, name) < 0 || workload_set(&w->workload_name, name) < 0 ||
        workload_set(&w->locality.zone, name) < 0)
        abort();
    hbone_request_make(&r, &a, &a, name, w, &rng);
    assert(strlen(r.forwarded) < sizeof r.forwarded && strlen(r.baggage) < sizeof r.baggage);
    assert(count(r.baggage, ',') <= 2 && count(r.baggage, '=') <= 3 * (1 + count(w->ns, '=')));
    assert(count(r.baggage, ';') == 0 && count(r.baggage, '"') == 0);
    workload_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct text t = {(const char *)data, size};
    const struct http2_header header = {TEXT(":status"), t};
    struct text host = hbone_forwarded_host(t);

    if (host.data) {
        assert(host.data >= t.data && host.data + host.len <= t.data + t.len);
        assert(!memchr(host.data, ';', host.len));
    }
    struct addr client;
    if (hbone_forwarded_for(t, &client) == 0)
        assert(client.port != 0 && (client.ip.len == 4 || client.ip.len == 16));
    unsigned status = hbone_status(&(struct http2_head){&header, 1, true});
    assert(status <= 999 && (status == 0 || size == 3));
    write_request(t);
    return 0;
}
