#include "nodeproxy/dns/dns_names.h"

#include "shared/mesh/egress.h"
#include <stdio.h>

enum { NAME_MAX_BYTES = 253, SEARCH_DOMAINS = 3, ENDPOINTS_MAX = 16384 };

struct found {
    const struct service *service;
    char name[NAME_MAX_BYTES + 1]; /* under which it was found */
    size_t host_len;               /* of the name of one endpoint, its begin; 0: all of them */
};
struct asked {
    const struct dns_mesh *mesh;
    struct text ns;
    const struct workload *self; /* NULL: not known */
    char search[SEARCH_DOMAINS][NAME_MAX_BYTES + 1]; /* all "": there are none */
};

static bool copy(char out[static NAME_MAX_BYTES + 1], struct text name)
{
    int len = snprintf(out, NAME_MAX_BYTES + 1, "%.*s", (int)name.len, name.data);
    return len > 0 && len <= NAME_MAX_BYTES;
}

static bool join(char out[static NAME_MAX_BYTES + 1], struct text name, const char *rest)
{
    int len = snprintf(out, NAME_MAX_BYTES + 1, "%.*s.%s", (int)name.len, name.data, rest);
    return len <= NAME_MAX_BYTES;
}

static void ask(struct asked *a, const struct dns_mesh *mesh, struct text ns)
{
    *a = (struct asked){.mesh = mesh, .ns = ns};
    if (mesh->uid.len > 0)
        a->self = directory_workload(mesh->directory, mesh->uid);
    if (!copy(a->search[2], mesh->domain) || !join(a->search[1], TEXT("svc"), a->search[2]) ||
        !join(a->search[0], ns, a->search[1]))
        memset(a->search, 0, sizeof a->search);
}

/* ---- exactly this name ---- */

/* What is below svc.DOMAIN belongs to the namespace that it names, whoever else claims it. */
static const struct service *of_namespace(const struct asked *a, struct text name)
{
    char key[2 * NAME_MAX_BYTES + 2];
    struct text service, rest, ns = name;
    struct text zone = text_of(a->search[1]);
    struct text head = {name.data, name.len - zone.len - 1}; /* SERVICE.NAMESPACE */
    if (!text_split(head, '.', &service, &ns) || text_split(ns, '.', &service, &rest))
        return NULL;
    int len = snprintf(key, sizeof key, "%.*s/%.*s", (int)ns.len, ns.data, (int)name.len, name.data);
    return directory_service(a->mesh->directory, (struct text){key, (size_t)len});
}

static bool is_below(struct text name, struct text zone)
{
    return zone.len > 0 && name.len > zone.len + 1 && text_ends_with(name, zone) &&
           name.data[name.len - zone.len - 1] == '.';
}

static bool sees(const struct asked *a, const struct service *s)
{
    return a->self ? egress_sees_name(a->self, s) : service_is_told_to(s, a->ns);
}

static const struct service *service_named(const struct asked *a, struct text name)
{
    const struct service *s = is_below(name, text_of(a->search[1]))
                                  ? of_namespace(a, name)
                                  : directory_service_named(a->mesh->directory, name, a->ns);
    return s && sees(a, s) ? s : NULL;
}

static bool serves(const struct service *s, const struct workload *w)
{
    return w->healthy || s->allow_unhealthy;
}

static bool has_host(const struct asked *a, const struct service *s, struct text host)
{
    const struct workload *const *endpoints;
    size_t n = directory_endpoints(a->mesh->directory, s, &endpoints);
    for (size_t i = 0; i < n; i++)
        if (text_equal(text_of(endpoints[i]->hostname), host) && serves(s, endpoints[i]))
            return true;
    return false;
}

/* Without an address of its own, and with endpoints that we know of: all of them are answered. */
static bool is_known(const struct asked *a, const struct service *s)
{
    const struct workload *const *endpoints;
    return s->n_addresses > 0 || directory_endpoints(a->mesh->directory, s, &endpoints) > 0;
}

