/*
 * Lists as openssl reads them: who is in it and who isn't, numbers and dates
 * to the byte, the largest one, and what no list is made of.
 */
#include "tests/unit/shared/tls/tls_fixture.h"

#include "shared/tls/crl.h"
#include "tests/unit/shared/base/failing_alloc.h"

static struct party root, middle;
static char folder[64], out[65536];
static struct crl_entry entries[CRL_ENTRIES_MAX + 1];

static int set_up(void **state)
{
    (void)state;
    folder_make(folder);
    root = root_make("root");
    middle = intermediate_make("middle", &root);
    cert_write(folder, "root.pem", &root.cert);
    cert_write(folder, "middle.pem", &middle.cert);
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    party_done(&middle);
    party_done(&root);
    folder_remove(folder);
    return 0;
}

static struct crl_template template_of(size_t n)
{
    int64_t now = clock_unix_s();
    return (struct crl_template){.entries = entries,
                                 .n = n,
                                 .number = {0x01, 0x80},
                                 .number_len = 2,
                                 .this_update_s = now - 60,
                                 .next_update_s = now + HOUR_S};
}

static struct crl_entry entry_of(const struct x509 *c)
{
    struct crl_entry e = {.serial_len = c->serial_len, .revoked_s = clock_unix_s() - 120};
    memcpy(e.serial, c->serial, c->serial_len);
    return e;
}

static void list_write(const char *name, const struct crl_template *t, const struct party *by)
{
    uint8_t *der;
    char *pem;
    size_t len;
    const char *why;
    if (crl_make(t, &by->cert, by->key, &der, &len, &why) < 0)
        fail_msg("%s", why);
    file_write(folder, "list.der", (const char *)der, len);
    assert_int_equal(crl_to_pem(der, len, &pem, &len), 0);
    assert_int_equal(strlen(pem), len);
    file_write(folder, name, pem, len);
    free(pem);
    free(der);
}

static void refused(const struct crl_template *t, const struct party *by, const struct key *key,
                    int error, const char *word)
{
    uint8_t *der;
    size_t len;
    const char *why = "";
    assert_int_equal(crl_make(t, &by->cert, key, &der, &len, &why), error);
    if (!strstr(why, word))
        fail_msg("no '%s' in: %s", word, why);
}

static void says(const char *what)
{
    if (!strstr(out, what))
        fail_msg("openssl does not say \"%s\" but:\n%s", what, out);
}

static int check_leaf(const char *leaf)
{
    return OPENSSL(folder, out, "verify", "-x509_strict", "-crl_check", "-CAfile", "root.pem",
                   "-untrusted", "middle.pem", "-CRLfile", "list.pem", leaf);
}

static void who_is_in_it_is_refused(void **state)
{
    (void)state;
    struct party good = leaf_make(ALICE, &middle), bad = leaf_make(BOB, &middle);
    cert_write(folder, "good.pem", &good.cert);
    cert_write(folder, "bad.pem", &bad.cert);
    entries[0] = entry_of(&bad.cert);
    struct crl_template t = template_of(0);
    list_write("list.pem", &t, &middle);
    assert_int_equal(check_leaf("good.pem"), 0);
    assert_int_equal(check_leaf("bad.pem"), 0);
    t.n = 1;
    list_write("list.pem", &t, &middle);
    assert_int_equal(check_leaf("good.pem"), 0);
    assert_int_not_equal(check_leaf("bad.pem"), 0);
    says("certificate revoked");
    assert_int_equal(OPENSSL(folder, out, "crl", "-in", "list.pem", "-verify", "-CAfile",
                             "middle.pem", "-noout"),
                     0);
    says("verify OK");
    /* openssl's exit code does not tell. */
    (void)OPENSSL(folder, out, "crl", "-in", "list.pem", "-verify", "-CAfile", "root.pem",
                  "-noout");
    assert_null(strstr(out, "verify OK"));
    /* One that is over counts no more. */
    t.this_update_s -= DAY_S;
    t.next_update_s -= DAY_S;
    list_write("list.pem", &t, &middle);
    assert_int_not_equal(check_leaf("good.pem"), 0);
    says("CRL has expired");
    party_done(&good);
    party_done(&bad);
}

