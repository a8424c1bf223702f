/* Service accounts' tokens and the API server; see the header. */
#include "ca/reviews.h"

#include "ca/account_token.h"
#include "shared/base/clock.h"
#include "shared/json/json.h"
#include "shared/kube/kube_api.h"
#include "shared/tls/digest.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUESTIONS_MAX = 64, ASKERS_MAX = 1024, KNOWN_MAX = 20000, STRANGERS_MAX = 4096 };
enum { REFUSED_MS = 10000, QUESTION_MS = 10000, TRIES_MAX = 20, TRY_AGAIN_MS = 1000 };
enum { NAMESPACE_MAX = 63, UID_MAX = 127, PATH_BYTES = 1024 };

#define NOT_ACCEPTED "the token is not accepted"
#define NOT_NOW      "the API server can't tell now whose token it is; try again"

struct known {
    struct review_answer answer;
    uint64_t until_ms;
    int64_t expires_s; /* of the token, by the wall clock */
};
struct stranger {
    uint64_t tries_milli, filled_ms;
};
struct question { /* one token; freed when it is answered */
    struct reviews *reviews;
    struct kube_request request;
    struct timer deadline;
    struct list askers;
    uint8_t digest[DIGEST_BYTES];
    struct ip from;
    int64_t expires_s;
    struct attested who;
    char ns[NAMESPACE_MAX + 1], account[ATTEST_NODE_MAX + 1], pod[ATTEST_NODE_MAX + 1],
        pod_uid[UID_MAX + 1];
};

static struct text digest_text(const uint8_t digest[static DIGEST_BYTES])
{
    return (struct text){(const char *)digest, DIGEST_BYTES};
}

static void refuse(struct review_answer *a, enum grpc_status status, const char *message,
                   const char *why)
{
    *a = (struct review_answer){.status = status, .message = message};
    snprintf(a->why, sizeof a->why, "%s", why);
}

/* ---- who asks in vain ------------------------------------------------------------------------ */

static void fill(struct stranger *s, uint64_t now_ms)
{
    uint64_t gained = (now_ms - s->filled_ms) * 1000 / TRY_AGAIN_MS;
    s->tries_milli =
        s->tries_milli + gained > TRIES_MAX * 1000 ? TRIES_MAX * 1000 : s->tries_milli + gained;
    s->filled_ms = now_ms;
}

/* Takes out what is of no use any more. A new table, since none may change while it is walked. */
static void sweep(struct map *m, bool (*useless)(void *value, uint64_t now_ms), uint64_t now_ms)
{
    struct map kept;
    const struct map_entry *e;
    map_init(&kept, m->entries_max);
    for (size_t i = 0; (e = map_next(m, &i));) {
        if (!useless(e->value, now_ms) &&
            map_put(&kept, (struct text){e->key, e->key_len}, e->value, NULL) < 0) {
            map_done(&kept, NULL);
            return;
        }
    }
    for (size_t i = 0; (e = map_next(m, &i));)
        if (useless(e->value, now_ms))
            free(e->value);
    map_done(m, NULL);
    *m = kept;
}

/* Those that may try as often as anybody need not be remembered. */
static bool is_nobody(void *value, uint64_t now_ms)
{
    struct stranger *s = value;
    fill(s, now_ms);
    return s->tries_milli >= TRIES_MAX * 1000;
}

static bool is_old(void *value, uint64_t now_ms)
{
    return now_ms >= ((struct known *)value)->until_ms;
}

static struct text ip_key(const struct ip *ip)
{
    return (struct text){(const char *)ip->bytes, ip->len};
}

static bool may_try(struct reviews *s, const struct ip *from)
{
    uint64_t now_ms = ring_now_ms(s->ring);
    struct stranger *one = map_get(&s->strangers, ip_key(from));
    if (!one) {
        if (s->strangers.count >= STRANGERS_MAX)
            sweep(&s->strangers, is_nobody, now_ms);
        one = malloc(sizeof *one);
        if (!one)
            return false;
        *one = (struct stranger){TRIES_MAX * 1000, now_ms};
        if (map_put(&s->strangers, ip_key(from), one, NULL) < 0) {
            free(one);
            return false;
        }
    }
    fill(one, now_ms);
    if (one->tries_milli < 1000)
        return false;
    one->tries_milli -= 1000;
    return true;
}

