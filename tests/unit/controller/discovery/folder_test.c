#include "controller/discovery/folder.h"
#include "shared/base/log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NS(name, value)                                                                            \
    "{apiVersion: v1, kind: Namespace, metadata: {name: " name ", labels: {v: '" value "'}}}\n---" \
    "\n"
#define BAD_NS(name)                                                                               \
    "{apiVersion: v1, kind: Namespace, metadata: {name: " name ", labels: 3}}\n---\n"

struct file {
    const char *name, *content;
};

static bool round_of(struct folder *f, const struct file *files)
{
    bool changed;
    folder_begin(f);
    for (; files->name; files++)
        assert_int_equal(folder_file(f, files->name, text_of(files->content)), 0);
    assert_int_equal(folder_commit(f, &changed), 0);
    return changed;
}
#define ROUND(f, ...) round_of((f), (const struct file[]){__VA_ARGS__, {NULL, NULL}})

/* All namespaces of the store as "name=value". */
static const char *in_force(const struct object_store *s)
{
    static char buffer[1024];
    struct text_out out = TEXT_OUT(buffer);
    struct object **list;
    size_t n;
    assert_int_equal(object_store_list(s, OBJECT_NAMESPACE, &list, &n), 0);
    for (size_t i = 0; i < n; i++)
        text_printf(&out, "%s%s=%s", i ? " " : "", list[i]->name,
                    labels_get(&list[i]->labels, "v"));
    free(list);
    return buffer;
}

static const char *told(const struct folder *f)
{
    static char buffer[4096];
    struct text_out out = TEXT_OUT(buffer);
    for (size_t i = 0; i < f->problems.n; i++) {
        text_puts(&out, i ? "\n" : "");
        problem_print(&f->problems.items[i], &out);
    }
    return buffer;
}

struct fixture {
    struct object_store store;
    struct folder folder;
};

static int setup(void **state)
{
    static struct fixture f;
    object_store_init(&f.store);
    folder_init(&f.folder, &f.store);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    folder_done(&f->folder);
    object_store_done(&f->store);
    return 0;
}

