/*
 * How a tree of JSON values is made, for those who read a text format (json_parse.c, shared/yaml).
 * The nodes and their strings lie in blocks that belong to the root and are freed with it. A
 * failure (-ENOMEM, -E2BIG) is remembered; what is added after it is lost, and json_tree_done()
 * frees all.
 */
#ifndef SHARED_JSON_JSON_TREE_H
#define SHARED_JSON_JSON_TREE_H
#include "shared/json/json.h"

struct json {
    struct json *parent; /* NULL: the root */
    struct json *next;   /* after this one in the parent */
    struct text name;    /* in an object */
    uint32_t line, index;
    uint8_t kind; /* enum json_kind */
    bool boolean;
    bool is_integer; /* integer is exact; number then is the nearest double */
    union {
        struct text string;
        struct {
            int64_t integer;
            double number;
        };
        struct {
            struct json *first, *last;
            uint32_t count;
        };
    };
};

struct json_tree {
    struct json *root;
    size_t nodes, nodes_max;
    int error; /* 0, -ENOMEM or -E2BIG */
};
void json_tree_init(struct json_tree *t, size_t nodes_max);
struct json *json_tree_done(struct json_tree *t); /* the root, unless there was a failure: NULL */
/* A new null: the root (parent NULL), or the last in an array or object. Returns NULL on
 * failure. */
struct json *json_tree_add(struct json_tree *t, struct json *parent, struct text name,
                           unsigned line);
int json_tree_set_string(struct json_tree *t, struct json *node, struct text content); /* copied */
/* Makes node what `from` is, with all below; strings are shared if both are of this tree. */
int json_tree_set_copy(struct json_tree *t, struct json *node, const struct json *from,
                       bool same_tree);
void json_set_kind(struct json *node, enum json_kind kind); /* empty array or object, or null */
void json_set_bool(struct json *node, bool value);
void json_set_integer(struct json *node, int64_t value);
void json_set_number(struct json *node, double value);
/* Whether a member's name occurs again before it: *ret_second is that member, or NULL. -ENOMEM. */
int json_find_duplicate(const struct json *object, const struct json **ret_second);
#endif
