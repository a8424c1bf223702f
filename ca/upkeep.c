/* What a CA does by itself; see the header. */
#include "ca/upkeep.h"

#include "shared/base/clock.h"
#include "shared/base/list.h"
#include "shared/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* -ENOMEM and -EAGAIN are the next minute's. */
static int put(struct upkeep *u, struct ledger_entry *e)
{
    return ledger_put(u->options.ledger, e);
}

/* ---- our own certificate ------------------------------------------------- */

struct own {
    struct ledger_entry entry;
    struct upkeep *upkeep;
    struct key *key;
    struct issued made;
    char issuer_pem[X509_PEM_MAX]; /* that signed it; meanwhile there may be another */
};

static struct own *own_free(struct own *own)
{
    if (own)
        key_unref(own->key);
    free(own);
    return NULL;
}

static int own_make(struct own *own, int64_t now_s)
{
    const struct upkeep_options *o = &own->upkeep->options;
    uint8_t public_der[KEY_PUBLIC_MAX];
    size_t public_len = 0;
    struct text dns[ISSUE_DNS_MAX];
    for (size_t i = 0; i < o->dns->n; i++)
        dns[i] = text_of(o->dns->items[i]);
    int r = key_generate(&own->key);
    if (r == 0)
        r = key_public_der(own->key, public_der, sizeof public_der, &public_len);
    if (r < 0) {
        snprintf(own->entry.why, sizeof own->entry.why, "no key can be made: %s", strerror(-r));
        return r;
    }
    const struct issue_request q = {.id = o->self,
                                    .node = "",
                                    .public_der = public_der,
                                    .public_len = public_len,
                                    .ttl_s = UPKEEP_OWN_TTL_S,
                                    .dns = dns,
                                    .n_dns = o->dns->n};
    r = issue_make(o->root, &q, now_s, &own->made, own->entry.why);
    if (r < 0)
        return r;
    snprintf(own->issuer_pem, sizeof own->issuer_pem, "%s", o->root->intermediate_pem);
    own->entry.audit = (struct audit_record){
        now_s, "given", "", PROOF_ITSELF, o->self->text, own->made.serial, ""};
    own->entry.issued = (struct issued_record){own->made.serial,      o->self->text, "",
                                               own->made.not_before_s, own->made.not_after_s,
                                               now_s,                  PROOF_ITSELF};
    return 0;
}

static int own_use(struct own *own)
{
    struct x509 chain[2] = {0};
    const char *why = "no memory";
    size_t n = 0;
    int r = x509_from_pem(text_of(own->made.leaf_pem), &chain[0], 1, &n, &why);
    if (r == 0)
        r = x509_from_pem(text_of(own->issuer_pem), &chain[1], 1, &n, &why);
    if (r == 0)
        r = own->upkeep->renewed(own->upkeep, own->key, chain, &why);
    if (r < 0)
        snprintf(own->entry.why, sizeof own->entry.why, "%s", why);
    x509_done(&chain[0]);
    x509_done(&chain[1]);
    return r;
}

static int own_written(struct own *own)
{
    struct upkeep *u = own->upkeep;
    int r = own->entry.result;
    if (r == 0)
        r = own_use(own);
    if (r < 0)
        log_error("ca", "no certificate of our own: %s", own->entry.why);
    else
        u->own_renew_s =
            own->entry.issued.issued_s + (own->made.not_after_s - own->entry.issued.issued_s) / 2;
    own_free(own);
    return r;
}

static void own_told(struct ledger_entry *e)
{
    struct own *own = container_of(e, struct own, entry);
    own->upkeep->renews = false;
    if (own->upkeep->stopped)
        own_free(own);
    else
        (void)own_written(own);
}

/* here: the disk is waited for. */
static int own_renew(struct upkeep *u, bool here)
{
    struct own *own = calloc(1, sizeof *own);
    if (!own)
        return -ENOMEM;
    own->upkeep = u;
    own->entry.written = own_told;
    struct ledger_entry *entry = &own->entry;
    int r = own_make(own, clock_unix_s());
    if (r < 0) {
        log_error("ca", "no certificate of our own: %s", own->entry.why);
        own_free(own);
        return r;
    }
    if (here) {
        ledger_write(u->options.root->store, &entry, 1);
        return own_written(own);
    }
    r = put(u, entry);
    u->renews = r == 0;
    if (r < 0)
        own_free(own);
    return r;
}

/* ---- the issuing certificate --------------------------------------------- */

struct refreshing {
    struct ledger_entry entry;
    struct upkeep *upkeep;
    struct root fresh;
};

static void root_read(struct store *s, struct ledger_entry *e)
{
    struct refreshing *r = container_of(e, struct refreshing, entry);
    e->result = root_open(&r->fresh, s, clock_unix_s(), e->why);
}

/* Living connections keep what they began with; ours is new with the roots that it goes by. */
static void root_use(struct upkeep *u, struct root *taken_fresh)
{
    struct root *root = u->options.root;
    bool signs_anew = strcmp(root->intermediate_pem, taken_fresh->intermediate_pem) != 0;
    bool other_roots = strcmp(root->bundle_pem, taken_fresh->bundle_pem) != 0;
    taken_fresh->store = root->store;
    root_done(root);
    *root = *taken_fresh;
    if (signs_anew)
        log_info("ca", "a new issuing certificate signs from now on");
    if (other_roots)
        log_info("ca", "%zu root%s trusted from now on", root->n_trusted,
                 root->n_trusted == 1 ? " is" : "s are");
    if ((signs_anew || other_roots) && !u->stopped) {
        u->own_renew_s = 0;
        if (!u->renews)
            (void)own_renew(u, false);
    }
    if (u->options.changed && !u->stopped)
        u->options.changed(u);
}