/* It was not in vain. */
static void give_back(struct reviews *s, const struct ip *from)
{
    struct stranger *one = map_get(&s->strangers, ip_key(from));
    if (one)
        one->tries_milli += 1000;
}

/* ---- what is known --------------------------------------------------------------------------- */

static void keep(struct reviews *s, const struct question *q, const struct review_answer *a,
                 uint64_t for_ms)
{
    uint64_t now_ms = ring_now_ms(s->ring);
    void *old = NULL;
    if (s->known.count >= KNOWN_MAX)
        sweep(&s->known, is_old, now_ms);
    struct known *k = malloc(sizeof *k);
    if (!k)
        return; /* it will be asked again */
    *k = (struct known){*a, now_ms + for_ms, q->expires_s};
    if (map_put(&s->known, digest_text(q->digest), k, &old) < 0)
        old = k;
    free(old);
}

static bool is_known(struct reviews *s, const uint8_t digest[static DIGEST_BYTES],
                     struct review_answer *ret)
{
    struct known *k = map_get(&s->known, digest_text(digest));
    if (!k)
        return false;
    if (ring_now_ms(s->ring) < k->until_ms && clock_unix_s() < k->expires_s) {
        *ret = k->answer;
        return true;
    }
    free(map_remove(&s->known, digest_text(digest)));
    return false;
}

/* ---- one question ---------------------------------------------------------------------------- */

/* Those who wait are told; some of them may be taken away meanwhile. */
static void question_over(struct question *q, const struct review_answer *a)
{
    struct reviews *s = q->reviews;
    struct list *n;
    timer_stop(ring_timers(s->ring), &q->deadline);
    kube_cancel(&q->request);
    map_remove(&s->questions, digest_text(q->digest));
    while ((n = list_pop_front(&q->askers))) {
        struct review *r = container_of(n, struct review, link);
        r->reviews = NULL;
        s->n_waiting--;
        r->done(r, a);
    }
    free(q);
}

static void admit(struct question *q)
{
    struct review_answer a = {.status = GRPC_OK, .message = "", .who = q->who};
    q->reviews->accepted++;
    give_back(q->reviews, &q->from);
    keep(q->reviews, q, &a, q->reviews->options.cache_ms);
    question_over(q, &a);
}

static void reject(struct question *q, const char *why)
{
    struct review_answer a;
    refuse(&a, GRPC_UNAUTHENTICATED, NOT_ACCEPTED, why);
    q->reviews->refused++;
    keep(q->reviews, q, &a, REFUSED_MS);
    question_over(q, &a);
}

static void not_now(struct question *q, const char *why)
{
    struct review_answer a;
    refuse(&a, GRPC_UNAVAILABLE, NOT_NOW, why);
    q->reviews->failed++;
    give_back(q->reviews, &q->from);
    question_over(q, &a);
}

static void too_late(struct timer *t)
{
    not_now(container_of(t, struct question, deadline), "the API server does not answer");
}

/* An answer that is none: what the API server says of it, for the log. */
static void not_answered(struct question *q, const char *what)
{
    const struct kube_request *request = &q->request;
    char why[REVIEW_WHY_MAX];
    struct json_error e;
    struct json *status = NULL;
    if (request->error < 0)
        snprintf(why, sizeof why, "%s: %s", what, request->why);
    else {
        (void)json_parse(request->answer, NULL, &status, &e);
        snprintf(why, sizeof why, "%s: the API server answered %u: %.120s%s", what, request->status,
                 status ? json_text(json_member(status, TEXT("message"))).data : "",
                 request->status == 403 ? " (its ClusterRole must allow it)" : "");
        json_free(status);
    }
    not_now(q, why);
}

