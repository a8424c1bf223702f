#include "controller/ctl/ctl.h"
#include "controller/ctl/mesh_read.h"
#include <errno.h>
#include <stdio.h>

int ctl_fail(const char *what, const char *why)
{
    fprintf(stderr, "weirctl: %s: %s\n", what, why);
    return 1;
}

int ctl_write(struct text_heap *taken_out)
{
    struct text_heap *out = taken_out;
    bool failed = out->failed || fwrite(out->data ? out->data : "", 1, out->len, stdout) != out->len ||
                  fflush(stdout) != 0;
    text_heap_done(out);
    return failed ? ctl_fail("output", "memory ran out, or standard output can't be written") : 0;
}

int explain_show(const struct ctl *c, const struct json *dump)
{
    struct directory *d = NULL;
    struct explain x;
    struct json_error e = {0};
    struct text_heap out;
    struct json_out o;
    if (c->n_arguments != 2) {
        fprintf(stderr, "weirctl: say from where to where: weirctl explain shop/web-1 bank/api:80\n");
        return 2;
    }
    if (directory_new(&d) < 0)
        return ctl_fail("explain", strerror(ENOMEM));
    directory_thread_register();
    int err = mesh_read(dump, d, &e);
    int r = err < 0 ? ctl_fail("the controller's dump", err == -ENOMEM ? strerror(ENOMEM) : e.text) : 0;
    if (r == 0) {
        struct explain_wish wish = c->wish;
        wish.headers = &c->headers;
        bool asks = wish.method || wish.path || wish.host || c->headers.n > 0;
        err = explain_ask(d, c->arguments[0], c->arguments[1], asks ? &wish : NULL, &x);
        text_heap_init(&out, CTL_TEXT_MAX);
        if (err < 0)
            r = ctl_fail("explain", err == -ENOMEM ? strerror(ENOMEM) : x.why);
        else if (c->as_json) {
            json_out_init(&o, &out, true);
            explain_json(&x, &o);
            text_heap_puts(&out, "\n");
        } else
            explain_print(&x, &out);
        explain_done(&x);
        r = ctl_write(&out) || r;
    }
    directory_thread_unregister();
    directory_free(d);
    return r;
}

int ctl_tell(const struct ctl *c, struct check *taken_check)
{
    struct text_heap out;
    struct json_out o;
    text_heap_init(&out, CTL_TEXT_MAX);
    if (c->as_json) {
        json_out_init(&o, &out, true);
        check_json(taken_check, &o);
        text_heap_puts(&out, "\n");
    } else
        check_print(taken_check, &out);
    bool failed = check_count(taken_check, CHECK_FAIL) > 0;
    check_done(taken_check);
    return ctl_write(&out) || failed;
}
