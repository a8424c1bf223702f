/* weirctl: the operator's command line. */
#include "controller/ctl/views.h"
#include "shared/base/args.h"
#include "shared/service/lifecycle.h"
#include "shared/service/local_http.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_MAX = 256 * 1024 * 1024, TIMEOUT_MS = 10000 };

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "weirctl: %s: %s\n", what, why);
    return 1;
}

static int ask(const char *socket_path, const char *path, struct local_http_answer *ret)
{
    const struct local_http_request q = {
        .socket = text_of(socket_path), .method = "GET", .path = path, .timeout_ms = TIMEOUT_MS, .answer_max = ANSWER_MAX};
    const char *at;
    int r = local_http(&q, ret, &at);
    if (r == -ENOENT || r == -ECONNREFUSED)
        return fail(socket_path, "no node proxy listens there; is one running on this node? (--socket names another path)");
    if (r < 0) {
        fprintf(stderr, "weirctl: %s: %s: %s\n", socket_path, at, strerror(-r));
        return 1;
    }
    if (ret->status == 200)
        return 0;
    fprintf(stderr, "weirctl: %s: the node proxy answered %u: %s\n", path, ret->status, ret->body.data ? ret->body.data : "");
    text_heap_done(&ret->body);
    return 1;
}

static int show(const struct view *v, const struct local_http_answer *answer, const char *ns, bool as_json)
{
    struct json *tree;
    struct json_error error = {0};
    struct table table;
    struct text_heap out;
    if (json_parse((struct text){answer->body.data, answer->body.len}, NULL, &tree, &error) < 0)
        return fail("the node proxy's answer", error.text);
    text_heap_init(&out, ANSWER_MAX);
    if (as_json) {
        text_heap_put(&out, (struct text){answer->body.data, answer->body.len});
        text_heap_puts(&out, "\n");
    } else {
        view_table(v, tree, ns, &table);
        table_print(&table, &out);
        table_done(&table);
    }
    bool failed = out.failed || fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0;
    text_heap_done(&out);
    json_free(tree);
    return failed ? fail("output", "memory ran out, or standard output can't be written") : 0;
}

static void usage(void)
{
    fprintf(stderr, "weirctl: say what to show:");
    for (size_t i = 0; i < n_views; i++)
        fprintf(stderr, " %s", views[i].name);
    fprintf(stderr, " dump; --help tells more\n");
}

int main(int argc, char **argv)
{
    const char *socket_path = "/run/weir/admin.sock", *output = "table", *ns = NULL;
    bool version = false;
    const struct arg table[] = {
        {"socket", ARG_STRING, &socket_path, "PATH", "the node proxy's admin socket", 0, 0, false},
        {"output", ARG_STRING, &output, "table|json", "how to print (-o)", 0, 0, false},
        {"namespace", ARG_STRING, &ns, "NAME", "only this namespace (-n)", 0, 0, false},
        {"version", ARG_FLAG, &version, NULL, "versions of the program and its libraries", 0, 0, false},
    };
    /* The short forms that hands know. */
    for (int i = 1; i < argc; i++) {
        static char long_output[] = "--output", long_ns[] = "--namespace";
        if (strcmp(argv[i], "-o") == 0)
            argv[i] = long_output;
        else if (strcmp(argv[i], "-n") == 0)
            argv[i] = long_ns;
    }
    int n = 0;
    int r = args_parse("weirctl", "Shows what a node proxy knows: weirctl workloads|services|policies|certificates|connections|dump.", table,
                       sizeof table / sizeof *table, argc, argv, &n);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if (version) {
        const struct library_version libraries[] = {{"JSON", json_library()}};
        lifecycle_print_version("weirctl", libraries, 1);
        return 0;
    }
    if (strcmp(output, "table") != 0 && strcmp(output, "json") != 0) {
        fprintf(stderr, "weirctl: -o: '%s' is neither table nor json\n", output);
        return 2;
    }
    bool dump = n == 1 && strcmp(argv[0], "dump") == 0;
    const struct view *v = n == 1 ? view_find(argv[0]) : NULL;
    if (!v && !dump) {
        usage();
        return 2;
    }
    struct local_http_answer answer;
    if (ask(socket_path, dump ? "/config_dump" : v->path, &answer) != 0)
        return 1;
    r = show(v, &answer, ns, dump || strcmp(output, "json") == 0);
    text_heap_done(&answer.body);
    return r;
}
