/* Changes by people; see the header. */
#include "ca/change.h"

#include "shared/tls/x509.h"
#include <errno.h>

#define IDENTITY_FORM "must be spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT"

int change_audited(struct store *s, int (*change)(struct store *s, void *arg), void *arg,
                   const struct change_by *by, struct audit_record line)
{
    line.at_s = by->now_s;
    line.asker = by->asker;
    line.proof = by->proof;
    line.identity = line.identity ? line.identity : "";
    line.serial = line.serial ? line.serial : "";
    int r = store_begin(s);
    if (r < 0)
        return r;
    r = change(s, arg);
    if (r == 0)
        r = store_put_audit(s, &line);
    if (r == 0)
        r = store_commit(s);
    if (r < 0)
        store_rollback(s);
    return r;
}

/* ---- tokens --------------------------------------------------------------- */

struct new_token {
    struct change_token *t;
    struct join_record join; /* its times are the node's, too */
};

static int make_token(struct store *s, void *arg)
{
    struct new_token *n = arg;
    struct change_token *t = n->t;
    return t->node ? attest_make_token(s, t->node, n->join.expires_s, t->text)
                   : attest_make_join(s, &n->join, t->text);
}

static bool is_node_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return name[0] && strlen(name) <= ATTEST_NODE_MAX;
}

const char *change_token_check(const struct change_token *t, const char **ret_field)
{
    struct spiffe_id id;
    struct prefix prefix;
    *ret_field = "node";
    if (!t->node == !t->identity)
        return "say either a node or an identity";
    if (t->node && !is_node_name(t->node))
        return "must have 1 to 253 characters, without spaces";
    *ret_field = "source";
    if (t->node && t->source[0])
        return "goes with an identity";
    if (t->source[0] && (strlen(t->source) > 60 || prefix_parse(text_of(t->source), &prefix) < 0))
        return "must be an address or a prefix, as 10.0.0.0/8";
    *ret_field = "identity";
    if (t->identity && spiffe_id_parse(text_of(t->identity), &id) < 0)
        return IDENTITY_FORM;
    *ret_field = "ttl";
    if (t->identity && t->ttl_s > CHANGE_JOIN_TTL_MAX_S)
        return "of a join token: 7 days at most";
    return t->ttl_s > CHANGE_NODE_TTL_MAX_S ? "of a node's token: 10 years at most" : NULL;
}

int change_token(struct store *s, struct change_token *t, const struct change_by *by)
{
    int64_t usual = t->node ? CHANGE_NODE_TTL_S : CHANGE_JOIN_TTL_S;
    int64_t end_s = by->now_s + (t->ttl_s > 0 ? t->ttl_s : usual);
    struct new_token n = {t, {t->identity, t->source, by->now_s, end_s}};
    return change_audited(s, make_token, &n, by,
                          (struct audit_record){.outcome = "made",
                                                .identity = t->identity,
                                                .reason = t->node ? t->node : "join token"});
}

/* ---- revocation ------------------------------------------------------------ */

struct written {
    const struct change_revocation *v;
    int64_t now_s;
};

static int write_revocation(struct store *s, void *arg)
{
    const struct written *w = arg;
    const char *kind = w->v->identity ? REVOKED_IDENTITY : REVOKED_SERIAL;
    const char *value = w->v->identity ? w->v->identity : w->v->serial;
    return w->v->lift ? store_lift_revocation(s, kind, value)
                      : store_put_revocation(s, kind, value, w->now_s, w->v->reason);
}

static bool is_serial(const char *serial)
{
    size_t len = strlen(serial);
    return len > 0 && len <= 2 * X509_SERIAL_MAX && strspn(serial, "0123456789abcdef") == len;
}

const char *change_revocation_check(const struct change_revocation *v, const char **ret_field)
{
    struct spiffe_id id;
    *ret_field = "identity";
    if (!v->identity == !v->serial)
        return "say either an identity or a serial";
    if (v->identity && spiffe_id_parse(text_of(v->identity), &id) < 0)
        return IDENTITY_FORM;
    *ret_field = "lift";
    if (v->serial && v->lift)
        return "goes with an identity: a certificate is revoked for good";
    *ret_field = "serial";
    return v->serial && !is_serial(v->serial)
               ? "must be hex in small letters, as weir-ca list shows it"
               : NULL;
}

/* A mistyped serial would be revoked in vain, and nobody would notice. */
static int is_issued(struct store *s, const char *serial)
{
    struct issued_found f;
    int r = store_get_issued(s, serial, &f);
    if (r == 0)
        issued_found_done(&f);
    return r;
}

int change_revocation(struct store *s, const struct change_revocation *v,
                      const struct change_by *by)
{
    struct written w = {v, by->now_s};
    int r = v->serial ? is_issued(s, v->serial) : 0;
    return r < 0 ? r
                 : change_audited(s, write_revocation, &w, by,
                                  (struct audit_record){.outcome = v->lift ? "lifted" : "revoked",
                                                        .identity = v->identity,
                                                        .serial = v->serial,
                                                        .reason = v->reason});
}
