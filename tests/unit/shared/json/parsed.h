/*
 * JSON that a test writes itself, as a tree: what can't be parsed is the test's mistake and fails it,
 * with place and reason. The tree is the caller's. One thread.
 */
#ifndef TESTS_UNIT_SHARED_JSON_PARSED_H
#define TESTS_UNIT_SHARED_JSON_PARSED_H
#include "shared/json/json.h"
#include "tests/unit/shared/base/test.h"

static inline struct json *parsed(const char *text)
{
    struct json_error e = {0};
    struct json *tree = NULL;
    if (json_parse(text_of(text), NULL, &tree, &e) < 0)
        fail_msg("%s: line %u: %s", text, e.line, e.text);
    assert_false(json_failed(&e));
    return tree;
}
#endif
