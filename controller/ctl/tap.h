/*
 * weirctl tap: requests of a node's workloads as they end, from the node proxy's GET /tap. What is asked
 * for, and how a line is shown; pure. The values of a line are a client's words: control characters are
 * escaped, so that nothing in them speaks to the terminal.
 */
#ifndef CONTROLLER_CTL_TAP_H
#define CONTROLLER_CTL_TAP_H
#include "shared/base/text.h"
#include "shared/base/why.h"
#include "shared/json/json.h"

struct tap_wish { /* NULL: any */
    const char *direction, *status, *method, *path, *ns;
    const char *workload; /* NAME, or NAMESPACE/NAME */
    uint64_t max;         /* 0: until it is interrupted */
    bool query;
};
enum { TAP_TARGET_MAX = 5 * 1024 };
/* "/tap?...". -EINVAL, and why. */
int tap_target(const struct tap_wish *w, char ret[static TAP_TARGET_MAX], char why[static WHY_MAX]);
/* A request as one line of text, with its end. */
void tap_print(const struct json *line, struct text_heap *out);
#endif
