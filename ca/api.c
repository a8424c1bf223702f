/* The JSON API; see the header. */
#include "ca/api.h"

#include "ca/api_answer.h"
#include "ca/api_read.h"
#include "ca/revocation_list.h"
#include "ca/row.h"
#include "ca/spiffe_bundle.h"
#include "shared/base/clock.h"
#include "shared/base/list.h"
#include "shared/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weir_version.h>

struct api_work { /* one request that the ledger's thread works on */
    struct ledger_entry entry;
    struct api *api;
    struct admin_exchange *x;
    struct api_body body;
    struct api_query query;
    enum store_list what;
    char asker[SPIFFE_ID_TEXT_MAX], serial[2 * X509_SERIAL_MAX + 1];
    int64_t now_s;
    bool allowed;
    struct text_heap text; /* of a list */
    struct revocation_list revoked;
};
struct issuing { /* one certificate, until it is written */
    struct grant_answer answer;
    struct api *api;
    struct admin_exchange *x;
};

/* False: it was answered. */
static bool begin(struct api *a, struct admin_exchange *x)
{
    char from[IP_TEXT_MAX];
    if (rate_take(&a->rate, text_of(ip_print(admin_from(x), from)), ring_now_ms(a->options.ring)))
        return true;
    api_refuse(x, 429, "", "too many requests from this address");
    return false;
}

/* ---- what everybody may see -------------------------------------------------- */

static void handle_health(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    struct api *a = arg;
    struct api_out o;
    (void)q;
    if (!begin(a, x))
        return;
    const struct root *r = a->options.root;
    bool fine = clock_unix_s() < r->intermediate.not_after_s;
    struct text domain = a->options.callers->grant->trust_domain;
    api_out_begin(&o);
    json_out_string(&o.json, "status", fine ? "ok" : "expired");
    json_out_text(&o.json, "trust_domain", domain);
    json_out_string(&o.json, "version", WEIR_VERSION);
    api_out_time(&o, "root_expires", r->root.not_after_s);
    api_out_time(&o, "intermediate_expires", r->intermediate.not_after_s);
    api_out_answer(&o, x, fine ? 200 : 503);
}

static void handle_bundle(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    struct api *a = arg;
    struct api_out o;
    (void)q;
    if (!begin(a, x))
        return;
    api_out_begin(&o);
    json_out_text(&o.json, "trust_domain", a->options.callers->grant->trust_domain);
    json_out_u64(&o.json, "version", a->options.root->version);
    json_out_string(&o.json, "roots", a->options.root->bundle_pem);
    api_out_answer(&o, x, 200);
}

static void handle_spiffe_bundle(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    struct api *a = arg;
    struct api_out o;
    (void)q;
    if (!begin(a, x))
        return;
    const struct root *r = a->options.root;
    api_out_begin(&o);
    if (spiffe_bundle_put(&o.json, r->trusted, r->n_trusted, r->version) == 0) {
        api_out_answer(&o, x, 200);
        return;
    }
    text_heap_done(&o.text);
    api_refuse(x, 503, "", "a root has a key of a kind that no bundle can tell");
}

/* ---- certificates ------------------------------------------------------------- */

static void put_certificate(struct admin_exchange *x, const struct grant_answer *g)
{
    const struct certificate_response *r = &g->response;
    struct api_out o;
    api_out_begin(&o);
    json_out_string(&o.json, "identity", g->identity);
    json_out_string(&o.json, "serial", g->issued.serial);
    api_out_time(&o, "expires", g->issued.not_after_s);
    json_out_array(&o.json, "chain");
    for (size_t i = 0; i + 1 < r->n; i++)
        json_out_string(&o.json, NULL, r->pems[i]);
    json_out_end(&o.json);
    json_out_string(&o.json, "roots", r->pems[r->n - 1]);
    api_out_answer(&o, x, 200);
}

static void issuing_done(struct issuing *i)
{
    struct callers *c = i->api->options.callers;
    struct grant_answer *g = &i->answer;
    grant_settle(g);
    callers_log(g);
    if (g->status == GRPC_OK) {
        c->issued++;
        put_certificate(i->x, g);
        certificate_response_done(&g->response);
    } else {
        c->refused[g->status]++;
        api_refuse_grant(i->x, g->status, g->message);
    }
    free(i);
}

static void issuing_written(struct ledger_entry *e)
{
    issuing_done(container_of(container_of(e, struct grant_answer, entry), struct issuing, answer));
}

