#include "nodeproxy/path/request_policy.h"

static void note(struct http_head *head, const char *name, struct text *ret)
{
    size_t len = strlen(name);
    char *to;
    if (len == 0 || http_head_alloc(head, len, &to) < 0)
        return; /* the decision stands, nameless */
    memcpy(to, name, len);
    *ret = (struct text){to, len};
}

enum ending request_policy_ask(struct request_policy *p, const struct directory *d,
                               struct text workload_uid, const struct access *connection,
                               struct http_head *request, struct exchange_notes *ret_notes)
{
    uint64_t version = directory_policy_version(d);
    struct access access = *connection;
    struct request_view view;
    struct verdict verdict;

    if (p->settled == version && version > 0)
        return ENDING_NONE;
    const struct workload *self = directory_workload(d, workload_uid);
    if (!self)
        return ENDING_DENIED; /* nothing says any more who may ask */
    if (request_view_init(&view, request) < 0)
        return ENDING_NO_MEMORY;
    access.form = ACCESS_REQUEST;
    access.request = &view;
    directory_authorise(d, self, &access, &verdict);
    request_view_done(&view);
    bool told = verdict.dry_run[0] || verdict.audit[0]; /* of each request */
    p->settled = verdict.allowed && !verdict.by_request && !told ? version : 0;
    note(request, verdict.policy, &ret_notes->policy);
    note(request, verdict.dry_run, &ret_notes->dry_run);
    note(request, verdict.audit, &ret_notes->audit);
    return verdict.allowed ? ENDING_NONE : ENDING_DENIED;
}
