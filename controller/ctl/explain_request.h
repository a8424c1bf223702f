/*
 * A request of which weirctl explain is asked what becomes of it: which route takes it, and how it looks where it arrives. The mesh's
 * own decisions (shared/mesh), as the source's node proxy asks for them. Owned by who opens it; one thread; bounded as heads are.
 */
#ifndef CONTROLLER_CTL_EXPLAIN_REQUEST_H
#define CONTROLLER_CTL_EXPLAIN_REQUEST_H
#include "shared/base/args.h"
#include "shared/mesh/directory.h"
#include "shared/mesh/route.h"

enum { EXPLAIN_ROUTE_MAX = 2048 };
struct explain_wish { /* what is written on the command line; NULL: GET, /, the Service's host */
    const char *method, *path, *host;
    const struct arg_list *headers; /* "NAME: VALUE"; NULL: none */
};
struct explain_request {
    struct http_head head;     /* as it arrives */
    struct request_view view;  /* of it; valid once `seen` */
    bool seen;
    bool declared;             /* the port is one of HTTP: routes count */
    struct route_table *table; /* held; NULL: nobody wrote routes for this source and port */
    struct route_choice choice;
    const struct route_forward *forward; /* it goes there; NULL: to the Service itself, or nowhere */
    bool stopped;                        /* answered on the way */
    char text[EXPLAIN_ROUTE_MAX];        /* the route, and what it does */
};
/* -EINVAL: why says what of the wish is no part of a request; -ENOMEM. Close it in any case. */
int explain_request_open(struct explain_request *r, const struct explain_wish *wish, const struct directory *d,
                         const struct service *s, uint16_t port, const struct workload *source, char why[static WHY_MAX]);
void explain_request_close(struct explain_request *r);
/* Of "outbound|PORT|SUBSET|HOST"; false: it is called otherwise. */
bool explain_cluster_split(struct text name, uint16_t *ret_port, struct text *ret_subset, struct text *ret_host);
#endif
