/* Which server a client asks for, of hellos that are whole, in pieces, wrong and too long. */
#include "shared/tls/client_hello.h"
#include "tests/unit/shared/base/test.h"
#include "tests/unit/shared/tls/hello_writer.h"
#include <stdlib.h>

static enum client_hello read_all(const struct hello *h, char name[static CLIENT_HELLO_NAME_MAX + 1])
{
    size_t want;
    return client_hello_read(h->bytes, h->len, name, &want);
}

static void names(const char *given, const char *wanted)
{
    char name[CLIENT_HELLO_NAME_MAX + 1];
    const struct hello h = hello_named(given);
    enum client_hello r = read_all(&h, name);
    assert_int_equal(r, wanted ? CLIENT_HELLO_NAMED : CLIENT_HELLO_UNNAMED);
    assert_string_equal(name, wanted ? wanted : "");
}

static void names_are_read(void **state)
{
    char longest[CLIENT_HELLO_NAME_MAX + 2];
    (void)state;
    names("db.example.org", "db.example.org");
    names("DB.Example.ORG", "db.example.org");
    names("localhost", "localhost");
    names("a_b-c.0", "a_b-c.0");
    names(NULL, NULL);
    static const char *const wrong[] = {"", ".", "a.", ".a", "a..b", "a b", "a\n", "a/b", "*.a", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        names(wrong[i], NULL);
    memset(longest, 'a', sizeof longest);
    longest[CLIENT_HELLO_NAME_MAX + 1] = '\0';
    names(longest, NULL);
    longest[CLIENT_HELLO_NAME_MAX] = '\0';
    names(longest, longest);
}

/* Never more is wanted than there is, and never less than tells something new. */
static void pieces_are_waited_for(void **state)
{
    char name[CLIENT_HELLO_NAME_MAX + 1];
    const struct hello m = hello_message("db.example.org", 300);
    static const size_t sizes[] = {1, 3, 7, 100, 16384};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct hello h = hello_records(&m, sizes[i]);
        size_t want = 0, before = 0;
        for (size_t len = 0; len < h.len; len++) {
            uint8_t *exact = malloc(len + 1); /* what lies beyond is not looked at */
            assert_non_null(exact);
            memcpy(exact, h.bytes, len);
            assert_int_equal(client_hello_read(exact, len, name, &want), CLIENT_HELLO_MORE);
            assert_true(want > len && want <= h.len && want >= before);
            before = want;
            free(exact);
        }
        assert_int_equal(read_all(&h, name), CLIENT_HELLO_NAMED);
        assert_string_equal(name, "db.example.org");
    }
}

static void what_is_none_is_told_by_its_first_bytes(void **state)
{
    char name[CLIENT_HELLO_NAME_MAX + 1];
    size_t want;
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } others[] = {{"G", 1}, {"\x16\x02", 2}, {"\x16\x03\x01\x00\x00", 5}, {"\x16\x03\x01\x40\x01", 5}, {"\x17", 1},
                  {"\x16\x03\x01\x00\x01\x02", 6}, {"\x80\x2e\x01\x03\x01", 5}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(client_hello_read((const uint8_t *)others[i].bytes, others[i].len, name, &want),
                         CLIENT_HELLO_UNNAMED);
}

/* Each byte of it may be another one: it is then the name, another name, none, or more is waited for. */
static void lengths_that_are_wrong(void **state)
{
    char name[CLIENT_HELLO_NAME_MAX + 1];
    const struct hello whole = hello_named("db.example.org");
    size_t unnamed = 0;
    (void)state;
    for (size_t i = 0; i < whole.len; i++) {
        struct hello h = whole;
        h.bytes[i] ^= 0x41;
        unnamed += read_all(&h, name) == CLIENT_HELLO_UNNAMED;
    }
    assert_true(unnamed > 20);
    struct hello m = hello_message("db.example.org", 0);
    m.bytes[3]++; /* the message says that it is longer, and a byte follows that is nobody's */
    m.bytes[m.len++] = 0;
    struct hello h = hello_records(&m, 16384);
    assert_int_equal(read_all(&h, name), CLIENT_HELLO_UNNAMED);
}

static void two_names_are_none(void **state)
{
    char name[CLIENT_HELLO_NAME_MAX + 1];
    struct hello m = hello_message("a", 0);
    const size_t one = 4 + 5 + 1, extensions = m.len - one - 4 - 2;
    (void)state;
    memcpy(m.bytes + m.len, m.bytes + m.len - one, one);
    m.len += one;
    m.bytes[3] = (uint8_t)(m.bytes[3] + one);
    m.bytes[extensions + 1] = (uint8_t)(m.bytes[extensions + 1] + one);
    const struct hello h = hello_records(&m, 16384);
    assert_int_equal(read_all(&h, name), CLIENT_HELLO_UNNAMED);
}

static void too_long_is_not_waited_for(void **state)
{
    char name[CLIENT_HELLO_NAME_MAX + 1];
    struct hello m = hello_message("a", 16000), h = hello_records(&m, 16384);
    (void)state;
    assert_int_equal(read_all(&h, name), CLIENT_HELLO_NAMED);
    h = hello_records(&m, 200);
    assert_true(h.len > CLIENT_HELLO_BYTES_MAX);
    assert_int_equal(read_all(&h, name), CLIENT_HELLO_UNNAMED);
    m = hello_message("a", 16384);
    h = hello_records(&m, 16384);
    h.len = 20;
    assert_int_equal(read_all(&h, name), CLIENT_HELLO_UNNAMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read),
        cmocka_unit_test(pieces_are_waited_for),
        cmocka_unit_test(what_is_none_is_told_by_its_first_bytes),
        cmocka_unit_test(lengths_that_are_wrong),
        cmocka_unit_test(two_names_are_none),
        cmocka_unit_test(too_long_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
