/*
 * Input: an istio.security.Authorization. What decodes can be evaluated, and is the same after a
 * way over the wire.
 * covers: shared/xds/policy_codec.c
 */
#include "shared/xds/xds.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct access access_by(const struct spiffe_id *id)
{
    struct access a = {.identity = id, .destination_port = 8080};

    (void)ip_parse(TEXT("10.0.0.1"), &a.source);
    (void)ip_parse(TEXT("fd00::2"), &a.destination);
    return a;
}

/* What a connection may not be asked by, no request is. */
static void ask(const struct policy *p, struct access a)
{
    static const char *const paths[] = {"/", "/a/b;c", "/public/..%2fadmin?x"};
    const struct policy *list[] = {p};
    struct verdict v;

    a.form = ACCESS_CONNECTION;
    policies_decide(list, 1, &a, &v);
    bool connects = v.allowed;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct request_view view;
        struct http_head head;
        http_head_init(&head);
        head.method = TEXT("GET");
        head.authority = TEXT("shop.example:80");
        head.path = text_of(paths[i]);
        (void)http_head_add(&head, TEXT("x-a"), TEXT("one, two"));
        if (request_view_init(&view, &head) == 0) {
            a.form = ACCESS_REQUEST;
            a.request = &view;
            policies_decide(list, 1, &a, &v);
            if (v.allowed && !connects)
                abort();
            request_view_done(&view);
        }
        http_head_done(&head);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy *p = NULL, *back = NULL;
    struct xds_bytes bytes;
    struct spiffe_id id;
    char why[XDS_WHY_MAX] = "";

    if (xds_policy_decode(data, size, &p, why) < 0) {
        if (!why[0] || p)
            abort();
        return 0;
    }
    if (xds_policy_encode(p, &bytes) == 0) {
        if (xds_policy_decode(bytes.data, bytes.len, &back, why) < 0 || !policy_equal(p, back))
            abort();
        xds_bytes_done(&bytes);
    }
    (void)spiffe_id_parse(TEXT("spiffe://cluster.local/ns/shop/sa/web"), &id);
    const struct access accesses[] = {access_by(NULL), access_by(&id)};
    for (unsigned i = 0; i < 2; i++) {
        const struct policy *list[] = {p};
        struct verdict v;
        bool matches = policy_matches(p, &accesses[i]);
        policies_decide(list, 1, &accesses[i], &v);
        /* One policy alone: in force it decides, as a dry run or an audit it never does. */
        if (v.allowed != (p->dry_run || p->action == POLICY_AUDIT ||
                          matches == (p->action == POLICY_ALLOW)))
            abort();
        ask(p, accesses[i]);
    }
    (void)policy_free(p);
    (void)policy_free(back);
    return 0;
}
