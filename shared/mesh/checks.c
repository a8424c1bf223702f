#include "shared/mesh/checks.h"

#include "shared/http/http_grammar.h"
#include "shared/mesh/route.h"

#include <errno.h>

int check_fraction(const struct checker *c, const struct place *at, struct fraction f)
{
    if (f.denominator != 100 && f.denominator != 10000 && f.denominator != 1000000)
        return place_refuse(AT(at, "denominator"), c->why,
                            "is %u; 100, 10,000 or 1,000,000 would be right", f.denominator);
    return 0;
}

int check_regex(const struct checker *c, const struct place *at, struct text source,
                const struct regex **ret)
{
    char why[WHY_MAX];
    int e = kept_regex_add(c->regexes, c->arena, source, c->n_regexes_max, ret, why);

    if (e == -EINVAL)
        return place_refuse(at, c->why, "%s", why);
    return e < 0 ? place_no_memory(c->why) : 0;
}

int check_text_match(const struct checker *c, const struct place *at, struct text_match *m)
{
    if (m->kind == TEXT_REGEX)
        return check_regex(c, AT(at, "safe_regex.regex"), m->value, &m->regex);
    if (m->value.len == 0 && m->kind != TEXT_EXACT)
        return place_refuse(at, c->why, "has an empty %s",
                            m->kind == TEXT_PREFIX   ? "prefix"
                            : m->kind == TEXT_SUFFIX ? "suffix"
                                                     : "contains");
    return 0;
}

static bool is_lower_token(struct text name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] >= 'A' && name.data[i] <= 'Z')
            return false;
    }
    return http_is_token(name);
}

int check_header_match(const struct checker *c, const struct place *at, struct header_match *m)
{
    struct text name = m->name;

    if (name.len == 0)
        return place_refuse(AT(at, "name"), c->why, "is empty");
    if (!is_lower_token(name) && !text_equal(name, TEXT(":path")) &&
        !text_equal(name, TEXT(":method")) && !text_equal(name, TEXT(":authority")) &&
        !text_equal(name, TEXT(":scheme")))
        return place_refuse(AT(at, "name"), c->why, "is no field name: %.*s",
                            (int)(name.len < 64 ? name.len : 64), name.data);
    if (m->kind == HEADER_TEXT)
        return check_text_match(c, AT(at, "string_match"), &m->text);
    if (m->kind == HEADER_RANGE && m->range_start >= m->range_end)
        return place_refuse(AT(at, "range_match"), c->why, "is empty");
    return 0;
}

int check_headers(const struct checker *c, const struct place *in, const char *name,
                  struct header_match *headers, size_t n)
{
    int e = place_count(AT(in, name), n, ROUTE_MATCHES_MAX, c->why);

    for (size_t i = 0; e == 0 && i < n; i++)
        e = check_header_match(c, AT_I(in, name, i), &headers[i]);
    return e;
}

int check_labels(const struct checker *c, const struct place *at, const struct label *labels,
                 size_t n)
{
    int e = place_count(at, n, ROUTE_MATCHES_MAX, c->why);

    for (size_t i = 0; e == 0 && i < n; i++) {
        if (labels[i].name.len == 0)
            e = place_refuse(at, c->why, "has an empty name");
    }
    return e;
}

int check_retry(const struct checker *c, const struct place *at, const struct retry_policy *p)
{
    int e;

    if (p->retries_max > RETRIES_MAX)
        return place_refuse(AT(at, "num_retries"), c->why, "is %u, at most %d may be",
                            p->retries_max, RETRIES_MAX);
    if (p->backoff_base_ms > 0 && p->backoff_max_ms > 0 && p->backoff_max_ms < p->backoff_base_ms)
        return place_refuse(AT(at, "retry_back_off.max_interval"), c->why,
                            "is less than base_interval");
    e = place_count(AT(at, "retriable_status_codes"), p->n_status_codes, ROUTE_MATCHES_MAX, c->why);
    for (size_t i = 0; e == 0 && i < p->n_status_codes; i++) {
        if (p->status_codes[i] < 100 || p->status_codes[i] > 599)
            e = place_refuse(AT_I(at, "retriable_status_codes", i), c->why,
                             "is no status of HTTP: %u", p->status_codes[i]);
    }
    if (e == 0)
        e = check_headers(c, at, "retriable_headers", p->headers, p->n_headers);
    if (e == 0)
        e = check_headers(c, at, "retriable_request_headers", p->request_headers,
                          p->n_request_headers);
    return e;
}

/* ---- Edits. */

static int check_name(const struct checker *c, const struct place *at, struct text name)
{
    if (!is_lower_token(name) || !header_may_be_edited(name))
        return place_refuse(at, c->why, "is no field that can be changed: %.*s",
                            (int)(name.len < 64 ? name.len : 64), name.data);
    return 0;
}

static int check_one_side(const struct checker *c, const struct place *at, const char *to_add,
                          const char *to_remove, const struct header_edits *edits)
{
    int e = place_count(AT(at, to_add), edits->n_put, ROUTE_MATCHES_MAX, c->why);

    if (e == 0)
        e = place_count(AT(at, to_remove), edits->n_remove, ROUTE_MATCHES_MAX, c->why);
    for (size_t i = 0; e == 0 && i < edits->n_put; i++) {
        const struct place *header = AT(AT_I(at, to_add, i), "header");
        e = check_name(c, AT(header, "key"), edits->put[i].name);
        if (e == 0 && !http_is_field_value(edits->put[i].value))
            e = place_refuse(AT(header, "value"), c->why, "can't stand in a header");
    }
    for (size_t i = 0; e == 0 && i < edits->n_remove; i++)
        e = check_name(c, AT_I(at, to_remove, i), edits->remove[i]);
    return e;
}

int check_edits(const struct checker *c, const struct place *at, const struct message_edits *edits)
{
    int e = check_one_side(c, at, "request_headers_to_add", "request_headers_to_remove",
                           &edits->request);
    if (e == 0)
        e = check_one_side(c, at, "response_headers_to_add", "response_headers_to_remove",
                           &edits->response);
    return e;
}