static void each_field_is_as_it_was_said(void **state)
{
    (void)state;
    entries[0] = (struct crl_entry){{0x00, 0x00, 0x7f}, 3, 951782400};
    entries[1] = (struct crl_entry){{0xff, 0x01}, 2, 2524608000};
    struct crl_template t = template_of(2);
    t.this_update_s = 1795373100;
    t.next_update_s = 2524608000; /* the first that is no UTCTime */
    list_write("list.pem", &t, &middle);
    assert_int_equal(OPENSSL(folder, out, "crl", "-in", "list.pem", "-noout", "-text"), 0);
    says("Version 2 (0x1)");
    says("Signature Algorithm: ecdsa-with-SHA256");
    says("Issuer: O = Weir, CN = middle\n");
    says("Last Update: Nov 22 18:45:00 2026 GMT\n");
    says("Next Update: Jan  1 00:00:00 2050 GMT\n");
    says("X509v3 Authority Key Identifier");
    says("X509v3 CRL Number: \n                384\n");
    says("Serial Number: 7F\n        Revocation Date: Feb 29 00:00:00 2000 GMT\n"
         "    Serial Number: FF01\n        Revocation Date: Jan  1 00:00:00 2050 GMT\n");
    assert_null(strstr(out, "CRL entry extensions"));
    assert_null(strstr(out, "critical"));
    t.n = 0;
    list_write("list.pem", &t, &middle);
    assert_int_equal(OPENSSL(folder, out, "crl", "-in", "list.pem", "-noout", "-text"), 0);
    says("No Revoked Certificates");
    /* openssl reads an empty sequence as well, which 5.1.2.6 forbids. */
    uint8_t *bytes, tag;
    size_t len;
    const char *why;
    struct der in, list, tbs, part, whole;
    assert_int_equal(crl_make(&t, &middle.cert, middle.key, &bytes, &len, &why), 0);
    in = (struct der){bytes, len};
    assert_true(der_take(&in, DER_SEQUENCE, &list) && der_take(&list, DER_SEQUENCE, &tbs));
    for (size_t i = 0; i < 6; i++)
        assert_true(der_take_any(&tbs, &tag, &part, &whole));
    assert_int_equal(tag, DER_CONTEXT_CONSTRUCTED | 0);
    free(bytes);
}

static void the_largest(void **state)
{
    (void)state;
    size_t n = 0;
    for (size_t i = 0; i <= CRL_ENTRIES_MAX; i++) {
        entries[i] = (struct crl_entry){.serial_len = X509_SERIAL_MAX, .revoked_s = 2524608000};
        memset(entries[i].serial, 0xff, X509_SERIAL_MAX);
        entries[i].serial[18] = (uint8_t)(i >> 8);
        entries[i].serial[19] = (uint8_t)i;
    }
    struct crl_template t = template_of(CRL_ENTRIES_MAX);
    list_write("list.pem", &t, &middle);
    assert_int_equal(OPENSSL(folder, out, "crl", "-in", "list.pem", "-verify", "-CAfile",
                             "middle.pem", "-noout"),
                     0);
    says("verify OK");
    char path[128];
    snprintf(path, sizeof path, "%s/list.der", folder);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    static uint8_t der[2 * 1024 * 1024];
    n = fread(der, 1, sizeof der, f);
    fclose(f);
    struct der in = {der, n}, list, tbs, part, whole;
    uint8_t tag;
    assert_true(der_take(&in, DER_SEQUENCE, &list) && der_take(&list, DER_SEQUENCE, &tbs));
    for (size_t i = 0; i < 5; i++)
        assert_true(der_take_any(&tbs, &tag, &part, &whole));
    assert_true(der_take(&tbs, DER_SEQUENCE, &part));
    for (n = 0; part.len > 0; n++) {
        struct der entry, serial;
        assert_true(der_take(&part, DER_SEQUENCE, &entry) && der_take_integer(&entry, &serial));
        assert_int_equal(serial.len, X509_SERIAL_MAX + 1);
        assert_memory_equal(serial.data + 1, entries[n].serial, X509_SERIAL_MAX);
    }
    assert_int_equal(n, CRL_ENTRIES_MAX);
    t.n = CRL_ENTRIES_MAX + 1;
    refused(&t, &middle, middle.key, -E2BIG, "more certificates are revoked");
}

