/*
 * Regular expressions in RE2's language, which is what Envoy, Istio and the Gateway API mean by one
 * (https://github.com/google/re2/wiki/Syntax). The only door to RE2, thus to C++. Matching takes
 * time linear in the text and memory with a bound, whatever the expression. Immutable; any thread.
 * Bytes are taken for UTF-8; what is none matches nothing but as single bytes would.
 */
#ifndef SHARED_REGEX_REGEX_H
#define SHARED_REGEX_REGEX_H
#include "shared/base/text.h"
#include "shared/base/why.h"

struct regex;
/* REGEX_MEMORY_MAX: of one compiled expression with the states that matching remembers. */
enum { REGEX_SOURCE_MAX = 4096, REGEX_MEMORY_MAX = 1024 * 1024 };

#ifdef __cplusplus
extern "C" {
#define REGEX_WHY char *why
#else
#define REGEX_WHY char why[static WHY_MAX]
#endif
/* -EINVAL: RE2 refuses it, or it is too long or too big, and why; -ENOMEM. */
int regex_new(struct regex **ret, struct text source, REGEX_WHY);
struct regex *regex_free(struct regex *r);
/* The whole text, as Envoy's safe_regex. Where memory runs out: no match. */
bool regex_matches(const struct regex *r, struct text t);
/* Every match, from left to right, becomes the substitution, in which \0 to \9 are groups and \\ is
 * a backslash. -ENOBUFS: more than ret_size bytes; -ENOMEM. */
int regex_replace(const struct regex *r, struct text t, struct text substitution, char *ret,
                  size_t ret_size, size_t *ret_len);
/* Whether a substitution speaks of no group that there is not. */
bool regex_substitution_fits(const struct regex *r, struct text substitution, REGEX_WHY);
#ifdef __cplusplus
}
#endif
#undef REGEX_WHY
#endif
