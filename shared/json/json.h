/*
 * A read-only tree of JSON values: made from JSON text here, from YAML by shared/yaml. Every node
 * knows its line and its path, so that an error can say where: "spec.rules[2].port: ...". Text
 * comes from outside: size, depth and number of values have a maximum; names are unique in their
 * object, and neither names nor strings hold a NUL. A tree belongs to whoever has its root and may
 * be read by any thread. All functions here take NULL for a node: it has no members.
 */
#ifndef SHARED_JSON_JSON_H
#define SHARED_JSON_JSON_H
#include "shared/base/text.h"

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
enum { JSON_DEPTH_MAX = 256, JSON_ERROR_MAX = 256 };

struct json;
struct json_limits {
    size_t bytes_max, nodes_max;
    unsigned depth_max; /* arrays and objects in one another; at most JSON_DEPTH_MAX */
};
extern const struct json_limits json_limits_default; /* 64 MiB, 4,000,000 values, 64 deep */

/* The first error that was put in stays: a reader asks for many fields and looks once at the
 * end. */
struct json_error {
    unsigned line;             /* 0: no error, or no line is known */
    char text[JSON_ERROR_MAX]; /* "" while there is none; printable, without the line */
};
static inline bool json_failed(const struct json_error *e)
{
    return e->text[0] != '\0';
}

/* One value and nothing after it (RFC 8259). limits NULL: the defaults. -EINVAL: it is no JSON;
 * -E2BIG: over a limit; -ENOMEM. ret_error tells where and why. */
int json_parse(struct text t, const struct json_limits *limits, struct json **ret,
               struct json_error *ret_error);
struct json *json_free(struct json *root);       /* the whole tree; returns NULL */
struct json *json_copy(const struct json *node); /* as a tree of its own; NULL: no memory */
bool json_equal(const struct json *a, const struct json *b); /* members in any order */

enum json_kind json_kind(const struct json *j);
bool json_is(const struct json *j, enum json_kind kind); /* false for NULL */
unsigned json_line(const struct json *j);                /* 1 is the first; 0: none is known */
struct text json_name(const struct json *j);             /* in its object; empty in an array */
struct text json_text(const struct json *j); /* a string's content, NUL-terminated; else empty */
const char *json_kind_name(enum json_kind kind);            /* "a string" */
void json_path(const struct json *j, struct text_out *out); /* from the root: "spec.rules[2]" */

/* NULL: there is none. A path is names and indices, "spec.rules[0].name"; a name that holds a dot
 * or a bracket is asked for by json_member(). */
const struct json *json_get(const struct json *j, const char *path);
const struct json *json_member(const struct json *object, struct text name);
const struct json *json_item(const struct json *array, size_t index); /* costs its index */
size_t json_count(const struct json *j); /* items or members; 0 for other kinds */
/* In the order of the text; NULL at the end. */
const struct json *json_first(const struct json *j);
const struct json *json_next(const struct json *j);
#define json_for_each(item, of)                                                                    \
    for (const struct json *item = json_first(of); item; item = json_next(item))

/*
 * Typed reading. json_read_X: the value must be there; json_opt_X: absent and null are fine and
 * leave *ret alone. All return 0, -ENOENT (read only) or -EINVAL, and put into e, if it holds no
 * error yet, the path, what is there and what would be right. Results point into the tree. An empty
 * path means the node itself.
 */
int json_read_text(const struct json *j, const char *path, struct text *ret, struct json_error *e);
int json_opt_text(const struct json *j, const char *path, struct text *ret, struct json_error *e);
int json_read_bool(const struct json *j, const char *path, bool *ret, struct json_error *e);
int json_opt_bool(const struct json *j, const char *path, bool *ret, struct json_error *e);
/* Whole numbers from min to max; 3.0 is one. */
int json_read_i64(const struct json *j, const char *path, int64_t min, int64_t max, int64_t *ret,
                  struct json_error *e);
int json_opt_i64(const struct json *j, const char *path, int64_t min, int64_t max, int64_t *ret,
                 struct json_error *e);
int json_read_number(const struct json *j, const char *path, double *ret, struct json_error *e);
int json_opt_number(const struct json *j, const char *path, double *ret, struct json_error *e);
/* A string as text_to_duration_ms() takes it, with a unit. */
int json_read_duration_ms(const struct json *j, const char *path, uint64_t *ret,
                          struct json_error *e);
int json_opt_duration_ms(const struct json *j, const char *path, uint64_t *ret,
                         struct json_error *e);
/* A string out of a list that ends with NULL; *ret is its index. */
int json_read_choice(const struct json *j, const char *path, const char *const *choices,
                     unsigned *ret, struct json_error *e);
int json_opt_choice(const struct json *j, const char *path, const char *const *choices,
                    unsigned *ret, struct json_error *e);
int json_read_node(const struct json *j, const char *path, enum json_kind kind,
                   const struct json **ret, struct json_error *e);
int json_opt_node(const struct json *j, const char *path, enum json_kind kind,
                  const struct json **ret, struct json_error *e);

/* Puts an error of the caller's own, "PATH OF NODE: MESSAGE", into e. Returns -EINVAL. */
int json_fail(struct json_error *e, const struct json *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *json_library(void); /* for --version: "cJSON 1.7.15" */
#endif
