/*
 * Which names are the mesh's, and what is answered for them: read from the directory without locks,
 * in one go (nothing is kept). Pure; a worker's thread.
 *
 * A pod's resolver tries a name with each search domain of its file (NAMESPACE.svc.DOMAIN,
 * svc.DOMAIN, DOMAIN) before it tries the name itself. What the last of these tries would find is
 * answered at the first, as an alias. Where the directory does not know a name nothing is denied:
 * it is the pod's resolver's.
 */
#ifndef NODEPROXY_DNS_DNS_NAMES_H
#define NODEPROXY_DNS_DNS_NAMES_H
#include "shared/dns/dns_message.h"
#include "shared/mesh/directory.h"

struct dns_mesh {
    const struct directory *directory;
    struct text network; /* ours */
    struct text domain;  /* of the cluster: "cluster.local" */
    uint32_t ttl_s;
    struct text uid; /* the asking pod's; empty: not known, and then its namespace alone says what it sees */
};
/* The answer's length, or 0: not a name of the mesh. A name of the mesh that has no such record is
 * answered with none. ns: the asking pod's. size: at least DNS_PLAIN_MAX. */
size_t dns_names_answer(const struct dns_mesh *m, struct text ns, const struct dns_query *q,
                        struct rng *rng, void *out, size_t size);
#endif
