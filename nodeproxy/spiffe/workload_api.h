/*
 * The SPIFFE Workload API (standards/SPIFFE_Workload_API.md) on a Unix socket: applications fetch
 * their X.509-SVID and bundle, on a stream that tells each renewal and each change of the roots. Who
 * calls is known by its kernel credentials alone; the owner says whose processes they are. gRPC
 * without TLS; requests without `workload.spiffe.io: true` are refused (a browser or a forwarder
 * can't be made to send it).
 *
 * Control thread; embedded. Bounded: connections in all (WORKLOAD_API_MAX), of one network namespace or
 * user and of one holder (WORKLOAD_API_OF_ONE_MAX), and calls of a connection. A call that can't be
 * answered yet waits as long as its connection.
 */
#ifndef NODEPROXY_SPIFFE_WORKLOAD_API_H
#define NODEPROXY_SPIFFE_WORKLOAD_API_H
#include "shared/credentials/credential.h"
#include "shared/transport/h2_conn.h"
#include "shared/transport/listener.h"
#include <sys/types.h>

enum { WORKLOAD_API_MAX = 1024, WORKLOAD_API_OF_ONE_MAX = 64, WORKLOAD_API_CALLS_MAX = 8 };
enum { WORKLOAD_API_HOLDER_MAX = 512 };
struct workload_api_caller { /* of the kernel; all of one moment */
    pid_t pid;
    uid_t uid;
};
struct workload_api_events {
    /* Whose process is it: a name for whoever holds an identity here (the uid of a workload).
     * -EACCES: nobody's. Asked once a connection. */
    int (*holder)(void *arg, const struct workload_api_caller *c,
                  char ret[static WORKLOAD_API_HOLDER_MAX]);
    /* Its credential now, borrowed. NULL: not yet, or (ret_gone) not any more. */
    struct credential *(*credential)(void *arg, const char *holder, bool *ret_gone);
};
struct workload_api {
    struct ring *ring;
    const struct workload_api_events *events;
    void *arg;
    struct listener listener;
    char *path;
    struct list all; /* of connections */
    uint64_t netns;  /* the kernel's number of our own; 0: it has none */
    struct ring_task look;
    uint64_t answers, refusals;
    bool open, retired, closing, listener_gone;
    void (*drained)(void *arg);
    void *drained_arg;
};
/* In place of a socket file that is there, of a process before. -errno; then it is closed. */
int workload_api_open(struct workload_api *w, struct ring *ring, const char *path, unsigned mode,
                      const struct workload_api_events *events, void *arg);
/* A credential, or who holds one, may have changed: streams are told, from the loop. */
void workload_api_changed(struct workload_api *w);
/* Another process serves: the file is its, streams go on until they end. */
void workload_api_retire(struct workload_api *w);
/* All end; drained from the loop, or at once if it was never open. */
void workload_api_close(struct workload_api *w, void (*drained)(void *arg), void *arg);
#endif
