/* Bytes that are JSON, for fuzz targets that look at an object as an API server has it. */
#ifndef TESTS_FUZZ_JSON_OBJECT_H
#define TESTS_FUZZ_JSON_OBJECT_H
#include "shared/json/json.h"

static inline void json_object_of(const uint8_t *data, size_t size, void (*look)(const struct json *object))
{
    const struct json_limits limits = {1 << 20, 20000, 32};
    struct json *tree = NULL;
    struct json_error e = {0};
    if (json_parse((struct text){(const char *)data, size}, &limits, &tree, &e) < 0)
        return;
    look(tree);
    json_free(tree);
}
#endif
