#include "controller/discovery/manifest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define NS(name) "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " name "\n"

struct outcome {
    struct manifest manifest;
    struct problems problems;
};

static void read(struct outcome *o, const char *file, const char *content)
{
    problems_init(&o->problems);
    assert_int_equal(manifest_read(file, text_of(content), &o->manifest, &o->problems), 0);
}

static void done(struct outcome *o)
{
    manifest_done(&o->manifest);
    problems_done(&o->problems);
}

static void many_documents(void **state)
{
    struct outcome o;
    (void)state;
    read(&o, "a.yaml",
         "# first\n---\n" NS("a") "---\n---\n" NS(
             "b") "---\n{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Namespace, "
                  "metadata: {name: c}}, {apiVersion: v1, kind: Namespace, metadata: {name: "
                  "d}}]}\n");
    assert_int_equal(o.manifest.n_objects, 4);
    assert_int_equal(o.problems.n, 0);
    assert_int_equal(o.manifest.objects[0]->line, 3);
    assert_int_equal(o.manifest.objects[1]->line, 9);
    assert_string_equal(o.manifest.objects[3]->name, "d");
    done(&o);
    read(&o, "a.yaml", "{apiVersion: v1, kind: List, items: }");
    assert_int_equal(o.manifest.n_objects, 0);
    assert_int_equal(o.problems.n, 0);
    done(&o);
}

static void json_with_tabs(void **state)
{
    struct outcome o;
    (void)state;
    read(&o, "a.json",
         "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Namespace\",\n\t\"metadata\": {\"name\": "
         "\"a\"}\n}\n");
    assert_int_equal(o.manifest.n_objects, 1);
    done(&o);
    read(&o, "a.json", " \n ");
    assert_int_equal(o.problems.n, 0);
    done(&o);
}

static void places_of_problems(void **state)
{
    struct outcome o;
    (void)state;
    read(&o, "dir.yaml",
         NS("a") "---\napiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n}\nspec:\n  "
                 "ports:\n  - port: x\n---\n" NS("b") "  labels:\n    x: 1\n");
    assert_int_equal(o.manifest.n_objects, 1);
    assert_int_equal(o.manifest.n_bad, 2);
    assert_false(o.manifest.unidentified);
    assert_int_equal(o.problems.n, 2);
    const struct problem *p = o.problems.items;
    assert_string_equal(p[0].file, "dir.yaml");
    assert_int_equal(p[0].line, 11);
    assert_string_equal(p[0].object, "Service n/s");
    assert_string_equal(p[0].field, "spec.ports[0].port");
    assert_string_equal(p[0].message, "is a string and must be a number");
    assert_int_equal(p[1].line, 18);
    assert_string_equal(p[1].object, "Namespace b");
    assert_string_equal(p[1].field, "metadata.labels.x");
    done(&o);
}

static void what_cannot_be_told_apart(void **state)
{
    static const char *const contents[] = {
        "{apiVersion: v1, kind: Namespace}",
        "just text",
        "- a",
        "{a: [",
        "{apiVersion: v1, kind: List, items: 3}",
        NS("a") "---\nkind: Namespace\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
        struct outcome o;
        read(&o, "a.yaml", contents[i]);
        if (!o.manifest.unidentified || o.problems.n != 1 || o.problems.items[0].line == 0)
            fail_msg("%s: %zu problems", contents[i], o.problems.n);
        done(&o);
    }
}

static void other_kinds(void **state)
{
    struct outcome o;
    (void)state;
    read(&o, "a.yaml",
         "{apiVersion: apps/v1, kind: Deployment, metadata: 3}\n---\n{apiVersion: apps/v1, kind: "
         "Deployment}\n---\n"
         "{apiVersion: v1, kind: Event}\n---\n" NS("a"));
    assert_int_equal(o.manifest.n_objects, 1);
    assert_int_equal(o.problems.n, 0);
    assert_int_equal(o.manifest.n_unknown, 2);
    assert_string_equal(o.manifest.unknown[0].api_kind, "apps/v1 Deployment");
    assert_int_equal(o.manifest.unknown[1].line, 5);
    done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_documents),     cmocka_unit_test(json_with_tabs),
        cmocka_unit_test(places_of_problems), cmocka_unit_test(what_cannot_be_told_apart),
        cmocka_unit_test(other_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
