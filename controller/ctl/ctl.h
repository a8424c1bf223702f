/*
 * What all commands of weirctl share: options, and how their results are printed. One run, one thread.
 */
#ifndef CONTROLLER_CTL_CTL_H
#define CONTROLLER_CTL_CTL_H
#include "controller/ctl/cluster.h"
#include "controller/ctl/explain.h"
#include "controller/ctl/tap.h"
#include "controller/ctl/views.h"

enum { CTL_TEXT_MAX = 256 * 1024 * 1024 };
struct ctl {
    struct cluster_options cluster;
    const char *socket;     /* of a node proxy on this machine */
    const char *controller; /* ADDR:PORT of a controller's admin endpoint, for the folder lab; NULL: none */
    const char *ns;         /* NULL: all */
    const char *enrol_label;
    bool as_json, local, before;
    const char *const *arguments; /* after the command */
    size_t n_arguments;
    struct explain_wish wish; /* explain: of a request, if any of it is given */
    struct arg_list headers;
    struct tap_wish tap; /* its direction, status, max and query; the rest is above */
};
int ctl_fail(const char *what, const char *why); /* 1, the exit status */
int ctl_write(struct text_heap *taken_out);      /* to standard output; the exit status */

int ctl_tell(const struct ctl *c, struct check *taken_check); /* what was found; the exit status */

/* Each returns the exit status: 0; 1: it failed, or found what is wrong; 2: it was not asked rightly. */
int cluster_show(const struct ctl *c, const struct view *v); /* a controller's part of the view */
int cluster_status(const struct ctl *c);
int cluster_check(const struct ctl *c);
int cluster_problems(const struct ctl *c);
int cluster_explain(const struct ctl *c);
int cluster_enrol(const struct ctl *c, bool enrol);
int local_show(const struct ctl *c, const struct view *v); /* NULL: the whole dump */
int local_status(const struct ctl *c);
int local_check(const struct ctl *c);
int local_explain(const struct ctl *c);
int local_tap(const struct ctl *c); /* until it ends, or is interrupted */
int explain_show(const struct ctl *c, const struct json *dump); /* what both of them do with a dump */

/* Pure parts. A row for each node proxy: who it follows, and what it has acknowledged. */
void status_table(const struct check_program *programs, size_t n, struct table *ret);
void check_machine(struct check *c);                       /* this one: kernel, io_uring, nftables */
void check_node(struct check *c, const struct json *dump); /* a node proxy's own dump */
#endif
