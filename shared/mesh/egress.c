#include "shared/mesh/egress.h"

#include "shared/mesh/directory.h"

struct egress_host {
    struct text ns, host;
    uint16_t port; /* 0: all that no other host is for */
};

static bool read_port(struct text digits, uint16_t *ret)
{
    unsigned port = 0;
    if (digits.len == 0 || digits.len > 5)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        port = 10 * port + (unsigned)(digits.data[i] - '0');
    }
    *ret = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX;
}

static bool read_host(struct text t, struct egress_host *ret)
{
    struct text host, digits;
    *ret = (struct egress_host){.port = 0};
    if (!text_split(t, '/', &ret->ns, &ret->host) || ret->ns.len == 0 || ret->host.len == 0)
        return false;
    if (!text_split(ret->host, ':', &host, &digits))
        return true;
    ret->host = host;
    return host.len > 0 && read_port(digits, &ret->port);
}

const char *egress_host_check(struct text t)
{
    struct egress_host h;
    return read_host(t, &h) ? NULL : "must be NAMESPACE/HOST or NAMESPACE/HOST:PORT";
}

static bool fits_ns(const struct egress_host *h, struct text ns)
{
    return text_equal(h->ns, TEXT("*")) || text_equal(h->ns, ns);
}

static bool fits_host(const struct egress_host *h, struct text hostname)
{
    if (text_equal(h->host, TEXT("*")))
        return true;
    if (!text_starts_with(h->host, TEXT("*.")))
        return text_equal(h->host, hostname);
    struct text zone = {h->host.data + 1, h->host.len - 1};
    return hostname.len > zone.len && text_ends_with(hostname, zone);
}

/* Of which port the hosts are that say what is seen at this one. */
static uint16_t listener_of(const struct workload *self, uint16_t port)
{
    struct egress_host h;
    for (size_t i = 0; i < self->n_egress; i++)
        if (read_host(text_of(self->egress[i]), &h) && h.port == port)
            return port;
    return 0;
}

/* port -1: any. */
static bool in_scope(const struct workload *self, struct text ns, struct text hostname, int port)
{
    struct egress_host h;
    if (self->n_egress == 0)
        return true;
    int listener = port < 0 ? -1 : listener_of(self, (uint16_t)port);
    for (size_t i = 0; i < self->n_egress; i++)
        if (read_host(text_of(self->egress[i]), &h) && (listener < 0 || h.port == listener) &&
            fits_ns(&h, ns) && fits_host(&h, hostname))
            return true;
    return false;
}

bool service_is_told_to(const struct service *s, struct text ns)
{
    for (size_t i = 0; i < s->n_exported; i++)
        if (text_equal(text_of(s->exported[i]), ns))
            return true;
    return s->n_exported == 0;
}

static bool sees(const struct workload *self, const struct service *s, int port)
{
    if (!self)
        return s->n_exported == 0;
    return service_is_told_to(s, text_of(self->ns)) &&
           in_scope(self, text_of(s->ns), text_of(s->hostname), port);
}

bool egress_sees(const struct workload *self, const struct service *s, uint16_t port)
{
    return sees(self, s, port);
}

bool egress_sees_name(const struct workload *self, const struct service *s)
{
    return sees(self, s, -1);
}

/* A Service that the directory doesn't have (yet) is told to nobody by it. */
static bool is_told(const struct directory *d, struct text key, struct text ns)
{
    const struct service *s = directory_service(d, key);
    return s && service_is_told_to(s, ns);
}

static bool fits_any(const struct egress_host *h, const struct directory *d, const struct workload *self,
                     const struct workload *to)
{
    struct text ns, host;
    if (fits_ns(h, text_of(to->ns)) && fits_host(h, (struct text){"", 0}))
        return true;
    for (size_t i = 0; i < to->n_services; i++)
        if (text_split(text_of(to->services[i].key), '/', &ns, &host) && fits_ns(h, ns) &&
            fits_host(h, host) && is_told(d, text_of(to->services[i].key), text_of(self->ns)))
            return true;
    return false;
}

/* There may be as many hosts as Services, and this is asked of each connection: each is read once. */
bool egress_sees_workload(const struct directory *d, const struct workload *self, const struct workload *to,
                          uint16_t port)
{
    struct egress_host h;
    if (!self || self->n_egress == 0)
        return true;
    uint16_t listener = listener_of(self, port);
    for (size_t i = 0; i < self->n_egress; i++)
        if (read_host(text_of(self->egress[i]), &h) && h.port == listener && fits_any(&h, d, self, to))
            return true;
    return false;
}
