#include "controller/translate/service_place.h"
#include "controller/translate/traffic_host.h"
#include "shared/base/map.h"

/* Never to be changed: what was answered to clients would lead elsewhere. */
static uint64_t number_of(struct text host, uint64_t of)
{
    const uint64_t seed[2] = {0x7365727669636520, 0x706c616365000000 + of};
    return hash_bytes(seed, host.data, host.len);
}

struct ip service_place(struct text host, unsigned i)
{
    uint64_t n = number_of(host, i);
    return (struct ip){
        .len = 4, .bytes = {240, (uint8_t)(240 | (n >> 16 & 0x0f)), (uint8_t)(n >> 8), (uint8_t)n}};
}

static struct ip wide_place(struct text host)
{
    struct ip ip = {.len = 16, .bytes = {0x20, 0x01, 0, 0x02}};
    uint64_t n = number_of(host, PLACES), more = number_of(host, PLACES + 1);
    for (unsigned i = 0; i < 8; i++)
        ip.bytes[8 + i] = (uint8_t)(n >> 8 * i);
    ip.bytes[6] = (uint8_t)more;
    ip.bytes[7] = (uint8_t)(more >> 8);
    return ip;
}

static bool is_first(const struct view *v, const struct object *service, const struct ip *place)
{
    struct object_group others = object_index_get(&v->placed_at, view_address(place));
    for (size_t i = 0; i < others.n; i++)
        if (others.items[i] != service && traffic_is_older(others.items[i], service) &&
            traffic_counts(v, others.items[i]))
            return false;
    return true;
}

size_t service_placed(const struct view *v, const struct object *service,
                      struct ip ret[static PLACED_MAX])
{
    char name[VIEW_KEY_MAX];
    struct text host = traffic_service_host(v, service, name);
    size_t n = 0;
    for (unsigned i = 0; i < PLACES && n == 0; i++) {
        struct ip place = service_place(host, i);
        if (is_first(v, service, &place))
            ret[n++] = place;
    }
    ret[n++] = wide_place(host);
    return n;
}
