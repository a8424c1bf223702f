/*
 * Calls of the CNI plugin. Input: a line CNI_COMMAND, a line CNI_ARGS, then the network
 * configuration. What is taken must be printable as a result that can be read again; and the node
 * proxy's answers are read from the same bytes.
 * covers: nodeproxy/cni/cni_call.c nodeproxy/cni/cni_result.c
 */
#include "nodeproxy/cni/cni_result.h"
#include "shared/service/local_http.h"
#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *take_line(struct text *rest)
{
    struct text line, tail;
    if (!text_split(*rest, '\n', &line, &tail)) {
        line = *rest;
        tail = TEXT("");
    }
    *rest = tail;
    return text_dup(line);
}

static void print_result(const struct cni_call *call)
{
    struct cni_error error = {0};
    struct json_error why = {0};
    struct json *again = NULL;
    struct text_heap out;
    text_heap_init(&out, 64 * 1024 * 1024);
    if (cni_result_print(call, &out, &error) == 0) {
        int r = json_parse((struct text){out.data, out.len}, NULL, &again, &why);
        assert(r == 0);
        assert(text_equal(json_text(json_get(again, "cniVersion")), call->version_text));
    } else {
        assert(error.code != CNI_OK);
    }
    json_free(again);
    text_heap_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text rest = {(const char *)data, size}, body;
    unsigned status = 0;
    if (local_http_split(rest, &status, &body))
        assert(status >= 200 && status <= 599 && body.len <= size);

    char *command = take_line(&rest), *args = take_line(&rest);
    const struct cni_environment env = {command, "c1", "/run/netns/x", "eth0", args};
    struct cni_call call;
    struct cni_error error = {0};
    int r = cni_call_read(&call, &env, rest, &error);
    assert((r == 0) == (error.code == CNI_OK));
    if (r == 0 && call.command == CNI_ADD)
        print_result(&call);
    cni_call_done(&call);
    free(command);
    free(args);
    return 0;
}
