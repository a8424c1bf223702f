/*
 * Which requests a tap wants (tap.h), as whoever asks for one writes it: the query of GET /tap. Pure;
 * a value. What is not said matches all.
 *
 *   namespace=NAME workload=NAME  of whose workload on this node: its pod's name, or its workload's
 *   direction=inbound|outbound    who it is in the request: asked, or asking
 *   method=NAME path=PREFIX       PREFIX begins with '/'; of the path without its query
 *   status=404|5xx                what the client was told
 *   query=true                    paths are told with their queries; elsewise never
 *   max=N                         it ends after so many, from 1 to 1,000,000
 */
#ifndef NODEPROXY_PATH_TAP_FILTER_H
#define NODEPROXY_PATH_TAP_FILTER_H
#include "shared/base/text.h"
#include "shared/base/why.h"

enum { TAP_NAME_MAX = 254, TAP_METHOD_MAX = 32, TAP_PATH_MAX = 1024, TAP_MAX_MAX = 1000000 };
enum tap_direction { TAP_BOTH, TAP_INBOUND, TAP_OUTBOUND };
struct tap_filter {
    char ns[TAP_NAME_MAX], workload[TAP_NAME_MAX]; /* "": any, and so below */
    char method[TAP_METHOD_MAX], path[TAP_PATH_MAX];
    unsigned status_min, status_max; /* 0, 0: any */
    enum tap_direction direction;
    bool query;
    uint64_t max; /* 0: until whoever asked goes */
};
struct tap_subject {               /* a request that is over */
    struct text ns, pod, workload; /* of the side that is on this node; workload: "" not known */
    bool outbound;
    struct text method, path; /* path: with its query */
    unsigned status;
};
/* -EINVAL: why names the parameter and what would be right; *ret is untouched. */
int tap_filter_read(struct text query, struct tap_filter *ret, char why[static WHY_MAX]);
bool tap_filter_has(const struct tap_filter *f, const struct tap_subject *s);
#endif
