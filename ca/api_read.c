/* Requests of the JSON API; see the header. */
#include "ca/api_read.h"

#include "shared/base/list.h"
#include "shared/http/http_path.h"
#include <errno.h>
#include <stdio.h>
#include <strings.h>

static const struct json_limits limits = {API_BODY_MAX, 32, 4};
enum { TTL_MAX_S = 10 * 365 * 86400 };

static int bad(struct api_error *e, const char *field, const char *message)
{
    snprintf(e->field, sizeof e->field, "%s", field);
    snprintf(e->message, sizeof e->message, "%s", message);
    return -EINVAL;
}

static bool is_one_of(struct text name, const char *const *names)
{
    for (; *names; names++)
        if (text_equal(name, text_of(*names)))
            return true;
    return false;
}

static int open_body(struct text body, const char *const *names, struct api_body *b,
                     struct api_error *e)
{
    struct json_error error = {0};
    *b = (struct api_body){.csr = "", .impersonate = "", .token.source = "", .revocation.reason = ""};
    int r = json_parse(body, &limits, &b->tree, &error);
    if (r < 0) {
        char message[JSON_ERROR_MAX + 32];
        snprintf(message, sizeof message, "the body is no JSON object: %.200s", error.text);
        return r == -ENOMEM ? r : bad(e, "", message);
    }
    if (!json_is(b->tree, JSON_OBJECT))
        return bad(e, "", "the body must be a JSON object");
    json_for_each(member, b->tree) {
        char name[64];
        if (is_one_of(json_name(member), names))
            continue;
        snprintf(name, sizeof name, "%.*s", (int)json_name(member).len, json_name(member).data);
        return bad(e, name, "there is no such field");
    }
    return 0;
}

/* Absent and null leave it alone. */
static int take_text(const struct json *tree, const char *name, size_t max, const char **ret,
                     struct api_error *e)
{
    struct json_error error = {0};
    struct text t = {NULL, 0};
    if (json_opt_text(tree, name, &t, &error) < 0)
        return bad(e, name, "must be a string");
    if (t.len > max)
        return bad(e, name, "is too long");
    if (t.data)
        *ret = t.data;
    return 0;
}

static int take_ttl(const struct json *tree, int64_t *ret, struct api_error *e)
{
    struct json_error error = {0};
    return json_opt_i64(tree, "ttl_seconds", 1, TTL_MAX_S, ret, &error) < 0
               ? bad(e, "ttl_seconds", "must be a whole number of seconds, from 1 to 315360000")
               : 0;
}

int api_read_issue(struct text body, struct api_body *ret, struct api_error *e)
{
    static const char *const names[] = {"csr", "identity", "ttl_seconds", NULL};
    int r = open_body(body, names, ret, e);
    if (r == 0)
        r = take_text(ret->tree, "csr", 8191, &ret->csr, e);
    if (r == 0)
        r = take_text(ret->tree, "identity", SPIFFE_ID_TEXT_MAX - 1, &ret->impersonate, e);
    if (r == 0)
        r = take_ttl(ret->tree, &ret->ttl_s, e);
    if (r == 0 && !ret->csr[0])
        r = bad(e, "csr", "must be there: a PKCS#10 request in PEM");
    return r;
}

int api_read_token(struct text body, struct api_body *ret, struct api_error *e)
{
    static const char *const names[] = {"node", "identity", "source", "ttl_seconds", NULL};
    struct change_token *t = &ret->token;
    const char *field, *why;
    int r = open_body(body, names, ret, e);
    if (r == 0)
        r = take_text(ret->tree, "node", ATTEST_NODE_MAX, &t->node, e);
    if (r == 0)
        r = take_text(ret->tree, "identity", SPIFFE_ID_TEXT_MAX - 1, &t->identity, e);
    if (r == 0)
        r = take_text(ret->tree, "source", 60, &t->source, e);
    if (r == 0)
        r = take_ttl(ret->tree, &t->ttl_s, e);
    if (r == 0 && (why = change_token_check(t, &field)))
        r = bad(e, strcmp(field, "ttl") == 0 ? "ttl_seconds" : field, why);
    return r;
}

int api_read_revocation(struct text body, struct api_body *ret, struct api_error *e)
{
    static const char *const names[] = {"identity", "serial", "reason", "lift", NULL};
    struct change_revocation *v = &ret->revocation;
    struct json_error error = {0};
    const char *field, *why;
    int r = open_body(body, names, ret, e);
    if (r == 0)
        r = take_text(ret->tree, "identity", SPIFFE_ID_TEXT_MAX - 1, &v->identity, e);
    if (r == 0)
        r = take_text(ret->tree, "serial", 40, &v->serial, e);
    if (r == 0)
        r = take_text(ret->tree, "reason", API_REASON_MAX, &v->reason, e);
    if (r == 0 && json_opt_bool(ret->tree, "lift", &v->lift, &error) < 0)
        r = bad(e, "lift", "must be true or false");
    if (r == 0 && (why = change_revocation_check(v, &field)))
        r = bad(e, field, why);
    return r;
}

void api_body_done(struct api_body *b)
{
    b->tree = json_free(b->tree);
}

static int take_parameter(struct text name, struct text value, struct api_query *q,
                          struct api_error *e)
{
    struct spiffe_id id;
    if (text_equal(name, TEXT("identity"))) {
        char plain[SPIFFE_ID_TEXT_MAX];
        if (value.len >= sizeof plain)
            return bad(e, "identity", "is too long");
        size_t n = http_query_decode(value, plain);
        if (spiffe_id_parse((struct text){plain, n}, &id) < 0)
            return bad(e, "identity", "must be spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT");
        snprintf(q->identity, sizeof q->identity, "%s", id.text);
        return 0;
    }
    if (text_equal(name, TEXT("limit")))
        return text_to_u64(value, API_ROWS_MAX, &q->rows_max) < 0 || q->rows_max == 0
                   ? bad(e, "limit", "must be a number from 1 to 1000")
                   : 0;
    return bad(e, "", "the query may have identity and limit, and nothing else");
}

int api_read_query(struct text query, struct api_query *ret, struct api_error *e)
{
    *ret = (struct api_query){.rows_max = API_ROWS};
    struct text name, value;
    int r = 0;
    while (r == 0 && http_query_next(&query, &name, &value))
        r = take_parameter(name, value, ret, e);
    return r;
}

bool api_read_bearer(struct text authorization, struct text *ret)
{
    static const char scheme[] = "Bearer ";
    enum { LEN = sizeof scheme - 1 };
    *ret = (struct text){"", 0};
    if (!authorization.data)
        return true;
    if (authorization.len <= LEN || strncasecmp(authorization.data, scheme, LEN) != 0)
        return false;
    *ret = (struct text){authorization.data + LEN, authorization.len - LEN};
    return !memchr(ret->data, ' ', ret->len);
}
