/*
 * One piece of YAML text into trees, one document after another: the user of libyaml. Only yaml.c
 * uses it.
 */
#ifndef SHARED_YAML_YAML_READER_H
#define SHARED_YAML_YAML_READER_H
#include "shared/yaml/yaml.h"

struct yaml_budget { /* of the whole text */
    size_t nodes_left, alias_nodes_max;
    unsigned depth_max;
};
struct yaml_reader;
/* The piece begins in line first_line of the whole text, and outlives the reader. NULL: no
 * memory. */
struct yaml_reader *yaml_reader_new(struct text piece, unsigned first_line,
                                    struct yaml_budget *budget);
struct yaml_reader *yaml_reader_free(struct yaml_reader *r);
/* 1: *ret is the next document; 0: there is none; -EINVAL, -E2BIG: *ret_error says why, and the
 * rest of the piece is lost; -ENOMEM. */
int yaml_reader_next(struct yaml_reader *r, struct json **ret, struct json_error *ret_error);
#endif