static void decide(struct api *a, struct admin_exchange *x, const struct api_body *b,
                   struct text bearer)
{
    struct callers *c = a->options.callers;
    const struct certificate_request request = {(char *)b->csr, (char *)b->impersonate, b->ttl_s};
    struct issuing *i = calloc(1, sizeof *i);
    struct xds_bytes bytes = {0};
    if (!i || certificate_request_encode(&request, &bytes) < 0) {
        free(i);
        api_refuse(x, 503, "", "the CA is out of memory");
        return;
    }
    i->api = a;
    i->x = x;
    const struct grant_ask ask = {
        .bearer = bearer,
        .peer = admin_peer(x),
        .from = admin_from(x),
        .request = bytes.data,
        .len = bytes.len,
        .placement_known = c->events->placement_known(c),
        .now_s = clock_unix_s(),
        .now_ms = ring_now_ms(a->options.ring),
    };
    grant_decide(c->grant, &ask, &i->answer);
    xds_bytes_done(&bytes);
    i->answer.entry.written = issuing_written;
    if (!callers_audit(c, &i->answer)) {
        issuing_done(i);
    } else if (ledger_put(c->ledger, &i->answer.entry) < 0) {
        i->answer.entry.result = -EAGAIN;
        snprintf(i->answer.entry.why, sizeof i->answer.entry.why, "the ledger is full");
        issuing_done(i);
    }
}

static void handle_issue(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    struct api *a = arg;
    struct api_body b = {.tree = NULL};
    struct api_error e;
    struct text bearer;
    if (!begin(a, x))
        return;
    int r = api_read_issue(q->body, &b, &e);
    if (!api_read_bearer(q->authorization, &bearer))
        api_refuse(x, 401, "", "Authorization must be: Bearer TOKEN");
    else if (r < 0)
        api_refuse_read(x, r, &e);
    else
        decide(a, x, &b, bearer);
    api_body_done(&b);
}

/* ---- who may administer --------------------------------------------------------- */

static bool is_admin(const struct api *a, const char *uri)
{
    for (size_t i = 0; i < a->options.admins->n; i++)
        if (strcmp(a->options.admins->items[i], uri) == 0)
            return true;
    return false;
}

/* A new piece of work for an administrator; NULL: it was answered. */
static struct api_work *work_new(struct api *a, struct admin_exchange *x)
{
    const struct tls_peer *peer = admin_peer(x);
    if (!begin(a, x))
        return NULL;
    if (!peer || !peer->present) {
        api_refuse(x, 401, "", "this needs a certificate of this CA, shown in TLS");
        return NULL;
    }
    if (!is_admin(a, peer->uri) || clock_unix_s() >= peer->not_after_s) {
        log_warn("api", "refused: identity=%s reason=it may not administer", peer->uri);
        api_refuse(x, 403, "", "this identity may not administer the CA");
        return NULL;
    }
    struct api_work *w = calloc(1, sizeof *w);
    if (!w) {
        api_refuse(x, 503, "", "the CA is out of memory");
        return NULL;
    }
    w->api = a;
    w->x = x;
    w->now_s = clock_unix_s();
    snprintf(w->asker, sizeof w->asker, "%s", peer->uri);
    snprintf(w->serial, sizeof w->serial, "%s", peer->serial);
    return w;
}

/* On the ledger's thread: its certificate is one of ours, and neither it nor its holder is revoked. */
static int may(struct store *s, struct api_work *w)
{
    struct issued_found f;
    bool serial = true, identity = true;
    int r = store_get_issued(s, w->serial, &f);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    bool same = strcmp(f.identity, w->asker) == 0;
    issued_found_done(&f);
    r = store_is_revoked(s, REVOKED_SERIAL, w->serial, &serial);
    if (r == 0)
        r = store_is_revoked(s, REVOKED_IDENTITY, w->asker, &identity);
    w->allowed = r == 0 && same && !serial && !identity;
    return r;
}

static void work_free(struct api_work *w)
{
    key_wipe(w->body.token.text, sizeof w->body.token.text);
    api_body_done(&w->body);
    text_heap_done(&w->text);
    free(w);
}

static void work_put(struct api_work *w, void (*work)(struct store *s, struct ledger_entry *e),
                     void (*written)(struct ledger_entry *e))
{
    w->entry.work = work;
    w->entry.written = written;
    if (ledger_put(w->api->options.callers->ledger, &w->entry) == 0)
        return;
    api_refuse(w->x, 503, "", "the CA has too much to write");
    work_free(w);
}

static struct api_work *work_of(struct ledger_entry *e)
{
    return container_of(e, struct api_work, entry);
}

