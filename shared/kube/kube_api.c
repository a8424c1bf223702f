#include "shared/kube/kube_api.h"
#include "shared/json/json_out.h"
#include <errno.h>

enum { PATH_MAX_BYTES = 2048, REVIEW_MAX = 64 * 1024 };

int kube_get(struct kube_client *c, struct kube_request *q, const char *path)
{
    return kube_send(c, q, &(struct kube_call){.path = path});
}

static int send_body(struct kube_client *c, struct kube_request *q, const char *method,
                     const char *type, struct text_out *path, struct text body)
{
    if (path->overflow)
        return -E2BIG;
    return kube_send(
        c, q,
        &(struct kube_call){.method = method, .path = path->data, .type = type, .body = body});
}

int kube_create(struct kube_client *c, struct kube_request *q, const char *collection,
                struct text body, const char *manager)
{
    char path[PATH_MAX_BYTES];
    struct text_out out = TEXT_OUT(path);
    text_printf(&out, "%s?fieldManager=%s", collection, manager);
    return send_body(c, q, "POST", NULL, &out, body);
}

int kube_patch(struct kube_client *c, struct kube_request *q, const char *object,
               enum kube_patch kind, struct text body, const char *manager, bool force)
{
    static const char *const types[] = {
        [KUBE_PATCH_MERGE] = "application/merge-patch+json",
        [KUBE_PATCH_APPLY] = "application/apply-patch+yaml", /* JSON is YAML */
    };
    char path[PATH_MAX_BYTES];
    struct text_out out = TEXT_OUT(path);
    text_printf(&out, "%s?fieldManager=%s%s", object, manager,
                force && kind == KUBE_PATCH_APPLY ? "&force=true" : "");
    return send_body(c, q, "PATCH", types[kind], &out, body);
}

int kube_token_review(struct kube_client *c, struct kube_request *q, struct text token,
                      const char *audience)
{
    struct text_heap body;
    struct json_out o;
    text_heap_init(&body, REVIEW_MAX);
    json_out_init(&o, &body, false);
    json_out_object(&o, NULL);
    json_out_string(&o, "apiVersion", "authentication.k8s.io/v1");
    json_out_string(&o, "kind", "TokenReview");
    json_out_object(&o, "spec");
    json_out_text(&o, "token", token);
    json_out_array(&o, "audiences");
    json_out_string(&o, NULL, audience);
    json_out_end(&o);
    json_out_end(&o);
    json_out_end(&o);
    const struct kube_call call = {.method = "POST",
                                   .path = "/apis/authentication.k8s.io/v1/tokenreviews",
                                   .body = {body.data, body.len}};
    int err = body.failed ? -ENOMEM : kube_send(c, q, &call);
    if (body.data)
        explicit_bzero(body.data, body.len);
    text_heap_done(&body);
    return err;
}

static struct text extra(const struct json *user, const char *name)
{
    return json_text(json_first(json_member(json_member(user, TEXT("extra")), text_of(name))));
}

/* An API server that knows no audiences answers without any: then nobody has said that the token is
 * meant for us. */
static bool is_for(const struct json *status, const char *audience)
{
    json_for_each (a, json_member(status, TEXT("audiences")))
        if (text_equal(json_text(a), text_of(audience)))
            return true;
    return false;
}

int kube_token_read(const struct json *review, const char *audience, struct kube_token *ret)
{
    const struct json *status = json_member(review, TEXT("status"));
    const struct json *user = json_member(status, TEXT("user"));
    struct json_error e = {0};
    bool good = false;
    if (!json_is(status, JSON_OBJECT) || json_opt_bool(status, "authenticated", &good, &e) < 0)
        return -EINVAL;
    if (!good || !is_for(status, audience))
        return -EACCES;
    struct text name = json_text(json_member(user, TEXT("username"))), head, ns, account;
    if (!text_starts_with(name, TEXT("system:serviceaccount:")))
        return -EACCES;
    name.data += strlen("system:serviceaccount:");
    name.len -= strlen("system:serviceaccount:");
    if (!text_split(name, ':', &ns, &account) || ns.len == 0 || account.len == 0 ||
        text_split(account, ':', &head, &name))
        return -EACCES;
    *ret = (struct kube_token){
        .ns = ns,
        .account = account,
        .pod = extra(user, "authentication.kubernetes.io/pod-name"),
        .pod_uid = extra(user, "authentication.kubernetes.io/pod-uid"),
        .node = extra(user, "authentication.kubernetes.io/node-name"),
    };
    return 0;
}
