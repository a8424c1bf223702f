/*
 * BackendTLSPolicy (gateway.networking.k8s.io, v1) as it is written, and a ConfigMap as far as roots are in it
 * ("ca.crt"): TLS to the endpoints of Services, and by what their certificates are judged. What can't be
 * honoured is a flaw of all of it, and then nobody speaks to its Services (Gateway API, GEP-1897).
 */
#ifndef CONTROLLER_MODEL_BACKEND_TLS_H
#define CONTROLLER_MODEL_BACKEND_TLS_H
#include "controller/model/gateway_route.h"

enum {
    BACKEND_TLS_TARGETS_MAX = 16,
    BACKEND_TLS_NAMES_MAX = 5,
    BACKEND_TLS_ROOTS_MAX = 8,
    BACKEND_TLS_PEM_MAX = 256 * 1024 /* of all its roots together: what a node proxy takes */
};
struct text_match;
struct backend_tls {
    struct gateway_flaw flaw;
    const struct gateway_parent *targets; /* Services of its namespace; section: the name of a port, "": of all */
    size_t n_targets;
    const char *hostname;           /* SNI; and the certificate's, where there are no names */
    const struct text_match *names; /* one of them is to be the certificate's */
    size_t n_names;
    const struct gateway_ref *roots; /* ConfigMaps; n 0: `system` */
    size_t n_roots;
    bool system;
};
struct config_map {
    const char *roots; /* PEM; "": none */
    const char *flaw;  /* why they are none; NULL: they are */
};
static inline bool backend_tls_root_is_map(const struct gateway_ref *ref)
{
    return !ref->group[0] && strcmp(ref->kind, "ConfigMap") == 0;
}
#endif
