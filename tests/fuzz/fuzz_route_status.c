/*
 * Any bytes as a route that an API server has, with whatever stands in its status: what is patched is JSON, says what was to be said, and
 * has every other controller's entries in it.
 * covers: controller/publish/route_status.c controller/publish/status_patch.c
 */
#include "controller/publish/route_status.h"
#include "tests/fuzz/json_object.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t others(const struct json *object)
{
    size_t n = 0;
    json_for_each (entry, json_get(object, "status.parents"))
        n += !text_equal(json_text(json_member(entry, TEXT("controllerName"))),
                         TEXT(ROUTE_STATUS_CONTROLLER));
    return n;
}

static void look(const struct json *object)
{
    static const struct gateway_parent parent = {
        .ref = {.group = "", .kind = "Service", .ns = "n", .name = "s", .port = 80}, .section = ""};
    static const struct gateway_parent_status all[2] = {
        {.parent = &parent,
         .accepted = {true, "Accepted", "m"},
         .resolved = {false, "InvalidKind", ""}},
        {.parent = &parent,
         .accepted = {.reason = "A"},
         .resolved = {.reason = "R"},
         .partial = {true, "UnsupportedValue", "p"}}};
    const struct route_status s = {.parents = all, .n = 2, .generation = 1};
    struct text_heap body;
    struct json *patch = NULL;
    struct json_error e = {0};
    (void)route_status_there(object, false);
    if (route_status_patch(object, &s, 0, &body) < 0)
        return;
    if (json_parse((struct text){body.data, body.len}, NULL, &patch, &e) < 0)
        abort();
    if (route_status_there(patch, false) != route_status_number(&s) || others(patch) != others(object))
        abort();
    json_free(patch);
    text_heap_done(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_object_of(data, size, look);
    return 0;
}
