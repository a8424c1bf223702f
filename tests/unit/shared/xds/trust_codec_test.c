/* What the CA says of trust: there and back, what is found in it, and what is refused. */
#include "shared/xds/trust_codec.h"

#include "shared/mesh/spiffe_id.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>
#include <stdio.h>

#define ALICE "spiffe://cluster.local/ns/default/sa/alice"
#define BOB   "spiffe://cluster.local/ns/default/sa/bob"
#define CAROL "spiffe://cluster.local/ns/default/sa/carol"

static struct trust *again(const struct trust *t)
{
    char why[XDS_WHY_MAX] = "";
    struct xds_bytes bytes;
    struct trust *back;
    assert_int_equal(trust_encode(t, &bytes), 0);
    if (trust_decode(bytes.data, bytes.len, &back, why) < 0)
        fail_msg("%s", why);
    xds_bytes_done(&bytes);
    return back;
}

static void there_and_back(void **state)
{
    struct trust *t = trust_new(77, TEXT("PEM"), 2, 2), *back;
    (void)state;
    assert_int_equal(trust_add_identity(t, TEXT(CAROL)), 0);
    assert_int_equal(trust_add_identity(t, TEXT(ALICE)), 0);
    assert_int_equal(trust_add_serial(t, TEXT("ff01")), 0);
    assert_int_equal(trust_add_serial(t, TEXT("0a")), 0);
    assert_int_equal(trust_add_serial(t, TEXT("0A")), -EINVAL);
    assert_int_equal(trust_add_identity(t, TEXT("alice")), -EINVAL);
    trust_sort(t);
    t->incomplete = true;
    back = again(t);
    assert_int_equal(back->version, 77);
    assert_string_equal(back->roots_pem, "PEM");
    assert_true(back->incomplete);
    assert_true(trust_revokes_identity(back, ALICE) && trust_revokes_identity(back, CAROL));
    assert_false(trust_revokes_identity(back, BOB));
    assert_true(trust_revokes_serial(back, "0a") && trust_revokes_serial(back, "ff01"));
    assert_false(trust_revokes_serial(back, "ff") || trust_revokes_serial(back, ""));
    assert_true(trust_revokes(back, BOB, "0a") && trust_revokes(back, ALICE, "1"));
    assert_false(trust_revokes(back, BOB, "1"));
    assert_false(trust_revokes(NULL, ALICE, "0a"));
    trust_unref(back);
    trust_unref(t);
}

/* The most that there may be fits into a message. */
static void as_many_as_there_may_be(void **state)
{
    struct trust *t = trust_new(1, TEXT("PEM"), TRUST_IDENTITIES_MAX, TRUST_SERIALS_MAX), *back;
    char text[128];
    (void)state;
    for (int i = 0; i < TRUST_IDENTITIES_MAX; i++) {
        snprintf(text, sizeof text, "spiffe://td/ns/n/sa/account-%d", i);
        assert_int_equal(trust_add_identity(t, text_of(text)), 0);
    }
    for (int i = 0; i < TRUST_SERIALS_MAX; i++) {
        snprintf(text, sizeof text, "%040x", i);
        assert_int_equal(trust_add_serial(t, text_of(text)), 0);
    }
    assert_int_equal(trust_add_identity(t, TEXT(ALICE)), -ENOSPC);
    assert_int_equal(trust_add_serial(t, TEXT("00")), -ENOSPC);
    trust_sort(t);
    back = again(t);
    assert_int_equal(back->n_identities, TRUST_IDENTITIES_MAX);
    assert_int_equal(back->n_serials, TRUST_SERIALS_MAX);
    assert_false(back->incomplete);
    assert_true(trust_revokes_serial(back, text));
    trust_unref(back);
    trust_unref(t);
    assert_null(trust_new(1, TEXT(""), TRUST_IDENTITIES_MAX + 1, 0));
    assert_null(trust_new(1, TEXT(""), 0, TRUST_SERIALS_MAX + 1));
}

/* More than a message holds: none, and not one with less in it. */
static void nothing_is_left_out(void **state)
{
    struct trust *t = trust_new(1, TEXT("PEM"), TRUST_IDENTITIES_MAX, 0);
    struct xds_bytes bytes;
    char text[SPIFFE_ID_TEXT_MAX];
    (void)state;
    for (int i = 0; i < TRUST_IDENTITIES_MAX; i++) {
        snprintf(text, sizeof text, "spiffe://%0250d/ns/%063d/sa/%0250d", 1, 1, i);
        assert_int_equal(trust_add_identity(t, text_of(text)), 0);
    }
    trust_sort(t);
    assert_int_equal(trust_encode(t, &bytes), -E2BIG);
    trust_unref(t);
}

static void refused(const char *bytes, size_t len, const char *word)
{
    char why[XDS_WHY_MAX] = "";
    struct trust *t;
    assert_int_equal(trust_decode((const uint8_t *)bytes, len, &t, why), -EINVAL);
    if (!strstr(why, word))
        fail_msg("no '%s' in: %s", word, why);
}
#define REFUSED(bytes, word) refused(bytes, sizeof(bytes) - 1, word)

static void what_is_refused(void **state)
{
    (void)state;
    REFUSED("", "roots");
    REFUSED("\x12\x01P\x1a\x01x", "revoked_identities");
    REFUSED("\x12\x01P\x22\x01X", "revoked_serials");
    REFUSED("\x12\x01P\x22\x00", "revoked_serials");
    REFUSED("\x12\x01P\x22\x29" "00000000001111111111222222222233333333334", "revoked_serials");
    REFUSED("\x12\x05P", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back),
                                       cmocka_unit_test(as_many_as_there_may_be),
                                       cmocka_unit_test(nothing_is_left_out),
                                       cmocka_unit_test(what_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
