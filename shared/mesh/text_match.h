/*
 * Small values that routes, clusters and endpoints share: how a text is compared, a share of
 * requests. They live in the arena of the value that they are part of.
 */
#ifndef SHARED_MESH_TEXT_MATCH_H
#define SHARED_MESH_TEXT_MATCH_H
#include "shared/mesh/label.h"
#include "shared/regex/regex.h"

/* Envoy's StringMatcher. */
enum text_match_kind { TEXT_EXACT, TEXT_PREFIX, TEXT_SUFFIX, TEXT_CONTAINS, TEXT_REGEX };
struct text_match {
    enum text_match_kind kind;
    bool ignore_case;          /* ASCII letters; not for a regex */
    struct text value;         /* of a regex: its source; the whole text must match */
    const struct regex *regex; /* made when the owner is finished */
};
int text_matches(const struct text_match *m, struct text t); /* 1, 0; -ENOMEM: nobody knows */

/* Envoy's FractionalPercent: numerator of 100, 10,000 or 1,000,000. */
struct fraction {
    uint32_t numerator, denominator;
};
/* random: any 64 bits. */
static inline bool fraction_hits(struct fraction f, uint64_t random)
{
    return f.denominator > 0 && random % f.denominator < f.numerator;
}
#endif
