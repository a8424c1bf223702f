/*
 * Hosts of VirtualServices and DestinationRules: which Services they mean. A name without a dot is one
 * of the object's own namespace; "*" and "*.DOMAIN" are all that end so. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_TRAFFIC_HOST_H
#define CONTROLLER_TRANSLATE_TRAFFIC_HOST_H
#include "controller/translate/view.h"

/* "reviews" of namespace shop is "reviews.shop.svc.cluster.local". */
struct text traffic_full_host(const struct view *v, const char *ns, const char *host,
                              char out[static VIEW_KEY_MAX]);
struct text traffic_service_host(const struct view *v, const struct object *service,
                                 char out[static VIEW_KEY_MAX]);
/* Likewise of a Service's namespace and name; of "ENTRY/HOST" it is HOST. */
struct text traffic_named_host(const struct view *v, const char *ns, const char *name,
                               char out[static VIEW_KEY_MAX]);
/* The Service that a full host is: the one with that name, else of those that ServiceEntries make the
 * oldest, whoever sees it (decision 47). NULL: there is none, or it is but a DNS alias. */
const struct object *traffic_by_host(const struct view *v, struct text full);
/* Is it the one that its host is? */
bool traffic_counts(const struct view *v, const struct object *service);
/* The namespace and the name of the Service that a full host is. False: it can be none. */
struct traffic_name {
    char ns[64], name[64];
};
bool traffic_name(const struct view *v, struct text host, struct traffic_name *ret);
/* Does a namespace see it (exportTo)? */
bool traffic_is_told_to(const struct object *service, const char *ns);
/* NULL: there is none that the namespace sees, or it is but a DNS alias. */
const struct object *traffic_service(const struct view *v, const char *ns, const char *host);
bool traffic_host_matches(struct text host, struct text full); /* host: full, or a wildcard */
/* All hosts that match a full one, the most precise first: calls until it answers other than 0. */
int traffic_each_host(struct text full, int (*call)(void *user, struct text host), void *user);
#endif
