/*
 * A machine that joins: a token that is good once, what is kept of it and survives, renewal by the
 * certificate itself; against the CA of fake_ca.h, over the real ring with TLS.
 */
#include "shared/credentials/svid_file.h"
#include "tests/unit/shared/credentials/credentials_fixture.h"
#include <sys/stat.h>

static char keep_file[128];

static void again_with(const char *token)
{
    if (manager) {
        manager_close();
        bed_run_until(is_drained);
    }
    n_wishes = 0;
    memset(wishes, 0, sizeof wishes);
    options.token_file = token;
    manager_open();
}

static int begin_join(void **state)
{
    if (begin(state) < 0)
        return -1;
    snprintf(keep_file, sizeof keep_file, "%s/svid.pem", folder);
    fake.joins = true;
    options.keep_file = keep_file;
    again_with(token_file);
    return 0;
}

static struct credential *kept(void)
{
    struct credential *c = NULL;
    char why[SVID_FILE_WHY_MAX];
    if (svid_file_read(keep_file, &options.self, clock_unix_s(), &c, why) < 0)
        fail_msg("%s", why);
    return c;
}

static void expect_kept(const char *serial)
{
    struct credential *c = kept();
    assert_string_equal(c->serial, serial);
    credential_unref(c);
}

/* ---- what is kept ---------------------------------------------------------------------- */

