/*
 * The only libcurl: requests to one Kubernetes API server over HTTPS (HTTP/2 where the server has it), driven by a ring: nothing here
 * blocks but the reading of small files. Credentials that lie in files are read again at least once a minute, and after a 401. After a
 * request that was cut off by time the next ones take a new connection, since the old one may be dead without saying so. One ring and
 * its thread; bounded by KUBE_REQUESTS_MAX and by each call's limits.
 */
#ifndef SHARED_KUBE_KUBE_CLIENT_H
#define SHARED_KUBE_KUBE_CLIENT_H
#include "shared/kube/kube_config.h"
#include "shared/ring/ring.h"

enum { KUBE_REQUESTS_MAX = 256, KUBE_ANSWER_MAX = 4 * 1024 * 1024 };
struct kube_client;
struct kube_call {        /* all borrowed for kube_send() only */
    const char *method;   /* NULL: GET */
    const char *path;     /* with its query: "/api/v1/pods?limit=500" */
    const char *type;     /* Content-Type of the body; NULL: application/json */
    const char *accept;   /* NULL: application/json */
    struct text body;     /* of POST and PATCH */
    uint64_t deadline_ms; /* of the whole; 0: 30 s unless silence_ms is given */
    uint64_t silence_ms;  /* without a byte of an answer; 0: not looked at */
    size_t answer_max;    /* of what is collected; 0: KUBE_ANSWER_MAX */
};
struct kube_transfer;
struct kube_request { /* embedded in its owner */
    /* Bytes of the answer as they come, status is known; may cancel. NULL: collected in `answer`. */
    void (*piece)(struct kube_request *q, struct text bytes);
    void (*done)(struct kube_request
                     *q); /* exactly once, from the loop, unless it was cancelled; may send again */
    void *user;
    struct kube_transfer *transfer; /* NULL: not in flight */
    /* Valid in done: */
    int error; /* 0: there is a status; -ETIMEDOUT, -ECONNREFUSED, -EPROTO (TLS), -E2BIG, ... */
    unsigned status; /* of HTTP; 0: none came */
    uint64_t retry_after_ms;
    struct text answer; /* NUL-terminated */
    const char *why;    /* of the error, for people */
};
/* Takes the configuration in every case. -errno */
int kube_client_open(struct kube_client **ret, struct ring *ring, struct kube_config *taken_config);
/* Requests in flight are cancelled; it is freed by itself, and closed (may be NULL) comes from the loop. */
void kube_client_close(struct kube_client *c, void (*closed)(void *arg), void *arg);
int kube_send(struct kube_client *c, struct kube_request *q,
              const struct kube_call *call); /* -ENOMEM, -ENOBUFS */
void kube_cancel(struct kube_request *q);    /* fine if it is not in flight */
const char *kube_client_server(const struct kube_client *c);
const char *kube_library(void); /* for --version: "libcurl 7.88.1" */
#endif
