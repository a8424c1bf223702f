/* The decision over one request; see the header. */
#include "ca/grant.h"

#include "shared/tls/csr.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CERTIFICATE_REFUSED                                                                        \
    "without a token: the connection's certificate must be one that came from a join token"

void grant_init(struct grant *g)
{
    rate_init(&g->rate);
}
void grant_done(struct grant *g)
{
    rate_done(&g->rate);
}

static void refuse(struct grant_answer *a, enum grpc_status status, const char *message,
                   const char *why)
{
    a->status = status;
    a->message = message;
    if (why)
        snprintf(a->why, sizeof a->why, "%s", why);
}

static bool is_accepted(int r, struct grant_answer *a, const char *why)
{
    if (r == -EACCES)
        refuse(a, GRPC_UNAUTHENTICATED, "the token is not accepted", why);
    else if (r < 0)
        refuse(a, GRPC_UNAVAILABLE, "the CA can't look up tokens now", why);
    return r == 0;
}

static bool by_token(struct store *s, const struct spiffe_id *proxy_id, const struct grant_ask *q,
                     struct grant_answer *a, struct attested *ret)
{
    const char *why;
    char *node;
    int r = attest_node(s, q->bearer, q->now_s, &node, &why);
    if (r == 0) {
        a->proof = PROOF_NODE_TOKEN;
        *ret = (struct attested){.role = ATTEST_PROXY, .id = *proxy_id};
        snprintf(ret->name, sizeof ret->name, "%s", node);
        free(node);
        return true;
    }
    if (r == -EACCES && q->bearer.len > 0) {
        const char *join_why;
        r = attest_join(s, q->bearer, q->from, q->now_s, ret, a->digest, &a->spends,
                        &join_why);
        if (r == 0 || r != -EACCES || a->spends)
            why = join_why;
        if (a->spends)
            a->proof = PROOF_JOIN_TOKEN;
    }
    return is_accepted(r, a, why);
}

static bool attested(struct store *s, const struct spiffe_id *proxy_id, const struct grant_ask *q,
                     struct grant_answer *a, struct attested *ret)
{
    const char *why;
    if (q->who) {
        a->proof = PROOF_ACCOUNT;
        *ret = *q->who;
        return true;
    }
    if (q->bearer.len > 0 || !q->peer || !q->peer->present)
        return by_token(s, proxy_id, q, a, ret);
    int r = attest_certificate(s, q->peer->uri, q->peer->serial, q->now_s, ret, &why);
    if (r == 0) {
        a->proof = PROOF_CERTIFICATE;
        snprintf(a->renews, sizeof a->renews, "%s", q->peer->serial);
    }
    if (r == -EACCES) {
        refuse(a, GRPC_UNAUTHENTICATED, CERTIFICATE_REFUSED, why);
        return false;
    }
    return is_accepted(r, a, why);
}

/* Without impersonation: its own identity. With: what is placed on a node proxy's node. */
static bool authorised(struct grant *g, const struct attested *who,
                       const struct certificate_request *q, bool placement_known,
                       struct grant_answer *a, struct spiffe_id *ret)
{
    if (!q->impersonated_identity[0]) {
        *ret = who->id;
        snprintf(a->identity, sizeof a->identity, "%s", ret->text);
        if (text_equal(spiffe_id_trust_domain(ret), g->trust_domain))
            return true;
        refuse(a, GRPC_PERMISSION_DENIED, "the identity is of another trust domain",
               "it may join another trust domain than this");
        return false;
    }
    snprintf(a->identity, sizeof a->identity, "%s", q->impersonated_identity);
    if (who->role != ATTEST_PROXY) {
        refuse(a, GRPC_PERMISSION_DENIED, "only node proxies get identities of others",
               "it is no node proxy");
        return false;
    }
    if (spiffe_id_parse(text_of(q->impersonated_identity), ret) < 0) {
        refuse(a, GRPC_INVALID_ARGUMENT,
               "ImpersonatedIdentity: must be spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT",
               "malformed identity");
        return false;
    }
    if (!text_equal(spiffe_id_trust_domain(ret), g->trust_domain)) {
        refuse(a, GRPC_PERMISSION_DENIED, "ImpersonatedIdentity: another trust domain",
               "another trust domain");
        return false;
    }
    if (!placement_known) {
        refuse(a, GRPC_UNAVAILABLE, "the CA does not know yet what runs where; try again",
               "placement is not known");
        return false;
    }
    if (!placement_has(g->placement, a->node, ret)) {
        refuse(a, GRPC_PERMISSION_DENIED, "no workload with that identity is placed on this node",
               "not placed on that node");
        return false;
    }
    return true;
}

static bool sign(struct grant *g, const struct certificate_request *q, const struct spiffe_id *id,
                 int64_t now_s, struct grant_answer *a)
{
    uint8_t public_der[CSR_PUBLIC_MAX];
    size_t public_len;
    const char *why = "";
    int r = csr_public_key(text_of(q->csr_pem), public_der, sizeof public_der, &public_len, &why);
    if (r < 0) {
        refuse(a, GRPC_INVALID_ARGUMENT,
               "csr: must be a PKCS#10 request in PEM with an ECDSA P-256 key, signed by it", why);
        return false;
    }
    int64_t ttl = q->validity_s > 0 ? q->validity_s : g->ttl_s;
    const struct issue_request i = {.id = id,
                                    .node = a->node,
                                    .proof = a->proof,
                                    .public_der = public_der,
                                    .public_len = public_len,
                                    .ttl_s = ttl > g->ttl_max_s ? g->ttl_max_s : ttl};
    if (issue_make(g->root, &i, now_s, &a->issued, a->why) == 0)
        return true;
    refuse(a, GRPC_UNAVAILABLE, "the CA can't issue now", NULL);
    return false;
}

