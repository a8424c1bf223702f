/*
 * Any bytes as a Gateway that an API server has, with whatever stands in its status: what is patched is JSON, says what was to be said, and
 * has every condition of somebody else's in it.
 * covers: controller/publish/ingress_patch.c controller/publish/status_patch.c
 */
#include "controller/publish/ingress_patch.h"
#include "tests/fuzz/json_object.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t others(const struct json *object)
{
    size_t n = 0;
    json_for_each (entry, json_get(object, "status.conditions")) {
        struct text type = json_text(json_member(entry, TEXT("type")));
        n += !text_equal(type, TEXT("Accepted")) && !text_equal(type, TEXT("Programmed"));
    }
    return n;
}

static void look(const struct json *object)
{
    static const struct ingress_listener listener = {.name = "a", .kinds = INGRESS_HTTP_ROUTES};
    struct ingress_listener_status of_listener = {.listener = &listener,
                                                  .accepted = {true, "Accepted", "m"},
                                                  .programmed = {true, "Programmed", ""},
                                                  .conflicted = {false, "NoConflicts", "x\"y"},
                                                  .resolved = {false, "InvalidRouteKinds", ""},
                                                  .n_routes = 3};
    const struct ingress_status s = {.accepted = {true, "Accepted", "m"},
                                     .programmed = {false, "NoResources", "n"},
                                     .listeners = &of_listener,
                                     .n_listeners = 1};
    struct text_heap body, all;
    struct json *patch = NULL;
    struct json_error e = {0};
    (void)ingress_patch_there(object);
    if (ingress_patch(object, &s, 1, 0, &body) < 0)
        return;
    text_heap_init(&all, 1 << 20);
    text_heap_printf(&all, "{\"spec\":{\"gatewayClassName\":\"weir\"},%s", body.data + 1);
    if (json_parse((struct text){all.data, all.len}, NULL, &patch, &e) < 0)
        abort();
    if (ingress_patch_there(patch) != ingress_patch_number(&s, 1) ||
        others(patch) != others(object))
        abort();
    json_free(patch);
    text_heap_done(&all);
    text_heap_done(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_object_of(data, size, look);
    return 0;
}
