#include "shared/base/addr.h"
#include "shared/base/args.h"
#include "tests/unit/shared/base/test.h"

#include <errno.h>
#include <unistd.h>

static struct values {
    bool verbose;
    const char *domain;
    uint64_t port, wait_ms;
    struct addr listen;
    struct arg_list sources;
} values;

static const struct arg table[] = {
    {"verbose", ARG_FLAG, &values.verbose, NULL, "says more", 0, 0, false},
    {"trust-domain", ARG_STRING, &values.domain, "NAME", "the trust domain", 0, 0, true},
    {"port", ARG_U64, &values.port, "PORT", "where to listen", 1, 65535, false},
    {"wait", ARG_DURATION_MS, &values.wait_ms, "TIME", "how long", 100, 60000, false},
    {"listen", ARG_ADDR, &values.listen, "ADDR", "where", 0, 0, false},
    {"source", ARG_LIST, &values.sources, "URL", "where from", 0, 0, false},
};

static char printed[8192];

/* Standard error and output go to a file while the arguments are read. */
static int parse_in(char **argv, int *ret_n)
{
    FILE *file = tmpfile();
    int argc = 0, saved[2] = {dup(1), dup(2)};

    assert_non_null(file);
    while (argv[argc])
        argc++;
    fflush(stdout);
    dup2(fileno(file), 1);
    dup2(fileno(file), 2);
    values = (struct values){.port = 80, .sources = {{"default"}, 1}};
    int r = args_parse("weir-test", "Tests.", table, ARRAY_SIZE(table), argc, argv, ret_n);
    fflush(stdout);
    dup2(saved[0], 1);
    dup2(saved[1], 2);
    close(saved[0]);
    close(saved[1]);
    rewind(file);
    size_t n = fread(printed, 1, sizeof printed - 1, file);
    printed[n] = '\0';
    fclose(file);
    return r;
}

#define parse(ret_n, ...) parse_in((char *[]){"weir-test", __VA_ARGS__, NULL}, (ret_n))

static void assert_printed(const char *part)
{
    if (!strstr(printed, part))
        fail_msg("\"%s\" is not in \"%s\"", part, printed);
}

static void reads_all_kinds(void **state)
{
    (void)state;
    char out[ADDR_TEXT_MAX];
    int n = -1;

    assert_int_equal(parse(&n, "--verbose", "--trust-domain", "example.org", "--port=65535",
                           "--wait", "1.5s", "--listen", "[::1]:80", "--source", "a", "--source=b"),
                     0);
    assert_string_equal(printed, "");
    assert_true(values.verbose);
    assert_string_equal(values.domain, "example.org");
    assert_int_equal(values.port, 65535);
    assert_int_equal(values.wait_ms, 1500);
    assert_string_equal(addr_print(&values.listen, out), "[::1]:80");
    assert_int_equal(values.sources.n, 2); /* instead of the default, not behind it */
    assert_string_equal(values.sources.items[0], "a");
    assert_string_equal(values.sources.items[1], "b");
    assert_int_equal(n, 0);

    assert_int_equal(parse(&n, "--trust-domain=", "--verbose=true", "--verbose=0"), 0);
    assert_string_equal(values.domain, "");
    assert_false(values.verbose);
    assert_int_equal(values.port, 80);
    assert_int_equal(values.sources.n, 1);
}

