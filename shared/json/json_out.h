/*
 * Writes JSON text piece by piece into a text_heap, compact or pretty (two spaces, one value a
 * line). Each call names the member it writes; in an array and at the top the name is NULL. Values
 * are escaped; bytes that are no UTF-8 become U+FFFD. Running out of room shows in out->failed.
 * Wrong nesting is our own mistake and asserted.
 */
#ifndef SHARED_JSON_JSON_OUT_H
#define SHARED_JSON_JSON_OUT_H
#include "shared/json/json.h"

struct json_out {
    struct text_heap *out;
    bool pretty;
    unsigned depth;
    uint8_t levels[JSON_DEPTH_MAX + 1]; /* what is open: '{' or '[', and whether it has something */
};
void json_out_init(struct json_out *o, struct text_heap *out, bool pretty);
void json_out_object(struct json_out *o, const char *name); /* opens; json_out_end() closes */
void json_out_array(struct json_out *o, const char *name);
void json_out_end(struct json_out *o);
void json_out_text(struct json_out *o, const char *name, struct text value);
void json_out_string(struct json_out *o, const char *name, const char *value); /* NULL: null */
void json_out_u64(struct json_out *o, const char *name, uint64_t value);
void json_out_i64(struct json_out *o, const char *name, int64_t value);
void json_out_number(struct json_out *o, const char *name, double value); /* not finite: null */
void json_out_bool(struct json_out *o, const char *name, bool value);
void json_out_null(struct json_out *o, const char *name);
void json_out_tree(struct json_out *o, const char *name, const struct json *tree); /* NULL: null */
/* Appends one tree as text; for a whole writer's work see above. */
void json_print(const struct json *tree, bool pretty, struct text_heap *out);
#endif