static void root_told(struct ledger_entry *e)
{
    struct refreshing *r = container_of(e, struct refreshing, entry);
    r->upkeep->refreshes = false;
    if (e->result < 0)
        log_error("ca", "%s", e->why);
    else
        root_use(r->upkeep, &r->fresh);
    free(r);
}

static int root_renew(struct upkeep *u)
{
    struct refreshing *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->upkeep = u;
    r->entry.work = root_read;
    r->entry.written = root_told;
    int error = put(u, &r->entry);
    u->refreshes = error == 0;
    if (error < 0)
        free(r);
    return error;
}

/* ---- what others have changed -------------------------------------------- */

static void look_at_version(struct store *s, struct ledger_entry *e)
{
    struct upkeep_look *l = container_of(e, struct upkeep_look, entry);
    e->result = store_trust_version(s, &l->version);
    if (e->result < 0)
        snprintf(e->why, sizeof e->why, "%s", store_why(s));
}

static void version_told(struct ledger_entry *e)
{
    struct upkeep *u = container_of(container_of(e, struct upkeep_look, entry), struct upkeep, look);
    u->looks = false;
    if (e->result < 0)
        log_error("ca", "whether something was revoked or rotated can't be seen: %s", e->why);
    else if (!u->stopped && !u->refreshes && u->look.version != u->options.root->version)
        (void)root_renew(u);
}

static void look(struct timer *t)
{
    struct upkeep *u = container_of(t, struct upkeep, look_timer);
    timer_start(ring_timers(u->options.ring), &u->look_timer, UPKEEP_LOOK_MS);
    if (u->looks || u->refreshes)
        return;
    u->look.entry = (struct ledger_entry){.work = look_at_version, .written = version_told};
    u->looks = put(u, &u->look.entry) == 0;
}

/* ---- what is long over --------------------------------------------------- */

struct forgetting {
    struct ledger_entry entry;
    struct upkeep *upkeep;
    int64_t before_s;
    uint64_t n, sum;
};

static void forget(struct store *s, struct ledger_entry *e)
{
    struct forgetting *f = container_of(e, struct forgetting, entry);
    e->result = store_forget(s, f->before_s, UPKEEP_FORGET_AT_ONCE, &f->n);
    if (e->result < 0)
        snprintf(e->why, sizeof e->why, "%s", store_why(s));
}

static void forgotten(struct ledger_entry *e)
{
    struct forgetting *f = container_of(e, struct forgetting, entry);
    bool goes_on = e->result == 0 && f->n == UPKEEP_FORGET_AT_ONCE;
    f->sum += e->result == 0 ? f->n : 0;
    if (goes_on && put(f->upkeep, e) == 0)
        return; /* behind whoever waits */
    if (e->result < 0)
        log_error("ca", "certificates that ended long ago can't be removed: %s", e->why);
    if (f->sum > 0)
        log_info("ca", "%llu certificates that ended long ago were removed",
                 (unsigned long long)f->sum);
    f->upkeep->forgets = false;
    free(f);
}

static int forget_old(struct upkeep *u)
{
    struct forgetting *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->upkeep = u;
    f->before_s = clock_unix_s() - u->options.keep_s;
    f->entry.work = forget;
    f->entry.written = forgotten;
    int r = put(u, &f->entry);
    u->forgets = r == 0;
    if (r < 0)
        free(f);
    return r;
}

/* ---- each minute --------------------------------------------------------- */

void upkeep_now(struct upkeep *u)
{
    int64_t now_s = clock_unix_s();
    if (!u->refreshes && root_is_due(u->options.root, now_s))
        (void)root_renew(u);
    if (!u->renews && now_s >= u->own_renew_s)
        (void)own_renew(u, false);
    if (!u->forgets)
        (void)forget_old(u);
}

static void minute(struct timer *t)
{
    struct upkeep *u = container_of(t, struct upkeep, timer);
    timer_start(ring_timers(u->options.ring), &u->timer, UPKEEP_MS);
    upkeep_now(u);
}

int upkeep_open(struct upkeep *u, const struct upkeep_options *o,
                int (*renewed)(struct upkeep *u, const struct key *key,
                               const struct x509 chain[static 2], const char **why))
{
    *u = (struct upkeep){.options = *o, .renewed = renewed};
    timer_init(&u->timer, minute);
    timer_start(ring_timers(o->ring), &u->timer, UPKEEP_MS);
    timer_init(&u->look_timer, look);
    timer_start(ring_timers(o->ring), &u->look_timer, UPKEEP_LOOK_MS);
    return own_renew(u, true);
}

void upkeep_stop(struct upkeep *u)
{
    u->stopped = true;
    timer_stop(ring_timers(u->options.ring), &u->timer);
    timer_stop(ring_timers(u->options.ring), &u->look_timer);
}
