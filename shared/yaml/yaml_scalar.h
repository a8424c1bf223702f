/*
 * What a plain scalar means: the core schema of YAML 1.2, section 10.3.2. Only yaml_reader.c uses
 * it.
 */
#ifndef SHARED_YAML_YAML_SCALAR_H
#define SHARED_YAML_YAML_SCALAR_H
#include "shared/json/json_tree.h"

/* Sets node from the scalar. tag: NULL or the full name ("tag:yaml.org,2002:str"). -EINVAL: the
 * text is not what the tag says, or JSON has no such value, and *ret_why says so; or an error of
 * the tree. */
int yaml_scalar_set(struct json_tree *t, struct json *node, struct text value, bool plain,
                    const char *tag, const char **ret_why);
#endif
