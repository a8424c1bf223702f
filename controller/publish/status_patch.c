#include "controller/publish/status_patch.h"
#include "shared/base/map.h"
#include <errno.h>

int status_patch_open(const struct json *object, const char *list, struct json_out *o,
                      struct text_heap *body, const struct json **ret_list)
{
    const struct json *there = json_member(json_get(object, "status"), text_of(list));
    struct text version = json_text(json_get(object, "metadata.resourceVersion"));
    if (version.len == 0 || (there && !json_is(there, JSON_ARRAY) && !json_is(there, JSON_NULL)))
        return -EINVAL;
    text_heap_init(body, STATUS_PATCH_MAX);
    json_out_init(o, body, false);
    json_out_object(o, NULL);
    json_out_object(o, "metadata");
    json_out_text(o, "resourceVersion", version);
    json_out_end(o);
    json_out_object(o, "status");
    json_out_array(o, list);
    *ret_list = there;
    return 0;
}

int status_patch_close(struct json_out *o, struct text_heap *body)
{
    json_out_end(o);
    json_out_end(o);
    json_out_end(o);
    if (!body->failed)
        return 0;
    text_heap_done(body);
    return -ENOMEM;
}

uint64_t status_chain(uint64_t so_far, struct text t)
{
    const uint64_t seed[2] = {0x7765697220726f75, so_far};
    uint64_t number = hash_bytes(seed, t.data, t.len);
    return number ? number : 1;
}

uint64_t status_chain_number(uint64_t so_far, uint64_t number)
{
    return status_chain(so_far, (struct text){(const char *)&number, sizeof number});
}

const struct json *status_condition(const struct json *conditions, const char *type)
{
    json_for_each (c, conditions)
        if (text_equal(json_text(json_member(c, TEXT("type"))), text_of(type)))
            return c;
    return NULL;
}