/* Leaf first, one certificate a string, the root bundle last (istio's order). */
static void respond(const struct root *root, struct grant_answer *a)
{
    const char *all[] = {a->issued.leaf_pem, root->intermediate_pem, root->bundle_pem};
    enum { COUNT = sizeof all / sizeof *all };
    a->response = (struct certificate_response){calloc(COUNT, sizeof(char *)), COUNT};
    for (size_t i = 0; a->response.pems && i < COUNT; i++) {
        a->response.pems[i] = text_dup(text_of(all[i]));
        if (a->response.pems[i])
            continue;
        a->response.n = i;
        certificate_response_done(&a->response);
        a->response.pems = NULL;
        break;
    }
    if (a->response.pems)
        a->status = GRPC_OK;
    else
        refuse(a, GRPC_RESOURCE_EXHAUSTED, "the CA is out of memory", "out of memory");
}

static void decide(struct grant *g, const struct grant_ask *ask, struct grant_answer *a)
{
    struct certificate_request q;
    struct spiffe_id id;
    char why[XDS_WHY_MAX];
    snprintf(a->node, sizeof a->node, "%s", a->who.name);
    if (!rate_take(&g->rate, text_of(a->who.name), ask->now_ms)) {
        refuse(a, GRPC_RESOURCE_EXHAUSTED, "too many requests from this node",
               "over the node's rate");
        return;
    }
    int r = certificate_request_decode(ask->request, ask->len, &q, why);
    if (r == -ENOMEM)
        refuse(a, GRPC_RESOURCE_EXHAUSTED, "the CA is out of memory", why);
    else if (r < 0)
        refuse(a, GRPC_INVALID_ARGUMENT, "the request is malformed", why);
    if (r < 0)
        return;
    if (authorised(g, &a->who, &q, ask->placement_known, a, &id) && sign(g, &q, &id, ask->now_s, a))
        respond(g->root, a);
    certificate_request_done(&q);
}

/* ---- what is written down ------------------------------------------------ */

static void begin(const struct grant_ask *q, struct grant_answer *a)
{
    *a = (struct grant_answer){.message = "", .proof = PROOF_NONE};
    if (q->from)
        ip_print(q->from, a->from);
}

static void enter(const struct grant_ask *q, struct grant_answer *a)
{
    bool given = a->status == GRPC_OK;
    a->entry = (struct ledger_entry){
        .audit = {q->now_s, given ? "given" : "refused", a->node[0] ? a->node : a->from, a->proof,
                  a->identity, given ? a->issued.serial : "", a->why},
        .spends = a->spends ? a->digest : NULL,
        .renews = a->renews[0] ? a->renews : NULL,
        .key = given ? a->issued.key : NULL,
    };
    if (given)
        a->entry.issued = (struct issued_record){
            a->issued.serial,      a->identity, a->node, a->issued.not_before_s,
            a->issued.not_after_s, q->now_s,    a->proof};
}

void grant_prove(struct store *s, const struct spiffe_id *proxy_id, const struct grant_ask *q,
                 struct grant_answer *ret)
{
    begin(q, ret);
    ret->is_proved = attested(s, proxy_id, q, ret, &ret->who);
}

void grant_conclude(struct grant *g, const struct grant_ask *q, struct grant_answer *a)
{
    if (a->is_proved)
        decide(g, q, a);
    enter(q, a);
}

void grant_decide(struct grant *g, const struct grant_ask *q, struct grant_answer *ret)
{
    grant_prove(g->store, &g->proxy_id, q, ret);
    grant_conclude(g, q, ret);
}

void grant_watch(struct grant *g, const struct grant_ask *q, struct grant_answer *a)
{
    if (!a->is_proved)
        return;
    if (a->spends) {
        refuse(a, GRPC_UNAUTHENTICATED, "the token is not accepted", "a join token is not for that");
        return;
    }
    snprintf(a->node, sizeof a->node, "%s", a->who.name);
    if (rate_take(&g->rate, text_of(a->who.name), q->now_ms))
        a->status = GRPC_OK;
    else
        refuse(a, GRPC_RESOURCE_EXHAUSTED, "too many requests from this node",
               "over the node's rate");
}

void grant_refuse(const struct grant_ask *q, enum grpc_status status, const char *message,
                  const char *why, struct grant_answer *ret)
{
    begin(q, ret);
    refuse(ret, status, message, why);
    enter(q, ret);
}

void grant_settle(struct grant_answer *a)
{
    int r = a->entry.result;
    if (r == 0)
        return;
    if (a->status == GRPC_OK)
        certificate_response_done(&a->response);
    a->issued = (struct issued){.leaf_pem = ""};
    if (r == -EKEYREVOKED)
        refuse(a, GRPC_PERMISSION_DENIED, "the identity is revoked", a->entry.why);
    else if (r == -EKEYREJECTED)
        refuse(a, GRPC_UNAUTHENTICATED, CERTIFICATE_REFUSED, a->entry.why);
    else if (r == -ENOTUNIQ)
        refuse(a, GRPC_INVALID_ARGUMENT, "csr: its key is another identity's; make a new key",
               a->entry.why);
    else if (r == -ENOENT)
        refuse(a, GRPC_UNAUTHENTICATED, "the token is not accepted", a->entry.why);
    else
        refuse(a, GRPC_UNAVAILABLE, "the CA can't issue now", a->entry.why);
}