static void joins_once_and_is_known_again(void **state)
{
    char serial[2 * X509_SERIAL_MAX + 1];
    struct stat st;
    (void)state;
    struct wish *self = want(SELF_ID);
    await_changes(1);
    assert_true(fake.spent);
    assert_int_equal(fake.n_by_certificate, 0);
    assert_int_equal(stat(keep_file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    expect_kept(self->serial);
    memcpy(serial, self->serial, sizeof serial);
    /* After a restart nobody is asked, and no token is needed. */
    size_t before = fake.n_requests;
    again_with(NULL);
    self = want(SELF_ID);
    await_changes(1);
    assert_string_equal(self->serial, serial);
    assert_int_equal(fake.n_requests, before);
    assert_int_equal(stats().issued, 0);
    expect_shown("Available", "");
}

static void renews_by_its_certificate(void **state)
{
    (void)state;
    fake.ttl_s = 2;
    struct wish *self = want(SELF_ID);
    await_changes(2);
    assert_int_equal(fake.n_by_certificate, 1);
    assert_int_equal(fake.n_bad_token, 0);
    assert_int_equal(self->n_gone, 0);
    expect_kept(self->serial);
}

/* Renewed by a process that has never seen a token. */
static void renews_after_a_restart(void **state)
{
    char first[2 * X509_SERIAL_MAX + 1];
    (void)state;
    fake.ttl_s = 2;
    struct wish *self = want(SELF_ID);
    await_changes(1);
    memcpy(first, self->serial, sizeof first);
    again_with(NULL);
    self = want(SELF_ID);
    await_changes(1);
    assert_string_equal(self->serial, first);
    await_changes(2);
    assert_string_not_equal(self->serial, first);
    assert_int_equal(fake.n_by_certificate, 1);
    expect_kept(self->serial);
}

static void a_spent_token_is_told(void **state)
{
    (void)state;
    fake.spent = true;
    want(SELF_ID);
    n_awaited = 1;
    look_until(has_failed);
    expect_shown("Unavailable", "(a token to join with is good once");
    assert_int_equal(access(keep_file, F_OK), -1);
}

static void without_either(void **state)
{
    (void)state;
    again_with(NULL);
    want(SELF_ID);
    look_until(has_an_error);
    expect_shown("Unavailable", "no --token-file");
    assert_int_equal(fake.n_accepted, 0);
}

/* What has expired is of no use: then it is the token's turn. */
static void expired_while_it_was_away(void **state)
{
    (void)state;
    fake.ttl_s = 1;
    want(SELF_ID);
    await_changes(1);
    manager_close();
    bed_run_until(is_drained);
    int64_t end_s = clock_unix_s() + 2;
    while (clock_unix_s() < end_s)
        run_for(50);
    fake.spent = false;
    fake.ttl_s = 3600;
    size_t before = fake.n_by_certificate;
    again_with(token_file);
    struct wish *self = want(SELF_ID);
    await_changes(1);
    assert_int_equal(fake.n_by_certificate, before);
    expect_kept(self->serial);
}

static void expired_is_given_up(void **state)
{
    (void)state;
    fake.ttl_s = 2;
    struct wish *self = want(SELF_ID);
    await_changes(1);
    fake_go_away();
    while (self->n_gone == 0)
        run_for(20);
    assert_null(credentials_get(manager, &self->id));
    fake.spent = false; /* another token was put there */
    fake.ttl_s = 3600;
    fake_listen();
    size_t before = fake.n_by_certificate;
    while (!credentials_get(manager, &self->id))
        run_for(20);
    assert_int_equal(fake.n_by_certificate, before);
}

/* Whoever the token is for. */
static void whoever(void **state)
{
    (void)state;
    options.self = (struct spiffe_id){0};
    again_with(token_file);
    n_wishes = 1;
    assert_int_equal(credentials_want(manager, &options.self), 0);
    await_changes(1);
    struct credential *c = kept();
    assert_string_equal(c->id.text, SELF_ID);
    credential_unref(c);
    /* Anew, though there is one: what is kept is replaced when there is another. */
    char first[2 * X509_SERIAL_MAX + 1];
    memcpy(first, wishes[0].serial, sizeof first);
    options.join_anew = true;
    again_with(token_file);
    n_wishes = 1;
    assert_int_equal(credentials_want(manager, &options.self), 0);
    n_awaited = 1;
    look_until(has_failed);
    expect_kept(first);
    fake.spent = false;
    await_changes(1);
    expect_kept(wishes[0].serial);
    assert_string_not_equal(wishes[0].serial, first);
}

static void cannot_be_kept(void **state)
{
    (void)state;
    options.keep_file = "/proc/nowhere/svid.pem";
    again_with(token_file);
    struct wish *self = want(SELF_ID);
    await_changes(1); /* it is used, and the log says what will be lost */
    assert_non_null(credentials_get(manager, &self->id));
}

/* ---- the file -------------------------------------------------------------------------- */

static void expect_unreadable(int error, const char *words)
{
    struct credential *c = NULL;
    char why[SVID_FILE_WHY_MAX] = "";
    assert_int_equal(svid_file_read(keep_file, &options.self, clock_unix_s(), &c, why), error);
    assert_null(c);
    if (!strstr(why, words))
        fail_msg("no '%s' in: %s", words, why);
}

static void files_that_are_none(void **state)
{
    static char whole[SVID_FILE_MAX], part[SVID_FILE_MAX];
    struct credential *c = NULL;
    char why[SVID_FILE_WHY_MAX];
    size_t len;
    (void)state;
    want(SELF_ID);
    await_changes(1);
    FILE *f = fopen(keep_file, "rb");
    assert_non_null(f);
    len = fread(whole, 1, sizeof whole, f);
    fclose(f);
    assert_true(len > 500 && len < sizeof whole);
    c = kept();
    assert_null(strstr(c->chain_pem, "PRIVATE")); /* dumps show it */
    assert_non_null(strstr(c->chain_pem, "BEGIN CERTIFICATE"));
    credential_unref(c);
    /* Cut anywhere before its root: never half of it. */
    size_t root_at = (size_t)((char *)memmem(whole, len, "# the roots", 11) - whole);
    for (size_t cut = 0; cut < root_at; cut += 1 + cut % 37) {
        memcpy(part, whole, cut);
        file_write(folder, "svid.pem", part, cut);
        c = NULL;
        assert_true(svid_file_read(keep_file, &options.self, clock_unix_s(), &c, why) < 0);
        assert_null(c);
    }
    file_write(folder, "svid.pem", whole, len);
    const struct spiffe_id self = options.self;
    assert_int_equal(spiffe_id_parse(TEXT(BOB), &options.self), 0);
    expect_unreadable(-EINVAL, "another identity");
    options.self = self;
    assert_int_equal(chmod(keep_file, 0640), 0);
    expect_unreadable(-EACCES, "0600");
    assert_int_equal(chmod(keep_file, 0600), 0);
    c = kept();
    credential_unref(c);
    memset(part, '-', sizeof part);
    file_write(folder, "svid.pem", part, sizeof part);
    expect_unreadable(-EFBIG, "");
    assert_int_equal(unlink(keep_file), 0);
    expect_unreadable(-ENOENT, "");
    assert_int_equal(mkdir(keep_file, 0700), 0);
    expect_unreadable(-EACCES, "");
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin_join, end)
    const struct CMUnitTest tests[] = {
        TEST(joins_once_and_is_known_again),
        TEST(renews_by_its_certificate),
        TEST(renews_after_a_restart),
        TEST(a_spent_token_is_told),
        TEST(without_either),
        TEST(expired_while_it_was_away),
        TEST(expired_is_given_up),
        TEST(whoever),
        TEST(cannot_be_kept),
        TEST(files_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
