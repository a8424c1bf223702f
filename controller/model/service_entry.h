/*
 * ServiceEntry (networking.istio.io) as it is written. What it says is said by objects that the mesh
 * knows already: each of its hosts is a Service, each of its endpoints an EndpointSlice of that Service.
 * service_entry_parts() makes them; the store has them beside it, for as long as it is there. A flaw,
 * what can't be honoured by its field's name, is one of all of it: it then has no parts. What is left
 * out of account without harm is noted.
 */
#ifndef CONTROLLER_MODEL_SERVICE_ENTRY_H
#define CONTROLLER_MODEL_SERVICE_ENTRY_H
#include "controller/model/gateway_route.h"
#include "shared/base/addr.h"

enum {
    ENTRY_HOSTS_MAX = 64,
    ENTRY_ENDPOINTS_MAX = 1024,
    ENTRY_PARTS_MAX = 4096 /* hosts times endpoints */
};
#define ENTRY_NO_ADDRESS_LABEL "networking.istio.io/enable-autoallocate-ip" /* "false" */

struct kube_service_port;
struct object;
struct entry_endpoint {
    const struct ip *address;
    const char *text; /* of the address, as written */
    struct labels labels;
    const uint16_t *targets; /* of each of the entry's ports */
    uint32_t weight;
    const char *region, *zone, *subzone;
    unsigned line;
};
struct service_entry {
    struct gateway_flaw flaw, note;
    bool served;         /* connections go to endpoints that we choose; else where they want to */
    bool automatic;      /* its addresses are chosen by the mesh */
    struct values hosts; /* lower case; served: no wildcards */
    struct values exported; /* the namespaces that see it; n 0: all */
    struct labels selector; /* of pods of its namespace; n 0: none */
    const struct ip *addresses;
    size_t n_addresses;
    const struct kube_service_port *ports; /* TCP */
    size_t n_ports;
    const struct entry_endpoint *endpoints;
    size_t n_endpoints;
};
/* Has it parts? */
bool service_entry_is_served(const struct object *entry);
/* How many of one host: the Service, and a slice for each endpoint. 0: it is none of its hosts. */
size_t service_entry_parts_of(const struct object *entry, const char *host);
/* The name of the i-th of them. */
enum { ENTRY_PART_NAME_MAX = 640 };
const char *service_entry_part(const struct object *entry, const char *host, size_t i,
                               char out[static ENTRY_PART_NAME_MAX]);
/* Its parts, each with one reference, on the heap (NULL: none): "ENTRY/HOST", "ENTRY/HOST/0". The caller
 * releases them and frees the list. -ENOMEM. */
int service_entry_parts(const struct object *entry, struct object ***ret, size_t *ret_n);
void service_entry_parts_done(struct object **parts, size_t n);
#endif
