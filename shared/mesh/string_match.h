/*
 * How the texts of access policies match: exactly, by their beginning or end, when they are there
 * at all, and paths by a template. Values are owned by their list. Pure; an evaluation allocates
 * nothing and takes time linear in the text.
 */
#ifndef SHARED_MESH_STRING_MATCH_H
#define SHARED_MESH_STRING_MATCH_H
#include "shared/base/text.h"

enum { STRING_MATCH_MAX = 1024 }; /* bytes of a value */
enum string_match_kind {
    MATCH_EXACT,
    MATCH_PREFIX,
    MATCH_SUFFIX,
    MATCH_PRESENCE,
    MATCH_TEMPLATE, /* of paths alone: "{*}" is one segment, "{**}" any number of them */
};
struct string_match {
    enum string_match_kind kind;
    char *value; /* owned; "" for presence */
};
struct string_matches {
    struct string_match *items;
    size_t n;
};
void string_matches_done(struct string_matches *m);
bool string_matches_equal(const struct string_matches *a, const struct string_matches *b);
/* Does any of the values match? Nothing matches an empty text: it is one that isn't there. */
bool string_matches_any(const struct string_matches *m, struct text t);
bool string_matches_any_nocase(const struct string_matches *m, struct text t); /* ASCII only */

/* A template (Istio's, in Envoy's words a URI template) begins with '/', "{*}" and "{**}" are whole
 * segments, "{**}" comes once and is the last of them; no other '*', '{' or '}'. NULL: it is one;
 * else what is wrong with it. */
const char *path_template_check(struct text t);
bool path_template_matches(struct text path_template, struct text path);
#endif
