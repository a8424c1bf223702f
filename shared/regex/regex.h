/*
 * Regular expressions in RE2's language, which is what Envoy, Istio and the Gateway API mean by one
 * (https://github.com/google/re2/wiki/Syntax). The only door to RE2, thus to C++. Matching takes
 * time linear in the text and memory with a bound, whatever the expression. Texts are UTF-8; where
 * one isn't, a byte that is none matches no character. Immutable; any thread.
 */
#ifndef SHARED_REGEX_REGEX_H
#define SHARED_REGEX_REGEX_H
#include "shared/base/text.h"
#include "shared/base/why.h"

struct regex;
/* REGEX_MEMORY_MAX: of a compiled expression together with the states that matching remembers. */
enum { REGEX_SOURCE_MAX = 4096, REGEX_MEMORY_MAX = 1024 * 1024 };

/* -EINVAL: RE2 refuses it, or it is too long or too big, and why; -ENOMEM. */
int regex_new(struct regex **ret, struct text source, char why[static WHY_MAX]);
struct regex *regex_free(struct regex *r);
/* The whole text, as Envoy's safe_regex: 1 or 0. -ENOMEM: nobody knows. */
int regex_matches(const struct regex *r, struct text t);

/* A substitution has groups \0 to \9, and \\ for a backslash. -EINVAL: it has another escape, or a
 * group that the expression hasn't, and why. */
int regex_check_substitution(const struct regex *r, struct text substitution,
                             char why[static WHY_MAX]);
/* Every match, from left to right, becomes the substitution (as RE2::GlobalReplace). -ENOBUFS: the
 * result does not fit; -ENOMEM. */
int regex_replace(const struct regex *r, struct text t, struct text substitution,
                  struct text_out *ret);
#endif
