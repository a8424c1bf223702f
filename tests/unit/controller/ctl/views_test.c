/* What weirctl makes of a node proxy's answers. */
#include "controller/ctl/views.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The table of a view for an answer, its runs of spaces as one `|`. */
static const char *shown(const char *view, const char *json, const char *ns)
{
    static char text[4096];
    struct json *tree;
    struct json_error error = {0};
    struct table table;
    struct text_heap out;
    size_t len = 0;
    const struct view *v = view_find(view);
    assert_non_null(v);
    if (json_parse(text_of(json), NULL, &tree, &error) < 0)
        fail_msg("%s: %s", json, error.text);
    view_table(v, tree, ns, &table);
    text_heap_init(&out, sizeof text - 1);
    table_print(&table, &out);
    assert_false(out.failed);
    for (size_t i = 0; i < out.len; i++) {
        if (strncmp(out.data + i, "   ", 3) == 0) {
            while (out.data[i + 1] == ' ')
                i++;
            text[len++] = '|';
        } else {
            text[len++] = out.data[i];
        }
    }
    text[len] = '\0';
    text_heap_done(&out);
    table_done(&table);
    json_free(tree);
    return text;
}

static void names_of_views(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"workloads", "workloads"},   {"workload", "workloads"}, {"service", "services"},
        {"policy", "policies"},       {"policies", "policies"},  {"certificate", "certificates"},
        {"connection", "connections"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const struct view *v = view_find(pairs[i][0]);
        assert_non_null(v);
        assert_string_equal(v->name, pairs[i][1]);
    }
    assert_null(view_find(""));
    assert_null(view_find("s"));
    assert_null(view_find("work"));
    assert_null(view_find("workloadss"));
    assert_null(view_find("dump"));
    for (size_t i = 0; i < n_views; i++) {
        assert_true(views[i].n_columns > 0 && views[i].n_columns <= TABLE_COLUMNS_MAX);
        for (size_t c = 0; c < views[i].n_columns; c++)
            assert_non_null(views[i].titles[c]);
        assert_int_equal(views[i].path[0], '/');
    }
}

#define WORKLOADS                                                                                  \
    "{\"workloads\":[{\"namespace\":\"shop\",\"name\":\"web\",\"addresses\":[\"10.1.1.1\","        \
    "\"fd00::1\"],\"node\":\"node-a\",\"protocol\":\"HBONE\"},"                                    \
    "{\"namespace\":\"bank\",\"name\":\"vault\",\"addresses\":[],\"node\":\"\",\"protocol\":"      \
    "\"TCP\"}]}"
static void workloads(void **state)
{
    (void)state;
    assert_string_equal(shown("workloads", WORKLOADS, NULL),
                        "NAMESPACE|POD NAME|ADDRESS|NODE|WAYPOINT|PROTOCOL\n"
                        "bank|vault|-|-|None|TCP\n"
                        "shop|web|10.1.1.1,fd00::1|node-a|None|HBONE\n");
    assert_string_equal(shown("workloads", WORKLOADS, "shop"),
                        "NAMESPACE|POD NAME|ADDRESS|NODE|WAYPOINT|PROTOCOL\n"
                        "shop|web|10.1.1.1,fd00::1|node-a|None|HBONE\n");
    assert_string_equal(shown("workloads", WORKLOADS, "sho"),
                        "NAMESPACE|POD NAME|ADDRESS|NODE|WAYPOINT|PROTOCOL\n");
}
static void services(void **state)
{
    (void)state;
    assert_string_equal(shown("services",
                              "{\"services\":[{\"namespace\":\"shop\",\"name\":\"cart\",\"vips\":"
                              "[\"10.96.0.1\"],\"endpoints\":3,\"healthyEndpoints\":2}]}",
                              NULL),
                        "NAMESPACE|SERVICE NAME|SERVICE VIP|WAYPOINT|ENDPOINTS\n"
                        "shop|cart|10.96.0.1|None|2/3\n");
}
static void policies(void **state)
{
    (void)state;
    assert_string_equal(
        shown("policies",
              "{\"policies\":[{\"namespace\":\"shop\",\"name\":\"p\",\"action\":\"Deny\","
              "\"scope\":\"Namespace\",\"dryRun\":true},{\"namespace\":\"shop\",\"name\":\"o\","
              "\"action\":\"Allow\",\"scope\":\"Global\",\"dryRun\":false}]}",
              NULL),
        "NAMESPACE|POLICY NAME|ACTION|SCOPE|DRY RUN\n"
        "shop|o|Allow|Global|false\n"
        "shop|p|Deny|Namespace|true\n");
}

