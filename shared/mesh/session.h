/*
 * Sessions of requests (Gateway API's GEP-1619): the answer brings a token by which later requests come to the same endpoint.
 * The token says which backend of the route and which endpoint it was, and since when; it is no secret, and nothing is
 * protected by it: who makes one up can name an endpoint that the request may have come to anyway, and no other one. Pure.
 */
#ifndef SHARED_MESH_SESSION_H
#define SHARED_MESH_SESSION_H
#include "shared/base/addr.h"

enum { SESSION_NAME_MAX = 128, SESSION_PATH_MAX = 1024, SESSION_TOKEN_MAX = 72 };

struct session_policy { /* a value of a route table's arena */
    bool header;        /* it comes and goes in this header, and not in this cookie */
    struct text name;
    struct text path;               /* of the cookie */
    bool permanent;                 /* the cookie says when it ends, and outlives the client's program */
    uint64_t absolute_ms, idle_ms; /* 0: none; permanent: not 0 */
};

struct session {
    uint32_t begun_s, seen_s; /* Unix time; whole seconds */
    uint64_t backend;         /* session_backend() */
    struct addr endpoint;
};
/* Which cluster it is. Of those of a route alone, so that chance is enough to tell them apart. */
uint64_t session_backend(struct text cluster);
/* Returns `out`. */
const char *session_print(const struct session *s, char out[static SESSION_TOKEN_MAX]);
int session_parse(struct text token, struct session *ret); /* -EINVAL */
bool session_lives(const struct session *s, const struct session_policy *p, uint32_t now_s);
#endif