static bool find_exactly(const struct asked *a, struct text name, struct found *ret)
{
    struct text host, rest;
    *ret = (struct found){.service = service_named(a, name)};
    if (ret->service && !is_known(a, ret->service))
        return false;
    if (!ret->service) { /* a pod with a name of its own: HOST.SERVICE.NAMESPACE.svc.DOMAIN */
        if (!is_below(name, text_of(a->search[1])) || !text_split(name, '.', &host, &rest))
            return false;
        ret->service = service_named(a, rest);
        ret->host_len = host.len;
        if (!ret->service || ret->service->n_addresses > 0 || host.len == 0 ||
            !has_host(a, ret->service, host))
            return false;
    }
    return copy(ret->name, name);
}

/* ---- as a resolver looks for it ---- */

/* What it finds from this search domain on; the name itself comes last. */
static bool find_on(const struct asked *a, struct text name, size_t first, struct found *ret)
{
    char whole[NAME_MAX_BYTES + 1];
    for (size_t i = first; i < SEARCH_DOMAINS; i++)
        if (a->search[i][0] && join(whole, name, a->search[i]) &&
            find_exactly(a, text_of(whole), ret))
            return true;
    return find_exactly(a, name, ret);
}

static bool find(const struct asked *a, struct text name, struct found *ret)
{
    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return false;
    if (find_exactly(a, name, ret))
        return true;
    for (size_t i = 0; i < SEARCH_DOMAINS; i++) {
        struct text zone = text_of(a->search[i]);
        struct text tried = {name.data, name.len - zone.len - 1};
        if (is_below(name, zone) && find_on(a, tried, i + 1, ret))
            return true;
    }
    return find_on(a, name, 0, ret);
}

/* ---- answers ---- */

static bool is_of(const struct ip *ip, uint16_t type)
{
    return (ip->len == 4 && type == DNS_A) || (ip->len == 16 && type == DNS_AAAA);
}

static void put_service(const struct dns_mesh *m, const struct service *s, uint16_t type,
                        struct dns_answer *a)
{
    for (size_t i = 0; i < s->n_addresses; i++)
        if (is_of(&s->addresses[i].ip, type) &&
            text_equal(text_of(s->addresses[i].network), m->network))
            (void)dns_answer_address(a, m->ttl_s, &s->addresses[i].ip);
}

static void put_endpoint(const struct dns_mesh *m, const struct workload *w, uint16_t type,
                         struct dns_answer *a)
{
    for (size_t i = 0; i < w->n_addresses; i++)
        if (is_of(&w->addresses[i], type))
            (void)dns_answer_address(a, m->ttl_s, &w->addresses[i]);
}

/* From a random one on: clients take the first, and of many not all fit. */
static void put_endpoints(const struct dns_mesh *m, const struct found *f, uint16_t type,
                          struct rng *rng, struct dns_answer *a)
{
    const struct workload *const *all;
    struct text host = {f->name, f->host_len};
    size_t n = directory_endpoints(m->directory, f->service, &all);
    size_t first = n > 0 ? rng_below(rng, n) : 0;
    for (size_t i = 0; i < n && i < ENDPOINTS_MAX && !a->truncated; i++) {
        const struct workload *w = all[(first + i) % n];
        if (serves(f->service, w) &&
            (host.len == 0 || text_equal(text_of(w->hostname), host)))
            put_endpoint(m, w, type, a);
    }
}

size_t dns_names_answer(const struct dns_mesh *m, struct text ns, const struct dns_query *q,
                        struct rng *rng, void *out, size_t size)
{
    struct asked asked;
    struct found found;
    struct dns_answer answer;
    /* The directory knows no names of ports. */
    if (!dns_query_is_plain(q) || q->type == DNS_SRV)
        return 0;
    ask(&asked, m, ns);
    if (!find(&asked, text_of(q->name), &found))
        return 0;
    dns_answer_begin(&answer, out, size, q, DNS_NO_ERROR);
    if (strcmp(found.name, q->name) != 0)
        (void)dns_answer_alias(&answer, m->ttl_s, found.name);
    if (q->type == DNS_A || q->type == DNS_AAAA) {
        if (found.service->n_addresses > 0)
            put_service(m, found.service, q->type, &answer);
        else
            put_endpoints(m, &found, q->type, rng, &answer);
    }
    return dns_answer_end(&answer);
}
