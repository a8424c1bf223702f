/*
 * The hash by which a request finds its endpoint again (Envoy's HashPolicy), for ring hash and
 * Maglev. Pure.
 */
#ifndef SHARED_MESH_ROUTE_HASH_H
#define SHARED_MESH_ROUTE_HASH_H
#include "shared/base/addr.h"
#include "shared/mesh/route_action.h"

struct route_hash {
    bool any; /* otherwise no policy found anything: the endpoint is chosen at random */
    uint64_t hash;
    /* A cookie that the request has not and the answer is to bring (NULL: none); its value is
     * `cookie`, in hexadecimal digits. */
    const struct hash_policy *make_cookie;
    char cookie[17];
};
/* The first cookie of the name, without the quotes that it may have; false: there is none. */
bool route_cookie(const struct http_head *head, struct text name, struct text *ret);
/* random: of the request; what a new cookie is made of. */
struct route_hash route_hash_of(const struct route_forward *f, const struct http_head *request,
                                const struct ip *source, uint64_t random);
#endif
