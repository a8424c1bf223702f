/*
 * One resource of xDS, ready to be sent: name, aliases, encoded body, and a version that is a hash
 * of the body, so that it means the same after a restart. Immutable once it was made. Owned by
 * whoever has the pointer.
 */
#ifndef CONTROLLER_TRANSLATE_RESOURCE_H
#define CONTROLLER_TRANSLATE_RESOURCE_H
#include "shared/xds/xds.h"

enum { RESOURCE_VERSION_MAX = 33 };
struct resource {
    enum xds_type type;
    char *name;
    char **aliases; /* network/address; of a Gateway's certificates: who alone is told of them */
    size_t n_aliases;
    char **services; /* of a workload: the names of the services that it serves */
    size_t n_services;
    uint8_t *body; /* of XDS_GATEWAY in secret memory */
    size_t body_len;
    char version[RESOURCE_VERSION_MAX];
    bool is_service;
    bool by_name_only; /* made up where nobody wrote one: "*" of a node proxy does not mean it */
    /* What is told otherwise to who asks as the state of the world, for itself: */
    uint8_t nearness;     /* endpoints: near ones first, by region (1), zone (2), sub-zone (3); 0: no */
    uint8_t *locality;    /* endpoints: what somebody wrote of places (xds_locality_lb_decode()); NULL: nothing */
    size_t locality_len;
    bool balanced_anyhow; /* a cluster: any endpoint will do, whatever policy chooses it */
};
int resource_of_workload(const struct workload *w, struct resource **ret); /* -ENOMEM */
int resource_of_service(const struct service *s, struct resource **ret);
int resource_of_policy(const struct policy *p, struct resource **ret);
/* Of any type, already encoded, under a name of its own. Takes the body in every case. -ENOMEM. */
int resource_of_body(enum xds_type type, const char *name, struct xds_bytes *taken_body,
                     struct resource **ret);
/* Of who may be told, as their SPIFFE IDs, alone. The body, with keys in it, is wiped in every case, and kept in
 * secret memory. -ENOMEM. */
int resource_of_gateway(struct text name, char *const *identities, size_t n,
                        struct xds_bytes *taken_body, struct resource **ret);
struct resource *resource_free(struct resource *r);
bool resource_equal(const struct resource *a, const struct resource *b);
#endif