/* Answers what went wrong, if something did. */
static bool failed(struct api_work *w, const char *not_there)
{
    int r = w->entry.result;
    if (r == 0 && !w->allowed) {
        log_warn("api", "refused: identity=%s reason=its certificate is revoked or unknown", w->asker);
        api_refuse(w->x, 403, "", "this certificate is revoked, or not one of this CA's");
    } else if (r == -ENOENT && not_there) {
        api_refuse(w->x, 404, "", not_there);
    } else if (r == -EEXIST) {
        api_refuse(w->x, 409, "", "it is revoked already");
    } else if (r < 0) {
        log_warn("api", "asker=%s: the state: %s", w->asker, w->entry.why);
        api_refuse(w->x, 503, "", "the CA can't write now");
    }
    return r < 0 || !w->allowed;
}

static void work_result(struct store *s, struct api_work *w, int r)
{
    w->entry.result = r;
    if (r < 0)
        snprintf(w->entry.why, sizeof w->entry.why, "%s", store_why(s));
}

static struct change_by by_whom(const struct api_work *w)
{
    return (struct change_by){w->asker, PROOF_CERTIFICATE, w->now_s};
}

/* ---- tokens ---------------------------------------------------------------------- */

static void token_work(struct store *s, struct ledger_entry *e)
{
    struct api_work *w = work_of(e);
    const struct change_by by = by_whom(w);
    int r = may(s, w);
    work_result(s, w, r == 0 && w->allowed ? change_token(s, &w->body.token, &by) : r);
}

static void token_written(struct ledger_entry *e)
{
    struct api_work *w = work_of(e);
    struct api_out o;
    if (!failed(w, NULL)) {
        log_info("api", "asker=%s made a token of=%s", w->asker,
                 w->body.token.node ? w->body.token.node : w->body.token.identity);
        api_out_begin(&o);
        json_out_string(&o.json, "token", w->body.token.text);
        api_out_answer(&o, w->x, 201);
    }
    work_free(w);
}

static void handle_token(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    struct api_work *w = work_new(arg, x);
    struct api_error e;
    int r = w ? api_read_token(q->body, &w->body, &e) : 0;
    if (w && r == 0) {
        work_put(w, token_work, token_written);
    } else if (w) {
        api_refuse_read(x, r, &e);
        work_free(w);
    }
}

/* ---- revocations ------------------------------------------------------------------ */

static void revoke_work(struct store *s, struct ledger_entry *e)
{
    struct api_work *w = work_of(e);
    const struct change_by by = by_whom(w);
    int r = may(s, w);
    work_result(s, w, r == 0 && w->allowed ? change_revocation(s, &w->body.revocation, &by) : r);
}

static void revoke_written(struct ledger_entry *e)
{
    struct api_work *w = work_of(e);
    const struct change_revocation *v = &w->body.revocation;
    struct api_out o;
    if (!failed(w, v->lift ? "the identity is not revoked" : "no such certificate was issued")) {
        log_info("api", "asker=%s %s %s", w->asker, v->lift ? "lifted" : "revoked",
                 v->identity ? v->identity : v->serial);
        api_out_begin(&o);
        json_out_string(&o.json, v->lift ? "lifted" : "revoked",
                        v->identity ? v->identity : v->serial);
        api_out_answer(&o, w->x, 200);
    }
    work_free(w);
}

static void handle_revoke(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    struct api_work *w = work_new(arg, x);
    struct api_error e;
    int r = w ? api_read_revocation(q->body, &w->body, &e) : 0;
    if (w && r == 0) {
        work_put(w, revoke_work, revoke_written);
    } else if (w) {
        api_refuse_read(x, r, &e);
        work_free(w);
    }
}

/* ---- lists ------------------------------------------------------------------------ */

enum { LIST_BYTES_MAX = 4 * 1024 * 1024 };
struct listing {
    struct json_out json;
};

static void put_row(const struct store_row *row, void *arg)
{
    struct listing *l = arg;
    row_put_json(&l->json, row);
}

static void list_work(struct store *s, struct ledger_entry *e)
{
    struct api_work *w = work_of(e);
    struct listing l;
    int r = may(s, w);
    if (r == 0 && w->allowed) {
        text_heap_init(&w->text, LIST_BYTES_MAX);
        json_out_init(&l.json, &w->text, false);
        json_out_object(&l.json, NULL);
        json_out_array(&l.json, "rows");
        r = store_list(s, w->what, w->query.identity, w->query.rows_max, w->now_s, put_row, &l);
        json_out_end(&l.json);
        json_out_end(&l.json);
    }
    work_result(s, w, r);
}