static void files_come_change_and_go(void **state)
{
    struct fixture *f = *state;
    assert_true(ROUND(&f->folder, {"a.yaml", NS("x", "1") NS("y", "1")},
                      {"b.json", "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":["
                                 "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{"
                                 "\"name\":\"z\",\"labels\":{\"v\":\"1\"}}}]}"}));
    assert_string_equal(in_force(&f->store), "x=1 y=1 z=1");
    assert_false(ROUND(&f->folder, {"a.yaml", NS("x", "1") NS("y", "1")},
                       {"b.json", "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":["
                                  "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{"
                                  "\"name\":\"z\",\"labels\":{\"v\":\"1\"}}}]}"}));
    assert_true(ROUND(&f->folder, {"a.yaml", NS("x", "2")}));
    assert_string_equal(in_force(&f->store), "x=2");
    assert_true(ROUND(&f->folder, {"other.yaml", NS("x", "2")}));
    assert_string_equal(in_force(&f->store), "x=2");
    assert_true(round_of(&f->folder, (const struct file[]){{NULL, NULL}}));
    assert_string_equal(in_force(&f->store), "");
    assert_string_equal(told(&f->folder), "");
}

static void a_bad_document_keeps_its_object(void **state)
{
    struct fixture *f = *state;
    ROUND(&f->folder, {"a.yaml", NS("x", "1") NS("y", "1")}, {"b.yaml", NS("z", "1")});
    assert_true(ROUND(&f->folder, {"a.yaml", BAD_NS("x") NS("y", "2")}, {"b.yaml", NS("z", "2")}));
    assert_string_equal(in_force(&f->store), "x=1 y=2 z=2");
    assert_non_null(
        strstr(told(&f->folder),
               "a.yaml:1: Namespace x: metadata.labels: is a number and must be an object"));
    /* Still bad, and another object goes away: that one is gone. */
    assert_true(ROUND(&f->folder, {"a.yaml", BAD_NS("x")}, {"b.yaml", NS("z", "2")}));
    assert_string_equal(in_force(&f->store), "x=1 z=2");
    /* It was never good: there is nothing to keep. */
    ROUND(&f->folder, {"a.yaml", BAD_NS("x")}, {"b.yaml", NS("z", "2") BAD_NS("w")});
    assert_string_equal(in_force(&f->store), "x=1 z=2");
    assert_int_equal(f->folder.problems.n, 2);
    assert_true(ROUND(&f->folder, {"a.yaml", NS("x", "3")}, {"b.yaml", NS("z", "2")}));
    assert_string_equal(in_force(&f->store), "x=3 z=2");
    assert_string_equal(told(&f->folder), "");
    /* The file goes, and what it kept with it. */
    ROUND(&f->folder, {"a.yaml", BAD_NS("x")}, {"b.yaml", NS("z", "2")});
    assert_true(ROUND(&f->folder, {"b.yaml", NS("z", "2")}));
    assert_string_equal(in_force(&f->store), "z=2");
}

#define SIDECAR(spec)                                                                              \
    "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s, namespace: shop}, spec: {" spec "}}\n"

static void assert_sidecar(const struct object_store *s, const char *wanted)
{
    char buffer[1024] = "";
    struct text_out out = TEXT_OUT(buffer);
    const struct object *o = object_store_get(s, OBJECT_SIDECAR, "shop", "s");
    assert_non_null(o);
    for (size_t i = 0; i < o->sidecar.selector.n; i++)
        text_printf(&out, "%s=%s ", o->sidecar.selector.items[i].key, o->sidecar.selector.items[i].value);
    for (size_t i = 0; i < o->sidecar.hosts.n; i++)
        text_printf(&out, "%s ", o->sidecar.hosts.items[i]);
    text_puts(&out, o->sidecar.mode_said && o->sidecar.registry_only ? "only" : "any");
    assert_string_equal(buffer, wanted);
}

/* It is there to hold back: what can be read of it does, until a good state is known; that stays then. */
static void a_bad_sidecar_holds_back(void **state)
{
    static const struct {
        const char *spec, *holds;
    } cases[] = {
        {"nothing: 1", "only"},
        {"workloadSelector: {labels: {a: b}}, egress: [{hosts: ['./*'], tls: {}}]", "a=b shop/* only"},
        {"workloadSelector: {labels: 3}, outboundTrafficPolicy: {mode: ALLOW_ANY}", "only"},
        {"egress: [{hosts: [web, '*/x.example']}, x, {port: {name: y}, hosts: ['*/y.example']}, "
         "{port: {number: 80}, hosts: ['*/z.example']}]", "*/x.example */z.example:80 only"},
        {"egress: [{hosts: [web]}]", "~/* only"},
        {"egress: {hosts: ['*/*']}", "~/* only"},
        {"outboundTrafficPolicy: {mode: SOME}", "only"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bad[1024];
        snprintf(bad, sizeof bad, SIDECAR("%s"), cases[i].spec);
        ROUND(&f->folder, {NULL, NULL});
        assert_null(object_store_get(&f->store, OBJECT_SIDECAR, "shop", "s"));
        assert_true(ROUND(&f->folder, {"a.yaml", bad}));
        assert_sidecar(&f->store, cases[i].holds);
        assert_int_equal(f->folder.problems.n, 1);
        assert_false(ROUND(&f->folder, {"a.yaml", bad}));
        assert_sidecar(&f->store, cases[i].holds);
        assert_true(ROUND(&f->folder, {"a.yaml", SIDECAR("egress: [{hosts: ['*/good']}]")}));
        assert_sidecar(&f->store, "*/good any");
        assert_false(ROUND(&f->folder, {"a.yaml", bad}));
        assert_sidecar(&f->store, "*/good any");
        /* A good one of another file counts. */
        ROUND(&f->folder, {NULL, NULL});
        assert_true(ROUND(&f->folder, {"a.yaml", bad}, {"b.yaml", SIDECAR("egress: [{hosts: ['*/good']}]")}));
        assert_sidecar(&f->store, "*/good any");
    }
}

static void a_file_that_is_no_yaml_keeps_all(void **state)
{
    struct fixture *f = *state;
    ROUND(&f->folder, {"a.yaml", NS("x", "1") NS("y", "1")}, {"b.yaml", NS("z", "1")});
    assert_true(ROUND(&f->folder, {"a.yaml", NS("x", "2") "{a: [\n"}, {"b.yaml", NS("z", "2")}));
    assert_string_equal(in_force(&f->store), "x=2 y=1 z=2"); /* y may be what can't be read */
    assert_int_equal(f->folder.problems.n, 1);
    assert_string_equal(f->folder.problems.items[0].file, "a.yaml");
    assert_true(f->folder.problems.items[0].line >= 3);
    ROUND(&f->folder, {"a.yaml", "\tnothing: ["}, {"b.yaml", NS("z", "2")});
    assert_string_equal(in_force(&f->store), "x=2 y=1 z=2");
    ROUND(&f->folder, {"a.yaml", NS("y", "5")}, {"b.yaml", NS("z", "2")});
    assert_string_equal(in_force(&f->store), "y=5 z=2");
    /* A document that says no name could be any. */
    ROUND(&f->folder, {"a.yaml", "{apiVersion: v1, kind: Namespace, metadata: {}}\n"},
          {"b.yaml", NS("z", "2")});
    assert_string_equal(in_force(&f->store), "y=5 z=2");
    ROUND(&f->folder,
          {"c.json",
           "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"j\"}}"});
    ROUND(&f->folder, {"c.json", "{\"apiVersion\": \"v1\", \"kind\": "});
    assert_int_equal(f->store.objects[OBJECT_NAMESPACE].count, 1);
    assert_string_equal(f->folder.problems.items[0].file, "c.json");
}

static void an_empty_file_keeps_all(void **state)
{
    struct fixture *f = *state;
    ROUND(&f->folder, {"a.yaml", NS("x", "1")});
    assert_false(ROUND(&f->folder, {"a.yaml", " \n"}));
    assert_string_equal(in_force(&f->store), "x=1");
    assert_string_equal(
        told(&f->folder),
        "a.yaml: can't be read: it is empty (what it held stays; delete the file to remove that)");
    ROUND(&f->folder, {"a.yaml", "# nothing any more\n"}); /* said on purpose */
    assert_string_equal(in_force(&f->store), "");
    ROUND(&f->folder, {"a.yaml", ""}); /* it had nothing */
    assert_string_equal(told(&f->folder), "");
}

static void unreadable_files_keep_all(void **state)
{
    struct fixture *f = *state;
    bool changed;
    ROUND(&f->folder, {"a.yaml", NS("x", "1")});
    folder_begin(&f->folder);
    assert_int_equal(folder_unreadable(&f->folder, "a.yaml", "Permission denied"), 0);
    assert_int_equal(folder_commit(&f->folder, &changed), 0);
    assert_false(changed);
    assert_string_equal(told(&f->folder), "a.yaml: can't be read: Permission denied");
    ROUND(&f->folder, {"a.yaml", NS("x", "1")});
    assert_string_equal(told(&f->folder), "");
    assert_string_equal(in_force(&f->store), "x=1");
}

static void the_first_of_two_wins(void **state)
{
    struct fixture *f = *state;
    ROUND(&f->folder, {"b.yaml", NS("x", "b")},
          {"a.yaml", NS("w", "1") NS("x", "a") NS("x", "again")}, {"c.yaml", NS("x", "c")});
    assert_string_equal(in_force(&f->store), "w=1 x=a");
    assert_string_equal(told(&f->folder), "a.yaml:5: Namespace x: metadata.name: is there already "
                                          "in a.yaml:3, which counts; this one is ignored\n"
                                          "b.yaml:1: Namespace x: metadata.name: is there already "
                                          "in a.yaml:3, which counts; this one is ignored\n"
                                          "c.yaml:1: Namespace x: metadata.name: is there already "
                                          "in a.yaml:3, which counts; this one is ignored");
    ROUND(&f->folder, {"b.yaml", NS("x", "b")}, {"c.yaml", NS("x", "c")});
    assert_string_equal(in_force(&f->store), "x=b");
    /* What a broken file keeps steps back behind what is written elsewhere. */
    ROUND(&f->folder, {"b.yaml", BAD_NS("x")}, {"c.yaml", NS("x", "c")});
    assert_string_equal(in_force(&f->store), "x=c");
    ROUND(&f->folder, {"b.yaml", BAD_NS("x")});
    assert_string_equal(in_force(&f->store), "x=b");
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_come_change_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_document_keeps_its_object, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_sidecar_holds_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_yaml_keeps_all, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_file_keeps_all, setup, teardown),
        cmocka_unit_test_setup_teardown(unreadable_files_keep_all, setup, teardown),
        cmocka_unit_test_setup_teardown(the_first_of_two_wins, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