static void reads_addresses(void **state)
{
    static const char *const good[][2] = {{"1.2.3.4:5", "1.2.3.4:5"},
                                          {"[1.2.3.4]:5", "1.2.3.4:5"},
                                          {"[::1]:5", "[::1]:5"}};
    static const char *const bad[] = {"[1.2.3.]4:5", "[1.2.3.4]5", "[1.2.3.4]", "[]:5", "[[::1]]:5",
                                      "::1:5", "[1.2.3.4]:", "[$(HOST)]:5"};
    char out[ADDR_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(parse(NULL, "--trust-domain", "x", "--listen", (char *)good[i][0]), 0);
        assert_string_equal(addr_print(&values.listen, out), good[i][1]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(parse(NULL, "--trust-domain", "x", "--listen", (char *)bad[i]),
                         -EINVAL);
        assert_printed(bad[i]);
    }
}

static void leaves_positionals(void **state)
{
    (void)state;
    char *argv[] = {"weir-test", "get", "--trust-domain", "x", "-", "--", "--port", NULL};
    int n = -1;

    assert_int_equal(parse_in(argv, &n), 0);
    assert_int_equal(n, 3);
    assert_string_equal(argv[0], "get");
    assert_string_equal(argv[1], "-");
    assert_string_equal(argv[2], "--port");
    assert_int_equal(parse(NULL, "--trust-domain", "x", "stray"), -EINVAL);
    assert_printed("stray");
}

static void reads_the_environment(void **state)
{
    (void)state;
    setenv("WEIR_TRUST_DOMAIN", "from.environment", 1);
    setenv("WEIR_PORT", "7", 1);
    setenv("WEIR_WAIT", "", 1);
    setenv("WEIR_VERBOSE", "1", 1);
    setenv("WEIR_SOURCE", "a, b,,c", 1);
    assert_int_equal(parse(NULL, "--port", "8"), 0);
    assert_string_equal(values.domain, "from.environment");
    assert_int_equal(values.port, 8); /* the command line wins */
    assert_int_equal(values.wait_ms, 0);
    assert_true(values.verbose);
    assert_int_equal(values.sources.n, 3);
    assert_string_equal(values.sources.items[0], "a");
    assert_string_equal(values.sources.items[1], "b");
    assert_string_equal(values.sources.items[2], "c");
    for (size_t i = 0; i < values.sources.n; i++)
        free((void *)(uintptr_t)values.sources.items[i]);
    setenv("WEIR_SOURCE", "only", 1);
    char *only_source[] = {"weir-test", "--source", "other", NULL};
    assert_int_equal(parse_in(only_source, NULL), 0);
    assert_int_equal(values.sources.n, 1);
    assert_string_equal(values.sources.items[0], "other");
    setenv("WEIR_SOURCE", "", 1);
    setenv("WEIR_PORT", "99999", 1);
    assert_int_equal(parse(NULL, "--verbose"), -EINVAL);
    assert_printed("WEIR_PORT: \"99999\"");
    static const char *const names[] = {"WEIR_TRUST_DOMAIN", "WEIR_PORT", "WEIR_WAIT",
                                        "WEIR_VERBOSE", "WEIR_SOURCE"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        unsetenv(names[i]);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    assert_int_equal(parse(NULL, "--nonsense"), -EINVAL);
    assert_printed("weir-test: --nonsense: unknown option");
    assert_int_equal(parse(NULL, "-x"), -EINVAL);
    assert_printed("-x: unknown option");
    assert_int_equal(parse(NULL, "--port"), -EINVAL);
    assert_printed("--port: a value is missing");
    assert_int_equal(parse(NULL, "--port", "0"), -EINVAL);
    assert_printed("--port: \"0\" is not a whole number, at least 1 and at most 65535");
    assert_int_equal(parse(NULL, "--port=65536"), -EINVAL);
    assert_int_equal(parse(NULL, "--port=12x"), -EINVAL);
    assert_int_equal(parse(NULL, "--wait", "99ms"), -EINVAL);
    assert_printed("at least 100ms and at most 60000ms");
    assert_int_equal(parse(NULL, "--wait", "soon"), -EINVAL);
    assert_printed("\"soon\" is not a duration");
    assert_int_equal(parse(NULL, "--listen", "localhost:80"), -EINVAL);
    assert_printed("\"localhost:80\" is not an address and a port");
    assert_int_equal(parse(NULL, "--verbose=maybe"), -EINVAL);
    assert_printed("\"maybe\" is not true or false");
    assert_int_equal(parse(NULL, "--verbose"), -EINVAL);
    assert_printed("--trust-domain is required");
    assert_printed("WEIR_TRUST_DOMAIN");
}

static void lists_are_bounded(void **state)
{
    (void)state;
    char *argv[2 + 33 + 1] = {"weir-test", "--trust-domain=x"};

    for (int i = 0; i < 33; i++)
        argv[2 + i] = "--source=a";
    assert_int_equal(parse_in(argv, NULL), -EINVAL);
    assert_printed("--source: more than 32 values");
    argv[2 + 32] = NULL;
    assert_int_equal(parse_in(argv, NULL), 0);
    assert_int_equal(values.sources.n, 32);
}

static void helps(void **state)
{
    (void)state;
    assert_int_equal(parse(NULL, "--port", "bad", "--help"), -ECANCELED);
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        assert_printed(table[i].name);
        assert_printed(table[i].help);
    }
    assert_printed("Usage: weir-test");
    assert_printed("Tests.");
    assert_printed("WEIR_TRUST_DOMAIN");
    assert_int_equal(parse(NULL, "--trust-domain=x", "-h"), -ECANCELED);
    int n = 0;
    assert_int_equal(parse(&n, "--trust-domain=x", "--", "--help"), 0);
    assert_int_equal(n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_kinds),       cmocka_unit_test(reads_addresses),
        cmocka_unit_test(leaves_positionals),
        cmocka_unit_test(reads_the_environment), cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(lists_are_bounded),     cmocka_unit_test(helps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
