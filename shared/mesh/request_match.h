/*
 * What an access policy says of a request (Istio's operation and request.headers), and whether it
 * holds. Pure.
 *
 * There are requests that two servers read in two ways ("/a%2f..%2fb", "/b;x", "//b", "/b%3ac",
 * "Host: a:80").
 * A condition that grants something must hold in each reading; for one that refuses one of them is
 * enough. So how a request is written never gets past a policy.
 */
#ifndef SHARED_MESH_REQUEST_MATCH_H
#define SHARED_MESH_REQUEST_MATCH_H
#include "shared/http/http_head.h"
#include "shared/mesh/string_match.h"

struct request_header {
    char *name; /* in lower case */
    struct string_matches values, not_values;
};
struct request_match { /* as policy_match: fields AND, values OR, not_: none of them */
    struct string_matches methods, not_methods, hosts, not_hosts, paths, not_paths;
    struct request_header *headers;
    size_t n_headers;
};
struct request_match *request_match_free(struct request_match *m);
bool request_match_empty(const struct request_match *m);
bool request_match_equal(const struct request_match *a, const struct request_match *b);

/* A request as policies see it: views of its head. */
struct request_view {
    const struct http_head *head;
    struct text method;
    struct text host, host_alone;   /* as it is said; without port and final dot */
    struct text path, path_lenient; /* without the query; as the most lenient server reads it */
    struct text path_meant;         /* that, with nothing encoded in it any more */
    bool path_unclear;              /* which it may take for any other */
    char *memory;                   /* owned; NULL for most paths */
};
/* The head's path is normalised (http_path.h) and outlives the view. -ENOMEM. */
int request_view_init(struct request_view *v, const struct http_head *head);
void request_view_done(struct request_view *v);
/* grants: it is about something that is granted, not refused. */
bool request_match_holds(const struct request_match *m, const struct request_view *v, bool grants);
#endif
