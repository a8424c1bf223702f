/*
 * Random trees of JSON values for the tests of shared/json and shared/yaml.
 */
#ifndef TESTS_UNIT_SHARED_JSON_RANDOM_JSON_H
#define TESTS_UNIT_SHARED_JSON_RANDOM_JSON_H
#include "shared/json/json_tree.h"
#include "tests/unit/shared/base/test.h"

/* Letters, what must be escaped, and UTF-8 of every length; at most 40 bytes. */
static inline size_t random_text(struct rng *rng, char out[static 48])
{
    static const char *const pieces[] = {"a",    "Z",        "0",    " ",       ".",  "-",
                                         ":",    "#",        "\"",   "\\",      "/",  "\n",
                                         "\t",   "\r",       "\x01", "\x1f",    "'",  "{",
                                         "]",    ",",        "\xc3\xa4", "\xe2\x82\xac", "&", "*",
                                         "\xf0\x9f\x98\x80", "\x7f", "null",    "true", "12", "~"};
    struct text_out o = {out, 0, 48, false};
    size_t n = rng_below(rng, 11);

    out[0] = '\0';
    for (size_t i = 0; i < n; i++)
        text_puts(&o, pieces[rng_below(rng, ARRAY_SIZE(pieces))]);
    return o.len;
}

static inline void random_number(struct rng *rng, struct json *node)
{
    double d;
    uint64_t bits = rng_u64(rng);

    if (rng_below(rng, 2)) {
        json_set_integer(node, (int64_t)(bits >> rng_below(rng, 64)));
        return;
    }
    memcpy(&d, &bits, sizeof d);
    json_set_number(node, __builtin_isfinite(d) ? d : 0.1);
}

static inline void random_node(struct json_tree *t, struct rng *rng, struct json *node,
                               unsigned depth)
{
    char text[48], name[72];
    size_t len;

    switch (rng_below(rng, depth < 5 ? 6 : 4)) {
    case 0:
        break;
    case 1:
        json_set_bool(node, rng_below(rng, 2));
        break;
    case 2:
        random_number(rng, node);
        break;
    case 3:
        len = random_text(rng, text);
        assert_int_equal(json_tree_set_string(t, node, (struct text){text, len}), 0);
        break;
    default:
        json_set_kind(node, rng_below(rng, 2) ? JSON_ARRAY : JSON_OBJECT);
        for (size_t i = rng_below(rng, 7); i > 0; i--) {
            (void)random_text(rng, text);
            (void)snprintf(name, sizeof name, "%s%zu", text, i); /* unique */
            struct json *child = json_tree_add(t, node, text_of(name), 0);
            assert_non_null(child);
            random_node(t, rng, child, depth + 1);
        }
        break;
    }
}

static inline struct json *random_tree(struct rng *rng)
{
    struct json_tree t;

    json_tree_init(&t, SIZE_MAX);
    struct json *root = json_tree_add(&t, NULL, TEXT(""), 0);
    assert_non_null(root);
    json_set_kind(root, JSON_OBJECT);
    for (size_t i = 0; i < 4; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "%c", (int)('a' + i));
        struct json *child = json_tree_add(&t, root, text_of(name), 0);
        assert_non_null(child);
        random_node(&t, rng, child, 0);
    }
    return json_tree_done(&t);
}
#endif