static void routes(void **state)
{
    (void)state;
    assert_string_equal(
        shown(
            "routes",
            "{\"routes\":[{\"name\":\"outbound|80||cart.shop@bank\",\"namespace\":\"shop\","
            "\"clients\":\"bank\",\"virtualHosts\":[{\"routes\":[{\"name\":\"bank/z/0\",\"match\":"
            "\"in /z\",\"action\":\"answer 500\"},{\"name\":\"bank/a/0\",\"match\":\"begins with "
            "/\","
            "\"action\":\"outbound|80||a\"}]}]}]}",
            NULL),
        "NAMESPACE|TABLE|PLACE|ROUTE|MATCH|ACTION\n"
        "shop|outbound|80||cart.shop@bank|1|bank/z/0|in /z|answer 500\n"
        "shop|outbound|80||cart.shop@bank|2|bank/a/0|begins with /|outbound|80||a\n");
}

#define WEB  "spiffe://td/ns/shop/sa/web"
#define CART "spiffe://td/ns/shopping/sa/cart"
#define CERTIFICATES                                                                               \
    "{\"certificates\":[{\"identity\":\"" WEB "\",\"state\":\"Available\",\"certChain\":["         \
    "{\"type\":\"Leaf\",\"serialNumber\":\"01\",\"valid\":true,\"notBefore\":\"then\","            \
    "\"notAfter\":\"later\"},{\"type\":\"Root\",\"serialNumber\":\"02\",\"valid\":false,"          \
    "\"notBefore\":\"a\",\"notAfter\":\"b\"}]},{\"identity\":\"" CART                              \
    "\",\"state\":\"Initializing\"}]}"
static void certificates(void **state)
{
    (void)state;
    static const char head[] = "CERTIFICATE NAME|TYPE|STATUS|VALID CERT|SERIAL NUMBER|NOT AFTER|"
                               "NOT BEFORE\n";
    char expected[1024];
    snprintf(expected, sizeof expected, "%s%s%s", head,
             WEB "|Leaf|Available|true|01|later|then\n" WEB "|Root|Available|false|02|b|a\n",
             CART "|Leaf|Initializing|false|-|-|-\n");
    assert_string_equal(shown("certificates", CERTIFICATES, NULL), expected);
    /* An identity's namespace, not what begins like it. */
    snprintf(expected, sizeof expected, "%s%s", head,
             WEB "|Leaf|Available|true|01|later|then\n" WEB "|Root|Available|false|02|b|a\n");
    assert_string_equal(shown("certificates", CERTIFICATES, "shop"), expected);
}
static void connections(void **state)
{
    (void)state;
    static const char json[] =
        "{\"connections\":[{\"workload\":\"shop/web\",\"direction\":\"Outbound\",\"source\":"
        "\"10.1.1.1:1\",\"destination\":\"10.96.0.1:80\",\"target\":\"10.1.2.2:8080\","
        "\"protocol\":\"HBONE\"},{\"workload\":\"bank/cart\",\"direction\":\"Inbound\",\"source\":"
        "\"10.1.1.1:1\",\"destination\":\"?\",\"target\":\"10.1.2.2:8080\",\"peer\":\"" WEB
        "\",\"protocol\":\"HBONE\"}]}";
    assert_string_equal(shown("connections", json, NULL),
                        "WORKLOAD|DIRECTION|LOCAL|REMOTE|REMOTE TARGET|PROTOCOL\n"
                        "bank/cart|Inbound|10.1.2.2:8080|10.1.1.1:1|" WEB "|HBONE\n"
                        "shop/web|Outbound|10.1.1.1:1|10.96.0.1:80|10.1.2.2:8080|HBONE\n");
    assert_string_equal(shown("connections", json, "bank"),
                        "WORKLOAD|DIRECTION|LOCAL|REMOTE|REMOTE TARGET|PROTOCOL\n"
                        "bank/cart|Inbound|10.1.2.2:8080|10.1.1.1:1|" WEB "|HBONE\n");
}

/* A proxy of another version: what is missing or of another type is a dash, never a crash. */
static void what_is_not_as_expected(void **state)
{
    (void)state;
    static const char *const answers[] = {"{}", "[]", "{\"%s\":{}}", "{\"%s\":3}", "{\"%s\":[]}"};
    char json[256];
    for (size_t v = 0; v < n_views; v++) {
        for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
            const char *at = strstr(answers[i], "%s");
            snprintf(json, sizeof json, "%.*s%s%s", at ? (int)(at - answers[i]) : 100, answers[i],
                     at ? views[v].list : "", at ? at + 2 : "");
            const char *text = shown(views[v].name, json, NULL);
            assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* titles alone */
        }
        snprintf(json, sizeof json, "{\"%s\":[{},{\"name\":7,\"vips\":\"x\",\"certChain\":[3]},5]}",
                 views[v].list);
        const char *text = shown(views[v].name, json, NULL);
        size_t lines = 0;
        for (; *text; text++)
            lines += *text == '\n';
        assert_int_equal(lines, 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_views), cmocka_unit_test(workloads),
        cmocka_unit_test(services),       cmocka_unit_test(policies),
        cmocka_unit_test(routes),         cmocka_unit_test(certificates),
        cmocka_unit_test(connections),    cmocka_unit_test(what_is_not_as_expected),
    };
    return cmocka_run_group_tests_name("ctl/views", tests, NULL, NULL);
}
