/*
 * The HTTP endpoints that every program has, on TCP and on a Unix socket: a table of paths per
 * program. Runs on the control thread's ring. A handler answers at once or later (admin_answer).
 * Bounded: 64 connections per socket, request size (http1's), 60 s for a whole request and for each
 * 256 KiB of an answer to be taken; an answer is one copy on the heap, of which only as much is
 * queued as the client reads.
 *
 * A GET route answers HEAD as well. What no route serves here is 404, what one serves with another
 * method is 405.
 */
#ifndef SHARED_SERVICE_ADMIN_H
#define SHARED_SERVICE_ADMIN_H
#include "shared/base/addr.h"
#include "shared/http1/http1.h"
#include "shared/ring/ring.h"

struct admin;
struct admin_exchange; /* one request being answered */
struct tls_config;
struct tls_peer;
/* request is valid until the exchange is answered. */
typedef void admin_handler(struct admin_exchange *x, const struct http1_request *request,
                           void *arg);
struct admin_route {
    const char *method, *path;
    admin_handler *handle;
    void *arg;
};
enum { ADMIN_ROUTES_MAX = 64, ADMIN_SOCKETS_MAX = 8 };
/* routes are borrowed until the end. */
int admin_new(struct admin **ret, struct ring *ring, const struct admin_route *routes,
              size_t n_routes);
/* Serves these routes on one more socket. mask: bit i set = route i is served there. -errno;
 * -ENOSPC: ADMIN_SOCKETS_MAX. The Unix socket's file is removed at admin_close(). */
int admin_listen_tcp(struct admin *a, const struct addr *at, uint64_t mask);
int admin_listen_unix(struct admin *a, const char *path, unsigned mode, uint64_t mask);
/* Serves on a socket that listens already (of a process that hands it over); taken if 0. */
int admin_listen_fd(struct admin *a, int taken_fd, uint64_t mask);
/* As admin_listen_tcp, over TLS: connections are refused before admin_set_tls(). */
int admin_listen_tls(struct admin *a, const struct addr *at, uint64_t mask);
/* For connections from now on: a server's, that may ask for the peer's certificate and says no
 * protocol or "http/1.1". Referenced. */
void admin_set_tls(struct admin *a, struct tls_config *server);
/* Who asks, while it is not answered: the certificate that the connection was made with (NULL: none,
 * or the client has left), and its address. */
const struct tls_peer *admin_peer(const struct admin_exchange *x);
const struct ip *admin_from(const struct admin_exchange *x);
/* As admin_listen_unix, but beside the path (PATH.new) until admin_publish(), which puts all of these
 * in their places in one step each: there is a socket at every moment, first the other process's. */
int admin_listen_beside(struct admin *a, const char *path, unsigned mode, uint64_t mask);
int admin_publish(struct admin *a);
/* The i-th TCP socket, to be handed over; the descriptor stays the admin's. -ENOENT. */
int admin_tcp_socket(const struct admin *a, size_t i, struct addr *ret, int *ret_fd);
/* Another process serves from now on: accepts no more, files stay. Who is connected gets one more
 * answer, after which the connection ends. */
void admin_retire(struct admin *a);
/* Where the i-th socket (from 0, in the order they were opened) listens: the port, when 0 was asked.
 * -ENOENT. */
int admin_local(const struct admin *a, size_t i, struct addr *ret);
/* Must be called exactly once per handled request, from the handler or later on the same thread; safe
 * when the client has left and after admin_close(). body is copied. content_type NULL: plain text. */
void admin_answer(struct admin_exchange *x, unsigned status, const char *content_type,
                  struct text body);
/* Or, instead of admin_answer() and from the handler alone: an answer without an end, piece by piece, for
 * a client that stays. Its connection ends with it. */
struct admin_stream_events {
    void (*writable)(void *arg); /* after a piece was refused: there is room again */
    void (*closed)(void *arg);   /* the client went, or took nothing for 60 s: x is gone */
};
/* -ECANCELED: it was answered (HEAD, or a client that has ended its side), and there is no stream. */
int admin_stream_begin(struct admin_exchange *x, const char *content_type,
                       const struct admin_stream_events *events, void *arg);
/* False: not taken, as much as is kept waits for the client; `writable` follows, or `closed`. */
bool admin_stream_send(struct admin_exchange *x, struct text piece);
void admin_stream_end(struct admin_exchange *x); /* x is not ours any more; no `closed` */
/* Then it is freed by itself, and drained (may be NULL) is called from the loop. */
void admin_close(struct admin *a, void (*drained)(void *arg), void *arg);
#endif
