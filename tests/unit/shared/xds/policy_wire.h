/*
 * Policies written by hand, field by field, for the tests of their codec.
 */
#ifndef TESTS_UNIT_SHARED_XDS_POLICY_WIRE_H
#define TESTS_UNIT_SHARED_XDS_POLICY_WIRE_H
#include "shared/xds/xds.h"
#include "tests/unit/shared/mesh/nouns.h"
#include "tests/unit/shared/xds/wire_writer.h"
#include <errno.h>

static inline struct policy *decode(const uint8_t *data, size_t len)
{
    struct policy *p = NULL;
    char why[XDS_WHY_MAX] = "";

    int r = xds_policy_decode(data, len, &p, why);
    if (r < 0)
        fail_msg("%s", why);
    assert_non_null(p);
    return p;
}

static inline void refused(const struct wire_writer *w, const char *field)
{
    struct policy *p = (void *)&field;
    char why[XDS_WHY_MAX] = "";
    uint8_t *copy = exact_copy(w->data, w->len);

    assert_int_equal(xds_policy_decode(copy, w->len, &p, why), -EINVAL);
    assert_ptr_equal(p, &field);
    if (!strstr(why, field))
        fail_msg("the reason '%s' does not speak of '%s'", why, field);
    free(copy);
}

static inline void begin(struct wire_writer *w, unsigned action)
{
    *w = (struct wire_writer){.len = 0};
    field_text(w, 1, "p");
    field_text(w, 2, "ns");
    field_number(w, 3, 1); /* NAMESPACE */
    field_number(w, 4, action);
}

/* A policy of one rule with one clause with this match. */
static inline void policy_of(struct wire_writer *w, unsigned action,
                             const struct wire_writer *match)
{
    struct wire_writer clause = {0}, rule = {0};

    begin(w, action);
    field_message(&clause, 2, match);
    field_message(&rule, 1, &clause);
    field_message(w, 5, &rule);
}

static inline void string_match(struct wire_writer *match, unsigned field, unsigned kind,
                                const char *value)
{
    struct wire_writer m = {0};
    field_text(&m, kind, value);
    field_message(match, field, &m);
}

static inline struct access anybody(void)
{
    struct access a = {.destination_port = 8080};
    assert_int_equal(ip_parse(TEXT("10.0.0.1"), &a.source), 0);
    assert_int_equal(ip_parse(TEXT("10.0.0.2"), &a.destination), 0);
    return a;
}

static inline void refused_match(const struct wire_writer *match, const char *field)
{
    struct wire_writer w = {0};
    policy_of(&w, 1, match);
    refused(&w, field);
}
#endif
