/*
 * Gateway (gateway.networking.k8s.io) as it is written: listeners for who comes from outside of the
 * mesh. A part of a struct object: it lives in its arena. What is well written and can't be honoured
 * is kept as a flaw, by the name of its field: of the Gateway, or of one of its listeners. Strings
 * are never NULL.
 */
#ifndef CONTROLLER_MODEL_INGRESS_H
#define CONTROLLER_MODEL_INGRESS_H
#include "controller/model/gateway_route.h"

#define INGRESS_CLASS "weir" /* of the Gateways that are ours */
#define INGRESS_CONTROLLER "weir.mesh/controller" /* of the classes that are */
#define INGRESS_POD_LABEL "gateway.networking.k8s.io/gateway-name" /* of pods that serve as one */
enum { INGRESS_LISTENERS_MAX = 64 /* the definition's own */ };

enum { /* in the order of ingress_kind_name() */
    INGRESS_HTTP_ROUTES = 1,
    INGRESS_GRPC_ROUTES = 2,
    INGRESS_TLS_ROUTES = 4,
    INGRESS_TCP_ROUTES = 8,
    INGRESS_KINDS = 4
};
enum ingress_from { INGRESS_FROM_SAME, INGRESS_FROM_ALL, INGRESS_FROM_SELECTOR, INGRESS_FROM_NONE };
struct ingress_listener {
    const char *name, *hostname; /* hostname "": any */
    const char *protocol;        /* "HTTP", "HTTPS", "TLS", "TCP", and others that are not served */
    bool passes_tls;             /* TLS: it ends at the backend, and here only its first words are read */
    bool has_certificate;        /* TLS ends here: */
    struct gateway_ref certificate; /* the Secret that it is in */
    uint16_t port;
    enum ingress_from from; /* in which namespaces routes may be */
    struct labels selector; /* of namespaces */
    unsigned kinds;         /* INGRESS_..._ROUTES that may come; all that its protocol has, where none is said */
    bool kinds_unknown;     /* others are said, too */
    struct gateway_flaw flaw;
};
struct ingress {
    const char *class_name;
    const struct ingress_listener *listeners;
    size_t n_listeners;
    struct gateway_flaw flaw; /* of the whole: nothing is served */
};
struct ingress_class {
    const char *controller;
    bool has_parameters; /* of which we have none */
};
/* "HTTPRoute" of 0, and so on: of the kind with the bit 1 << i. */
const char *ingress_kind_name(unsigned i);
unsigned ingress_kinds(const struct ingress_listener *l); /* that its protocol and mode have; none: it is not served */
bool ingress_is_host(struct text t); /* of a listener or a route: a name, with or without "*." before it */
#endif