static bool copy(struct text from, char *out, size_t size)
{
    return from.len > 0 && from.len < size &&
           snprintf(out, size, "%.*s", (int)from.len, from.data) == (int)from.len;
}

static bool is_listed(const struct arg_list *list, const char *ns, const char *account)
{
    char name[NAMESPACE_MAX + ATTEST_NODE_MAX + 2];
    snprintf(name, sizeof name, "%s/%s", ns, account);
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i], name) == 0)
            return true;
    return false;
}

static void pod_answered(struct kube_request *request)
{
    struct question *q = container_of(request, struct question, request);
    struct json_error e = {0};
    struct json *pod = NULL;
    if (request->error == 0 && request->status == 404) {
        reject(q, "the token's pod is gone");
        return;
    }
    if (request->error < 0 || request->status != 200) {
        not_answered(q, "looking at the token's pod");
        return;
    }
    if (json_parse(request->answer, NULL, &pod, &e) < 0) {
        not_now(q, "the API server's pod can't be read");
        return;
    }
    bool same =
        text_equal(json_text(json_get(pod, "metadata.uid")), text_of(q->pod_uid)) &&
        text_equal(json_text(json_get(pod, "spec.serviceAccountName")), text_of(q->account));
    bool placed = copy(json_text(json_get(pod, "spec.nodeName")), q->who.name, sizeof q->who.name);
    json_free(pod);
    if (same && placed)
        admit(q);
    else
        reject(q, same ? "the token's pod is on no node" : "the token's pod is another one by now");
}

/* The names are a Kubernetes API server's; what would change a path is nobody's name. */
static bool is_name(const char *name)
{
    for (; *name; name++)
        if (!(*name >= 'a' && *name <= 'z') && !(*name >= '0' && *name <= '9') && *name != '-' &&
            *name != '.')
            return false;
    return true;
}

static void ask_pod(struct question *q)
{
    char path[PATH_BYTES];
    struct reviews *s = q->reviews;
    snprintf(path, sizeof path, "/api/v1/namespaces/%s/pods/%s", q->ns, q->pod);
    q->request.done = pod_answered;
    if (kube_get(s->client, &q->request, path) < 0)
        not_now(q, "out of memory");
}

/* The review says that the token is genuine, for us, and an account's: now whether it is one that
 * we serve, and where it lives. */
static void account_known(struct question *q, const struct kube_token *t)
{
    const struct reviews_options *o = &q->reviews->options;
    char why[REVIEW_WHY_MAX];
    bool proxy = is_listed(o->proxies, q->ns, q->account);
    if (!proxy && !is_listed(o->controls, q->ns, q->account)) {
        snprintf(why, sizeof why,
                 "the service account %.63s/%.100s is in neither --proxy-account nor "
                 "--control-account",
                 q->ns, q->account);
        reject(q, why);
        return;
    }
    if (!copy(t->pod, q->pod, sizeof q->pod) || !copy(t->pod_uid, q->pod_uid, sizeof q->pod_uid) ||
        !is_name(q->ns) || !is_name(q->pod)) {
        reject(q, "the token is bound to no pod");
        return;
    }
    if (spiffe_id_make(text_of(o->trust_domain), text_of(q->ns), text_of(q->account), &q->who.id) <
        0) {
        reject(q, "the service account's name can be no SPIFFE ID");
        return;
    }
    q->who.role = proxy ? ATTEST_PROXY : ATTEST_CONTROL;
    if (!proxy) {
        snprintf(q->who.name, sizeof q->who.name, "%s/%s", q->ns, q->pod);
        admit(q);
    } else if (copy(t->node, q->who.name, ATTEST_NODE_MAX + 1))
        admit(q);
    else
        ask_pod(q);
}

