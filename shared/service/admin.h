/*
 * The HTTP endpoints that every program has, on TCP and on a Unix socket: a table of paths per program. Runs on the control
 * thread's ring. A handler answers at once or later (admin_answer). Bounded: connections, request size, idle time.
 */
#ifndef SHARED_SERVICE_ADMIN_H
#define SHARED_SERVICE_ADMIN_H
#include "shared/base/addr.h"
#include "shared/http1/http1.h"
#include "shared/ring/ring.h"

struct admin;
struct admin_exchange; /* one request being answered */
typedef void admin_handler(struct admin_exchange *x, const struct http1_request *request, void *arg);
struct admin_route {
    const char *method, *path;
    admin_handler *handle;
    void *arg;
};
int admin_new(struct admin **ret, struct ring *ring, const struct admin_route *routes, size_t n_routes); /* routes are borrowed */
/* Serves these routes on one more socket. mask: bit i set = route i is served there. */
int admin_listen_tcp(struct admin *a, const struct addr *at, uint64_t mask);
int admin_listen_unix(struct admin *a, const char *path, unsigned mode, uint64_t mask);
/* Must be called exactly once per handled request, from the handler or later on the same thread. body is copied. */
void admin_answer(struct admin_exchange *x, unsigned status, const char *content_type, struct text body);
void admin_close(struct admin *a, void (*drained)(void *arg), void *arg); /* then freed by itself */
#endif
