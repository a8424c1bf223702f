/*
 * What the checkers of routes and clusters have in common. Each check is 0, or -EINVAL with why and
 * where, or -ENOMEM. Not for others than this folder.
 */
#ifndef SHARED_MESH_CHECKS_H
#define SHARED_MESH_CHECKS_H
#include "shared/mesh/kept_regex.h"
#include "shared/mesh/place.h"
#include "shared/mesh/route_action.h"

struct checker {
    struct arena *arena;
    struct kept_regex **regexes;
    size_t n_regexes_max;
    char *why; /* of WHY_MAX */
};
int check_fraction(const struct checker *c, const struct place *at, struct fraction f);
int check_regex(const struct checker *c, const struct place *at, struct text source,
                const struct regex **ret);
int check_text_match(const struct checker *c, const struct place *at, struct text_match *m);
int check_header_match(const struct checker *c, const struct place *at, struct header_match *m);
int check_headers(const struct checker *c, const struct place *in, const char *name,
                  struct header_match *headers, size_t n);
int check_labels(const struct checker *c, const struct place *at, const struct label *labels,
                 size_t n);
int check_retry(const struct checker *c, const struct place *at, const struct retry_policy *p);
int check_action(const struct checker *c, const struct place *at, struct route_action *a);
int check_edits(const struct checker *c, const struct place *at, const struct message_edits *e);
int check_fault(const struct checker *c, const struct place *at, const struct fault *f);
int check_cors(const struct checker *c, const struct place *at, const struct cors *p);
#endif