static void list_written(struct ledger_entry *e)
{
    struct api_work *w = work_of(e);
    if (!failed(w, NULL)) {
        if (w->text.failed)
            api_refuse(w->x, 503, "limit", "the list is too long: ask for less");
        else
            admin_answer(w->x, 200, "application/json", (struct text){w->text.data, w->text.len});
    }
    work_free(w);
}

static void list(struct admin_exchange *x, const struct http1_request *q, struct api *a,
                 enum store_list what)
{
    struct api_work *w = work_new(a, x);
    struct api_error e;
    int r = w ? api_read_query(q->query, &w->query, &e) : 0;
    if (w && r == 0) {
        w->what = what;
        work_put(w, list_work, list_written);
    } else if (w) {
        api_refuse_read(x, r, &e);
        work_free(w);
    }
}

static void handle_certificates(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    list(x, q, arg, STORE_CERTIFICATES);
}
static void handle_tokens(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    list(x, q, arg, STORE_TOKENS);
}
static void handle_revocations(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    list(x, q, arg, STORE_REVOCATIONS);
}
static void handle_audit(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    list(x, q, arg, STORE_AUDIT);
}

/* ---- the revocation list, which is for everybody ------------------------------------- */

static void crl_work(struct store *s, struct ledger_entry *e)
{
    struct api_work *w = work_of(e);
    work_result(s, w, revocation_list_read(s, w->now_s, &w->revoked));
}

static void crl_written(struct ledger_entry *e)
{
    struct api_work *w = work_of(e);
    const char *why = "the CA can't read its state now";
    uint8_t *der = NULL;
    size_t len = 0;
    int r = e->result;
    if (r == 0)
        r = revocation_list_sign(&w->revoked, w->api->options.root, w->now_s, &der, &len, &why);
    else if (r == -E2BIG)
        why = "more is revoked than a list can hold";
    if (r < 0) {
        log_warn("api", "no revocation list: %s %s", why, e->why);
        api_refuse(w->x, 503, "", why);
    } else
        admin_answer(w->x, 200, "application/pkix-crl", (struct text){(const char *)der, len});
    free(der);
    revocation_list_done(&w->revoked);
    work_free(w);
}

static void handle_crl(struct admin_exchange *x, const struct http1_request *q, void *arg)
{
    struct api *a = arg;
    (void)q;
    if (!begin(a, x))
        return;
    struct api_work *w = calloc(1, sizeof *w);
    if (!w) {
        api_refuse(x, 503, "", "the CA is out of memory");
        return;
    }
    w->api = a;
    w->x = x;
    w->now_s = clock_unix_s();
    work_put(w, crl_work, crl_written);
}

/* ---- beginning and end -------------------------------------------------------------- */

int api_open(struct api *a, const struct api_options *o)
{
    const struct admin_route routes[API_ROUTES] = {
        {"GET", "/v1/health", handle_health, a},
        {"GET", "/v1/bundle", handle_bundle, a},
        {"GET", "/v1/spiffe-bundle", handle_spiffe_bundle, a},
        {"GET", "/v1/crl", handle_crl, a},
        {"POST", "/v1/certificates", handle_issue, a},
        {"GET", "/v1/certificates", handle_certificates, a},
        {"POST", "/v1/tokens", handle_token, a},
        {"GET", "/v1/tokens", handle_tokens, a},
        {"POST", "/v1/revocations", handle_revoke, a},
        {"GET", "/v1/revocations", handle_revocations, a},
        {"GET", "/v1/audit", handle_audit, a},
    };
    struct addr at;
    char text[ADDR_TEXT_MAX];
    *a = (struct api){.options = *o};
    memcpy(a->routes, routes, sizeof routes);
    rate_init(&a->rate);
    int r = admin_new(&a->server, o->ring, a->routes, API_ROUTES);
    if (r == 0)
        r = admin_listen_tls(a->server, &o->listen, (UINT64_C(1) << API_ROUTES) - 1);
    if (r == 0 && admin_local(a->server, 0, &at) == 0)
        log_info("api", "listening on %s", addr_print(&at, text));
    return r;
}

void api_set_tls(struct api *a, struct tls_config *server)
{
    if (a->server)
        admin_set_tls(a->server, server);
}

void api_close(struct api *a, void (*closed)(void *arg), void *arg)
{
    admin_close(a->server, closed, arg);
}

void api_done(struct api *a)
{
    rate_done(&a->rate);
}
