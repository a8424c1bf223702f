#include "controller/publish/status_patch.h"
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
