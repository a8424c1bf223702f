/* weirctl tap, on a node; see ctl.h. */
#include "controller/ctl/ctl.h"
#include "shared/service/local_http.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { TIMEOUT_MS = 10000, LINE_MAX_READ = 1024 * 1024 };

struct shown {
    const struct ctl *c;
    bool ended;
};

/* What is not a request: what the node proxy says of the tap itself. True: it was that. */
static bool show_note(struct shown *s, const struct json *line)
{
    const struct json *end = json_member(line, TEXT("end"));
    int64_t n = 0;
    struct json_error e = {0};
    if (end) {
        s->ended = true;
        fprintf(stderr, "weirctl: the tap is over: %s\n", json_text(end).data);
    } else if (json_member(line, TEXT("lost"))) {
        (void)json_opt_i64(line, "lost", 0, INT64_MAX, &n, &e);
        fprintf(stderr, "weirctl: %" PRIi64 " more requests were not told: there are too many\n",
                n);
    } else if (json_member(line, TEXT("tapping"))) {
        fprintf(stderr, "weirctl: tapping; Ctrl-C ends it\n");
    } else {
        return false;
    }
    return true;
}

static int show(void *arg, struct text text)
{
    const struct json_limits limits = {LINE_MAX_READ, 1000, 8};
    struct shown *s = arg;
    struct json *line = NULL;
    struct json_error e = {0};
    struct text_heap out;
    int r = 0;
    if (json_parse(text, &limits, &line, &e) < 0)
        return -EPROTO;
    if (!show_note(s, line)) {
        text_heap_init(&out, LINE_MAX_READ);
        if (s->c->as_json) {
            text_heap_put(&out, text);
            text_heap_puts(&out, "\n");
        } else {
            tap_print(line, &out);
        }
        r = ctl_write(&out) == 0 ? 0 : -EPIPE;
    }
    json_free(line);
    return r;
}

int local_tap(const struct ctl *c)
{
    char target[TAP_TARGET_MAX], why[WHY_MAX];
    struct tap_wish wish = c->tap;
    struct shown shown = {.c = c};
    struct text_heap refusal;
    unsigned status = 0;
    const char *at = "";
    wish.ns = c->ns;
    wish.method = c->wish.method;
    wish.path = c->wish.path;
    wish.workload = c->n_arguments > 0 ? c->arguments[0] : NULL;
    if (tap_target(&wish, target, why) < 0) {
        fprintf(stderr, "weirctl: tap: %s\n", why);
        return 2;
    }
    const struct local_http_request q = {.socket = text_of(c->socket),
                                         .method = "GET",
                                         .path = target,
                                         .timeout_ms = TIMEOUT_MS,
                                         .answer_max = LINE_MAX_READ};
    int r = local_http_lines(&q, show, &shown, &status, &refusal, &at);
    if (r == -EPIPE)
        return 1; /* said already */
    if (r == -ENOENT || r == -ECONNREFUSED)
        return ctl_fail(c->socket, "no node proxy listens there; is one running on this node? "
                                   "(--socket names another path)");
    if (r < 0) {
        snprintf(why, sizeof why, "%s: %s", at, strerror(-r));
        return ctl_fail(c->socket, why);
    }
    if (status != 200) {
        fprintf(stderr, "weirctl: tap: %.*s", (int)refusal.len,
                refusal.data ? refusal.data : "refused\n");
        text_heap_done(&refusal);
        return status == 400 ? 2 : 1;
    }
    text_heap_done(&refusal);
    return shown.ended ? 0 : ctl_fail(c->socket, "the node proxy is gone");
}