static void review_answered(struct kube_request *request)
{
    struct question *q = container_of(request, struct question, request);
    struct kube_token t;
    struct json_error e = {0};
    struct json *review = NULL;
    if (request->error < 0 || (request->status != 200 && request->status != 201)) {
        not_answered(q, "reviewing a token");
        return;
    }
    int r = json_parse(request->answer, NULL, &review, &e);
    if (r == 0)
        r = kube_token_read(review, q->reviews->options.audience, &t);
    bool named = r == 0 && copy(t.ns, q->ns, sizeof q->ns) &&
                 copy(t.account, q->account, sizeof q->account);
    if (r == -EACCES)
        reject(q, "the API server does not accept the token, or not for this audience");
    else if (r < 0)
        not_now(q, "the API server's TokenReview can't be read");
    else if (!named)
        reject(q, "the service account's name is too long");
    else
        account_known(q, &t);
    json_free(review);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static struct question *question_new(struct reviews *s, const uint8_t digest[static DIGEST_BYTES],
                                     struct text token, const struct ip *from, int64_t expires_s)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->reviews = s;
    q->from = *from;
    q->expires_s = expires_s;
    memcpy(q->digest, digest, DIGEST_BYTES);
    list_init(&q->askers);
    timer_init(&q->deadline, too_late);
    q->request.done = review_answered;
    if (map_put(&s->questions, digest_text(digest), q, NULL) < 0) {
        free(q);
        return NULL;
    }
    if (kube_token_review(s->client, &q->request, token, s->options.audience) < 0) {
        map_remove(&s->questions, digest_text(digest));
        free(q);
        return NULL;
    }
    s->asked++;
    timer_start(ring_timers(s->ring), &q->deadline, QUESTION_MS);
    return q;
}

int reviews_ask(struct reviews *s, struct review *r, struct text token, const struct ip *from,
                struct review_answer *ret)
{
    uint8_t digest[DIGEST_BYTES];
    int64_t expires_s = 0;
    const char *why;
    if (digest_sha256(token, digest) < 0) {
        refuse(ret, GRPC_RESOURCE_EXHAUSTED, "the CA is out of memory", "out of memory");
        return 0;
    }
    if (is_known(s, digest, ret))
        return 0;
    int err = account_token_read(token, s->options.audience, clock_unix_s(), &expires_s, &why);
    if (err < 0) {
        refuse(ret, err == -ENOMEM ? GRPC_RESOURCE_EXHAUSTED : GRPC_UNAUTHENTICATED,
               err == -ENOMEM ? "the CA is out of memory" : NOT_ACCEPTED, why);
        return 0;
    }
    struct question *q = map_get(&s->questions, digest_text(digest));
    if (s->n_waiting >= ASKERS_MAX || (!q && s->questions.count >= QUESTIONS_MAX)) {
        refuse(ret, GRPC_UNAVAILABLE, "the CA is busy; try again", "too many tokens to review");
        return 0;
    }
    if (!q && !may_try(s, from)) {
        refuse(ret, GRPC_RESOURCE_EXHAUSTED, "too many tokens that were not accepted",
               "over its address's rate of tokens in vain");
        return 0;
    }
    if (!q && !(q = question_new(s, digest, token, from, expires_s))) {
        refuse(ret, GRPC_RESOURCE_EXHAUSTED, "the CA is out of memory", "out of memory");
        return 0;
    }
    r->reviews = s;
    s->n_waiting++;
    list_push_back(&q->askers, &r->link);
    return -EINPROGRESS;
}

void review_cancel(struct review *r)
{
    if (!r->reviews)
        return;
    r->reviews->n_waiting--;
    r->reviews = NULL;
    list_remove(&r->link);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

void reviews_open(struct reviews *s, struct ring *ring, struct kube_client *client,
                  const struct reviews_options *o)
{
    *s = (struct reviews){.ring = ring, .client = client, .options = *o};
    map_init(&s->known, KNOWN_MAX);
    map_init(&s->questions, QUESTIONS_MAX);
    map_init(&s->strangers, STRANGERS_MAX);
}

void reviews_close(struct reviews *s)
{
    const struct map_entry *e;
    for (size_t i = 0; (e = map_next(&s->questions, &i));) {
        struct question *q = e->value;
        timer_stop(ring_timers(s->ring), &q->deadline);
        kube_cancel(&q->request);
    }
    map_done(&s->questions, free);
    map_done(&s->known, free);
    map_done(&s->strangers, free);
}
