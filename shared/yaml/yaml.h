/*
 * YAML text, many documents in one, into json trees that know their lines: manifests as kubectl
 * takes them. Scalars follow the core schema of YAML 1.2 (10.3.2): yes, no, on and off are strings,
 * 0o17 is octal, 017 is not; quoted scalars are always strings. Anchors, aliases and merge keys
 * (<<) of aliases are resolved by copying, within a bound. Names must be scalars and unique in
 * their mapping. JSON text is read as well. Nothing is kept; any thread.
 */
#ifndef SHARED_YAML_YAML_H
#define SHARED_YAML_YAML_H
#include "shared/json/json.h"

struct yaml_limits {
    struct json_limits all; /* of the whole text; what bad documents used counts */
    size_t documents_max;
    size_t alias_nodes_max; /* values that aliases may copy, for each document */
};
extern const struct yaml_limits yaml_limits_default; /* 64 MiB, 4,000,000; 10,000; 100,000 */

struct yaml_document {
    struct json *root; /* NULL: the error says why; the caller may take it and put NULL here */
    unsigned line;     /* where it begins */
    struct json_error error; /* its line is that of the whole text */
};
struct yaml_documents {
    struct yaml_document *items;
    size_t n, n_failed;
};
/* All documents that are not empty, in their order. One that is wrong does not hide the others.
 * limits NULL: the defaults. 0 even if documents failed; -E2BIG: too long or too many documents;
 * -ENOMEM. */
int yaml_parse(struct text t, const struct yaml_limits *limits, struct yaml_documents *ret);
void yaml_documents_done(struct yaml_documents *docs);
#endif
