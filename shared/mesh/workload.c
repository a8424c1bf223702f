#include "shared/mesh/workload.h"

#include "shared/base/list.h"
#include "shared/mesh/owned.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Every single string of a workload, by its place: made, compared and freed alike. */
static const size_t string_at[] = {
    offsetof(struct workload, uid),
    offsetof(struct workload, name),
    offsetof(struct workload, ns),
    offsetof(struct workload, hostname),
    offsetof(struct workload, network),
    offsetof(struct workload, trust_domain),
    offsetof(struct workload, service_account),
    offsetof(struct workload, node),
    offsetof(struct workload, canonical_name),
    offsetof(struct workload, canonical_revision),
    offsetof(struct workload, workload_name),
    offsetof(struct workload, cluster_id),
    offsetof(struct workload, pod_uid),
    offsetof(struct workload, gateway),
    offsetof(struct workload, locality.region),
    offsetof(struct workload, locality.zone),
    offsetof(struct workload, locality.subzone),
};

static char **string_of(struct workload *w, size_t i)
{
    return (char **)(void *)((char *)w + string_at[i]);
}

static const char *const_string_of(const struct workload *w, size_t i)
{
    return *(char *const *)(const void *)((const char *)w + string_at[i]);
}

bool strings_init(char **const *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(*fields[i] = calloc(1, 1)))
            return false;
    }
    return true;
}

void strings_free(char **items, size_t n)
{
    for (size_t i = 0; items && i < n; i++)
        free(items[i]);
    free(items);
}

struct workload *workload_new(void)
{
    struct workload *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(string_at); i++) {
        if (!(*string_of(w, i) = calloc(1, 1)))
            return workload_free(w);
    }
    w->healthy = true;
    w->capacity = 1;
    if (workload_set(&w->trust_domain, TEXT("cluster.local")) < 0)
        return workload_free(w);
    return w;
}

struct workload *workload_free(struct workload *w)
{
    if (!w)
        return NULL;
    if (w->packed) {
        free(w);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(string_at); i++)
        free(*string_of(w, i));
    free(w->addresses);
    for (size_t i = 0; w->services && i < w->n_services; i++) {
        free(w->services[i].key);
        free(w->services[i].ports);
    }
    free(w->services);
    strings_free(w->policies, w->n_policies);
    strings_free(w->egress, w->n_egress);
    free(w->labels);
    free(w->gateway_ports);
    free(w);
    return NULL;
}

