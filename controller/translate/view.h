/*
 * The store as a translation sees it: lists by kind in order, what a namespace holds, which
 * endpoints point at which pods, what the mesh's peer authentication is. Made for one translation,
 * borrowed objects, pure. Costs the size of the store once; each question then a binary search.
 */
#ifndef CONTROLLER_TRANSLATE_VIEW_H
#define CONTROLLER_TRANSLATE_VIEW_H
#include "controller/model/object_store.h"
#include "controller/model/problem.h"

struct translate_settings {     /* strings live as long as the program */
    const char *cluster_id;     /* "Kubernetes" */
    const char *network;        /* "": the default one */
    const char *trust_domain;   /* "cluster.local" */
    const char *cluster_domain; /* of service names: "cluster.local" */
    const char *root_namespace; /* whose policies are the mesh's */
    const char *enrol_label;    /* of namespaces and pods */
};
struct view_range {
    struct object *const *items;
    size_t n;
};
struct view_link { /* an endpoint of a slice that is this pod */
    const struct object *pod, *slice, *service;
};
struct view_address { /* a pod's own address */
    struct ip ip;
    const struct object *pod;
};
struct view {
    const struct translate_settings *settings;
    const struct object_store *store;
    struct object **lists[OBJECT_KIND_COUNT];
    size_t counts[OBJECT_KIND_COUNT];
    struct view_address *addresses; /* ordered */
    size_t n_addresses;
    struct view_link *links; /* ordered by pod */
    size_t n_links, links_size;
};
int view_open(struct view *v, const struct object_store *s,
              const struct translate_settings *settings); /* -ENOMEM */
void view_close(struct view *v);
struct view_range view_all(const struct view *v, enum object_kind kind);
struct view_range view_namespace(const struct view *v, enum object_kind kind, const char *ns);
/* The links of a pod, next to each other; *ret_n of them. */
const struct view_link *view_links(const struct view *v, const struct object *pod, size_t *ret_n);
/* The Service that a slice is for; NULL: none, or it is nothing for the mesh. */
const struct object *view_slice_service(const struct view *v, const struct object *slice);
/* The pod that an endpoint is; NULL: it is none of the pods we know by this reference or
 * address. */
const struct object *view_endpoint_pod(const struct view *v, const struct slice_endpoint *e);
#endif
