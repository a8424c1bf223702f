/*
 * One request in libcurl's hands, and what it and the client know of each other: for kube_client.c and kube_transfer.c alone. A transfer
 * is owned by its client from kube_send() until it was finished or cancelled.
 */
#ifndef SHARED_KUBE_KUBE_TRANSFER_H
#define SHARED_KUBE_KUBE_TRANSFER_H
#include "shared/kube/kube_easy.h"

struct kube_client {
    struct ring *ring;
    struct kube_config *config;
    CURLM *multi;
    int epoll_fd;
    struct ring_scope scope;
    struct ring_op poll_op;
    struct timer curl_timer;
    struct ring_task begin_task;
    struct list transfers; /* all of them */
    struct list waiting;   /* those that libcurl has not got yet */
    size_t n_transfers;
    uint64_t refreshed_ms;
    bool stale;          /* the credentials: a 401 came */
    bool refresh_failed; /* the last time, and it was said */
    bool distrust;       /* connections that are there: one was silent for too long */
    bool in_curl;        /* handles must not be taken out now */
    void (*closed)(void *arg);
    void *closed_arg;
};
struct kube_transfer {
    struct kube_client *client;
    struct kube_request *request; /* NULL: cancelled */
    struct list link, waiting;
    struct kube_easy easy;
    struct timer deadline, silence;
    uint64_t silence_ms, retry_after_ms;
    struct text_heap answer;
    bool fresh; /* on a connection of its own */
    bool added; /* libcurl has it */
    char why[CURL_ERROR_SIZE + 64];
};
void kube_client_refresh(struct kube_client *c);
void kube_transfers_begin(struct ring_task *task);
void kube_transfers_finish(struct kube_client *c); /* tells those that libcurl is done with */
void kube_transfers_drop(struct kube_client *c);
#endif