int workload_set(char **field, struct text value)
{
    char *copy = text_dup(value);
    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

static size_t labels_size(const struct label *labels, size_t n)
{
    size_t size = n * sizeof *labels;
    for (size_t i = 0; i < n; i++)
        size += labels[i].name.len + labels[i].value.len;
    return size;
}

/* Where the next piece of a packed workload goes. Arrays come first, widest first: so all are
 * aligned. */
struct packing {
    char *at;
};

static void *put(struct packing *p, const void *data, size_t size)
{
    void *copy = p->at;

    if (size > 0)
        memcpy(copy, data, size);
    p->at += size;
    return copy;
}

static struct text put_text(struct packing *p, struct text t)
{
    return (struct text){put(p, t.data, t.len), t.len};
}

static char *put_string(struct packing *p, const char *s)
{
    return put(p, s, strlen(s) + 1);
}

int workload_set_labels(struct workload *w, const struct label *labels, size_t n)
{
    struct label *copy = NULL;
    if (n > 0 && !(copy = malloc(labels_size(labels, n))))
        return -ENOMEM;
    struct packing p = {(char *)copy};
    if (n > 0)
        copy = put(&p, labels, n * sizeof *labels);
    for (size_t i = 0; i < n; i++) {
        copy[i].name = put_text(&p, labels[i].name);
        copy[i].value = put_text(&p, labels[i].value);
    }
    free(w->labels);
    w->labels = copy;
    w->n_labels = n;
    return 0;
}

const struct gateway_port *workload_gateway_port(const struct workload *w, uint16_t port)
{
    for (size_t i = 0; i < w->n_gateway_ports; i++) {
        if (w->gateway_ports[i].port == port)
            return &w->gateway_ports[i];
    }
    return NULL;
}

static size_t packed_size(const struct workload *w)
{
    size_t size = sizeof *w + w->n_services * sizeof *w->services +
                  w->n_policies * sizeof *w->policies + w->n_egress * sizeof *w->egress +
                  w->n_addresses * sizeof *w->addresses +
                  labels_size(w->labels, w->n_labels) +
                  w->n_gateway_ports * sizeof *w->gateway_ports;

    for (size_t i = 0; i < w->n_services; i++)
        size +=
            w->services[i].n_ports * sizeof *w->services[i].ports + strlen(w->services[i].key) + 1;
    for (size_t i = 0; i < w->n_policies; i++)
        size += strlen(w->policies[i]) + 1;
    for (size_t i = 0; i < w->n_egress; i++)
        size += strlen(w->egress[i]) + 1;
    for (size_t i = 0; i < ARRAY_SIZE(string_at); i++)
        size += strlen(const_string_of(w, i)) + 1;
    return size;
}

struct workload *workload_pack(const struct workload *w)
{
    size_t size = packed_size(w);
    char *block = malloc(size);
    struct packing p = {block};

    if (!block)
        return NULL;
    struct workload *to = put(&p, w, sizeof *w);
    to->packed = true;
    to->services = put(&p, w->services, w->n_services * sizeof *w->services);
    to->policies = put(&p, w->policies, w->n_policies * sizeof *w->policies);
    to->egress = put(&p, w->egress, w->n_egress * sizeof *w->egress);
    to->labels = put(&p, w->labels, w->n_labels * sizeof *w->labels);
    for (size_t i = 0; i < w->n_services; i++) {
        const struct workload_service *s = &w->services[i];
        to->services[i].ports = put(&p, s->ports, s->n_ports * sizeof *s->ports);
    }
    to->gateway_ports = put(&p, w->gateway_ports, w->n_gateway_ports * sizeof *w->gateway_ports);
    to->addresses = put(&p, w->addresses, w->n_addresses * sizeof *w->addresses);
    for (size_t i = 0; i < w->n_labels; i++) {
        to->labels[i].name = put_text(&p, w->labels[i].name);
        to->labels[i].value = put_text(&p, w->labels[i].value);
    }
    for (size_t i = 0; i < w->n_services; i++)
        to->services[i].key = put_string(&p, w->services[i].key);
    for (size_t i = 0; i < w->n_policies; i++)
        to->policies[i] = put_string(&p, w->policies[i]);
    for (size_t i = 0; i < w->n_egress; i++)
        to->egress[i] = put_string(&p, w->egress[i]);
    for (size_t i = 0; i < ARRAY_SIZE(string_at); i++)
        *string_of(to, i) = put_string(&p, const_string_of(w, i));
    assert(p.at == block + size);
    return to;
}

static bool ports_equal(const struct workload_service *a, const struct workload_service *b)
{
    if (a->n_ports != b->n_ports)
        return false;
    for (size_t i = 0; i < a->n_ports; i++) {
        const struct port_pair *x = &a->ports[i], *y = &b->ports[i];
        if (x->service_port != y->service_port || x->target_port != y->target_port ||
            x->app_protocol != y->app_protocol)
            return false;
    }
    return true;
}

/* On the wire the services are a map: their order says nothing, though it seldom changes. */
static bool services_equal(const struct workload *a, const struct workload *b)
{
    size_t n = a->n_services;

    if (n != b->n_services)
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t at = i, tried = 0;
        while (tried < n && strcmp(a->services[i].key, b->services[at].key) != 0) {
            at = (at + 1) % n;
            tried++;
        }
        if (tried == n || !ports_equal(&a->services[i], &b->services[at]))
            return false;
    }
    return true;
}

bool workload_equal(const struct workload *a, const struct workload *b)
{
    for (size_t i = 0; i < ARRAY_SIZE(string_at); i++) {
        if (strcmp(const_string_of(a, i), const_string_of(b, i)) != 0)
            return false;
    }
    if (a->type != b->type || a->tunnel != b->tunnel || a->native_tunnel != b->native_tunnel ||
        a->healthy != b->healthy || a->host_network != b->host_network ||
        a->capacity != b->capacity || a->n_addresses != b->n_addresses ||
        a->n_labels != b->n_labels || a->n_gateway_ports != b->n_gateway_ports ||
        a->registry_only != b->registry_only)
        return false;
    for (size_t i = 0; i < a->n_gateway_ports; i++) {
        if (a->gateway_ports[i].port != b->gateway_ports[i].port ||
            a->gateway_ports[i].tls != b->gateway_ports[i].tls)
            return false;
    }
    for (size_t i = 0; i < a->n_labels; i++) {
        if (!text_equal(a->labels[i].name, b->labels[i].name) ||
            !text_equal(a->labels[i].value, b->labels[i].value))
            return false;
    }
    for (size_t i = 0; i < a->n_addresses; i++) {
        if (!ip_equal(&a->addresses[i], &b->addresses[i]))
            return false;
    }
    return services_equal(a, b) &&
           strings_equal(a->policies, a->n_policies, b->policies, b->n_policies) &&
           strings_equal(a->egress, a->n_egress, b->egress, b->n_egress);
}
