#include "shared/json/json_scan.h"
#include "shared/json/json_tree.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

const struct json_limits json_limits_default = {
    .bytes_max = 64 * 1024 * 1024,
    .nodes_max = 4 * 1000 * 1000,
    .depth_max = 64,
};

/* cJSON notes the place of its last error in a global variable, at every parse. */
static pthread_mutex_t cjson_lock = PTHREAD_MUTEX_INITIALIZER;

struct convert {
    struct text t;
    const struct json_place *places; /* of the values, in the order in which we meet them */
    size_t n, next;
    struct json_tree tree;
    struct json_error *error;
};

static int fail(struct json_error *e, unsigned line, const char *why, int error)
{
    if (!json_failed(e)) {
        struct text_out o = TEXT_OUT(e->text);
        text_puts(&o, why);
        e->line = line;
    }
    return error;
}

/* cJSON has doubles only; whole numbers are read again, so that all 64 bits arrive. */
static int set_number(struct convert *c, struct json *node, const cJSON *from, uint32_t offset)
{
    char copy[JSON_NUMBER_BYTES_MAX + 1];
    size_t n = 0, max = c->t.len - offset;

    if (!isfinite(from->valuedouble))
        return json_fail(c->error, node, "the number is out of range");
    while (n < max && n < JSON_NUMBER_BYTES_MAX && strchr("+-.0123456789eE", c->t.data[offset + n]))
        n++;
    memcpy(copy, c->t.data + offset, n);
    copy[n] = '\0';
    errno = 0;
    char *end;
    long long value = strtoll(copy, &end, 10);
    if (*end == '\0' && errno == 0)
        json_set_integer(node, value);
    else
        json_set_number(node, from->valuedouble);
    return 0;
}

/* Recursion is bounded by the scan's depth_max. */
static int convert(struct convert *c, const cJSON *from, struct json *parent)
{
    const struct json_place *place = &c->places[c->next++];
    const struct json *again;
    struct json *node = json_tree_add(&c->tree, parent, text_of(from->string), place->line);

    if (!node)
        return c->tree.error;
    if (cJSON_IsBool(from)) {
        json_set_bool(node, cJSON_IsTrue(from));
    } else if (cJSON_IsNumber(from)) {
        return set_number(c, node, from, place->offset);
    } else if (cJSON_IsString(from)) {
        return json_tree_set_string(&c->tree, node, text_of(from->valuestring));
    } else if (cJSON_IsArray(from) || cJSON_IsObject(from)) {
        json_set_kind(node, cJSON_IsArray(from) ? JSON_ARRAY : JSON_OBJECT);
        for (const cJSON *i = from->child; i; i = i->next) {
            int r = convert(c, i, node);
            if (r < 0)
                return r;
        }
        int r = cJSON_IsObject(from) ? json_find_duplicate(node, &again) : 0;
        if (r < 0)
            return r;
        if (cJSON_IsObject(from) && again)
            return json_fail(c->error, again, "the name occurs twice");
    }
    return 0;
}

int json_parse(struct text t, const struct json_limits *limits, struct json **ret,
               struct json_error *ret_error)
{
    struct json_limits bounds = limits ? *limits : json_limits_default;
    struct json_place *places;
    size_t n;

    *ret_error = (struct json_error){0};
    if (bounds.depth_max > JSON_DEPTH_MAX)
        bounds.depth_max = JSON_DEPTH_MAX;
    int r = json_scan(t, &bounds, &places, &n, ret_error);
    if (r < 0)
        return r;

    pthread_mutex_lock(&cjson_lock);
    cJSON *parsed = cJSON_ParseWithLength(t.data, t.len);
    pthread_mutex_unlock(&cjson_lock);
    /* The scan has found the text to be good: only memory can have been missing. */
    if (!parsed) {
        free(places);
        return fail(ret_error, 0, "out of memory", -ENOMEM);
    }
    struct convert c = {.t = t, .places = places, .n = n, .error = ret_error};
    json_tree_init(&c.tree, bounds.nodes_max);
    r = convert(&c, parsed, NULL);
    cJSON_Delete(parsed);
    free(places);
    struct json *root = json_tree_done(&c.tree);
    if (r < 0) {
        json_free(root);
        return fail(ret_error, 0, "out of memory", r);
    }
    *ret = root;
    return 0;
}

const char *json_library(void)
{
    static char text[32];
    (void)snprintf(text, sizeof text, "cJSON %s", cJSON_Version());
    return text;
}
