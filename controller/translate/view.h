/*
 * The store as a translation sees it: lists by kind in order, what a namespace holds, which
 * endpoints point at which pods. Borrowed objects, pure. Opening it costs the size of the store
 * once; afterwards it may be told each change of the store (view_change()), so that it need not be
 * opened again.
 */
#ifndef CONTROLLER_TRANSLATE_VIEW_H
#define CONTROLLER_TRANSLATE_VIEW_H
#include "controller/model/object_store.h"
#include "controller/model/problem.h"
#include "controller/translate/object_index.h"

struct translate_settings {     /* strings live as long as the program */
    const char *cluster_id;     /* "Kubernetes" */
    const char *network;        /* "": the default one */
    const char *trust_domain;   /* "cluster.local" */
    const char *cluster_domain; /* of service names: "cluster.local" */
    const char *root_namespace; /* whose policies are the mesh's */
    const char *enrol_label;    /* of namespaces and pods */
    uint64_t tables_bytes_max;  /* of all route tables; 0: MESH_TABLES_BYTES_MAX */
    bool registry_only;   /* workloads connect only to what they see, unless a Sidecar says otherwise */
    bool grants_required; /* of routes to other namespaces; the mesh asks for none (GEP-1294) */
    bool sidecars;        /* pods may have an Envoy of their own (sidecar.h) */
};
struct view_range {
    struct object *const *items;
    size_t n;
};
struct view_list { /* by namespace and name */
    struct object **items;
    size_t n, size;
};
struct view_link { /* an endpoint of a slice that is a pod */
    const struct object *slice, *service;
};
enum { VIEW_KEY_MAX = 2 * OBJECT_KEY_MAX };
struct view {
    const struct translate_settings *settings;
    const struct object_store *store;
    struct view_list lists[OBJECT_KIND_COUNT];
    struct object_index pods_at; /* address -> pods that own it */
    struct object_index hosts_at; /* address of a node -> pods on its network */
    struct object_index pods_on; /* node -> pods */
    struct object_index
        leaving; /* namespace -> pods, and slices with endpoints, that end and serve */
    struct object_index slices_of; /* view_name() of a service -> its slices */
    struct object_index
        slices_to; /* view_name() of a pod -> slices with an endpoint that says so */
    struct object_index slices_at;  /* address -> slices with an endpoint there that names no pod */
    struct object_index routes_of;  /* view_name() of a Service -> routes with it as a parent */
    struct object_index ingress_routes; /* view_name() of a Gateway -> routes with it as a parent */
    struct object_index routes_to;  /* view_name() of a Service -> routes with it as a backend */
    struct object_index virtual_of; /* host, full or a wildcard -> VirtualServices for it */
    struct object_index virtual_to; /* full host -> VirtualServices that lead to it */
    struct object_index delegating; /* view_name() of a VirtualService -> those that delegate to it */
    struct object_index rules_of;   /* full host -> DestinationRules for it */
    struct object_index made_of;    /* full host -> Services that ServiceEntries make of it */
    struct object_index sidecars_of; /* namespace, or view_label() of a selector's first -> Sidecars */
    struct object_index services_at; /* address -> Services that name it, or may be given it */
};
int view_open(struct view *v, const struct object_store *s,
              const struct translate_settings *settings); /* -ENOMEM */
void view_close(struct view *v);
/* The store has `now` where `old` was (NULL: nothing). -ENOMEM: it is to be closed. */
int view_change(struct view *v, const struct object *old, struct object *now);
struct view_range view_all(const struct view *v, enum object_kind kind);
struct view_range view_namespace(const struct view *v, enum object_kind kind, const char *ns);
/* The links of a pod, by service and slice, on the heap (NULL: none); the caller frees. -ENOMEM. */
int view_links(const struct view *v, const struct object *pod, struct view_link **ret,
               size_t *ret_n);
/* The Service that a slice is for; NULL: none, or it is nothing for the mesh. */
const struct object *view_slice_service(const struct view *v, const struct object *slice);
/* The pod that an endpoint is; NULL: it is none of the pods we know by this reference or
 * address. */
const struct object *view_endpoint_pod(const struct view *v, const struct slice_endpoint *e);
/* Has it its addresses? A pod that a source has does. Before a WorkloadEntry's come such pods (and so nodes) and
 * Services, older entries with their endpoints, and what other namespaces' EndpointSlices say of an address: nobody
 * decides how those are reached. */
bool view_has_address(const struct view *v, const struct object *pod);
/* "namespace/name", the key of slices_of and slices_to. */
struct text view_name(const char *ns, const char *name, char out[static VIEW_KEY_MAX]);
struct text view_label(const char *ns, const struct object_label *label, char out[static VIEW_KEY_MAX]);
static inline struct text view_address(const struct ip *ip)
{
    return (struct text){(const char *)ip->bytes, ip->len};
}
/* Does a reference mean a Gateway? */
static inline bool view_is_ingress(const struct gateway_ref *ref)
{
    return strcmp(ref->group, GATEWAY_GROUP) == 0 && strcmp(ref->kind, "Gateway") == 0;
}
/* A host-network pod shares its addresses, so that they do not tell which pod is meant. */
static inline bool view_owns_addresses(const struct object *pod)
{
    return !pod->pod.host_network && !pod->pod.over;
}
#endif
