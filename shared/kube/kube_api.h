/*
 * The requests that are not lists and watches: get, create, patch, TokenReview. Each is a kube_call with the right words in it; the answer
 * comes to the request's `done`. Pure but for kube_send().
 */
#ifndef SHARED_KUBE_KUBE_API_H
#define SHARED_KUBE_KUBE_API_H
#include "shared/json/json.h"
#include "shared/kube/kube_client.h"

enum kube_patch {
    KUBE_PATCH_MERGE, /* RFC 7396 */
    KUBE_PATCH_APPLY, /* server-side apply: the body is the whole of what we own */
};
/* All -ENOMEM, -ENOBUFS, -E2BIG (the path). path is the object's: "/api/v1/namespaces/shop/pods/web"; with "/status" at its end only the
 * status is touched. manager: who owns the fields (fieldManager); force takes them from another owner, with KUBE_PATCH_APPLY only. */
int kube_get(struct kube_client *c, struct kube_request *q, const char *path);
int kube_create(struct kube_client *c, struct kube_request *q, const char *collection,
                struct text body, const char *manager);
int kube_patch(struct kube_client *c, struct kube_request *q, const char *path,
               enum kube_patch kind, struct text body, const char *manager, bool force);

/* Whose token is it, and is it meant for us? (authentication.k8s.io/v1) */
int kube_token_review(struct kube_client *c, struct kube_request *q, struct text token,
                      const char *audience);
struct kube_token { /* of a service account; strings point into the tree */
    struct text ns, account, pod, pod_uid,
        node; /* pod and later: empty if it is not bound to one */
};
/* What the review says. -EACCES: the token is not good, not for this audience, or not a service account's; -EINVAL: no TokenReview. */
int kube_token_read(const struct json *review, const char *audience, struct kube_token *ret);
#endif