static void what_no_list_is_made_of(void **state)
{
    (void)state;
    struct party leaf = leaf_make(ALICE, &middle);
    struct crl_template t = template_of(1);
    entries[0] = entry_of(&leaf.cert);
    refused(&t, &leaf, leaf.key, -EINVAL, "no CA's");
    refused(&t, &middle, root.key, -EINVAL, "with this key");
    const struct {
        size_t n_number, n_serial;
        uint8_t number;
        int64_t life_s, revoked_s;
        const char *word;
    } bad[] = {
        {0, 1, 1, 60, 0, "number"},
        {21, 1, 1, 60, 0, "number"},
        {20, 1, 0x80, 60, 0, "number"},
        {1, 0, 1, 60, 0, "serial"},
        {1, 21, 1, 60, 0, "serial"},
        {1, 1, 1, 60, INT64_MAX, "serial"},
        {1, 1, 1, 0, 0, "update"},
        {1, 1, 1, -1, 0, "update"},
        {1, 1, 1, 253402300800, 0, "update"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        t = template_of(1);
        t.number_len = bad[i].n_number;
        t.number[0] = bad[i].number;
        t.next_update_s = t.this_update_s + bad[i].life_s;
        entries[0].serial_len = bad[i].n_serial;
        entries[0].revoked_s = bad[i].revoked_s;
        refused(&t, &middle, middle.key, -EINVAL, bad[i].word);
    }
    party_done(&leaf);
}

/* Issuers that were made elsewhere. */
static void an_issuer_that_may_not(void **state)
{
    (void)state;
    static const struct {
        const char *extensions[3], *word;
    } issuers[] = {
        {{"keyUsage=critical,keyCertSign", "subjectKeyIdentifier=hash"}, "cRLSign"},
        {{"keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=none"},
         "subject key identifier"},
    };
    struct crl_template t = template_of(0);
    for (size_t i = 0; i < ARRAY_SIZE(issuers); i++) {
        static char pem[8192];
        char path[128], key_pem[KEY_PEM_MAX];
        struct party p = {0};
        size_t n;
        const char *why;
        assert_int_equal(key_generate(&p.key), 0);
        assert_int_equal(key_to_pem(p.key, key_pem, sizeof key_pem, &n), 0);
        file_write(folder, "given.key", key_pem, n);
        if (OPENSSL(folder, out, "req", "-x509", "-key", "given.key", "-out", "given.pem", "-subj",
                    "/CN=Given", "-days", "9", "-addext", issuers[i].extensions[0], "-addext",
                    issuers[i].extensions[1]) != 0)
            fail_msg("%s", out);
        snprintf(path, sizeof path, "%s/given.pem", folder);
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        pem[fread(pem, 1, sizeof pem - 1, f)] = '\0';
        fclose(f);
        assert_int_equal(x509_from_pem(text_of(pem), &p.cert, 1, &n, &why), 0);
        refused(&t, &p, p.key, -EINVAL, issuers[i].word);
        party_done(&p);
    }
}

static void without_memory(void **state)
{
    (void)state;
    struct crl_template t = template_of(1);
    entries[0] = (struct crl_entry){{1}, 1, 951782400};
    uint8_t *der;
    char *pem;
    size_t len;
    const char *why;
    for (long n = 0;; n++) {
        alloc_fail_at(n);
        int r = crl_make(&t, &middle.cert, middle.key, &der, &len, &why);
        if (!alloc_failed()) {
            assert_int_equal(r, 0);
            assert_true(n > 0);
            break;
        }
        assert_true(r == -ENOMEM || r == -EIO);
    }
    alloc_fail_at(0);
    assert_int_equal(crl_to_pem(der, len, &pem, &len), -ENOMEM);
    assert_true(alloc_failed());
    free(der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_in_it_is_refused),
        cmocka_unit_test(each_field_is_as_it_was_said),
        cmocka_unit_test(the_largest),
        cmocka_unit_test(what_no_list_is_made_of),
        cmocka_unit_test(an_issuer_that_may_not),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
