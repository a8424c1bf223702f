/*
 * Typed reading of one manifest document into an arena. The first error stays
 * (shared/json/json.h), so code reads all that it wants and looks once at the end: read_failed().
 * Out of memory is kept apart from what is wrong with the document. Embedded by whoever reads;
 * lives as long as the reading.
 */
#ifndef CONTROLLER_MODEL_READ_H
#define CONTROLLER_MODEL_READ_H
#include "controller/model/object.h"
#include "shared/json/json.h"

struct reader {
    struct object_arena *arena;
    struct json_error *error;
    const struct json *document; /* the object: it may be a part of something greater */
    bool no_memory;
};
bool read_failed(const struct reader *r);
/* An error at this node, unless there is one already. */
#define read_fail(r, node, ...) ((void)json_fail((r)->error, (node), __VA_ARGS__))

void *read_array(struct reader *r, size_t n,
                 size_t len); /* zeroed; NULL: none asked for, or no memory */
const char *read_copy(struct reader *r, struct text t); /* never NULL */
/* Where in its object a node is: "spec.rules[2]". */
void read_where(const struct reader *r, const struct json *node, struct text_out *out);
/* The member `name` of `of`; absent and null are the same: NULL. read_list and read_object check
 * the kind. */
const struct json *read_member(const struct json *of, const char *name);
const struct json *read_list(struct reader *r, const struct json *of, const char *name,
                             size_t n_max);
const struct json *read_object(struct reader *r, const struct json *of, const char *name);
const char *read_string(struct reader *r, const struct json *of, const char *name); /* absent: "" */
bool read_bool(struct reader *r, const struct json *of, const char *name, bool absent);
uint16_t read_port(struct reader *r, const struct json *of,
                   const char *name); /* 1 to 65535; absent: 0 */
/* A list of strings, none of which may be empty. */
struct values read_strings(struct reader *r, const struct json *of, const char *name, size_t n_max);
struct labels read_labels(struct reader *r, const struct json *of, const char *name);
/* Of a map that may be large only these (the list ends with NULL). */
struct labels read_some_labels(struct reader *r, const struct json *of, const char *name,
                               const char *const *kept);
bool read_ip(struct reader *r, const struct json *node,
             struct ip *ret); /* node: the string itself */
int64_t read_time(struct reader *r, const struct json *of,
                  const char *name); /* RFC 3339; absent: 0 */
/* Fails on a member of `of` that is not in `known` (ends with NULL), and proposes the nearest. */
void read_only(struct reader *r, const struct json *of, const char *const *known);

/* Names as Kubernetes checks them (RFC 1123): NULL, or what a name must be. */
const char *name_check_label(struct text t);     /* "a-b", at most 63 bytes */
const char *name_check_subdomain(struct text t); /* "a-b.c", at most 253 bytes */
#endif
