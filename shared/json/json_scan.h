/*
 * Checks that a text is JSON by the letter of RFC 8259 before a parser that is more generous reads
 * it: size, depth, number of values, UTF-8, escapes, the form of numbers. Yields where each value
 * begins, in the order of the text. Keeps nothing. Only json_parse.c uses it.
 */
#ifndef SHARED_JSON_JSON_SCAN_H
#define SHARED_JSON_JSON_SCAN_H
#include "shared/json/json.h"

enum { JSON_NUMBER_BYTES_MAX = 63 };

struct json_place {
    uint32_t offset, line;
};
/* *ret_places is freed by the caller. Errors as json_parse(). */
int json_scan(struct text t, const struct json_limits *limits, struct json_place **ret_places,
              size_t *ret_n, struct json_error *ret_error);
#endif
