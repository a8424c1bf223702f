/* One certificate; see the header. */
#include "ca/issue.h"

#include "ca/ledger.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

static void fill_template(const struct issue_request *q, const struct x509 *issuer, int64_t now_s,
                          struct x509_template *t)
{
    int64_t ttl = q->ttl_s < ISSUE_TTL_MIN_S ? ISSUE_TTL_MIN_S : q->ttl_s;
    *t = (struct x509_template){
        .uri = spiffe_id_text(q->id),
        .path_len = -1,
        .server = true,
        .client = true,
        .not_before_s = now_s - ISSUE_BACKDATE_S,
        .not_after_s = now_s + ttl,
    };
    if (t->not_before_s < issuer->not_before_s)
        t->not_before_s = issuer->not_before_s;
    if (t->not_after_s > issuer->not_after_s)
        t->not_after_s = issuer->not_after_s;
    assert(q->n_dns <= ISSUE_DNS_MAX);
    for (size_t i = 0; i < q->n_dns; i++)
        t->dns[i] = q->dns[i];
}

int issue_make(const struct root *root, const struct issue_request *q, int64_t now_s,
               struct issued *ret, char why[static STORE_WHY_MAX])
{
    struct x509_template t;
    struct x509 leaf;
    size_t len;
    if (now_s >= root->intermediate.not_after_s) {
        snprintf(why, STORE_WHY_MAX, "the issuing certificate has expired");
        return -EKEYEXPIRED;
    }
    fill_template(q, &root->intermediate, now_s, &t);
    if (t.not_after_s <= t.not_before_s) {
        snprintf(why, STORE_WHY_MAX, "the clock is too long before the issuing certificate");
        return -EKEYEXPIRED;
    }
    int r = x509_make(&t, q->public_der, q->public_len, &root->intermediate, root->intermediate_key,
                      &leaf);
    if (r < 0) {
        snprintf(why, STORE_WHY_MAX, "the certificate can't be made: %s", strerror(-r));
        return r;
    }
    struct issued made = {.not_before_s = t.not_before_s, .not_after_s = t.not_after_s};
    x509_serial_text(&leaf, made.serial);
    r = digest_sha256((struct text){(const char *)q->public_der, q->public_len}, made.key);
    if (r < 0) {
        x509_done(&leaf);
        snprintf(why, STORE_WHY_MAX, "the certificate can't be made: %s", strerror(-r));
        return r;
    }
    r = x509_to_pem(&leaf, made.leaf_pem, sizeof made.leaf_pem, &len);
    x509_done(&leaf);
    assert(r == 0); /* there is always room */
    *ret = made;
    return 0;
}

int issue(const struct root *root, const struct issue_request *q, int64_t now_s, struct issued *ret,
          char why[static STORE_WHY_MAX])
{
    struct issued made;
    int r = issue_make(root, q, now_s, &made, why);
    if (r < 0)
        return r;
    const char *proof = q->proof ? q->proof : PROOF_COMMAND_LINE;
    struct ledger_entry e = {
        .audit = {now_s, "given", q->node, proof, q->id->text, made.serial, ""},
        .issued = {made.serial, q->id->text, q->node, made.not_before_s, made.not_after_s, now_s,
                   proof},
    };
    struct ledger_entry *entry = &e;
    ledger_write(root->store, &entry, 1);
    if (e.result < 0)
        memcpy(why, e.why, STORE_WHY_MAX);
    else
        *ret = made;
    return e.result;
}
