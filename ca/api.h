/*
 * The CA's JSON API over HTTPS (docs/ca-openapi.yaml): certificates by the same decision as
 * CreateCertificate (grant.h); tokens, revocations and lists for the identities that may administer.
 * Nothing is decided here that isn't decided elsewhere. One thread, one ring; what blocks is the
 * ledger's. Embedded. Bounded: the server's connections and bodies (admin.h), requests of an address
 * (rate.h), rows of a list, the ledger.
 */
#ifndef CA_API_H
#define CA_API_H
#include "ca/callers.h"
#include "shared/base/args.h"
#include "shared/service/admin.h"

enum { API_ROUTES = 11 };
struct api_options { /* all is borrowed */
    struct ring *ring;
    struct callers *callers; /* whose grant, ledger and audit share count here, too */
    const struct root *root;
    const struct arg_list *admins; /* SPIFFE IDs; none: nobody */
    struct addr listen;
};
struct api {
    struct api_options options;
    struct admin *server; /* NULL: not open */
    struct admin_route routes[API_ROUTES];
    struct rate rate; /* addresses */
};
int api_open(struct api *a, const struct api_options *o);
void api_set_tls(struct api *a, struct tls_config *server);
/* `closed` is called from the loop; decisions that are being written come later, and are told to
 * nobody. */
void api_close(struct api *a, void (*closed)(void *arg), void *arg);
void api_done(struct api *a); /* after the ring's end */
#endif
