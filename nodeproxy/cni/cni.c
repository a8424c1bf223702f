#include "nodeproxy/cni/cni.h"

#include "nodeproxy/cni/cni_result.h"
#include "shared/json/json_out.h"
#include "shared/service/local_http.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { ANSWER_MAX = 64 * 1024 };

int cni_read_config(int fd, struct text_heap *config)
{
    for (;;) {
        char part[4096];
        ssize_t n = read(fd, part, sizeof part);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            text_heap_put(config, (struct text){part, (size_t)n});
        if (config->failed)
            return -EFBIG;
    }
}

static int write_request(const struct cni_call *c, struct text_heap *out, struct cni_error *e)
{
    struct ip ips[CNI_IPS_MAX];
    size_t n = 0;
    int r = c->command == CNI_DEL ? 0 : cni_call_ips(c, ips, &n, e);
    if (r < 0)
        return r;
    struct json_out o;
    json_out_init(&o, out, false);
    json_out_object(&o, NULL);
    json_out_text(&o, "containerId", c->container_id);
    json_out_text(&o, "netns", c->netns);
    json_out_text(&o, "podName", c->pod_name);
    json_out_text(&o, "podNamespace", c->pod_ns);
    json_out_text(&o, "podUid", c->pod_uid);
    json_out_array(&o, "ips");
    for (size_t i = 0; i < n; i++) {
        char text[IP_TEXT_MAX];
        json_out_string(&o, NULL, ip_print(&ips[i], text));
    }
    json_out_end(&o);
    json_out_end(&o);
    return out->failed ? cni_fail(e, CNI_IO_FAILURE, "no memory", "for the request") : 0;
}

static enum cni_code code_of(unsigned status)
{
    switch (status) {
    case 404:
        return CNI_UNKNOWN_CONTAINER;
    case 409:
        return CNI_NOT_AS_ADDED;
    case 503:
        return CNI_TRY_AGAIN;
    default:
        return CNI_REFUSED;
    }
}

static int refused(const struct local_http_answer *answer, struct cni_error *e)
{
    struct json *root = NULL;
    struct json_error ignored = {0};
    struct text words = TEXT("");
    (void)json_parse((struct text){answer->body.data, answer->body.len}, NULL, &root, &ignored);
    (void)json_opt_text(root, "error", &words, &ignored);
    int r = cni_fail(e, code_of(answer->status),
                     answer->status == 503 ? "the node proxy can't do it now"
                                           : "the node proxy refuses",
                     "%.*s (HTTP status %u)", (int)(words.len < 600 ? words.len : 600), words.data,
                     answer->status);
    json_free(root);
    return r;
}

static int ask(const struct cni_call *c, struct text_heap *note, struct cni_error *e)
{
    static const char *const paths[] = {"/cni/add", "/cni/del", "/cni/check"};
    const char *at = "";
    char why[256] = "";
    struct local_http_answer answer = {0};
    struct text_heap request;
    text_heap_init(&request, CNI_CONFIG_MAX);
    int r = write_request(c, &request, e);
    if (r < 0)
        goto done;
    const struct local_http_request q = {.socket = c->socket,
                                         .method = "POST",
                                         .path = paths[c->command],
                                         .body = {request.data, request.len},
                                         .timeout_ms = c->timeout_ms,
                                         .answer_max = ANSWER_MAX};
    r = local_http(&q, &answer, &at);
    if (r < 0)
        snprintf(why, sizeof why, "%s: %s", at,
                 r == -ENODATA ? "the connection ended without an answer" : strerror(-r));
    if (r < 0 && c->command == CNI_DEL) {
        /* A pod must be able to go while the proxy is away; when it is back it sees that the
         * namespace is gone. */
        text_heap_printf(note, "weir-cni: DEL goes on without the node proxy (%s)\n", why);
        r = 0;
    } else if (r < 0) {
        r = cni_fail(
            e, CNI_TRY_AGAIN, "the node proxy is not reachable",
            "socket %.*s: %s; is weir-nodeproxy running on this node, and is this its socket "
            "(field \"socket\" of the network configuration)?",
            (int)c->socket.len, c->socket.data, why);
    } else if (answer.status != 200) {
        r = refused(&answer, e);
    }
done:
    text_heap_done(&request);
    text_heap_done(&answer.body);
    return r;
}

static int act(const struct cni_call *c, struct text_heap *out, struct text_heap *note,
               struct cni_error *e)
{
    int r = 0;
    if (c->command == CNI_VERSION) {
        cni_version_print(c, out);
        return 0;
    }
    if (!c->excluded && c->pod_ns.len > 0 && c->pod_name.len > 0)
        r = ask(c, note, e);
    if (r == 0 && c->command == CNI_ADD)
        r = cni_result_print(c, out, e);
    return r;
}

int cni_run(const struct cni_environment *env, struct text config, struct text_heap *out,
            struct text_heap *note)
{
    struct cni_call call;
    struct cni_error error = {0};
    int r = cni_call_read(&call, env, config, &error);
    if (r == 0)
        r = act(&call, out, note, &error);
    if (r < 0) {
        cni_fail(&error, CNI_IO_FAILURE, "no memory", "for the result"); /* unless it said more */
        size_t max = out->max;
        text_heap_done(out);
        text_heap_init(out, max);
        cni_error_print(&call, &error, out);
    }
    cni_call_done(&call);
    return r < 0;
}
