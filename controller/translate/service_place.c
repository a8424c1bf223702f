#include "controller/translate/service_place.h"
#include "controller/translate/traffic_host.h"
#include "shared/base/map.h"

/* Never to be changed: what was answered to clients would lead elsewhere. */
static uint64_t number_of(struct text host, uint64_t of)
{
    const uint64_t seed[2] = {0x7365727669636520, 0x706c616365000000 + of};
    return hash_bytes(seed, host.data, host.len);
}

static struct ip wide_place(struct text host)
{
    struct ip ip = {.len = 16, .bytes = {0x20, 0x01, 0, 0x02}};
    uint64_t n = number_of(host, NARROW_PLACES), more = number_of(host, NARROW_PLACES + 1);
    for (unsigned i = 0; i < 8; i++)
        ip.bytes[8 + i] = (uint8_t)(n >> 8 * i);
    ip.bytes[6] = (uint8_t)more;
    ip.bytes[7] = (uint8_t)(more >> 8);
    return ip;
}

struct ip service_place(struct text host, unsigned i)
{
    if (i >= NARROW_PLACES)
        return wide_place(host);
    uint64_t n = number_of(host, i);
    return (struct ip){
        .len = 4, .bytes = {240, (uint8_t)(240 | (n >> 16 & 0x0f)), (uint8_t)(n >> 8), (uint8_t)n}};
}

size_t service_wanted(const struct object *service, struct text host,
                      struct ip ret[static SERVICE_ADDRESSES_MAX])
{
    const struct kube_service *s = &service->service;
    for (unsigned i = 0; s->automatic && i < PLACES; i++)
        ret[i] = service_place(host, i);
    for (size_t i = 0; !s->automatic && i < s->n_addresses && i < SERVICE_ADDRESSES_MAX; i++)
        ret[i] = s->addresses[i];
    return s->automatic ? PLACES : s->n_addresses;
}

/* ---- Who has one ---------------------------------------------------------------------------- */

static bool of_one_entry(const struct object *a, const struct object *b)
{
    size_t len = strcspn(a->name, "/");
    return a->made && b->made && strcmp(a->ns, b->ns) == 0 && len == strcspn(b->name, "/") &&
           memcmp(a->name, b->name, len) == 0;
}

const struct object *service_before(const struct view *v, const struct object *service,
                                    const struct ip *wanted)
{
    if (!service->made)
        return NULL;
    struct object_group hosts = object_index_get(&v->hosts_at, view_address(wanted));
    if (hosts.n > 0)
        return hosts.items[0];
    struct object_group pods = object_index_get(&v->pods_at, view_address(wanted));
    if (pods.n > 0 && object_index_order(pods.items[0], service) < 0)
        return pods.items[0];
    struct object_group others = object_index_get(&v->services_at, view_address(wanted));
    for (size_t i = 0; i < others.n && others.items[i] != service; i++) {
        const struct object *o = others.items[i];
        /* Hosts of an entry share what its author wrote for them. */
        bool shared = !service->service.automatic && of_one_entry(o, service);
        if (!shared && traffic_counts(v, o))
            return o;
    }
    return NULL;
}

size_t service_addresses(const struct view *v, const struct object *service,
                         struct ip ret[static SERVICE_ADDRESSES_MAX])
{
    char name[VIEW_KEY_MAX];
    struct ip wanted[SERVICE_ADDRESSES_MAX];
    size_t n_wanted = service_wanted(service, traffic_service_host(v, service, name), wanted);
    bool automatic = service->service.automatic;
    size_t n = 0;
    for (size_t i = 0; i < n_wanted; i++) {
        bool enough = automatic && n > 0 && wanted[i].len == ret[0].len;
        if (!enough && !service_before(v, service, &wanted[i]))
            ret[n++] = wanted[i];
    }
    return n;
}
