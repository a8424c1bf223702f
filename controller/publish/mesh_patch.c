#include "controller/publish/mesh_patch.h"
#include "controller/publish/status_patch.h"
#include "shared/base/list.h"
#include <errno.h>

/* In the order that the API asks for. Each has its cases in tests/cluster (docs/TESTING.md). */
static const char *const features[] = {"GRPCRoute",
                                       "HTTPRoute",
                                       "HTTPRoute303RedirectStatusCode",
                                       "HTTPRoute307RedirectStatusCode",
                                       "HTTPRoute308RedirectStatusCode",
                                       "HTTPRouteParentRefPort",
                                       "HTTPRouteResponseHeaderModification",
                                       "Mesh",
                                       "MeshClusterIPMatching",
                                       "MeshConsumerRoute",
                                       "MeshHTTPRouteBackendRequestHeaderModification",
                                       "MeshHTTPRouteNamedRouteRule",
                                       "MeshHTTPRouteQueryParamMatching",
                                       "MeshHTTPRouteRedirectPath",
                                       "MeshHTTPRouteRedirectPort",
                                       "MeshHTTPRouteRewritePath",
                                       "MeshHTTPRouteSchemeRedirect"};

/* One that is refused supports nothing. */
static size_t count(const struct condition *accepted)
{
    return accepted->accepted ? ARRAY_SIZE(features) : 0;
}

uint64_t mesh_patch_number(const struct condition *accepted)
{
    uint64_t number = condition_number(accepted);
    for (size_t i = 0; i < count(accepted); i++)
        number = status_chain(number, text_of(features[i]));
    return number;
}

uint64_t mesh_patch_there(const struct json *object)
{
    uint64_t number = condition_there(object, "Accepted");
    json_for_each (j, json_get(object, "status.supportedFeatures"))
        number = status_chain(number, json_text(json_member(j, TEXT("name"))));
    return number;
}

int mesh_patch(const struct json *object, const struct condition *accepted, int64_t unix_ms,
               struct text_heap *ret_body)
{
    const struct json *list;
    struct json_out o;
    if (json_count(json_get(object, "status.conditions")) > CONDITIONS_MAX)
        return -E2BIG;
    int err = status_patch_open(object, "conditions", &o, ret_body, &list);
    if (err < 0)
        return err;
    const struct json *old = status_condition(list, "Accepted");
    json_for_each (entry, list)
        if (entry != old)
            json_out_tree(&o, NULL, entry);
    condition_put(&o, old, "Accepted", accepted, unix_ms);
    json_out_end(&o);
    json_out_array(&o, "supportedFeatures");
    for (size_t i = 0; i < count(accepted); i++) {
        json_out_object(&o, NULL);
        json_out_string(&o, "name", features[i]);
        json_out_end(&o);
    }
    return status_patch_close(&o, ret_body);
}
