/*
 * Whether a mesh is in order: what an API server and the mesh's programs said, as lines that each say what is, and where it is wrong what to
 * do. Pure: facts in, lines out. Bounded by CHECK_LINES_MAX.
 */
#ifndef CONTROLLER_CTL_CHECK_H
#define CONTROLLER_CTL_CHECK_H
#include "shared/json/json_out.h"

enum { CHECK_LINES_MAX = 500, CHECK_TEXT_MAX = 512 };
enum check_level { CHECK_OK, CHECK_WARN, CHECK_FAIL };
struct check_line {
    enum check_level level;
    char subject[32], text[CHECK_TEXT_MAX], remedy[CHECK_TEXT_MAX]; /* remedy "": none is needed */
};
struct check {
    struct check_line *lines; /* owned */
    size_t n;
    bool failed; /* no memory, or too many */
};
struct check_program { /* one pod of the mesh's own, and what it answered */
    const char *role;  /* "nodeproxy", "controller", "ca", "cni" */
    const char *name, *node;
    const struct json *pod, *dump, *problems; /* dump, problems: of controllers; NULL: it did not answer */
    struct text metrics;                      /* empty: it did not answer */
    const char *why;                          /* it did not */
};
struct check_facts { /* borrowed */
    const char *server, *ns; /* of the mesh */
    const char *failure;     /* the API server could not be asked; NULL: it could */
    const struct json *version, *nodes, *namespaces;
    const char *enrol_label;
    const struct check_program *programs;
    size_t n_programs;
    int64_t now_s;
};
void check_init(struct check *c);
void check_done(struct check *c);
void check_add(struct check *c, enum check_level level, const char *subject, const char *remedy,
               const char *format, ...) __attribute__((format(printf, 5, 6)));
void check_before(struct check *c, const struct check_facts *f);    /* an installation */
void check_installed(struct check *c, const struct check_facts *f); /* what is there */
size_t check_count(const struct check *c, enum check_level level);
void check_print(const struct check *c, struct text_heap *out);
void check_json(const struct check *c, struct json_out *o);
/* A sample of Prometheus' text format; -1: it is not there. labels: a part of what stands in the braces; NULL: any. */
double check_metric(struct text metrics, const char *name, const char *labels);
#endif
