/*
 * A directory for the tests and the fuzzing of nodeproxy/dns: services and endpoints by their names
 * and addresses as text.
 */
#ifndef TESTS_UNIT_NODEPROXY_DNS_DNS_MESH_H
#define TESTS_UNIT_NODEPROXY_DNS_DNS_MESH_H
#include "shared/mesh/directory.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { DNS_MESH_UNREADY = 1 /* endpoints that are not ready count */, DNS_MESH_FAR = 2 };

static inline size_t dns_mesh_ips(const char *list, struct ip out[static 8])
{
    size_t n = 0;
    struct text one, rest = text_of(list);
    while (rest.len > 0) {
        if (!text_split(rest, ' ', &one, &rest)) {
            one = rest;
            rest.len = 0;
        }
        int r = ip_parse(one, &out[n++]);
        assert(r == 0 && n <= 8);
        (void)r;
    }
    return n;
}

static inline void dns_mesh_set(char **field, const char *value)
{
    int r = workload_set(field, text_of(value));
    assert(r == 0);
    (void)r;
}

static inline void dns_mesh_service(struct directory *d, const char *ns, const char *host,
                                    const char *addresses, unsigned flags)
{
    struct ip ips[8];
    char key[600];
    struct service *s = service_new();
    assert(s);
    snprintf(key, sizeof key, "%s/%s", ns, host);
    dns_mesh_set(&s->key, key);
    dns_mesh_set(&s->ns, ns);
    dns_mesh_set(&s->hostname, host);
    s->n_addresses = dns_mesh_ips(addresses, ips);
    s->addresses = calloc(s->n_addresses + 1, sizeof *s->addresses);
    assert(s->addresses);
    for (size_t i = 0; i < s->n_addresses; i++) {
        s->addresses[i].ip = ips[i];
        s->addresses[i].network = text_dup(flags & DNS_MESH_FAR ? TEXT("far") : TEXT("net"));
    }
    s->allow_unhealthy = flags & DNS_MESH_UNREADY;
    int r = directory_put_service(d, s);
    assert(r == 0);
    (void)r;
}

static inline void dns_mesh_endpoint(struct directory *d, const char *ns, const char *name,
                                     const char *hostname, const char *addresses, const char *service,
                                     bool ready)
{
    struct ip ips[8];
    char uid[600];
    struct workload *w = workload_new();
    assert(w);
    snprintf(uid, sizeof uid, "c//Pod/%s/%s", ns, name);
    dns_mesh_set(&w->uid, uid);
    dns_mesh_set(&w->name, name);
    dns_mesh_set(&w->ns, ns);
    dns_mesh_set(&w->hostname, hostname);
    w->healthy = ready;
    w->n_addresses = dns_mesh_ips(addresses, ips);
    w->addresses = calloc(w->n_addresses + 1, sizeof *w->addresses);
    assert(w->addresses);
    memcpy(w->addresses, ips, w->n_addresses * sizeof *ips);
    if (service) {
        w->services = calloc(1, sizeof *w->services);
        assert(w->services);
        w->n_services = 1;
        w->services[0].key = text_dup(text_of(service));
    }
    int r = directory_put_workload(d, w);
    assert(r == 0);
    (void)r;
}
#endif
